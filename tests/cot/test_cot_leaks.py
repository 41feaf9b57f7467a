"""Leaks of the map or the given answer: rules against labelled sentences, read as a person reads them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from math import sqrt
from pathlib import Path

import pytest

from cot.cot_rows import number, question
from rollout3d.cot.leaks import find_leak, sentences, undecided
from rollout3d.cot.verify import verify

HERE = Path(__file__).parent
Z = 1.959964
"""Standard normal quantile of a two-sided 95 % interval."""


def labelled(half: str) -> Iterator[tuple[bool, str, str]]:
    """Yield for each labelled sentence whether it is a leak, its kind, and the sentence."""
    with (HERE / f"leaks_{half}.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield row["label"] == "leak", row["kind"], row["text"]


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    p, z2 = hits / n, Z * Z
    middle, half = p + z2 / (2 * n), Z * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)


@pytest.mark.parametrize(("half", "least"), [("development", 0.97), ("heldout", 0.9)])
def test_recall_and_precision_on_labelled_sentences(half, least, capsys):
    # Whoever wrote the held-out half had not seen the rules; nobody who writes rules may read it, so only counts are
    # printed. It was measured twice: recall 0.873 and precision 0.966 at first; 0.919 and 0.963 after the rules for
    # answers were widened by thinking of more ways to speak of one.
    counts = {}
    for leak, kind, sentence in labelled(half):
        counts.setdefault((leak, kind), []).append(find_leak(sentence) is not None)
    found = {case: (sum(hits), len(hits)) for case, hits in counts.items()}
    leaks, innocent = ([n for case, n in found.items() if case[0] is leak] for leak in (True, False))
    true, all_leaks, false = sum(hits for hits, _ in leaks), sum(n for _, n in leaks), sum(hits for hits, _ in innocent)
    shares = {"recall": (true, all_leaks), "precision": (true, true + false)}
    with capsys.disabled():
        print(f"\nleak check, {half} half, {all_leaks} leaks and {sum(n for _, n in innocent)} innocent:")
        for name, (hits, n) in shares.items():
            low, high = wilson(hits, n)
            print(f"  {name} {hits / n:.3f} ({hits} of {n}), 95 % {low:.3f} to {high:.3f}")
        for (leak, kind), (hits, n) in sorted(found.items(), reverse=True):
            print(f"  {'leak' if leak else 'innocent'}, {kind}: {hits} of {n} found")
    assert all_leaks >= 150 and sum(n for _, n in innocent) >= 150
    assert all(hits / n >= least for hits, n in shares.values())


def test_wilson_against_published_values():
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


INNOCENT_THOUGHTS = (
    # A direction, reasoned from views joined in the head.
    "I start with the bed: it stands under the window, with a nightstand on each side. The tv hangs on the wall "
    "that faces the foot of the bed, because in the frames where the camera looks back from the tv the pillows "
    "are straight ahead. The lamp is next to the wardrobe. Standing by the bed and facing the tv, I would have "
    "the window behind me. Walking from the window to the door, the camera passes the wardrobe on its left and "
    "the tv on its right, and it moves in the same direction as I look. So the lamp should be on my left. Let me "
    "check with one more view: from the door, the wardrobe is on the right, and I now look the other way, which "
    "agrees. The correct option is A.",
    # Maps, plans and pictures that belong to the room.
    "There is a large map of the world over the desk and an evacuation plan next to the door, so this is an "
    "office or a classroom. The map is about as wide as the desk below it, and such maps are usually 1.4 m wide. "
    "Two desks of that kind stand in a row along the wall. The first picture on the wall after the map is right "
    "above the printer. Seen from the door, the printer is at the end of the row, so the distance from the desk "
    "to the printer is roughly 3 meters. The ceiling panels confirm that: I count five of 60 cm between them.",
    # A camera that looks down, stairs, and an open floor plan.
    "The video begins at the top of the stairs, and the view from the top of the stairs shows the living room "
    "from above: two sofas and a rug. The flat has an open floor plan, so the kitchen belongs to the same space. "
    "Once downstairs, the camera tilts down and shows the dining table from above, with six chairs around it. Two "
    "more stand at the counter. I must not count the high chair in the corner twice; it appears in frame 4 and "
    "again in frame 9. That makes 6 + 2 + 1 = 9. Wait, the one at the counter in frame 9 is the high chair "
    "itself, so the right count is 8.",
    # The question's own givens, and sizes that everybody knows.
    "I am told to stand by the fridge and face the window. The given options are left, right and back. Given the "
    "size of the room, the stove cannot be far away. The known height of a counter is about 90 cm, and as "
    "expected the stove is level with it. In the frames the stove comes into view right after the fridge when the "
    "camera turns clockwise, so it is to the right of somebody who looks at the window. If the answer were left, "
    "the sink would have to be on the other side, but it is not. Therefore the answer is B.",
    # Order of appearance, with a plan and a check.
    "My plan is to go through the frames and to note when each object comes into sight. The basket: frame 2, at "
    "the top left of the image. The heater: frame 5, below the window. The lamp: I first thought frame 9, but its "
    "foot is already visible in frame 7. The door: only at the end. To find the correct order I still have to "
    "compare heater and lamp; the heater is fully in view before the camera reaches the lamp. Hence the order is "
    "basket, heater, lamp, door, which is option C. Options A and D start with the door and can be ruled out, and "
    "in B the lamp comes first.",
)

LEAKING_THOUGHTS = (
    # Everything from the video, then one glance at the plan.
    (
        "map",
        "The sofa stands opposite the tv, and the camera passes between them. A sofa with three seats is about "
        "2.1 m long. The gap between sofa and tv looks a little longer than the sofa itself. Checking the overall "
        "layout from above the room, the two are on opposite sides of the rug. So I would say 2.6 meters.",
    ),
    # The map is never named, only used.
    (
        "map",
        "First I locate the objects. In the first image the refrigerator is in the upper right corner and the "
        "table is at the centre. The video confirms that the refrigerator is close to the door. Facing the door "
        "from the table, the refrigerator is then on the right.",
    ),
    # An estimate that moves to a number out of nowhere.
    (
        "answer",
        "The room holds a double bed, a desk and a wardrobe. The long wall fits two beds and a desk, about 5 "
        "meters, and the short wall one bed and the walkway, about 3.3 meters. That is 16.5 square meters. Taking "
        "the niche into account, this comes close to the stated 17.8 square meters, so the room measures 17.8.",
    ),
    # A justification that begins at the end.
    (
        "answer",
        "We want to explain why the answer is C. The basket appears in the very first frame, the heater a bit "
        "later. The lamp follows when the camera turns to the bed, and the door closes the video.",
    ),
    # The prompt's own words.
    (
        "answer",
        "I count two chairs at the desk and one at the window. A fourth one is partly hidden behind the curtain. "
        "This agrees with what was measured in the scan, and therefore there are four chairs.",
    ),
)


@pytest.mark.parametrize("thought", INNOCENT_THOUGHTS)
def test_thoughts_of_somebody_who_saw_the_video_alone_are_kept(thought):
    assert find_leak(thought) is None
    verdict = verify(f"<think>\n{thought}\n</think>\n<answer>A</answer>", question())
    assert verdict.accepted and verdict.think == thought


@pytest.mark.parametrize(("kind", "thought"), LEAKING_THOUGHTS)
def test_thoughts_that_betray_what_the_teacher_was_given_are_refused_with_the_words(kind, thought):
    verdict = verify(f"<think>{thought}</think>\n<answer>A</answer>", question())
    assert not verdict.accepted
    said, words = verdict.reason.rstrip('"').split(': "')
    assert kind in said and words in thought


def test_what_was_introduced_as_a_thing_of_the_room_may_be_named_again():
    assert find_leak("A map of the city hangs by the door. The map is next to the lamp.") is None
    assert find_leak("The map is next to the lamp.") is not None
    assert find_leak("A map of the city hangs by the door. The bird's-eye view shows a lamp there.") is not None


def test_the_right_answer_may_be_named_at_the_end_and_not_as_a_premise():
    assert find_leak("The lamp is left of the tv. The correct answer is A.") is None
    assert find_leak("The correct answer is A. The lamp is left of the tv.") is not None
    assert find_leak("The lamp is left of the tv. The correct answer is A, so I looked there.") is not None


def test_typography_hides_no_leak():
    for text in (
        "The **bird’s‑eye view** shows it.",
        "the BIRD'S-EYE VIEW",
        "As the _ground truth_ says",
        "*given* answer",
    ):
        assert find_leak(text) is not None


def test_sentences_are_split_where_they_end():
    assert sentences("It is 2.5 m. So it is B. (Or not.)\nEnd") == ["It is 2.5 m.", "So it is B.", "(Or not.)", "End"]
    assert sentences("") == [""]


def test_undecided_names_what_no_rule_decides_and_nothing_else():
    row = number("2.83")
    assert undecided("From this layout, the bed is north of the desk.", row) == "layout, north"
    assert undecided("The distance is 2.83 m. The bed is near the desk.", row) == "2.83"
    assert undecided("The bed is near the desk. The distance is 2.83 m.", row) is None
    assert undecided("The distance is 12.83 m. The bed is near the desk.", row) is None
    assert undecided("The floor plan shows the layout.", row) is None  # decided: a leak
    assert undecided("The bed stands beside the window, so the lamp is left.", row) is None
