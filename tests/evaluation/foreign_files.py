"""A small VSI-Bench, and predictions of it in the shapes that files of others have."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CHOICES = (
    *("object_rel_distance", "object_rel_direction_easy", "object_rel_direction_medium", "object_rel_direction_hard"),
    *("route_planning", "obj_appearance_order"),
)
NUMBERS = ("object_counting", "object_abs_distance", "object_size_estimation", "room_size_estimation")

Row = dict[str, Any]


def questions(scenes: int = 5, **changes: Any) -> list[Row]:
    """One question of each of the ten types per scene; ids from 100 on, with gaps; every second one is pruned."""
    rows = []
    for scene in range(scenes):
        for k, kind in enumerate((*NUMBERS, *CHOICES)):
            choice = kind in CHOICES
            rows.append(
                {
                    "id": 100 + 13 * scene + k,
                    "dataset": "scannetpp",
                    "scene_name": f"room{scene}",
                    "question_type": kind,
                    "question": "which?",
                    "ground_truth": "ABCD"[scene % 4] if choice else str(4 + scene),
                    "options": ["A. a", "B. b", "C. c", "D. d"] if choice else None,
                    "pruned": k % 2 == 0,
                    **changes,
                }
            )
    return rows


def right(rows: list[Row]) -> dict[str, str]:
    """The right answer to every question, by id."""
    return {str(row["id"]): row["ground_truth"] for row in rows}


def write_questions(path: Path, rows: list[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_rows(path: Path, rows: list[Row]) -> Path:
    """Rows as the file's suffix says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with open(path, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path
