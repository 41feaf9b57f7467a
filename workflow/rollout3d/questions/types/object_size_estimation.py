"""Object size: the longest side of every unique object's oriented box, in whole centimetres (VSI-Bench)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from rollout3d.questions.reasoning import Facts, Said, Written, in_decimals
from rollout3d.questions.select import sample
from rollout3d.questions.types import Boxes, Number, QuestionType, Task
from rollout3d.questions.types._wordings import UNIT_FOLLOWS
from rollout3d.questions.variants import RULES

if TYPE_CHECKING:
    import numpy as np

    from rollout3d.config import Questions
    from rollout3d.questions.scene import Result, SceneView

NAME = "object_size_estimation"
RANK = 2
PER_SCENE = 100
TEXT = (
    "What is the length of the longest dimension (length, width, or height) of the {category}, measured in centimeters?"
)
ANSWER = Number(measure="length", scale=100, decimals=0, positive=True)


def longest_m(scene: SceneView, category: str) -> float:
    """Return the longest side of a category's first box, metres."""
    return float(scene.box(category).axes_lengths.max())


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """One question per unique category; SpaceR (Appendix A) leaves out what is too small to identify.

    The side is that of the box that the rules measure: oriented, or axis-aligned (Spatial-R1, section 2.2).
    """
    rules = RULES[config.rules]
    reasons: Counter[str] = Counter()
    large = [category for category in scene.unique if not rules.too_small(scene, category)]
    reasons["too small to identify"] += len(scene.unique) - len(large)
    reasons["counts and boxes disagree"] += scene.unlocated
    rows = []
    for category in sample(large, config.caps.get(NAME), rng, reasons):
        longest = ANSWER.rounded(longest_m(scene, category))
        evidence = {"object": scene.place(category), "longest_cm": longest}
        rows.append(scene.row(NAME, TEXT.format(category=category), str(longest), [category], evidence))
    return rows, reasons


def recompute(fields: Mapping[str, str], options: Sequence[str], boxes: Boxes) -> float:
    """Return the longest side of the object, metres."""
    return longest_m(boxes.scene, boxes.located(fields["category"], single=True))


def reason(facts: Facts) -> Written:
    """Three sides, the longest, and that in centimetres."""
    thing, centimeters = facts["object"], facts["longest_cm"]
    name = thing["category"]
    _, *shorter = sorted((float(side) for side in thing["sides_m"]), reverse=True)
    longest = f"{Decimal(centimeters) / 100:.2f}"
    # 0.65 m by 0.7 m would name another side the longest.
    y, z = in_decimals(shorter, lambda rounded: all(side <= Decimal(longest) for side in rounded))
    steps = [
        facts.say(3, "find_one", a=name),
        *facts.beside(4, thing),
        facts.say(2, "sides", a=name, x=longest, y=y, z=z),
        facts.say(0, "longest", a=name, x=longest),
        facts.say(1, "centimeters", n=centimeters),
    ]
    return steps, str(centimeters)


def leads_to(said: Said) -> Iterator[str]:
    """The longest of the sides in centimetres, however often it is said."""
    for fields in said.get("sides", ()):
        yield str(100 * max(Decimal(fields[name]) for name in "xyz"))
    yield from (str(100 * Decimal(fields["x"])) for fields in said.get("longest", ()))
    yield from (fields["n"] for fields in said.get("centimeters", ()))


TYPE = QuestionType(
    name=NAME,
    task=Task(NAME, "Obj. Size", 3, "object size"),
    words="object size",
    text=TEXT,
    answer=ANSWER,
    generate=generate,
    wordings=(r"longest (?:dimension|side)(?: \(length, width, or height\))? of (?:the )?{category}" + UNIT_FOLLOWS,),
    aliases=("absolute_size_object", "object_size"),
    recompute=recompute,
    singles=("category",),
    reason=reason,
    leads_to=leads_to,
    sentences={
        "find_one": ("I look for the {a}.", "First I find the {a}."),
        "sides": ("The sides of the {a} are {x} m, {y} m and {z} m.", "The {a} is {x} m by {y} m by {z} m."),
        "longest": ("The longest side of the {a} is {x} m.",),
        "centimeters": ("One m is 100 centimeters, so this is {n} centimeters.", "In centimeters this is {n}."),
    },
)
