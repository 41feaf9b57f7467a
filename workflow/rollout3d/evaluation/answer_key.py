"""The right answers that predictions of others are scored against.

They come from a benchmark's released question files, whose own ids such predictions carry, or from our tables of
questions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollout3d import doors, tables
from rollout3d.evaluation import benchmarks
from rollout3d.evaluation.benchmarks import BenchmarkError, Reference
from rollout3d.scoring.parse import parse_number

BENCHMARK = "vsibench"
"""The benchmark whose question files are read where none is named."""


def splits(benchmark: str) -> Mapping[str, int | None]:
    """Return the splits of a benchmark -> number of questions, None where that is not compared."""
    return doors.BENCHMARKS.constant(benchmark, "SPLITS", {"full": None})


@dataclass(frozen=True)
class AnswerKey:
    """`references` in file order, the `files` that they came from, and whether those are `released` ones.

    `other_ids`: the benchmark's own id -> our question id, from our tables of its questions. `benchmark`: its name.
    """

    references: list[Reference]
    files: tuple[Path, ...]
    released: bool
    other_ids: dict[str, str]
    benchmark: str = BENCHMARK

    def of_split(self, split: str, ids: Path | str | None = None) -> list[Reference]:
        """Return the questions of a split of the benchmark; `ids`: file of ids, for a split that needs one.

        Raises BenchmarkError where the files do not say which questions these are, or if there is none.
        """
        names = ", ".join(str(file) for file in self.files)
        return benchmarks.get(self.benchmark).of_split(self.references, split, names, ids, self.other_ids)


def read_answers(paths: Sequence[str | Path], benchmark: str = BENCHMARK) -> AnswerKey:
    """Read released question files of a benchmark, the folder of its release, or tables `questions`.

    Raises BenchmarkError naming the file for one that is neither, for doubled ids, and for impossible answers.
    """
    adapter = benchmarks.get(benchmark)
    given = [Path(path) for path in paths]
    files = [file for path in given for file in (adapter.question_files(path) if path.is_dir() else [path])]
    references: list[Reference] = []
    other_ids: dict[str, str] = {}
    ours = [_is_ours(file, benchmark) for file in files]
    for file, own in zip(files, ours, strict=True):
        if own:
            found, others = _own(file, benchmark)
            references += found
            other_ids |= others
        else:
            references += adapter.references(file)
    names = ", ".join(str(file) for file in files)
    seen: set[str] = set()
    for each in references:
        if each.id in seen:
            raise BenchmarkError(f"{names}: question {each.id} occurs twice: give each question file once")
        seen.add(each.id)
        try:
            adapter.average({benchmarks.cell_of(benchmark, each): [0.0]})
        except ValueError:
            raise BenchmarkError(
                f"{names}: question {each.id} has the type '{each.question_type}', not {title(benchmark)}'s"
            ) from None
        if each.answer_type == "number" and parse_number(each.ground_truth) is None:
            raise BenchmarkError(f"{names}: the answer '{each.ground_truth}' to question {each.id} is no number")
    if not references:
        raise BenchmarkError(f"{names}: holds no question")
    return AnswerKey(references, tuple(files), not any(ours), other_ids, benchmark)


def title(benchmark: str) -> str:
    """Return the name of a benchmark in messages."""
    return "VSI-Bench" if benchmark == BENCHMARK else benchmark


def _is_ours(file: Path, benchmark: str) -> bool:
    if file.suffix == ".parquet":
        try:
            return tables.lineage(file).get("table") == tables.QUESTIONS.name
        except tables.TableError as error:
            raise BenchmarkError(str(error)) from error
    if file.suffix != ".jsonl" and (benchmark == BENCHMARK or file.suffix != ".json"):
        names = " test.jsonl or test*.parquet" if benchmark == BENCHMARK else " question file"
        raise BenchmarkError(
            f"{file}: is neither {title(benchmark)}'s{names} nor a table of questions: give the released question file"
        )
    return False


def _own(file: Path, benchmark: str) -> tuple[list[Reference], dict[str, str]]:
    """Read our table of questions; return its references, and its question ids by the benchmark's own ids."""
    columns = ["question_id", "question_type", "answer_type", "ground_truth", "space_id", "scene_id", "source"]
    columns += ["question", "options"]
    found, others = [], {}
    for row in tables.read(tables.QUESTIONS, file, [*columns, "evidence"]):
        flags = {}
        if row["source"] == benchmark:
            flags = json.loads(row["evidence"])
            others[str(flags.pop("id"))] = row["question_id"]
        scene = row["space_id"] or row["scene_id"] or row["question_id"]
        about = row["question_type"], row["answer_type"], row["ground_truth"]
        options = tuple(row["options"]) if row["options"] else None
        found.append(Reference(row["question_id"], *about, scene, flags, row["question"], options))
    return found, others
