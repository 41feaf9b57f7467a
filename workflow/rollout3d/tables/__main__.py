"""Write `rows.py`, the types of rows, from the declared tables: `python -m rollout3d.tables > .../tables/rows.py`.

A test fails when the committed file has drifted from the tables.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from itertools import takewhile

import pyarrow as pa

from rollout3d.tables import TABLES

ROWS = {
    "annotations": "AnnotationRow",
    "audit": "AuditRow",
    "audit_released": "ReleasedAuditRow",
    "bias": "BiasRow",
    "claim_shares": "ClaimShareRow",
    "claims": "ClaimRow",
    "cognitive_maps": "CognitiveMapRow",
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
    "study": "StudyRow",
    "verdicts": "VerdictRow",
    "visibility": "VisibilityRow",
}
"""Table -> name of its rows' type. Tables of the same columns share one."""

BASES = {"QuestionColumns": ("questions", "ocr_sft")}
"""Name of a type -> the tables whose rows begin with the same columns, which that type holds."""

STRUCTS = {
    ("bytes", "path"): "Image",
    ("category", "cells"): "CategoryCells",
    ("category", "n"): "CategoryCount",
    ("category", "first_seen_s"): "Appearance",
    ("category", "object_ids"): "Mention",
    ("kind", "name", "category", "start", "end"): "NamedObject",
    ("name", "value"): "NamedValue",
    ("object_id", "metres"): "CloudDistance",
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
    shared = {base: _shared(names) for base, names in BASES.items()}
    bases = {base: _class(base, "TypedDict", "Columns of several tables", shared[base], structs) for base in BASES}
    base_of = {ROWS[name]: base for base, names in BASES.items() for name in names}
    classes: dict[str, str] = {}
    for name in sorted(TABLES):
        base = base_of.get(ROWS[name], "TypedDict")
        own = list(TABLES[name].schema)[len(shared.get(base, ())) :]
        made = _class(ROWS[name], base, TABLES[name].row, own, structs)
        known = classes.setdefault(ROWS[name], made)
        if _columns(known) != _columns(made):
            raise ValueError(f"tables that share {ROWS[name]} must have the same columns: '{name}' has others")
    ordered = [group[name] for group in (structs, bases, classes) for name in sorted(group)]
    return "\n\n".join([HEADER, *ordered])


def _shared(names: Iterable[str]) -> list[pa.Field]:
    """Return the columns with which the rows of all these tables begin."""
    columns = zip(*(TABLES[name].schema for name in names))
    same = takewhile(lambda fields: all(each.equals(fields[0], check_metadata=True) for each in fields), columns)
    return [fields[0] for fields in same]


def _class(name: str, base: str, text: str, fields: Iterable[pa.Field], structs: dict[str, str]) -> str:
    lines = [f"class {name}({base}):", *_text(text, "    ")]
    for field in fields:
        lines += ["", f"    {field.name}: {_annotation(field.type, field.nullable, field.name, structs)}"]
        meaning = (field.metadata or {}).get(b"meaning", b"").decode()
        lines += _text(meaning, "    ")
    return "\n".join(lines) + "\n"


def _annotation(dtype: pa.DataType, nullable: bool, column: str, structs: dict[str, str]) -> str:
    if pa.types.is_list(dtype) or pa.types.is_fixed_size_list(dtype):
        found = f"list[{_annotation(dtype.value_type, False, column, structs)}]"
    elif pa.types.is_struct(dtype):
        fields = tuple(field.name for field in dtype)
        found = STRUCTS.get(fields) or column.title().replace("_", "")
        if found not in structs:
            structs[found] = ""  # holds its place: nested structs are added first
            inner = [
                f"    {f.name}: {_annotation(f.type, _may_be_null(found, f.name), f.name, structs)}" for f in dtype
            ]
            structs[found] = "\n".join([f"class {found}(TypedDict):", *inner]) + "\n"
    else:
        found = next(python for is_type, python in _SCALARS if is_type(dtype))
    return f"{found} | None" if nullable else found


_SCALARS = (
    (pa.types.is_string, "str"),
    (pa.types.is_boolean, "bool"),
    (pa.types.is_integer, "int"),
    (pa.types.is_floating, "float"),
    (pa.types.is_binary, "builtins.bytes"),
)


def _may_be_null(struct: str, field: str) -> bool:
    """Return whether a field of a struct may be null; Arrow declares all of them nullable."""
    optional = {("Image", "path"), ("Image", "bytes"), ("NamedObject", "category")}
    return struct == "Agreement" or (struct, field) in optional


def _text(text: str, indent: str) -> Iterator[str]:
    if not text:
        return
    yield from textwrap.wrap(f'"""{text}"""', 120, initial_indent=indent, subsequent_indent=indent)


def _columns(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("    ") and ": " in line and '"""' not in line]


if __name__ == "__main__":
    main()
