"""Write `rows.py`, the types of rows, from the declared tables: `python -m rollout3d.tables > .../tables/rows.py`.

A test fails when the committed file has drifted from the tables.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import pyarrow as pa

from rollout3d.tables import TABLES, Table

ROWS = {
    "annotations": "AnnotationRow",
    "audit": "AuditRow",
    "audit_released": "ReleasedAuditRow",
    "bias": "BiasRow",
    "frames": "FrameRow",
    "hard": "HardRow",
    "inventory": "InventoryRow",
    "maps": "MapRow",
    "metrics": "MetricRow",
    "objects": "ObjectRow",
    "ocr_rl": "QuestionRow",
    "ocr_sft": "SftRow",
    "predictions": "PredictionRow",
    "probes": "ProbeRow",
    "questions": "QuestionRow",
    "questions_dropped": "DroppedQuestionRow",
    "raw_files": "RawFileRow",
    "regions": "RegionRow",
    "report": "ReportRow",
    "rollouts": "RolloutRow",
    "scans": "ScanFileRow",
    "scenes": "SceneRow",
    "scenes_dropped": "DroppedSceneRow",
    "scores": "ScoreRow",
    "sources": "SourceRow",
    "verdicts": "VerdictRow",
    "visibility": "VisibilityRow",
}
"""Table -> name of its rows' type. Tables of the same columns share one."""

STRUCTS = {
    ("bytes", "path"): "Image",
    ("category", "n"): "CategoryCount",
    ("category", "first_seen_s"): "Appearance",
    ("category", "object_ids"): "Mention",
    ("name", "value"): "NamedValue",
    ("set", "answer"): "BudgetAnswer",
    ("x", "y", "z", "red", "green", "blue"): "Point",
}
"""Fields of a nested struct -> name of its type; others are named after their column."""

HEADER = '''\
"""Types of the rows of every table, for type checkers and editors; nothing is checked when a program runs.

Made by `python -m rollout3d.tables` from the declarations in `schema.py` and `results.py`: edit those. Units and other
conventions: `rollout3d.tables`.
"""

from __future__ import annotations

import builtins
from typing import TypedDict
'''


def main() -> None:
    print(source(), end="")


def source() -> str:
    """Return the text of `rows.py`."""
    structs: dict[str, str] = {}
    classes: dict[str, str] = {}
    for name in sorted(TABLES):
        made = _row(TABLES[name], structs)
        known = classes.setdefault(ROWS[name], made)
        if _columns(known) != _columns(made):
            raise ValueError(f"tables that share {ROWS[name]} must have the same columns: '{name}' has others")
    parts = [*(structs[name] for name in sorted(structs)), *(classes[name] for name in sorted(classes))]
    return "\n\n".join([HEADER, *parts])


def _row(table: Table, structs: dict[str, str]) -> str:
    lines = [f"class {ROWS[table.name]}(TypedDict):", *_text(table.row, "    ")]
    for field in table.schema:
        lines += ["", f"    {field.name}: {_annotation(field.type, field.nullable, field.name, structs)}"]
        meaning = (field.metadata or {}).get(b"meaning", b"").decode()
        lines += _text(meaning, "    ")
    return "\n".join(lines) + "\n"


def _annotation(kind: pa.DataType, nullable: bool, column: str, structs: dict[str, str]) -> str:
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        found = f"list[{_annotation(kind.value_type, False, column, structs)}]"
    elif pa.types.is_struct(kind):
        fields = tuple(field.name for field in kind)
        found = STRUCTS.get(fields) or column.title().replace("_", "")
        if found not in structs:
            structs[found] = ""  # its nested ones first
            inner = [f"    {f.name}: {_annotation(f.type, _may_be_null(found, f.name), f.name, structs)}" for f in kind]
            structs[found] = "\n".join([f"class {found}(TypedDict):", *inner]) + "\n"
    else:
        found = next(python for is_kind, python in _SCALARS if is_kind(kind))
    return f"{found} | None" if nullable else found


_SCALARS = (
    (pa.types.is_string, "str"),
    (pa.types.is_boolean, "bool"),
    (pa.types.is_integer, "int"),
    (pa.types.is_floating, "float"),
    (pa.types.is_binary, "builtins.bytes"),
)


def _may_be_null(struct: str, field: str) -> bool:
    """Arrow's struct fields are nullable all; these are meant to be."""
    return struct == "Agreement" or (struct, field) in {("Image", "path"), ("Image", "bytes")}


def _text(text: str, indent: str) -> Iterator[str]:
    if not text:
        return
    yield from textwrap.wrap(f'"""{text}"""', 120, initial_indent=indent, subsequent_indent=indent)


def _columns(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("    ") and ": " in line and '"""' not in line]


if __name__ == "__main__":
    main()
