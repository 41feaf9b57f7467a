"""Read VSI-Bench's question files, and compare them with the counts of the release.

The release has `test.jsonl`, or Parquet files of all questions, or of its two halves: `debiased` are the questions that
are hard to guess from their text, `pruned` the others.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout3d import tables
from rollout3d.evaluation.benchmarks._common import BenchmarkError
from rollout3d.fingerprint import note
from rollout3d.questions.counts import BENCHMARK
from rollout3d.scenes.datasets import space_of
from rollout3d.tables.rows import QuestionRow

COLUMNS = ("id", "dataset", "scene_name", "question_type", "question", "ground_truth")
"""Columns that every row must have; `options` is null for numbers, `pruned` came in November 2025."""

COUNTS = BENCHMARK
"""Released questions per question type."""
DATASETS = ("scannet", "scannetpp", "arkitscenes")
"""Datasets whose scans the benchmark asks about."""
WHOLE = sum(COUNTS.values())
"""Released questions: 5,130."""
HALVES: Mapping[str, int] = {"test_debiased.parquet": 2363, "test_pruned.parquet": 2767}
"""Questions of each half. The paper on debiasing counts 2,768 pruned ones (arXiv 2511.04655)."""

_NUMERIC = ("object_counting", "object_size_estimation", "room_size_estimation", "object_abs_distance")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_OPTION = re.compile(r"\s*([A-Z])[.):]")
_SCENE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def how_to_get(root: Path | str) -> str:
    """Return the command that downloads missing or damaged files of the release; archives are read as downloaded."""
    return f"run `hf download nyu-visionx/VSI-Bench --repo-type dataset --local-dir {root}`"


def question_files(root: Path) -> list[Path]:
    """Return the question files of a release: `test.jsonl`, else `test.parquet` or `test-*.parquet`, else both halves.

    The folder of the release may hold the whole and its halves (debiased and pruned): reading all of it would count
    questions twice. Raises BenchmarkError if there is none of them, or one half only.
    """
    how = how_to_get(root)
    if (root / "test.jsonl").exists():
        return [root / "test.jsonl"]
    whole = sorted([*root.glob("test.parquet"), *root.glob("test-*.parquet")])
    found = whole or [root / name for name in HALVES if (root / name).exists()]
    if not found:
        raise BenchmarkError(f"{root}: no VSI-Bench questions (test.jsonl or test*.parquet); {how}")
    if not whole and len(found) == 1:
        raise BenchmarkError(
            f"{root}: holds only half of VSI-Bench, {found[0].name} ({HALVES[found[0].name]} of {WHOLE}); {how}"
        )
    return found


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of one released question file, JSON lines or Parquet. Raises BenchmarkError if it is not one."""
    try:
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        else:
            rows = tables.read_foreign(note(path))
    except tables.TableError as error:
        raise BenchmarkError(str(error)) from error
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror or error}); is the path right?") from error
    except ValueError as error:
        raise BenchmarkError(f"{path}: not readable ({error}); download it again") from error
    for k, row in enumerate(rows):
        lacking = [column for column in COLUMNS if not isinstance(row, dict) or column not in row]
        if lacking:
            raise BenchmarkError(f"{path}: row {k + 1} is without the columns {', '.join(lacking)}: is it VSI-Bench's?")
        if not re.fullmatch(r"\d+", str(row["id"])):
            raise BenchmarkError(f"{path}: row {k + 1} has the id {row['id']!r}, not a number: is it VSI-Bench's?")
        if not isinstance(row.get("options"), list | None):
            raise BenchmarkError(f"{path}: row {k + 1} has options that are no list: is it VSI-Bench's?")
    if not rows:
        raise BenchmarkError(f"{path}: empty, or without the columns {', '.join(COLUMNS)}: is it VSI-Bench's?")
    return rows


