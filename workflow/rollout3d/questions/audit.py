"""Released answers against ours: the benchmark's questions answered again from the benchmark's boxes.

Each question is read from its text alone, by the templates that our questions are written with, and answered by the
functions that answer ours. So agreement on the released files proves the generator that made the training data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from rollout3d.config import question_types
from rollout3d.geometry.distance import Method
from rollout3d.questions import types
from rollout3d.questions.scene import SceneView
from rollout3d.questions.templates import LETTERS, parse
from rollout3d.questions.types import QuestionType
from rollout3d.tables.rows import ObjectRow, SceneRow

Row = dict[str, Any]


class NotAuditable(ValueError):
    """A question that the metadata cannot answer; the message says why."""


@dataclass(frozen=True)
class _Metadata:
    """The scene of a released question, as `QuestionType.recompute` looks things up in it (`types.Boxes`)."""

    scene: SceneView
    method: Method

    def count(self, name: str) -> int:
        if name not in self.scene.counts:
            raise NotAuditable(f"the metadata has no count of '{name}'")
        return self.scene.counts[name]

    def located(self, name: str, single: bool = False) -> str:
        """Return the name, which has at least one box: released questions ask about some that have several."""
        if not self.scene.items.get(name):
            raise NotAuditable(f"the metadata has no box of '{name}'")
        return name

    def room_size(self) -> float:
        if self.scene.room_size_m2 is None:
            raise NotAuditable("the metadata has no room size")
        return self.scene.room_size_m2

    def distance(self, a: str, b: str) -> float:
        return self.scene.distance(a, b, self.method)

    def refuse(self, reason: str, detail: str) -> NotAuditable:
        return NotAuditable(f"{reason}: {detail}")


def audit(
    answers: Iterable[Mapping[str, Any]],
    scenes: Iterable[SceneRow],
    objects: Iterable[ObjectRow],
    unread: Mapping[str, str],
    method: Method = "vsibench",
) -> list[Row]:
    """Return rows of the audit table, in the order of the answers.

    `answers`: rows of VSI-Bench (id, dataset, scene_name, question_type, question, ground_truth, options); `scenes`
    and `objects`: rows of the metadata; `unread`: scene -> why its metadata could not be read. What cannot be
    answered stays in the table, with the reason and without a verdict.
    """
    of_scene: dict[str, list[ObjectRow]] = {}
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
    """Return our answer, written as the released one is, and what to know about it. Raises NotAuditable."""
    of_type = types.known(given["question_type"])
    if of_type is None:
        raise NotAuditable("unknown question type")
    if of_type.recompute is None:
        raise NotAuditable(of_type.not_recomputed)
    if scene is None:
        why = unread.get(str(given["scene_name"]))
        raise NotAuditable(f"the scene's metadata cannot be read: {why}" if why else "no metadata of this scene")
    fields = _fields(of_type, str(given["question"]))
    options = [str(option) for option in given.get("options") or ()]
    if of_type.answer is None and not options:
        raise NotAuditable("a question with letters to choose from, and its row has no options")
    texts = [option.split(". ", 1)[-1] for option in options]
    if of_type.lists_options and sorted(fields["options"].split(", ")) != sorted(texts):
        raise NotAuditable("the objects in the question are not its options")
    found = of_type.recompute(fields, texts, _Metadata(scene, method))
    notes = []
    for category in dict.fromkeys(fields[name] for name in of_type.singles):
        n, boxes = scene.counts.get(category, 0), len(scene.items[category])
        if (n, boxes) != (1, 1):
            notes.append(f"'{category}' has count {n} and {boxes} boxes")
    if of_type.answer is not None:
        return str(of_type.answer.rounded(float(found))), "; ".join(notes)
    if found in texts:
        found = LETTERS[texts.index(str(found))]
    else:
        notes.append("ours is none of the options")
    return str(found), "; ".join(notes)


def _fields(of_type: QuestionType, text: str) -> dict[str, str]:
    """Return the fields of a question in any of the type's own wordings."""
    for template in (of_type.text, *of_type.other_texts.values()):
        fields = parse(template, text)
        if fields is not None:
            return fields
    raise NotAuditable("the text does not follow the template of its type")


def _equal(truth: str, recomputed: str) -> bool:
    """Return whether two answers are the same letter, or the same number."""
    try:
        return Decimal(truth.strip()) == Decimal(recomputed)
    except InvalidOperation:
        return truth.strip() == recomputed


def report(rows: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]) -> str:
    """Return agreement per question type, what could not be audited and why, and disagreements with both values."""
    of_kind: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        of_kind.setdefault(row["question_type"], []).append(row)
    order = question_types.NAMES
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
