"""Released answers against ours: the benchmark's questions answered again from the benchmark's boxes.

Each question is read from its text alone, by the templates that our questions are written with, and answered by the
functions that answer ours. So agreement on the released files proves the generator that made the training data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from rollout3d.geometry.distance import Method
from rollout3d.questions import (
    abs_distance,
    object_counting,
    object_size,
    rel_direction,
    rel_distance,
    room_size,
    templates,
)
from rollout3d.questions.rel_direction import Level
from rollout3d.questions.scene import SceneView
from rollout3d.questions.templates import LETTERS

Row = dict[str, Any]

NOT_IN_BOXES = {
    "obj_appearance_order": "boxes do not tell what the video shows first",
    "route_planning": "routes were written by people",
}
"""Types that boxes cannot answer -> why."""

VARIANTS = (
    ("what is the direct distance between", "what is the distance between"),
    ("If there are multiple instances of an object category, measure to the closest.", ""),
)
"""Wordings of the paper and of VLM-3R -> that of the released rows."""


class NotAuditable(ValueError):
    """A question that the metadata cannot answer; the message says why."""


@dataclass(frozen=True)
class Question:
    """A released question: fields of its text, option texts (empty for numbers), its scene."""

    fields: Mapping[str, str]
    options: Sequence[str]
    scene: SceneView

    def known(self, *categories: str) -> None:
        """Raise NotAuditable unless every category has a box."""
        for category in categories:
            if not self.scene.items.get(category):
                raise NotAuditable(f"the metadata has no box of '{category}'")


def _counting(question: Question, method: Method) -> str:
    category = question.fields["category"]
    if category not in question.scene.counts:
        raise NotAuditable(f"the metadata has no count of '{category}'")
    return str(object_counting.answer(question.scene, category))


def _size(question: Question, method: Method) -> str:
    question.known(question.fields["category"])
    return str(object_size.answer(question.scene, question.fields["category"]))


def _room(question: Question, method: Method) -> str:
    area = room_size.answer(question.scene)
    if area is None:
        raise NotAuditable("the metadata has no room size")
    return str(area)


def _distance(question: Question, method: Method) -> str:
    pair = question.fields["first"], question.fields["second"]
    question.known(*pair)
    return str(abs_distance.answer(question.scene, *pair, method))


def _nearest(question: Question, method: Method) -> str:
    primary, listed = question.fields["category"], question.fields["options"].split(", ")
    if sorted(listed) != sorted(question.options):
        raise NotAuditable("the objects in the question are not its options")
    question.known(primary, *listed)
    return rel_distance.answer(question.scene, primary, question.options, method)


def _direction(question: Question, method: Method, level: Level) -> str:
    named = [question.fields[name] for name in ("standing", "facing", "query")]
    question.known(*named)
    return rel_direction.answer(question.scene, *named, level)


RULES: dict[str, tuple[str, Callable[[Question, Method], str]]] = {
    "object_counting": (templates.COUNTING, _counting),
    "object_size_estimation": (templates.SIZE, _size),
    "room_size_estimation": (templates.ROOM_SIZE, _room),
    "object_abs_distance": (templates.ABS_DISTANCE, _distance),
    "object_rel_distance": (templates.REL_DISTANCE, _nearest),
    **{
        f"object_rel_direction_{level}": (template, partial(_direction, level=level))
        for level, template in templates.REL_DIRECTION.items()
    },
}
"""Question type -> its template, and the answer: a number as text, or the text of the right option."""

_MEASURED_ONCE = ("category", "first", "second", "standing", "facing", "query")
"""Fields that name one object, where the rules ask for a category with one instance."""


def audit(
    answers: Iterable[Mapping[str, Any]],
    scenes: Iterable[Mapping[str, Any]],
    objects: Iterable[Mapping[str, Any]],
    unread: Mapping[str, str],
    method: Method = "vsibench",
) -> list[Row]:
    """Rows of the audit table, in the order of the answers.

    `answers`: rows of VSI-Bench (id, dataset, scene_name, question_type, question, ground_truth, options); `scenes`
    and `objects`: rows of the metadata; `unread`: scene -> why its metadata could not be read. What cannot be
    answered stays in the table, with the reason and without a verdict.
    """
    of_scene: dict[str, list[Mapping[str, Any]]] = {}
    for row in objects:
        of_scene.setdefault(row["scene_id"], []).append(row)
    views = {
        (scene["dataset"], scene["scene_id"]): SceneView.from_rows(scene, of_scene.get(scene["scene_id"], ()))
        for scene in scenes
    }
    rows = []
    for given in answers:
        truth, note = str(given["ground_truth"]), ""
        recomputed = agrees = None
        try:
            view = views.get((given["dataset"], str(given["scene_name"])))
            recomputed, note = _answer(given, view, unread, method)
            agrees = _equal(truth, recomputed)
        except NotAuditable as error:
            note = str(error)
        rows.append(
            {
                "id": int(given["id"]),
                "question_type": given["question_type"],
                "ground_truth": truth,
                "recomputed": recomputed,
                "agrees": agrees,
                "note": note,
            }
        )
    return rows


def _answer(
    given: Mapping[str, Any], scene: SceneView | None, unread: Mapping[str, str], method: Method
) -> tuple[str, str]:
    """Our answer, written as the released one is, and what to know about it. Raises NotAuditable."""
    kind = given["question_type"]
    if kind not in RULES:
        raise NotAuditable(NOT_IN_BOXES.get(kind, "unknown question type"))
    if scene is None:
        why = unread.get(str(given["scene_name"]))
        raise NotAuditable(f"the scene's metadata cannot be read: {why}" if why else "no metadata of this scene")
    template, rule = RULES[kind]
    text = " ".join(str(given["question"]).split())
    for theirs, ours in VARIANTS:
        text = text.replace(theirs, ours)
    fields = templates.parse(template, text)
    if fields is None:
        raise NotAuditable("the text does not follow the template of its type")
    options = [str(option) for option in given.get("options") or ()]
    choice = kind.startswith("object_rel_")
    if choice and not options:
        raise NotAuditable("a question with letters to choose from, and its row has no options")
    texts = [option.split(". ", 1)[-1] for option in options]
    found = rule(Question(fields, texts, scene), method)
    notes = []
    if kind != "object_counting":
        for category in dict.fromkeys(fields[name] for name in _MEASURED_ONCE if name in fields):
            n, boxes = scene.counts.get(category, 0), len(scene.items[category])
            if (n, boxes) != (1, 1):
                notes.append(f"'{category}' has count {n} and {boxes} boxes")
    if choice:
        if found in texts:
            found = LETTERS[texts.index(found)]
        else:
            notes.append("ours is none of the options")
    return found, "; ".join(notes)


def _equal(truth: str, recomputed: str) -> bool:
    """Whether two answers are the same letter, or the same number."""
    try:
        return Decimal(truth.strip()) == Decimal(recomputed)
    except InvalidOperation:
        return truth.strip() == recomputed


def report(rows: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]) -> str:
    """Agreement per question type, what could not be audited and why, and every disagreement with both values."""
    of_kind: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        of_kind.setdefault(row["question_type"], []).append(row)
    order = [*RULES, *NOT_IN_BOXES]
    kinds = sorted(of_kind, key=lambda kind: (order.index(kind) if kind in order else len(order), kind))
    lines = [f"{'question type':<30}{'questions':>10}{'audited':>10}{'agree':>8}{'':>10}"]
    for kind, some in [*((kind, of_kind[kind]) for kind in kinds), ("all", rows)]:
        judged = [row["agrees"] for row in some if row["agrees"] is not None]
        share = f"{100 * sum(judged) / len(judged):8.2f} %" if judged else "not auditable"
        lines.append(f"{kind:<30}{len(some):>10}{len(judged):>10}{sum(judged):>8}{share:>14}")
    reasons: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        if row["agrees"] is None:
            reasons.setdefault((row["question_type"], row["note"]), []).append(row["id"])
    if reasons:
        lines.append("\nnot audited:")
        for (kind, why), ids in sorted(reasons.items()):
            more = ", ..." if len(ids) > 3 else ""
            lines.append(f"{len(ids):>7} {kind}: {why} (id {', '.join(map(str, ids[:3]))}{more})")
    wrong = [(row, given) for row, given in zip(rows, answers, strict=True) if row["agrees"] is False]
    lines.append(f"\ndisagreements: {len(wrong)}")
    for row, given in wrong:
        note = f" ({row['note']})" if row["note"] else ""
        lines.append(
            f"  id {row['id']} {given['scene_name']} {row['question_type']}: released {row['ground_truth']}, "
            f"recomputed {row['recomputed']}{note}: {' '.join(str(given['question']).split())}"
        )
    return "\n".join(lines)
