"""Room size: the floor area of the scan, to one decimal (VSI-Bench)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from rollout3d.questions.reasoning import Facts, Said, Written, added, holds, listed
from rollout3d.questions.types import Boxes, Number, QuestionType, Task
from rollout3d.questions.variants import FLOOR_BY_OUTLINE, RULES
from rollout3d.questions.visible import LITTLE, Gate, Sights, Verdict

if TYPE_CHECKING:
    import numpy as np

    from rollout3d.config import Questions
    from rollout3d.questions.scene import Result, SceneView
    from rollout3d.tables.rows import QuestionRow

NAME = "room_size_estimation"
RANK = 3
PER_SCENE = 1
TEXT = (
    "What is the size of this room (in square meters)? \n"
    "If multiple rooms are shown, estimate the size of the combined space."
)
ANSWER = Number(measure="area", positive=True)
MIN_ROOM_SHARE = 0.7
"""Share of the room's plan that must be seen for its size to be answerable. [assumed]"""


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """One question per scan, none where the area is unknown.

    Spatial-R1 (section 2.2) sums the triangles of the floor's alpha shape, others take the outline of all points.
    """
    size, approximate = scene.room_size_m2, {}
    if RULES[config.rules].floor:
        if scene.floor_area_m2 is None:
            approximate = {"approximate": FLOOR_BY_OUTLINE}
        else:
            size = scene.floor_area_m2
    if size is None or not ANSWER.rounded(size):
        return [], Counter({"the room's area is unknown": 1})
    area = ANSWER.rounded(size)
    return [scene.row(NAME, TEXT, str(area), [], {"room_size_m2": area, **approximate})], Counter()


def recompute(fields: Mapping[str, str], options: Sequence[str], boxes: Boxes) -> float:
    """Return the floor area, square metres."""
    return boxes.room_size()


def sight(row: QuestionRow, sights: Sights, sampling: str, gate: Gate) -> Verdict:
    """The room's size asks for a share of its plan (`MIN_ROOM_SHARE`)."""
    share = next(iter(sights.of[sampling].values()))["room_share"]
    if share < MIN_ROOM_SHARE:
        return Verdict(f"{LITTLE} {sampling}: {100 * share:.0f} % of its plan")
    return Verdict()


def reason(facts: Facts) -> Written:
    """The rectangle between the outermost things, and how much larger or smaller the floor is."""
    area = str(facts["room_size_m2"])
    whole, floor = facts.say(0, "whole_room"), facts.say(1, "floor", n=area)
    things = facts.singles()
    outermost = sorted({end(things, key=lambda c, i=i: things[c][i]) for end in (min, max) for i in (0, 1) if things})
    sides = [max(things[c][i] for c in outermost) - min(things[c][i] for c in outermost) for i in (0, 1) if outermost]
    x, y = (f"{side:.1f}" for side in sorted(sides or (0.0, 0.0), reverse=True))
    if y == "0.0":
        return [whole, floor], area
    exact = Decimal(x) * Decimal(y)
    product = exact.quantize(Decimal("0.1"))
    more = Decimal(area) - product
    steps = [
        whole,
        facts.say(2, "things", things=listed(outermost)),
        facts.say(3, "spread", x=x, y=y),
        facts.say(4, "product", x=x, y=y, p=product),
    ]
    # The sign must hold for the numbers said and for the rectangle itself.
    if more > 0 and float(area) > sides[0] * sides[1]:
        steps += [facts.say(5, "larger", r=more), facts.say(6, "sum", terms=f"{product} plus {more}", n=area)]
    elif more < 0 and float(area) < sides[0] * sides[1]:
        steps += [facts.say(5, "smaller", r=-more), facts.say(6, "difference", p=product, r=-more, n=area)]
    return [*steps, floor], area


def leads_to(said: Said) -> Iterator[str]:
    """The rectangle, what is added to it or taken from it, and the floor."""
    for fields in said.get("product", ()):
        product = Decimal(fields["x"]) * Decimal(fields["y"])
        holds(abs(product - Decimal(fields["p"])) <= Decimal("0.05"))
        holds(all({s["x"], s["y"]} == {fields["x"], fields["y"]} for s in said.get("spread", ())))
    for fields in said.get("sum", ()):
        holds(added(fields["terms"]) == Decimal(fields["n"]))
        yield fields["n"]
    for fields in said.get("difference", ()):
        holds(Decimal(fields["p"]) - Decimal(fields["r"]) == Decimal(fields["n"]))
        yield fields["n"]
    yield from (fields["n"] for fields in said.get("floor", ()))


TYPE = QuestionType(
    name=NAME,
    task=Task(NAME, "Room Size", 4, "room size"),
    words="room size",
    text=TEXT,
    answer=ANSWER,
    generate=generate,
    wordings=(
        r"What is the (?:total )?size of (?:this|the) room\b",
        r"\b(?:floor )?area of (?:this|the) (?:room|space)\b",
    ),
    aliases=("absolute_size_room", "room_size"),
    recompute=recompute,
    sight=sight,
    reason=reason,
    leads_to=leads_to,
    sentences={
        "whole_room": ("I look at the whole room.", "I go around the whole room."),
        "things": ("I see the {things}.", "In it I see the {things}."),
        "spread": ("Their centers are spread over {x} m by {y} m.", "From center to center they cover {x} m by {y} m."),
        "product": ("{x} m times {y} m is about {p} square meters.",),
        "larger": ("The floor goes beyond that and is {r} square meters larger.",),
        "smaller": ("Not all of that is floor, so the floor is {r} square meters smaller.",),
        "difference": ("{p} minus {r} is {n}.",),
        "floor": ("The floor is {n} square meters.",),
    },
)
