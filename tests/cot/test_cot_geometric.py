"""The geometric teacher: its texts follow from the geometry, and pass the same verification as any teacher's."""

from __future__ import annotations

import json
import math
import re
from collections import Counter

import pytest

from cot.cot_rows import number, question
from cot.teacher_rows import THINGS, route_row, teacher_rows
from rollout3d import tables
from rollout3d.config import question_types
from rollout3d.cot.geometric import NoEvidence, write
from rollout3d.cot.teachers.geometric import GeometricTeacher
from rollout3d.cot.verify import verify


@pytest.fixture(scope="module")
def rows():
    return list(teacher_rows())


def think(row, seed=0, attempt=0):
    return verify(write(row, seed, attempt), row).think


def test_every_category_is_written_and_passes_verification(rows):
    assert {row["question_type"] for row in rows} == set(question_types.NAMES)
    teacher = GeometricTeacher(seed=3)
    for row in rows:
        draft = teacher.write(row, 0)
        verdict = verify(draft.text, row)
        assert verdict.accepted, (verdict.reason, draft.text)
        assert verdict.answer == row["ground_truth"]


def test_texts_are_short_and_of_few_words(rows):
    words = Counter()
    for row in rows:
        for attempt in range(2):
            text = think(row, attempt=attempt)
            assert 20 <= len(text.split()) <= 80, text
            words.update(w for w in re.findall(r"[a-z]+", text.lower()))
    for thing in THINGS:
        for word in thing.split():
            words.pop(word, None)
    assert len(words) < 130


def test_wording_varies_with_question_and_attempt_but_not_between_runs(rows):
    row = next(r for r in rows if r["question_type"] == "object_abs_distance")
    texts = {think(row, attempt=attempt) for attempt in range(8)}
    assert len(texts) > 2 and think(row) == think(row)
    assert len({think(row, seed=seed) for seed in range(8)}) > 2


@pytest.mark.parametrize("level", ["easy", "medium", "hard"])
def test_direction_names_the_offsets_that_its_angle_has(rows, level):
    made = [r for r in rows if r["question_type"] == f"object_rel_direction_{level}"]
    assert len(made) > 10
    for row in made:
        text, evidence = think(row), json.loads(row["evidence"])
        where = re.search(rf"{evidence['query']['category']} is (\d.*?)\.(?: |$)", text).group(1)
        x, depth = (re.findall(r"([\d.]+) m (ahead of|behind) me", where) or [("0", "ahead of")])[0]
        y, side = (re.findall(r"([\d.]+) m to the (left|right)", where) or [("0", "left")])[0]
        angle = math.degrees(math.atan2(float(y), float(x) if depth == "ahead of" else -float(x)))
        angle = angle if side == "left" else 360 - angle
        # Offsets have one decimal: at these distances (0.3 m and more) that is some degrees.
        distance = math.hypot(float(x), float(y))
        assert abs(angle - evidence["angle_deg"]) < math.degrees(0.08 / distance)


def test_reasoning_uses_a_thing_that_the_question_does_not_mention(rows):
    """Where one is near."""
    kinds = {"object_abs_distance": "first", "object_rel_direction_hard": "query", "object_size_estimation": "object"}
    lonely = 0
    for row in rows:
        if row["question_type"] in kinds:
            evidence, text = json.loads(row["evidence"]), think(row)
            named = {mention["category"] for mention in row["objects"]}
            x, y, _ = evidence[kinds[row["question_type"]]]["position"]
            near = {
                category
                for category, centres in evidence["centres"].items()
                if category not in named and len(centres) == 1 and math.dist((x, y), centres[0]) <= 1.5
            }
            other = re.search(r"(?:The|Near the [a-z ]+ is the) ([a-z ]+?)(?: is near|\.)", text)
            assert bool(other) == bool(near) and (not other or other.group(1) in near), text
            lonely += not near
    assert 0 < lonely < len(rows) / 4


def test_counting_adds_up_by_the_nearest_things():
    evidence = {
        "category": "chair",
        "count": 5,
        "positions": [[0, 0, 0], [0.5, 0, 0], [4, 0, 0], [0, 0.4, 0], [8, 8, 0]],
        "centres": {"chair": [[0, 0]], "table": [[0, 0.2]], "bed": [[4, 1]], "sofa": [[9, 9]], "tv": [[50, 50]]},
    }
    row = number("5", question_type="object_counting", evidence=json.dumps(evidence))
    text = think(row)
    assert "I see 3 near the table. I see 1 more near the bed. I see 1 more near the sofa." in text
    assert "3 plus 1 plus 1 is 5." in text and "tv" not in text


def test_counting_without_a_box_for_every_instance_still_reaches_the_count():
    few = {"category": "chair", "count": 4, "positions": [[0, 0, 0]], "centres": {"table": [[0, 0.2]]}}
    row = number("4", question_type="object_counting", evidence=json.dumps(few))
    assert "I see 1 near the table. I see 3 more in the room." in think(row) and "1 plus 3 is 4" in think(row)
    many = few | {"count": 2, "positions": [[0, 0, 0]] * 3}
    row = number("2", question_type="object_counting", evidence=json.dumps(many))
    assert "I see 2 in the room." in think(row)


def test_route_says_where_each_landmark_is():
    text = think(route_row())
    assert "I go forward 2.0 m to the bed." in text
    assert "The computer mouse is 82 degrees to the left, so I turn left and go to it." in text
    assert "The table is behind me, so I turn back and go to it." in text
    assert "The lamp is 88 degrees to the right, so I turn right and go to it." in text
    assert "The turns are Turn Left, Turn Back, Turn Right." in text


def test_question_whose_evidence_leads_elsewhere_is_not_taught():
    wrong = route_row() | {"ground_truth": "A"}
    with pytest.raises(NoEvidence, match="leads to 'Turn Left, Turn Back, Turn Right'"):
        write(wrong, 0)
    draft = GeometricTeacher(0).write(wrong, 0)
    assert draft.text is None and "ground truth is" in draft.error


@pytest.mark.parametrize("evidence", ["{}", '{"object": 3}', "[]"])
def test_imported_question_without_evidence_fails_with_a_reason(evidence):
    row = number("2.0", question_type="object_size_estimation", evidence=evidence)
    assert "evidence" in GeometricTeacher(0).write(row, 0).error
    other = question(question_type="free-form", evidence=evidence)
    assert "free-form" in GeometricTeacher(0).write(other, 0).error


def test_digest_tells_attempts_and_seeds_apart():
    row = route_row()
    drafts = [GeometricTeacher(seed).write(row, attempt) for seed in (0, 1) for attempt in (0, 1)]
    assert len({draft.prompt_digest for draft in drafts}) == 4
    assert drafts[0].prompt_digest == tables.digest([row["question_id"], row["evidence"], 0, 0, None])
