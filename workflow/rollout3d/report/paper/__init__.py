"""Tables of the papers, and figures as tables: one file each, whose name is the target `snakemake NAME`.

A file defines, as literals that rules and configuration read without importing it:

- `TITLE`: heading on the page. None: the page shows it in another form.
- `NEEDS`: its inputs, of `scores` (of the runs whose row of the run table names the table), `predictions` (of
  the filter's settings), `answers` (predictions of the runs whose row names the table, on the first benchmark),
  `questions` (of that benchmark), `ocr_rl`, `ocr_sft` (the two training tables), `sr_91k` (the questions of the former
  that are about scans, in `Given.rl`), `sampled` (their 8 answers each, in `Given.predictions`), `scenes` (rows of all
  scans) and `runs` (which model each run starts from).
- `PAPER` (optional): the paper that prints the table, by the name of its file in `resources/reference`; without it OCR.
- `KEYS` (optional): keys of the configuration on which it depends too.
- `EVERY_RUN` (optional): true if it has a row for every run, and not only for those of the paper.

and the function

    build(given: Given) -> list[ReportRow]     # cells, row by row

The numbers that the paper prints are rows of its file in `resources/reference`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollout3d.doors import PAPER_TABLES
from rollout3d.tables.rows import PredictionRow, QuestionRow, ReportRow, SceneRow, ScoreRow

__all__ = ["Given", "build_table"]


@dataclass(frozen=True)
class Given:
    """Inputs of a table; empty where its `NEEDS` does not name it, or where nothing was run yet."""

    table: str
    paper: Sequence[Mapping[str, str]]
    """Rows of the reference file that belong to the table."""
    scores: Sequence[ScoreRow] = ()
    """Scores by the official scorer of each benchmark."""
    predictions: Sequence[PredictionRow] = ()
    answers: Sequence[PredictionRow] = ()
    """Answers of the runs that the table compares, probes included."""
    asked: Sequence[QuestionRow] = ()
    """Questions of the benchmark that `answers` are about."""
    rl: Sequence[QuestionRow] = ()
    sft: Sequence[QuestionRow] = ()
    scenes: Sequence[SceneRow] = ()
    correct_above: float = 0.5
    """Score from which an answer counts as correct (`difficulty.select.CORRECT_ABOVE`)."""
    marks: Sequence[str] = ()
    """Notes that every number of the study carries: its preset, and what the user keeps."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Run or key of `models` -> name of the model that was run; for table 1 by setting."""
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Run -> summary of its recipe (`config.recipes.summaries`)."""


def build_table(given: Given) -> list[ReportRow]:
    """Return the cells of a table. Raises ValueError for a name that no file has."""
    return PAPER_TABLES.load(given.table).build(given)
