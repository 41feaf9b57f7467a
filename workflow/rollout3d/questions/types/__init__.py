"""Question types: one file of this folder per type, named after it, which holds all that is particular to the type.

A file defines `TYPE = QuestionType(...)`. Reports, teachers and imports load it too, so importing it must be cheap: of
other packages only NumPy at module level. Beside it stand literals that the configuration reads without importing the
file (`Door.constant`), all optional:

- `RANK`: place among the types, in tables and in the order in which other people's texts are tried; 100 by default.
- `PER_SCENE`: most questions per scene by default. A type without it is asked only where the configuration names it in
  `questions.per_scene`, or in `external.spatial_types`.
- `SOURCE`: default of `questions.sources`: external, generated or both. Without it, other people's files replace no
  generated question of the type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rollout3d import doors

if TYPE_CHECKING:
    import numpy as np

    from rollout3d.config import Questions
    from rollout3d.questions.reasoning import Facts, Said, Written
    from rollout3d.questions.scene import Result, SceneView
    from rollout3d.questions.visible import Gate, Sights, Verdict
    from rollout3d.tables.rows import QuestionRow

LAST = 100
"""Place of the task of a type that states none: behind those of the benchmark."""
Measure = Literal["count", "length", "area"]
"""What a number measures."""


@dataclass(frozen=True, kw_only=True)
class Number:
    """How the numbers of a question type are asked for and written."""

    measure: Measure
    scale: int = 1
    """Units of the answer per metre or square metre: 100 for centimetres."""
    decimals: int = 1
    positive: bool = False
    """True if 0 is no possible answer."""

    @property
    def half_digit(self) -> float:
        """Half of the last digit of an answer, in metres or square metres."""
        return 0.5 / self.scale * 10.0**-self.decimals

    def rounded(self, value: float) -> float:
        """Return the answer for a value in metres, square metres or instances."""
        return round(self.scale * value, self.decimals) if self.decimals else round(self.scale * value)


@dataclass(frozen=True)
class Task:
    """What the scores of one or several question types are averaged into (VSI-Bench, Table 1)."""

    name: str
    column: str
    """Title of its column in the tables of scores."""
    place: int
    """Place of its column, from 1."""
    words: str
    """Its name in plain words."""


class Boxes(Protocol):
    """Boxes of a scene, as an audit looks things up in them; what is not there ends in the audit's own error."""

    @property
    def scene(self) -> SceneView: ...

    def count(self, name: str) -> int:
        """Return the number of instances of a category."""
        ...

    def located(self, name: str, single: bool = False) -> str:
        """Return the scene's category of a name, which has boxes; with `single`, exactly one."""
        ...

    def room_size(self) -> float:
        """Return the floor area, square metres."""
        ...

    def distance(self, a: str, b: str) -> float:
        """Return the distance of the nearest instances of two categories, metres."""
        ...

    def refuse(self, reason: str, detail: str) -> Exception:
        """Return the error for a question that cannot be answered."""
        ...


@dataclass(frozen=True, kw_only=True)
class QuestionType:
    """All that is particular to one question type.

    Texts are templates for `str.format`; the names of their fields are those of `wordings`, too.
    """

    name: str
    """The name of its file."""
    generate: Callable[[SceneView, Questions, np.random.Generator], Result]
    """(scan, `questions` of the configuration, random generator) -> question rows, and candidates left out by reason.
    It keeps to its cap in `questions.per_scene` itself."""
    text: str
    """The question, as VSI-Bench words it."""
    words: str
    """The type's name in plain words."""
    answer: Number | None = None
    """How its numbers are written; None: a choice among options."""

    task: Task | None = None
    """What its score is averaged into; None: a task of its own."""

    other_texts: Mapping[str, str] = field(default_factory=dict)
    """Value of `questions.wording` -> text, where it differs."""
    lists_options: bool = False
    """True if the text names the options in their order, between brackets."""

    wordings: Sequence[str] = ()
    """Regular expressions for other people's texts, any case; `{field}` stands for a name."""
    read: Callable[[str], dict[str, str]] | None = None
    """Text that one of `wordings` matches -> its fields; None: those of the expression."""
    aliases: Sequence[str] = ()
    """Names of the type in other releases."""
    options: Literal["things", "lists of things", "directions", "turns"] | None = None
    """What the options of a choice are."""
    implied: Sequence[str] = ()
    """Options of a text that comes without any."""
    may_repeat: bool = False
    """True if a question may name one thing twice."""

    recompute: Callable[[Mapping[str, str], Sequence[str], Boxes], float | str] | None = None
    """(fields of the text, options, boxes) -> the answer again: metres, square metres or instances, or an option; None:
    boxes cannot tell."""
    not_recomputed: str = "no rule answers this type again"
    """Why there is no `recompute`."""
    by_distance: bool = False
    """True if the answer depends on how distances are measured."""
    singles: Sequence[str] = ()
    """Fields of the text that mean one object each."""

    sight: Callable[[QuestionRow, Sights, str, Gate], Verdict] | None = None
    """(question, what the video shows, sampling, gate) -> whether the sampling answers it; None: it does where every
    object that is named is clearly seen."""
    whole_video_decides: bool = False
    """True if no sampling can answer what the whole video leaves open."""
    correct: Callable[[dict[str, Any], str], dict[str, Any]] | None = None
    """(evidence, corrected ground truth) -> evidence that leads to it; None: the evidence stays."""

    reason: Callable[[Facts], Written] | None = None
    """The geometric teacher's steps and their answer; None: the teacher skips the type."""
    leads_to: Callable[[Said], Iterable[str]] | None = None
    """Sentences of a thought (`questions/thought.py`) -> the answers that they lead to, none if they do not decide it;
    raises Contradiction. None: thoughts of this type are not judged."""
    sentences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Sentences of `reason` that no other type has: name -> ways to say it."""

    summary: Callable[[int, Iterable[str], int], str] | None = None
    """(questions made, reasons of questions_dropped, scans) -> a line for the log; empty for none."""

    @property
    def answer_type(self) -> Literal["choice", "number"]:
        """Return the column `answer_type` of its rows."""
        return "number" if self.answer else "choice"

    @property
    def scored_as(self) -> Task:
        """Return the task that its score is averaged into."""
        return self.task or Task(self.name, self.words.capitalize(), LAST, self.words)

    def wording(self, name: str) -> str:
        """Return its text under a value of `questions.wording`."""
        return self.other_texts.get(name, self.text)


@cache
def load(name: str) -> QuestionType:
    """Import a question type. Raises ValueError that lists the known names, or names the file at fault."""
    found = doors.QUESTION_TYPES.load(name).TYPE
    if found.name != name:
        raise ValueError(f"{doors.QUESTION_TYPES.folder}/{name}.py: its TYPE has the name '{found.name}'")
    return found


def known(name: str) -> QuestionType | None:
    """Return a question type, or None for a name that has no file, such as a type of general data."""
    return load(name) if name in doors.QUESTION_TYPES.names else None
