"""Benchmarks: released files to questions and frames, and the averages of their scores. One file of this folder each.

The name of the file is the name of the benchmark. A file defines what `Benchmark` lists: functions, and literals that
configuration, rules and stages read without importing it (`Door.constant`). Each literal has a default:

- `RELEASED = True`: others released the benchmark. Its files lie in `site.benchmarks.NAME` (data/NAME by default), and
  nothing is trained on its spaces. `False`: its questions and frames are those of the study's own test scans.
- `SIZE = None`: number of questions of the whole benchmark. Scores over another number of questions name the part.
- `KEYS = ()`: keys of the configuration that `prepare` reads, besides those that decide how frames are stored.
- `SCORERS = {"direct": "vsibench", "think": "tagged"}`: the official scorer of answers without and with reasoning.
- `BESIDE = ()`: scorers whose numbers stand beside the official ones, such as one without their faults.
- `GUESSES = ("random", "frequent")`: the guessing baselines that its questions allow (`evaluation/baselines.py`).
- `PROMPT = "direct"`: file of resources/prompts with the words of its direct prompt. Prompts that ask for reasoning are
  the project's own.
- `TOKENS = None`: maximum length of a direct answer in tokens, None for the configuration's.
- `FRAMES = None`: name of the frame set that it shows of a video (`config/frames.py`), None for the configuration's.
- `SCANS = True`: whether its videos are scans of rooms. If not, no prompt offers or gives a cognitive map of them.
- `COLUMNS = {}`: its tasks -> titles of their columns, in the papers' tables and on the page; without it, every task
  has one on the page.
- `SPLITS = {"full": None}`: name of each split -> its number of questions, None where that is not fixed.
- `HUB = None`: its repository on the Hugging Face Hub, for the cards of models.
- `LOG_KEYS = ()`: keys under which lmms-eval's per-sample logs hold the whole question.
- `LMMS_TASKS = ()`: lmms-eval's tasks whose rows have a video each and the columns `question` and `options`, for
  `rollout3d export lmms-eval`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from rollout3d import doors
from rollout3d.config import Config
from rollout3d.config.frames import eval_set
from rollout3d.evaluation.benchmarks._common import BenchmarkError, Given, Prepared, Reference
from rollout3d.scoring.aggregate import Mean
from rollout3d.tables import canonical_json
from rollout3d.tables.rows import QuestionRow

__all__ = [
    "Benchmark",
    "BenchmarkError",
    "Given",
    "Prepared",
    "Reference",
    "cell_of",
    "cells",
    "get",
    "prepare",
    "released",
]


class Benchmark(Protocol):
    """What a file of this folder defines."""

    def prepare(self, given: Given, /) -> Prepared:
        """Read the benchmark's questions and frames.

        Raises MissingData if the release is not there, and BenchmarkError, with the remedy, if anything of it is
        missing or damaged (videos while the frames are iterated).
        """
        ...

    def average(self, scores: Mapping[str, Sequence[float]], /) -> dict[str, Mean]:
        """Average scores (0 to 1) by cell into the benchmark's tasks, in its order, with "overall" last.

        A task may be a sub-score: of a split, of a kind of video. It must be linear in the scores, whose numbers per
        cell stay the same, since intervals rest on that (`evaluation/seeing.py`).
        """
        ...

    def cell(self, row: QuestionRow, /) -> str:
        """Return the cell that the score of a question is averaged in: what decides all tasks that it belongs to.

        A file without this function averages by question type.
        """
        ...

    def missing(self, given: Given, /) -> list[str]:
        """Return a message about each part of the release that is not there; empty if `prepare` can begin.

        Only of a benchmark with `RELEASED = True`. It looks at names of files and opens none.
        """
        ...

    def question_files(self, root: Path, /) -> list[Path]:
        """Return the released question files in a folder, for `rollout3d score` on predictions of others.

        This function, `references` and `of_split` are only of a benchmark that such predictions are scored on. They
        raise BenchmarkError, with the remedy.
        """
        ...

    def references(self, path: Path, /) -> list[Reference]:
        """Read the right answers from one released question file."""
        ...

    def of_split(
        self,
        references: Sequence[Reference],
        split: str,
        files: str,
        ids: Path | str | None,
        other_ids: Mapping[str, str],
        /,
    ) -> list[Reference]:
        """Return the questions of a split.

        `files` names their files in errors; `ids` is a file of ids, if one is given; `other_ids`: the benchmark's own
        id -> id in `references`.
        """
        ...


def cells(name: str) -> Callable[[QuestionRow], str]:
    """Return the function that names the cell of a question. Raises BenchmarkError for an unknown benchmark."""
    return getattr(get(name), "cell", _question_type)


def _question_type(row: QuestionRow) -> str:
    return row["question_type"]


def cell_of(name: str, asked: Reference) -> str:
    """Return the cell of a question of a benchmark that predictions of others are scored on."""
    about = {"question_type": asked.question_type, "evidence": canonical_json({"id": asked.id, **asked.flags})}
    return cells(name)(cast(QuestionRow, about))


def get(name: str) -> Benchmark:
    """Import the file of a benchmark. Raises BenchmarkError that lists the known ones."""
    try:
        return cast(Benchmark, doors.BENCHMARKS.load(name))
    except ValueError as error:
        raise BenchmarkError(str(error)) from None


def prepare(
    name: str,
    config: Config,
    questions: Path | str | None = None,
    frames: Iterable[Path | str] = (),
    sets: Iterable[str] = (),
) -> Prepared:
    """Prepare a benchmark.

    `questions`, `frames`: the study's own test questions and frames tables, for a benchmark that is made of them.
    `sets`: names of the frame sets to store, by default the one that the configuration shows. Raises what
    `Benchmark.prepare` raises, and BenchmarkError for an unknown name.
    """
    return get(name).prepare(given(name, config, questions, frames, sets))


def given(
    name: str,
    config: Config,
    questions: Path | str | None = None,
    frames: Iterable[Path | str] = (),
    sets: Iterable[str] = (),
) -> Given:
    """Collect what a benchmark is prepared from; arguments as for `prepare`."""
    return Given(
        config,
        Path(config.site.benchmarks.get(name, f"data/{name}")),
        tuple(sorted(set(sets) or {eval_set(config.evaluation, config.video, name)})),
        None if questions is None else Path(questions),
        tuple(map(Path, frames)),
    )


def released(name: str) -> bool:
    """Return whether others released the benchmark, so that it needs files in `site.benchmarks`."""
    return doors.BENCHMARKS.constant(name, "RELEASED", True)
