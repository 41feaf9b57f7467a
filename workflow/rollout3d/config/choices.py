"""Types of names that files of the code decide: things behind doors, question types. A type checker sees text.

pydantic needs the names themselves, which are read from folders when this module is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rollout3d import doors
from rollout3d.config import question_types
from rollout3d.config.names import name_among, name_in, number_among

GENERAL = ("multiple choice", "numerical", "OCR", "free-form", "regression")
"""Types of questions that are not about scans, as Video-R1 spells them."""
PROBES = ("black", "shuffled", "other_room", "drowned", "removed", "drowned_context", "drowned_all")
"""Videos altered so that they lack something; `model/probes.py` makes them."""
PROBES_OF_OBJECTS = ("drowned", "removed", "drowned_context", "drowned_all")
"""Those of them that need regions of objects."""
PROBES_WITH_ANSWER = ("drowned_context",)
"""Those of them that leave in place what the question asks about."""
MAP_GRIDS = (5, 10, 15, 20)
"""M: numbers of columns and rows that cognitive maps are drawn with. [SpaceR, Table 6]"""
RELEASED_BENCHMARKS = tuple(n for n in doors.BENCHMARKS.names if doors.BENCHMARKS.constant(n, "RELEASED", True))
"""Benchmarks that others released, which need files."""

if TYPE_CHECKING:
    BenchmarkName = DatasetName = PaperTable = ReleasedBenchmark = Reward = Rollout = str
    MapGrid = int
    Probe = Scorer = Teacher = Tracker = QuestionType = AnyQuestionType = TypeWithSource = str
else:
    BenchmarkName = name_in(doors.BENCHMARKS)
    DatasetName = name_in(doors.DATASETS)
    PaperTable = name_in(doors.PAPER_TABLES)
    ReleasedBenchmark = name_among(RELEASED_BENCHMARKS, "a benchmark of others")
    Reward = name_in(doors.REWARDS)
    Rollout = name_in(doors.ROLLOUTS)
    Scorer = name_in(doors.SCORERS, "auto")
    Teacher = name_in(doors.TEACHERS)
    Tracker = name_in(doors.TRACKERS)
    MapGrid = number_among(MAP_GRIDS)
    Probe = Literal[PROBES]
    QuestionType = Literal[question_types.NAMES]
    AnyQuestionType = Literal[(*question_types.NAMES, *GENERAL)]
    TypeWithSource = Literal[tuple(question_types.SOURCES)]
