"""Teachers: each writes reasoning for the hard questions. One file of this folder per teacher.

The name of the file is the name of the teacher (`cot.teacher`). A file defines what `TeacherFile` lists: functions, and
literals that configuration, rules and stages read without importing it (`Door.constant`). Each literal has a default:

- `KEYS = ()`: keys of the configuration that the teacher reads, besides `cot.teacher` and `cot.attempts`.
- `TABLES = ()`: scene tables that it looks at, of "frames" and "maps".
- `PROMPTS = {}`: name of each file of resources/prompts that it sends -> key of the configuration that must be set for
  that; None where the file is always sent.
- `PAID = False`: it sends requests that cost money. The preflight then checks key and spending limit and estimates the
  cost, by the settings of `cot`, and the first of `PROMPTS` is the one of a question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from rollout3d import doors
from rollout3d.config import Config
from rollout3d.cot.annotate import Draft, Teacher
from rollout3d.cot.opinion import SecondOpinion
from rollout3d.tables.rows import QuestionRow
from rollout3d.teacher.asking import ONE_BY_ONE, Asking

__all__ = ["Draft", "Opened", "Teacher", "TeacherFile", "Work", "get"]


@dataclass(frozen=True)
class Work:
    """What a teacher works on.

    `config`: the configuration, narrowed to the keys that the teacher declares. `questions`: the hard questions.
    `frames`, `maps`: files of these scene tables. `cache`: folder of paid replies, None if none is known. `name`: name
    of the result, for records beside the cache.
    """

    config: Config
    questions: Sequence[QuestionRow]
    frames: Sequence[Path | str]
    maps: Sequence[Path | str]
    cache: Path | None
    name: str


@dataclass(frozen=True)
class Opened:
    """A teacher that is ready to write, how questions are put to it, and who gives a second opinion, if anyone does."""

    teacher: Teacher
    how: Asking = ONE_BY_ONE
    second: SecondOpinion | None = None


class TeacherFile(Protocol):
    """What a file of this folder defines."""

    def open_teacher(self, work: Work, /) -> Opened:
        """Make the teacher ready to write.

        Raises TeacherRefused where nothing may be asked, such as for want of a key, of money or of a server.
        """
        ...

    def estimate(self, work: Work, n_questions: int | None, /) -> str:
        """Say what the work will cost, in several lines. `n_questions` stands for hard questions not known yet.

        Only of a teacher with `PAID = True`. Sends nothing.
        """
        ...


def get(name: str) -> TeacherFile:
    """Import the file of a teacher. Raises ValueError that lists the known ones."""
    return cast(TeacherFile, doors.TEACHERS.load(name))
