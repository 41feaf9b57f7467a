"""Route planning: fill the turns into a robot's instructions.

VSI-Bench's routes are written by people. These are generated (`_routes`): a robot stands beside a unique object and
faces another; it walks straight to unique objects, turning in between; the question leaves the turns open.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rollout3d.questions.reasoning import Facts, NoEvidence, Said, Written, holds, positive
from rollout3d.questions.types import QuestionType, Task

if TYPE_CHECKING:
    import numpy as np

    from rollout3d.config import Questions
    from rollout3d.questions.scene import Result, SceneView

NAME = "route_planning"
RANK = 10
PER_SCENE = 16
SOURCE = "external"
TEXT = (
    "You are a robot beginning at the {start} and facing the {facing}. You want to navigate to the {target}. "
    "You will perform the following actions (Note: for each [please fill in], choose either 'turn back,' 'turn left,' "
    "or 'turn right.'): {actions} You have reached the final destination."
)
FILL_IN = "[please fill in]"
GO_FORWARD = "Go forward until the {landmark}"
TURNS = {"Turn Left": 90.0, "Turn Right": -90.0, "Turn Back": 180.0}
"""Turns, degrees counter-clockwise."""
SECTOR_DEG = 45.0
"""After a turn the robot walks to a landmark within this angle of its new direction. The sectors of the three turns do
not overlap: that makes routes unambiguous."""

_FIELDS = {
    "start": r"robot (?:beginning|starting|standing) at (?:the )?([^.,\n]{1,80}?)(?=[.,]| and\b| facing\b)",
    "facing": r"\bfacing (?:to |towards? )?(?:the )?([^.,\n]{1,80}?)(?=[.,])",
    "target": r"\bnavigate to (?:the )?([^.,\n]{1,80}?)(?=[.,])",
}
"""Place in a route -> where other people's texts name it."""
_LANDMARK = re.compile(
    r"\b(?:until|reach|past) (?:you reach )?(?:the )?([A-Za-z][^.,;:\[\]\n\d]{0,60}?)(?=[.,;:\n]| \d|$)", re.I
)
_UNNAMED = re.compile(r"\b(?:final destination|destination)\b", re.I)


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """Routes with one to three turns; at most `per_scene.route_planning` different questions."""
    from rollout3d.questions.types import _routes  # shapely and Numba are for generating only

    return _routes.generate(scene, config, rng)


def summary(made: int, reasons: Iterable[str], scans: int) -> str:
    """Return a line about the routes that were executed, and why some were left out."""
    from rollout3d.questions import walk

    return walk.summary(made, reasons, scans)


def read(text: str) -> dict[str, str]:
    """Return start, first heading and target of a route; its landmarks as `options`."""
    text = " ".join(text.split())
    found = {name: re.search(pattern, text, re.I) for name, pattern in _FIELDS.items()}
    fields = {name: match[1].strip() for name, match in found.items() if match}
    landmarks = [name.strip() for name in _LANDMARK.findall(text) if not _UNNAMED.search(name)]
    return fields | ({"options": ", ".join(dict.fromkeys(landmarks))} if landmarks else {})


def reason(facts: Facts) -> Written:
    """Where each landmark is when the robot must turn."""
    steps = [facts.say(0, "begin", a=facts["start"]["category"], b=facts["facing"]["category"])]
    turns = []
    for rank, step in enumerate(facts["steps"], start=2):
        if step["turn"] is None:
            steps.append(facts.say(rank, "forward", d=positive(step["metres"]), c=step["to"]))
            continue
        degrees = step["turn_deg"]
        if abs(degrees) > 180 - SECTOR_DEG:
            turns.append("Turn Back")
            steps.append(facts.say(rank, "turn_around", c=step["to"]))
            continue
        if abs(degrees) < SECTOR_DEG:
            raise NoEvidence(f"{step['to']} is {degrees} degrees aside, to which no turn leads")
        side = "left" if degrees > 0 else "right"
        turns.append(f"Turn {side.capitalize()}")
        steps.append(facts.say(rank, "turn_to", c=step["to"], g=f"{abs(degrees):.0f}", side=side))
    text = ", ".join(turns)
    return [*steps, facts.say(1, "turns" if len(turns) > 1 else "one_turn", text=text)], text


def leads_to(said: Said) -> Iterator[str]:
    """The turns that are listed; as many as there are turns on the way, to the sides that are said."""
    sides = Counter(f"Turn {fields['side'].capitalize()}" for fields in said.get("turn_to", ()))
    sides["Turn Back"] += len(said.get("turn_around", ()))
    for fields in (*said.get("turns", ()), *said.get("one_turn", ())):
        # A thought that is cut to a few sentences names some of its turns only.
        holds(sides <= Counter(fields["text"].split(", ")))
        yield fields["text"]


TYPE = QuestionType(
    name=NAME,
    task=Task(NAME, "Route Plan", 7, "route planning"),
    words="route planning",
    text=TEXT,
    generate=generate,
    wordings=(r"You are a robot (?:beginning|starting|standing) at",),
    read=read,
    options="turns",
    may_repeat=True,
    not_recomputed="routes were written by people",
    reason=reason,
    leads_to=leads_to,
    sentences={
        "begin": ("I begin at the {a} and face the {b}.", "I start at the {a} and look at the {b}."),
        "forward": ("I go forward {d} m to the {c}.",),
        "turn_to": ("The {c} is {g} degrees to the {side}, so I turn {side} and go to it.",),
        "turn_around": ("The {c} is behind me, so I turn back and go to it.",),
        "one_turn": ("The turn is {text}.",),
        "turns": ("The turns are {text}.",),
    },
    summary=summary,
)
