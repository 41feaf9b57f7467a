"""Relative direction, easy, medium and hard: where an object is for somebody who stands and looks (VSI-Bench).

Somebody stands by P and faces O; the question is about Q. The angle from P->O to P->Q is that of the box centres seen
from above, counter-clockwise from 0 to 360 degrees: small angles lie to the left.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import combinations, permutations
from typing import TYPE_CHECKING, Literal

import numpy as np

from rollout3d.questions import variants
from rollout3d.questions.evidence import rounded
from rollout3d.questions.reasoning import Facts, NoEvidence, Said, Written, in_decimals, positive
from rollout3d.questions.select import sample, sample_evenly
from rollout3d.questions.types import Boxes, QuestionType, Task

if TYPE_CHECKING:
    from rollout3d.config import Questions
    from rollout3d.questions.scene import Result, SceneView
    from rollout3d.questions.variants import Rules

Level = Literal["easy", "medium", "hard"]

_DIRECTION = "If I am standing by the {standing} and facing the {facing}, is the {query} "
TEXTS: dict[Level, str] = {
    "easy": _DIRECTION + "to the left or the right of the {facing}?",
    "medium": _DIRECTION + "to my left, right, or back?\n"
    "An object is to my back if I would have to turn at least 135 degrees in order to face it.",
    "hard": _DIRECTION + "to my front-left, front-right, back-left, or back-right?\n"
    "The directions refer to the quadrants of a Cartesian plane (if I am standing at the origin and facing along the "
    "positive y-axis).",
}
OTHER_TEXTS: dict[Level, dict[str, str]] = {
    "easy": {},
    "medium": {},
    "hard": {
        "spacer": _DIRECTION + "to my front-left, front-right, back-left, or back-right?\n"
        "Directions refer to the quadrants of a Cartesian plane (assuming I am at the origin and facing the positive "
        "y-axis).",
    },
}

_STANDING = "stand(?:ing)? (?:by|at|near|next to) (?:the )?{standing} and fac(?:ing|e) (?:the )?{facing}, "
_IS = _STANDING + "is (?:the )?{query} "
WORDINGS: dict[Level, tuple[str, ...]] = {
    "easy": (_IS + "to the left or (?:the |to the )?right of",),
    "medium": (_IS + "to my left, right,? or back",),
    "hard": (
        _IS + "to my front-left",
        _STANDING + r"where is (?:the )?{query}(?: located)?(?:,? relative to (?:me|you))?\?",
    ),
}
"""Other people's texts."""
NAMED = ("standing", "facing", "query")
"""Fields of the texts."""

MIN_DISTANCE_M, MAX_DISTANCE_M = 0.3, 5.0
"""Distances of all three pairs lie between these. [VSI-Bench generator]"""
MARGIN_DEG = 10.0
"""Smallest angle between Q and a border between two answers. [VSI-Bench generator]"""
BACK_DEG = 135.0
"""From this turn on an object is to one's back. [VSI-Bench]"""
MAX_STRAY_CORNERS = 2
"""At most this many of Q's eight box corners may have another answer than its centre. [VSI-Bench generator]"""


@dataclass(frozen=True)
class Rule:
    """Upper borders (degrees) of the answers in counter-clockwise order, from 0; options in the question's order."""

    borders: tuple[float, ...]
    answers: tuple[str, ...]
    options: tuple[str, ...]


_HALVES = Rule((BACK_DEG, 225.0, 360.0), ("left", "back", "right"), ("left", "right", "back"))
RULES: dict[Level, Rule] = {
    "easy": Rule(_HALVES.borders, _HALVES.answers, ("left", "right")),
    "medium": _HALVES,
    "hard": Rule(
        (90.0, 180.0, 270.0, 360.0),
        ("front-left", "back-left", "back-right", "front-right"),
        ("front-left", "front-right", "back-left", "back-right"),
    ),
}


