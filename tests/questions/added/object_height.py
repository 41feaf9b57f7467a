"""Object height: how high above the floor a unique object ends, in whole centimetres.

A question type of nobody's, in one file: tests lay it into a copy of `questions/types`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rollout3d.questions.reasoning import Facts, Written
from rollout3d.questions.select import sample
from rollout3d.questions.types import Boxes, Number, QuestionType

if TYPE_CHECKING:
    import numpy as np

    from rollout3d.config import Questions
    from rollout3d.questions.scene import Result, SceneView

NAME = "object_height"
TEXT = "How many centimeters above the floor is the top of the {category}?"
ANSWER = Number(measure="length", scale=100, decimals=0)


def top_m(scene: SceneView, category: str) -> float:
    """Return the height of a category's box over the lowest box of the scan, metres."""
    floor = min(item.box.aabb()[0][2] for items in scene.items.values() for item in items)
    return float(scene.box(category).aabb()[1][2] - floor)


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """One question per unique category."""
    reasons: Counter[str] = Counter()
    rows = []
    for category in sample(scene.unique, config.caps.get(NAME), rng, reasons):
        top = ANSWER.rounded(top_m(scene, category))
        evidence = {"object": scene.place(category), "top_cm": top}
        rows.append(scene.row(NAME, TEXT.format(category=category), str(top), [category], evidence))
    return rows, reasons


def recompute(fields: Mapping[str, str], options: Sequence[str], boxes: Boxes) -> float:
    """Return the height of the object, metres."""
    return top_m(boxes.scene, boxes.located(fields["category"], single=True))


def reason(facts: Facts) -> Written:
    """The thing, and where it ends."""
    name, top = facts["object"]["category"], facts["top_cm"]
    return [facts.say(0, "look_up", a=name), facts.say(1, "top", a=name, n=top)], str(top)


TYPE = QuestionType(
    name=NAME,
    words="object height",
    text=TEXT,
    answer=ANSWER,
    generate=generate,
    wordings=(r"centimeters above the floor is the top of (?:the )?{category}\?",),
    aliases=("height",),
    recompute=recompute,
    singles=("category",),
    reason=reason,
    sentences={
        "look_up": ("I look for the top of the {a}.",),
        "top": ("The {a} ends {n} centimeters above the floor.",),
    },
)
