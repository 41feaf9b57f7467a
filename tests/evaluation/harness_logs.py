"""Logs of lmms-eval and tables of VLMEvalKit, written from the description of their layouts.

Nothing here uses the readers. lmms-eval: a line per question with `doc_id`, `target`, the scored text and, where a
filter changed it, the raw one; each metric is a key with what the benchmark's rule returned. VLMEvalKit: a table of the
benchmark's columns with `index` and `prediction`, here as an Excel file.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
CONTENT = "http://schemas.openxmlformats.org/package/2006/content-types"
OPEN = "application/vnd.openxmlformats-officedocument.spreadsheetml"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def whole_row(row, text):
    """What VSI-Bench's rule in lmms-eval returns: the question's row, the same under every metric."""
    choice = row["options"] is not None
    about = {**row, "prediction": text, "accuracy" if choice else "MRA:.5:.95:.05": 0.0}
    return {"vsibench_overall": about, "object_counting_mra": about}


def score_only(row, text):
    """What the rules of ViewSpatial and MindCube return: a score, and no id."""
    return {"overall_accuracy": {"score": 0.0}}


def write_log(path: Path, rows, texts, raw=None, metrics=whole_row):
    """`texts`: scored text per row, in order; `raw`: what the model wrote, where a filter cut it."""
    lines = []
    for place, (row, text) in enumerate(zip(rows, texts, strict=True)):
        line = {"doc_id": place, "target": str(row["ground_truth"])}
        if raw is not None and raw[place] != text:
            line["resps"] = [raw[place]]
        line |= {"filtered_resps": text, "token_counts": [{"output_tokens": 3}], "doc_hash": "0" * 64}
        line |= {"input": f"These are frames of a video.\n{row['question']}", **metrics(row, text)}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    path.write_text("".join(lines), encoding="utf-8")
    return path


def write_xlsx(path: Path, rows, inline=False, sheet="xl/worksheets/sheet1.xml", doctype=""):
    """Rows of one set of keys; texts are shared, as openpyxl writes them, or in the cells (`inline`)."""
    shared: list[str] = []

    def cell(column, row, value):
        where = f'r="{chr(65 + column)}{row}"'
        if value is None:
            return ""
        if isinstance(value, int | float):
            return f"<c {where}><v>{value}</v></c>"
        text = f'<t xml:space="preserve">{escape(value)}</t>'
        if inline:
            return f'<c {where} t="inlineStr"><is>{text}</is></c>'
        shared.append(f"<si>{text}</si>")
        return f'<c {where} t="s"><v>{len(shared) - 1}</v></c>'

    table = [list(rows[0]), *(list(row.values()) for row in rows)]
    body = "".join(
        f'<row r="{r}">' + "".join(cell(c, r, value) for c, value in enumerate(values)) + "</row>"
        for r, values in enumerate(table, start=1)
    )
    head = f"<?xml version='1.0' encoding='UTF-8'?>{doctype}"
    target = sheet.removeprefix("xl/")
    sheets = '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId7"/></sheets>'
    relation = f'<Relationship Id="rId7" Type="{OFFICE}/worksheet" Target="{target}"/>'
    parts = [("xl/workbook.xml", "sheet.main"), (sheet, "worksheet")]
    if shared:
        relation += f'<Relationship Id="rId8" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
        parts.append(("xl/sharedStrings.xml", "sharedStrings"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        types = "".join(f'<Override PartName="/{part}" ContentType="{OPEN}.{kind}+xml"/>' for part, kind in parts)
        archive.writestr("[Content_Types].xml", f'<Types xmlns="{CONTENT}">{types}</Types>')
        archive.writestr("xl/workbook.xml", f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">{sheets}</workbook>')
        relations = f'<Relationships xmlns="{PACKAGE}">{relation}</Relationships>'
        archive.writestr("xl/_rels/workbook.xml.rels", relations)
        archive.writestr(sheet, f'{head}<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData></worksheet>')
        if shared:
            archive.writestr("xl/sharedStrings.xml", f'{head}<sst xmlns="{MAIN}">{"".join(shared)}</sst>')
    return path


def kit_rows(rows, texts):
    """Rows of VLMEvalKit's table of VSI-Bench: options as text, `index` in place of `id`."""
    kept = ("question", "question_type")
    return [
        {
            "index": row["id"],
            "video": f"{row['dataset']}/{row['scene_name']}",
            **{name: row[name] for name in kept},
            "candidates": str(row["options"]),
            "answer": row["ground_truth"],
            "prediction": text,
        }
        for row, text in zip(rows, texts, strict=True)
    ]
