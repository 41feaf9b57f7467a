"""Claims: the objects that the thought of an answer names, and whether question and scene have them. Pure.

OCR (Figure 1) says that models reason query-locked, about queried objects only, and measures it nowhere. Here each
object that a thought names is of one kind: `queried`, its category stands in the question or its options; `context`, in
the scene and not in the question; `absent`, not in the scene although its dataset counts the category. The scene's
object counts decide. An object that nobody counts in this dataset (`scoring.vocabulary`) is `unknown`: a text may be
right about it.

A thought is what stands in the `<think>` tag; answer and cognitive map inside it are none. A name counts as often as it
is written, whatever is said of it: "there is no sofa" names a sofa.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from rollout3d.evaluation.views import view_of
from rollout3d.scoring.reasoning import thought
from rollout3d.scoring.vocabulary import Named, Vocabulary, vocabulary
from rollout3d.tables.rows import ClaimRow, PredictionRow, QuestionRow, RolloutRow, SceneRow

Kind = Literal["queried", "context", "absent", "unknown"]
KINDS: tuple[Kind, ...] = ("queried", "context", "absent")
"""Kinds of which shares are taken."""
UNKNOWN: Kind = "unknown"
NO_THOUGHT = "no thought"
NO_SCENE = "about no scene"
NO_COUNTS = "the objects of its scene are not known"

_OPENING = "<think>"
_ASIDE = re.compile(r"<(answer|map)>.*?(?:</\1>|\Z)", re.DOTALL)
_FILL = "\0"
"""Stands for a character that is no thought: no letter and no blank, so that no name reaches across it."""


@dataclass(frozen=True)
class Claim:
    """A named object: its kind, name and category, and its characters [start, end) in the whole text."""

    kind: Kind
    name: str
    category: str | None
    start: int
    end: int


@dataclass(frozen=True)
class Claims:
    """The objects that a thought names; `reason` says why they cannot be judged, None if they were."""

    found: tuple[Claim, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class Scenes:
    """Object counts of scenes, from rows of the table scenes, and the categories that each dataset counts."""

    rows: Sequence[SceneRow]
    _own: dict[str, tuple[Vocabulary, frozenset[str], frozenset[str]]] = field(default_factory=dict, repr=False)

    @cached_property
    def datasets(self) -> Mapping[str, str]:
        """Scene -> its dataset."""
        return {row["scene_id"]: row["dataset"] for row in self.rows}

    @cached_property
    def counts(self) -> Mapping[str, frozenset[str]]:
        """Scene -> the categories of which it has at least one object."""
        return {row["scene_id"]: frozenset(c["category"] for c in row["object_counts"] if c["n"]) for row in self.rows}

    @cached_property
    def counted(self) -> Mapping[str, tuple[str, ...]]:
        """Dataset -> every category that one of its scenes has."""
        found: dict[str, set[str]] = {}
        for scene, dataset in self.datasets.items():
            found.setdefault(dataset, set()).update(self.counts[scene])
        return {dataset: tuple(sorted(categories)) for dataset, categories in found.items()}

    def __contains__(self, scene_id: str) -> bool:
        return scene_id in self.datasets

    def vocabulary(self, scene_id: str) -> Vocabulary:
        """Return the names of things in texts about a scene."""
        dataset = self.datasets[scene_id]
        return vocabulary(dataset, self.counted[dataset])

    def queried(self, question: QuestionRow) -> frozenset[str]:
        """Return what a question names in its text, its options or its column `objects`: categories, and for things
        without one their names."""
        assert question["scene_id"] is not None
        texts = [question["question"], *(question["options"] or ())]
        words = self.vocabulary(question["scene_id"])
        named = {_key(each) for text in texts for each in words.find(text)}
        return frozenset(named | {mention["category"] for mention in question["objects"]})


def thought_alone(text: str) -> str | None:
    """Return a text of the same length in which all but the thought is blanked out; None without a thought."""
    found = thought(text)
    if found is None or not found.strip():
        return None
    start = text.index(_OPENING) + len(_OPENING)
    own = _ASIDE.sub(lambda aside: _FILL * len(aside[0]), found)
    return _FILL * start + own + _FILL * (len(text) - start - len(own))


def claims_of(text: str, question: QuestionRow, scenes: Scenes, queried: frozenset[str] | None = None) -> Claims:
    """Return the objects that the thought of an answer names, in its order.

    `queried`: what the question names (`Scenes.queried`), if it is at hand.
    """
    scene = question["scene_id"]
    if scene is None:
        return Claims(reason=NO_SCENE)
    if scene not in scenes:
        return Claims(reason=NO_COUNTS)
    own = thought_alone(text)
    if own is None:
        return Claims(reason=NO_THOUGHT)
    asked = scenes.queried(question) if queried is None else queried
    there = scenes.counts[scene]

    def kind(named: Named) -> Kind:
        if _key(named) in asked:
            return "queried"
        if named.category is None:
            return UNKNOWN
        return "context" if named.category in there else "absent"

    found = scenes.vocabulary(scene).find(own)
    return Claims(tuple(Claim(kind(each), each.name, each.category, each.start, each.end) for each in found))


def answer_claims(
    run: str, benchmark: str, predictions: Iterable[PredictionRow], questions: Sequence[QuestionRow], scenes: Scenes
) -> Iterator[ClaimRow]:
    """Yield a row per answer of a run to a benchmark, in table order. Raises KeyError for an unknown question."""
    rows = _Rows(run, questions, scenes)
    for row in predictions:
        yield rows.row(row["question_id"], row["text"], benchmark, view_of(row["setting"]), row["sample"])


def rollout_claims(
    run: str, rollouts: Iterable[RolloutRow], questions: Sequence[QuestionRow], scenes: Scenes
) -> Iterator[ClaimRow]:
    """Yield a row per rollout of a run of GRPO, in table order. Raises KeyError for an unknown question."""
    rows = _Rows(run, questions, scenes)
    for row in rollouts:
        yield rows.row(row["question_id"], row["text"], None, row["view"], row["sample"], row["step"])


class _Rows:
    """Rows of the table claims of one run. What a question names is looked up once."""

    def __init__(self, run: str, questions: Sequence[QuestionRow], scenes: Scenes):
        self._run, self._scenes = run, scenes
        self._questions = {row["question_id"]: row for row in questions}
        self._queried: dict[str, frozenset[str]] = {}

    def row(
        self, name: str, text: str, benchmark: str | None, view: str, sample: int, step: int | None = None
    ) -> ClaimRow:
        question = self._questions[name]
        scene = question["scene_id"]
        if name not in self._queried and scene is not None and scene in self._scenes:
            self._queried[name] = self._scenes.queried(question)
        claims = claims_of(text, question, self._scenes, self._queried.get(name))
        numbers = {
            kind: None if claims.reason else sum(each.kind == kind for each in claims.found)
            for kind in (*KINDS, UNKNOWN)
        }
        return {
            "run": self._run,
            "benchmark": benchmark,
            "step": step,
            "question_id": name,
            "question_type": question["question_type"],
            "space_id": question["space_id"] or scene,
            "view": view,
            "sample": sample,
            "text": text,
            "queried": numbers["queried"],
            "context": numbers["context"],
            "absent": numbers["absent"],
            "unknown": numbers["unknown"],
            "mentions": [
                {"kind": c.kind, "name": c.name, "category": c.category, "start": c.start, "end": c.end}
                for c in claims.found
            ],
            "reason": claims.reason,
        }


def _key(named: Named) -> str:
    """Return what makes two names the same thing: the category, else the name."""
    return named.category or named.name
