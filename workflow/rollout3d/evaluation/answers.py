"""The right answers that predictions are scored against, and the splits of VSI-Bench.

Read are VSI-Bench's released question files, whose own ids predictions of others carry, and our tables of questions.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rollout3d import tables
from rollout3d.config import question_types
from rollout3d.evaluation.benchmarks import BenchmarkError
from rollout3d.evaluation.benchmarks.vsibench import question_files, read_rows
from rollout3d.scoring.parse import parse_number
from rollout3d.spaces import space_of

SPLITS = ("full", "debiased", "pruned", "tiny")
SIZES = {"full": 5130, "debiased": 2363, "tiny": 400}
"""Questions of VSI-Bench's splits. Its card and its paper differ on `pruned` by one, so that one is not compared."""

_LIST_IN_CODE = "subset_indexes"
_TINY_HELP = (
    "the 400 ids are not in the released files: give them with --tiny-ids, as a list of ids or as the file "
    "lmms_eval/tasks/vsibench/utils.py of the branch cogmap of vision-x-nyu/thinking-in-space, which holds them"
)


@dataclass(frozen=True)
class Asked:
    """One question: `id` as predictions name it, `scene` the physical space of its video, `flags` of its release."""

    id: str
    question_type: str
    answer_type: str
    ground_truth: str
    scene: str
    flags: dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """`questions` in file order, `files` they came from, `other_ids`: VSI-Bench's id -> our question id."""

    questions: list[Asked]
    files: tuple[Path, ...]
    released: bool
    other_ids: dict[str, str]


def read_answers(paths: Sequence[str | Path]) -> Answers:
    """Read question files (`test.jsonl`, `test*.parquet`), a release's folder, or a table `questions`.

    Raises BenchmarkError naming the file for one that is neither, for doubled ids, and for answers that cannot be.
    """
    given = [Path(path) for path in paths]
    files = [file for path in given for file in (question_files(path) if path.is_dir() else [path])]
    questions: list[Asked] = []
    other_ids: dict[str, str] = {}
    ours = [_is_ours(file) for file in files]
    for file, own in zip(files, ours, strict=True):
        if own:
            found, others = _own(file)
            questions += found
            other_ids |= others
        else:
            questions += [_released(row, file) for row in read_rows(file)]
    names = ", ".join(str(file) for file in files)
    seen: set[str] = set()
    for asked in questions:
        if asked.id in seen:
            raise BenchmarkError(f"{names}: question {asked.id} occurs twice: give each question file once")
        seen.add(asked.id)
        if asked.question_type not in question_types.NAMES:
            raise BenchmarkError(f"{names}: question {asked.id} has the type '{asked.question_type}', not VSI-Bench's")
        if asked.answer_type == "number" and parse_number(asked.ground_truth) is None:
            raise BenchmarkError(f"{names}: the answer '{asked.ground_truth}' to question {asked.id} is no number")
    if not questions:
        raise BenchmarkError(f"{names}: holds no question")
    return Answers(questions, tuple(files), not any(ours), other_ids)


def of_split(answers: Answers, split: str, tiny_ids: str | Path | None = None) -> list[Asked]:
    """The questions of a split. Raises BenchmarkError where the files do not say which they are, or if there is none.

    full: all of the files; debiased: `pruned` is false; pruned: it is true; tiny: the ids in the file `tiny_ids`, else
    those whose column `tiny` is true.
    """
    names = ", ".join(str(file) for file in answers.files)
    if split == "full":
        return answers.questions
    if split == "tiny":
        found = _tiny(answers, tiny_ids, names)
    else:
        flags = [_truth(asked.flags.get("pruned")) for asked in answers.questions]
        if None in flags:
            raise BenchmarkError(
                f"{names}: the split {split} needs the column pruned (true or false), which releases since November "
                "2025 have: download the question file again"
            )
        found = [asked for asked, pruned in zip(answers.questions, flags, strict=True) if pruned == (split == "pruned")]
    if not found:
        raise BenchmarkError(f"{names}: holds no question of the split {split}")
    return found