def read_released(root: Path) -> tuple[list[QuestionRow], list[Path]]:
    """Read all released questions as question rows in the order of their ids; return them and their files.

    Raises BenchmarkError, with what was found and what to do, unless they are the 5,130 of the release.
    """
    files = question_files(root)
    per_file = [(file, read_rows(file)) for file in files]
    rows = [_question(row, file) for file, each in per_file for row in each]
    _check_whole(root, [(file.name, len(each)) for file, each in per_file], rows)
    rows.sort(key=lambda row: (released_id(row), row["question_id"]))
    return rows, files


def released_id(row: QuestionRow) -> int:
    """Return the id that VSI-Bench gives to a question, from its question row."""
    return int(json.loads(row["evidence"])["id"])


def _check_whole(root: Path, files: Sequence[tuple[str, int]], rows: Sequence[QuestionRow]) -> None:
    counts = " and ".join(f"{name} has {n} rows" for name, n in files)
    how = f"download the questions again: {how_to_get(root)}"
    ids = Counter(released_id(row) for row in rows)
    doubled = sorted(each for each, n in ids.items() if n > 1)
    if doubled:
        raise BenchmarkError(
            f"{root}: {len(doubled)} question ids occur more than once, such as {doubled[0]} ({counts}); {how}"
        )
    found = Counter(row["question_type"] for row in rows)
    wrong = [f"{name} {found[name]} of {n}" for name, n in COUNTS.items() if found[name] != n]
    if wrong:
        raise BenchmarkError(
            f"{root}: not the {WHOLE} released questions but {len(rows)} ({counts}): {', '.join(wrong)}; {how}"
        )
    datasets: dict[str | None, str] = {}
    for row in rows:
        if datasets.setdefault(row["scene_id"], row["dataset"]) != row["dataset"]:
            raise BenchmarkError(f"{root}: scene {row['scene_id']} occurs in two datasets ({counts}); {how}")


def _question(row: dict[str, Any], file: Path) -> QuestionRow:
    dataset, scene, question_type = row["dataset"], str(row["scene_name"]), row["question_type"]
    if dataset not in DATASETS or question_type not in COUNTS:
        raise BenchmarkError(
            f"{file}: row {row['id']} has the unknown dataset '{dataset}' or question type '{question_type}': download "
            "it again"
        )
    if not _SCENE.fullmatch(scene):
        raise BenchmarkError(f"{file}: row {row['id']} has the scene {scene!r}, no name of a video: download it again")
    options = row.get("options")
    fault = _answer_fault(question_type, str(row["ground_truth"]).strip(), options)
    if fault:
        raise BenchmarkError(f"{file}: row {row['id']} ({question_type}) {fault}: download it again")
    ours: QuestionRow = {
        "question_id": "",
        "scene_id": scene,
        "space_id": space_of(dataset, scene),
        "split": "val",
        "dataset": dataset,
        "question_type": question_type,
        "answer_type": "choice" if options else "number",
        "question": row["question"],
        "options": list(options) if options else None,
        "ground_truth": str(row["ground_truth"]),
        "objects": [],
        "media": None,
        "source": "vsibench",
        "evidence": tables.canonical_json({"id": int(row["id"]), "pruned": row.get("pruned")}),
        "answerable": None,
        "refused": None,
        "budget_answers": None,
    }
    # The released id belongs to the identity: equal questions would otherwise be scored once.
    ours["question_id"] = tables.digest([tables.question_id(ours), int(row["id"])])[:16]
    return ours


def _answer_fault(question_type: str, answer: str, options: list[Any] | None) -> str | None:
    """Return what is wrong with the released answer to a question of a type; None if nothing is."""
    if question_type in _NUMERIC:
        if options:
            return f"asks for a number and has {len(options)} options"
        return None if _NUMBER.fullmatch(answer) else f"has no options, and its answer {answer!r} is no number"
    if not options:
        return f"has no options, and its answer is {answer!r}"
    letters = [found[1] if (found := _OPTION.match(str(option))) else None for option in options]
    if None in letters or len(set(letters)) != len(letters):
        return f"has options without a letter each, {options!r}"
    if answer not in letters:
        return f"has the answer {answer!r}, which is none of the options' letters {', '.join(map(str, letters))}"
    return None