SIGN = Rule((180.0, 360.0), ("left", "right"), ("left", "right"))
"""The easy level by the sign of the cross product, also of what is behind. [Spatial-R1, section 2.2]"""
ON_BORDER_DEG = 1e-6
"""Degrees within which an angle lies on a border, where rounding would decide."""
COINCIDE_M = 0.01
"""Centres nearer than this, seen from above, have no direction between them. [assumed; SpaceR, section 3: no test]"""


def rule_of(level: Level, rules: Rules) -> Rule:
    """Return how angles become answers; under the sign rule the easy level has an answer behind, too."""
    return RULES[level] if rules.direction == "angles" or level != "easy" else SIGN


def angle_between(standing: np.ndarray, facing: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return degrees in [0, 360), counter-clockwise, from standing->facing to standing->query; points (..., 2)."""
    ahead, aside = facing - standing, query - standing
    cross = ahead[..., 0] * aside[..., 1] - ahead[..., 1] * aside[..., 0]
    dot = (ahead * aside).sum(-1)
    angle = np.degrees(np.arctan2(cross, dot)) % 360.0
    # The remainder of a tiny negative angle rounds to 360 itself.
    return np.where(angle >= 360.0, 0.0, angle)


def answer(scene: SceneView, standing: str, facing: str, query: str, level: Level) -> str:
    """Return where `query` is, in the words of the level's options; "back" also where easy does not ask."""
    p, o, q = (scene.box(name).centroid[:2] for name in (standing, facing, query))
    rule = RULES[level]
    return rule.answers[int(_answer(angle_between(p, o, q), rule))]


def recompute(fields: Mapping[str, str], options: Sequence[str], boxes: Boxes, level: Level) -> str:
    """Return where the third object is, in the words of the level's options."""
    named = [boxes.located(fields[name], single=True) for name in NAMED]
    if len(set(named)) < len(named):
        raise boxes.refuse("names one object twice", ", ".join(named))
    standing, facing, query = named
    return answer(boxes.scene, standing, facing, query, level)


def generate(scene: SceneView, config: Questions, rng: np.random.Generator, level: Level) -> Result:
    """Triples of unique categories, in all six orders; under a cap each answer is drawn about equally often.

    `compat: vsibench` keeps the benchmark's habits instead: three orders of a triple, drawn uniformly; the margin of
    hard questions tested on one side of each border only; and no test that the three are apart *seen from above*,
    without which an object that hangs over another gets a direction made of noise.

    SpaceR (section 3) answers by box centres and states no test: a triple passes if its angle is defined, and no answer
    begins at it. Spatial-R1 (section 2.2) answers left or right by the sign of the cross product, with tests of the
    centres' distances and of collinearity, whose limits it does not state: VSI-Bench's stand in.
    """
    rules = variants.RULES[config.rules]
    name, rule = f"object_rel_direction_{level}", rule_of(level, rules)
    names = scene.unique
    if len(names) < 3:
        return [], Counter({"fewer than three unique categories": 1})
    compat = config.compat == "vsibench"
    centres = np.array([scene.box(name).centroid[:2] for name in names])
    corners = np.array([scene.box(name).corners()[:, :2] for name in names])
    if rules.direction == "angles":
        apart = _apart(scene, config, centres, seen_from_above=not compat)
    else:
        apart = _centres_apart(scene, rules)

    triples = _triples(len(names), three_orders=compat)
    p, o, q = triples.T
    angle = angle_between(centres[p], centres[o], centres[q])
    answer = _answer(angle, rule)
    of_corners = _answer(angle_between(centres[p, None], centres[o, None], corners[q]), rule)
    n_stray = (of_corners != answer[:, None]).sum(axis=1)
    far = f"{MIN_DISTANCE_M} to {MAX_DISTANCE_M} m" if rules.direction != "centres" else f"{COINCIDE_M} m"
    margin = MARGIN_DEG if rules.direction != "centres" else ON_BORDER_DEG
    tests = {
        f"two of the three not {far} apart": apart[p, o] & apart[p, q] & apart[o, q],
        "behind, which easy does not ask": np.isin(answer, [rule.answers.index(text) for text in rule.options]),
        f"within {margin:g} degrees of a border": _margin(angle, rule, compat and level == "hard") >= margin,
    }
    if rules.direction == "angles":
        tests["the box reaches into another answer"] = n_stray <= MAX_STRAY_CORNERS
    passed = np.ones(len(triples), bool)
    reasons: Counter[str] = Counter()
    for reason, ok in tests.items():
        reasons[reason] += int((passed & ~ok).sum())
        passed &= ok

    text = OTHER_TEXTS[level].get(config.wording, TEXTS[level])
    rows = []
    # Most of a room lies before somebody who stands in it: uncapped, "back" answers 6 % of the medium questions.
    chosen = np.flatnonzero(passed).tolist()
    cap = config.caps.get(name)
    drawn = (
        sample(chosen, cap, rng, reasons)
        if compat
        else sample_evenly(chosen, answer[chosen].tolist(), cap, rng, reasons)
    )
    for k in drawn:
        standing, facing, query = named = [names[index] for index in triples[k].tolist()]
        truth = rule.answers[answer[k]]
        evidence = {
            "standing": scene.place(standing),
            "facing": scene.place(facing),
            "query": scene.place(query),
            "angle_deg": rounded([angle[k]], 1)[0],
            "direction": truth,
        }
        question = text.format(standing=standing, facing=facing, query=query)
        rows.append(scene.row(name, question, truth, named, evidence, rule.options))
    return rows, reasons


def _triples(n: int, three_orders: bool) -> np.ndarray:
    """Indices (T,3) of P, O, Q; the benchmark's generator takes (a,b,c), (a,c,b) and (b,a,c) of each a < b < c."""
    triples = np.array(list(permutations(range(n), 3)))
    if not three_orders:
        return triples
    a, b, c = triples.T
    return triples[((a < b) & (b < c)) | ((a < c) & (c < b)) | ((b < a) & (a < c))]


def _apart(scene: SceneView, config: Questions, centres: np.ndarray, seen_from_above: bool) -> np.ndarray:
    """Which pairs (n,n) of the unique categories are neither too close nor too far."""
    n = len(scene.unique)
    apart = np.zeros((n, n), bool)
    for i, j in combinations(range(n), 2):
        distance = scene.distance(scene.unique[i], scene.unique[j], config.distance)
        above = np.linalg.norm(centres[i] - centres[j]) >= MIN_DISTANCE_M
        apart[i, j] = apart[j, i] = MIN_DISTANCE_M <= distance <= MAX_DISTANCE_M and (above or not seen_from_above)
    return apart


def _centres_apart(scene: SceneView, rules: Rules) -> np.ndarray:
    """Which pairs (n,n) of the unique categories have centres far enough apart, and near enough (Spatial-R1)."""
    centres = np.array([scene.box(name).centroid for name in scene.unique])
    between = centres[:, None] - centres[None]
    above, distance = np.linalg.norm(between[..., :2], axis=-1), np.linalg.norm(between, axis=-1)
    if rules.direction == "centres":
        return above >= COINCIDE_M
    return (above >= COINCIDE_M) & (distance >= MIN_DISTANCE_M) & (distance <= MAX_DISTANCE_M)


def _answer(angle: np.ndarray, rule: Rule) -> np.ndarray:
    """Index of the answer that each angle falls into; a border belongs to the answer above it."""
    return np.searchsorted(rule.borders, angle, side="right")


def _margin(angle: np.ndarray, rule: Rule, one_sided: bool) -> np.ndarray:
    """Degrees to the nearest border, or (the benchmark's slip) to the next one above."""
    borders = np.array([0.0, *rule.borders])
    to_border = borders - angle[:, None]
    if one_sided:
        to_border = np.where(to_border <= 0, np.inf, to_border)
    return np.abs(to_border).min(axis=1)


def reason(facts: Facts, level: Level) -> Written:
    """Where the third object is for somebody who stands by the first and faces the second."""
    standing, facing, query = facts["standing"], facts["facing"], facts["query"]
    origin, ahead = standing["position"], facing["position"]
    distance = math.dist(origin[:2], ahead[:2])
    ux, uy = (ahead[0] - origin[0]) / distance, (ahead[1] - origin[1]) / distance
    dx, dy = query["position"][0] - origin[0], query["position"][1] - origin[1]
    forward, leftward = ux * dx + uy * dy, ux * dy - uy * dx
    side = "left" if leftward > 0 else "right"
    depth = "ahead of" if forward > 0 else "behind"
    turn = abs(math.degrees(math.atan2(leftward, forward)))
    names = {"a": standing["category"], "b": facing["category"], "q": query["category"]}
    where = [
        f"{metres} m {word}"
        for value, word, needed in (
            (forward, f"{depth} me", level == "hard"),
            (leftward, f"to the {side}", level != "medium"),
        )
        for metres in ([positive(abs(value))] if needed or abs(value) >= 0.05 else [])
    ]
    if not where:
        raise NoEvidence(f"{names['q']} is where one stands")
    seen = facts.say(3 if level == "medium" else 1, "seen", q=names["q"], where=" and ".join(where))
    steps = [
        facts.say(0, "stand", **names),
        facts.say(6, "ahead", b=names["b"], d=positive(distance)),
        *facts.beside(5, query),
        seen,
    ]
    if level == "hard":
        text = f"{'front' if forward > 0 else 'back'}-{side}"
        return [*steps, facts.say(2, "quadrant", depth=depth, side=side, text=text)], text
    if level == "easy":
        return [*steps, facts.say(2, "side_of", side=side, **names)], side
    text = "back" if turn >= BACK_DEG else side
    degrees = in_decimals([turn], lambda rounded: (rounded[0] >= BACK_DEG) == (text == "back"), least=0)[0]
    steps.append(facts.say(1, "turn", q=names["q"], g=degrees, side=side))
    return [*steps, facts.say(2, "back" if text == "back" else "less_than_back", text=text)], text


def leads_to(said: Said, level: Level) -> Iterator[str]:
    """The sector of the direction in which the object is seen, and the side that is said."""
    for fields in said.get("seen", ()):
        sides = {side for side in ("left", "right") if f"to the {side}" in fields["where"]}
        ahead = {word for sign, word in (("ahead", "front"), ("behind", "back")) if sign in fields["where"]}
        if level == "easy":
            yield from sides
        elif level == "hard" and sides and ahead:
            yield f"{ahead.pop()}-{sides.pop()}"
    for fields in said.get("turn", ()):
        yield "back" if Decimal(fields["g"]) >= BACK_DEG else fields["side"]
    yield from (fields["side"] for fields in said.get("side_of", ()))
    yield from (fields["text"] for name in ("quadrant", "less_than_back") for fields in said.get(name, ()))
    yield from ("back" for _ in said.get("back", ()))


SENTENCES = {
    "stand": ("I stand by the {a} and face the {b}.", "I am by the {a} and look at the {b}."),
    "ahead": ("The {b} is {d} m ahead of me.",),
    "seen": ("The {q} is {where}.", "From here the {q} is {where}."),
    "turn": ("To face the {q} I turn {g} degrees {side}.",),
    "quadrant": ("{depth} me and to the {side} is {text}.", "So it is to my {text}."),
    "less_than_back": ("That is less than 135 degrees, so it is to my {text}.",),
    "back": ("That is at least 135 degrees, so it is to my back.",),
    "side_of": ("So the {q} is to the {side} of the {b}.", "So the {q} is on the {side}."),
}


def direction(level: Level) -> QuestionType:
    """Return the question type of a level."""
    return QuestionType(
        name=f"object_rel_direction_{level}",
        task=Task("object_rel_direction", "Rel. Dir.", 6, "relative direction"),
        words=f"relative direction, {level}",
        text=TEXTS[level],
        other_texts=OTHER_TEXTS[level],
        generate=partial(generate, level=level),
        wordings=WORDINGS[level],
        aliases=(f"relative_direction_{level}",),
        options="directions",
        implied=RULES[level].options,
        recompute=partial(recompute, level=level),
        singles=NAMED,
        reason=partial(reason, level=level),
        leads_to=partial(leads_to, level=level),
        sentences=SENTENCES,
    )