def _tiny(answers: Answers, tiny_ids: str | Path | None, names: str) -> list[Asked]:
    if tiny_ids is None:
        if not any("tiny" in asked.flags for asked in answers.questions):
            raise BenchmarkError(f"{names}: the split tiny: {_TINY_HELP}")
        return [asked for asked in answers.questions if _truth(asked.flags.get("tiny"))]
    wanted = {answers.other_ids.get(name, name) for name in _ids(Path(tiny_ids))}
    strange = sorted(wanted - {asked.id for asked in answers.questions})
    if strange:
        raise BenchmarkError(
            f"{tiny_ids}: {len(strange)} of {len(wanted)} ids are not in {names}, such as {', '.join(strange[:3])}: "
            "are they VSI-Bench's, and is that file the whole benchmark?"
        )
    return [asked for asked in answers.questions if asked.id in wanted]


def _ids(path: Path) -> list[str]:
    """Ids of a text file: separated by space or commas, a JSON list, or the list `subset_indexes` of a Python file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror}); is the path right?") from error
    except UnicodeDecodeError as error:
        raise BenchmarkError(f"{path}: is no text file ({error})") from error
    in_code = re.search(rf"\b{_LIST_IN_CODE}\s*=\s*(\[[^\]]*\])", text)
    if path.suffix == ".py" and not in_code:
        raise BenchmarkError(f"{path}: has no list {_LIST_IN_CODE}; {_TINY_HELP}")
    try:
        found = ast.literal_eval(in_code[1]) if in_code else re.split(r"[\s,]+", text.strip(" \t\r\n[]"))
    except (ValueError, SyntaxError) as error:
        raise BenchmarkError(f"{path}: its list {_LIST_IN_CODE} cannot be read ({error}); {_TINY_HELP}") from error
    names = [str(each).strip("\"'") for each in found]
    wrong = [name for name in names if not re.fullmatch(r"\w[\w-]*", name)]
    if wrong:
        raise BenchmarkError(f"{path}: '{wrong[0][:40]}' is no id; {_TINY_HELP}")
    return names


def _truth(value: Any) -> bool | None:
    """True or false of a column that some writers store as text or number; None for anything else."""
    return {"true": True, "false": False, "1": True, "0": False}.get(str(value).strip().lower())


def _is_ours(file: Path) -> bool:
    if file.suffix == ".parquet":
        try:
            return tables.lineage(file).get("table") == tables.QUESTIONS.name
        except tables.TableError as error:
            raise BenchmarkError(str(error)) from error
    if file.suffix != ".jsonl":
        raise BenchmarkError(
            f"{file}: is neither VSI-Bench's test.jsonl or test*.parquet nor a table of questions: give the released "
            "question file"
        )
    return False


def _released(row: dict[str, Any], file: Path) -> Asked:
    scene = str(row["scene_name"])
    return Asked(
        str(row["id"]),
        str(row["question_type"]),
        "choice" if row.get("options") else "number",
        str(row["ground_truth"]),
        space_of(str(row["dataset"]), scene),
        {name: row[name] for name in ("pruned", "tiny") if row.get(name) is not None},
    )


def _own(file: Path) -> tuple[list[Asked], dict[str, str]]:
    columns = ["question_id", "question_type", "answer_type", "ground_truth", "space_id", "scene_id", "source"]
    found, others = [], {}
    for row in tables.read(tables.QUESTIONS, file, [*columns, "evidence"]):
        asked = Asked(
            *(row[name] for name in columns[:4]), row["space_id"] or row["scene_id"] or row["question_id"], {}
        )
        if row["source"] == "vsibench":
            released = json.loads(row["evidence"])
            asked = replace(asked, flags={"pruned": released.get("pruned")})
            others[str(released["id"])] = asked.id
        found.append(asked)
    return found, others
