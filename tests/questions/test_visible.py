"""The gate by hand: which samplings answer a question, what they answer instead, and what is removed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from questions.question_rooms import random_things, view
from rollout3d import tables
from rollout3d.config import Config, Splits
from rollout3d.questions import visible
from rollout3d.questions.generate import questions_for_scene

GATE = visible.Gate(
    samplings=("full", "uniform16", "uniform32"),
    train_sets=("uniform16",),
    test_sets=("uniform32",),
    splits={"scannet": Splits(train=["train"], test=["val"])},
    remove=False,
    budget_answers=True,
    gap_s=1.0,
)


def seen(object_id, sampling, first=0.0, faint=None, room=0.9):
    """A row of visibility; `first`, `faint`: when it is first seen clearly and faintly; None: never, and as `first`."""
    return {
        "scene_id": "scene0000_00",
        "object_id": object_id,
        "sampling": sampling,
        "n_frames": 16,
        "n_clear": int(first is not None),
        "first_clear_s": first,
        "last_clear_s": first,
        "first_faint_s": first if faint is None else faint,
        "largest_share": 0.1,
        "mean_share": 0.1,
        "room_share": room,
    }


def sights(*rows):
    """Everything else is seen at once: 9 objects in each sampling."""
    known = {(row["object_id"], row["sampling"]) for row in rows}
    rest = [seen(k, name) for k in range(9) for name in GATE.samplings if (k, name) not in known]
    return visible.Sights.from_rows([*rows, *rest])


def question(kind, truth, objects, options=None, evidence=None, split="train"):
    row = {
        "dataset": "scannet",
        "scene_id": "scene0000_00",
        "split": split,
        "question_type": kind,
        "question": "?",
        "options": options,
        "ground_truth": truth,
        "objects": [{"category": name, "object_ids": ids} for name, ids in objects.items()],
        "evidence": json.dumps(evidence or {}),
    }
    return row | {"question_id": tables.question_id(row)}


SIZE = question("object_size_estimation", "90", {"sofa": [3]})
CHAIRS = question("object_counting", "3", {"chair": [0, 1, 2]})
ROOM = question("room_size_estimation", "20.1", {})
ORDER = question(
    "obj_appearance_order",
    "B",
    {"sofa": [3], "lamp": [4], "bed": [5], "chair": [0, 1]},
    [
        "A. lamp, sofa, bed, chair",
        "B. sofa, lamp, bed, chair",
        "C. bed, sofa, lamp, chair",
        "D. chair, bed, lamp, sofa",
    ],
    {"order": ["sofa", "lamp", "bed", "chair"]},
)
SPREAD = [seen(3, "full", 0.0), seen(4, "full", 2.0), seen(5, "full", 4.0), seen(0, "full", 6.0), seen(1, "full", 9.0)]


def spread(sampling, *times):
    return [seen(k, sampling, t) for k, t in zip((3, 4, 5, 0, 1), times)]


IN_ORDER = [*SPREAD, *spread("uniform16", 0, 4, 8, 12, 12), *spread("uniform32", 0, 2, 4, 6, 8)]


@pytest.mark.parametrize(
    ("kind", "objects"),
    [
        ("object_size_estimation", {"sofa": [3]}),
        ("object_abs_distance", {"bed": [5], "sofa": [3]}),
        ("object_rel_distance", {"bed": [5], "lamp": [4], "chair": [0, 1, 2], "sofa": [3], "desk": [6]}),
        ("object_rel_direction_hard", {"bed": [5], "lamp": [4], "sofa": [3]}),
        ("route_planning", {"bed": [5], "lamp": [4], "sofa": [3]}),
    ],
)
def test_every_instance_that_is_named_must_be_clearly_seen(kind, objects):
    row = question(kind, "1", objects)
    assert visible.marks(row, sights(), GATE) == {
        "answerable": ["full", "uniform16", "uniform32"],
        "refused": None,
        "budget_answers": None,
    }
    found = visible.marks(row, sights(seen(3, "uniform16", None, faint=2.0)), GATE)
    assert found["answerable"] == ["full", "uniform32"] and found["budget_answers"] is None
    assert found["refused"] == "never clearly seen in uniform16: sofa"


def test_one_of_several_instances_is_named_too():
    row = question("object_rel_distance", "A", {"bed": [5], "chair": [0, 1, 2]})
    assert visible.marks(row, sights(seen(1, "uniform16", None)), GATE)["answerable"] == ["full", "uniform32"]


def test_the_set_that_is_shown_decides_whether_a_question_is_refused():
    hidden = sights(seen(3, "uniform16", None))
    assert visible.marks(SIZE, hidden, GATE)["refused"] == "never clearly seen in uniform16: sofa"
    assert visible.marks(SIZE | {"split": "val"}, hidden, GATE)["refused"] is None
    assert visible.marks(SIZE | {"split": "val"}, sights(seen(3, "uniform32", None)), GATE)["refused"]


@pytest.mark.parametrize(
    ("third", "answerable", "instead"),
    [
        (seen(2, "uniform16", 5.0), True, None),
        (seen(2, "uniform16", None), False, "2"),
        (seen(2, "uniform16", None, faint=3.0), False, None),  # two or three: who can tell
    ],
)
def test_a_count_is_that_of_the_instances_seen(third, answerable, instead):
    found = visible.marks(CHAIRS, sights(third), GATE)
    assert ("uniform16" in found["answerable"]) == answerable
    assert found["budget_answers"] == (instead and [{"set": "uniform16", "answer": instead}])
    if not answerable:
        assert found["refused"] == "not every instance clearly seen in uniform16: chair, 2 of 3"
    assert visible.marks(CHAIRS, sights(third), replace(GATE, budget_answers=False))["budget_answers"] is None


def test_no_instance_seen_is_no_answer():
    found = visible.marks(CHAIRS, sights(*(seen(k, "uniform16", None) for k in range(3))), GATE)
    assert found["refused"] == "never clearly seen in uniform16: chair" and found["budget_answers"] is None


def test_a_count_beyond_the_boxes_is_not_seen():
    row = question("object_counting", "4", {"chair": [0, 1, 2]})
    assert visible.marks(row, sights(), GATE)["answerable"] == []


def test_the_rooms_size_asks_for_its_plan():
    enough = sights(*(seen(k, name, room=0.7) for k in range(9) for name in GATE.samplings))
    assert visible.marks(ROOM, enough, GATE)["refused"] is None
    little = sights(*(seen(k, "uniform16", room=0.69) for k in range(9)))
    found = visible.marks(ROOM, little, GATE)
    assert found["refused"] == "too little of the room seen in uniform16: 69 % of its plan"
    assert found["answerable"] == ["full", "uniform32"]


def test_an_order_is_answerable_where_its_frames_have_it():
    found = visible.marks(ORDER, sights(*IN_ORDER), GATE)
    assert found == {"answerable": ["full", "uniform16", "uniform32"], "refused": None, "budget_answers": None}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (seen(4, "full", 1.0), "sofa, lamp"),  # a second later, and no more
        (seen(4, "full", 1.01), None),
        (seen(4, "full", 2.0, faint=0.5), "sofa, lamp"),  # faintly there before
        (seen(1, "full", 9.0, faint=1.0), "bed, chair"),  # another chair was
        (seen(3, "full", 2.5, faint=0.0), "sofa, lamp"),  # clearly seen too late
    ],
)
def test_two_thresholds_make_an_order_certain(change, why):
    rows = [row for row in IN_ORDER if (row["object_id"], row["sampling"]) != (change["object_id"], "full")]
    found = visible.marks(ORDER, sights(*rows, change), GATE)
    if why is None:
        assert found["refused"] is None
    else:  # then no sampling answers it: the truth itself is open
        assert found["refused"] == f"order of appearance not certain in full: {why}"
        assert found["answerable"] == []


def test_frames_that_lead_to_another_order_answer_that_one_if_it_is_offered():
    other = [*SPREAD, *spread("uniform16", 4, 0, 8, 12, 12), *spread("uniform32", 0, 2, 4, 6, 8)]
    found = visible.marks(ORDER, sights(*other), GATE)
    assert found["answerable"] == ["full", "uniform32"]
    assert found["budget_answers"] == [{"set": "uniform16", "answer": "lamp, sofa, bed, chair"}]
    assert found["refused"] == "order of appearance not certain in uniform16: sofa, lamp"
    # In one frame together, or in an order that no option has: no answer.
    for times in ((0, 0, 8, 12, 12), (8, 0, 4, 12, 12)):
        rows = [*SPREAD, *spread("uniform16", *times), *spread("uniform32", 0, 2, 4, 6, 8)]
        assert visible.marks(ORDER, sights(*rows), GATE)["budget_answers"] is None


def test_an_unseen_category_has_no_place_in_an_order():
    found = visible.marks(ORDER, sights(*IN_ORDER[:5], seen(4, "uniform16", None)), GATE)
    assert found["refused"] == "never clearly seen in uniform16: lamp"


def test_removed_questions_go_with_their_reason_and_others_stay_as_they_are():
    hidden = sights(seen(3, "uniform16", None))
    kept, dropped = visible.gated([SIZE, CHAIRS], hidden, replace(GATE, remove=True))
    assert [row["question_id"] for row in kept] == [CHAIRS["question_id"]]
    reason = "never clearly seen in uniform16: sofa"
    key = f"scene0000_00/object_size_estimation/{SIZE['question_id']}"
    assert dropped == [{"question_id": key, "file": "", "reason": reason}]
    assert [visible.removed(dropped, kind) for kind in ("object_size_estimation", "object_counting")] == [1, 0]
    marked, none = visible.gated([SIZE, CHAIRS], hidden, GATE)
    assert none == [] and [row["refused"] for row in marked] == [reason, None]
    for row, before in zip(marked, (SIZE, CHAIRS)):
        assert {name: row[name] for name in before} == before
    assert visible.reason_counts(
        [reason, reason.replace("sofa", "bed"), "not every instance clearly seen in full: chair, 1 of 2"]
    ) == [
        ("never clearly seen in uniform16", 2),
        ("not every instance clearly seen in full", 1),
    ]


def test_where_nothing_is_known_nothing_is_removed():
    assert visible.Sights.from_rows([]) is None
    kept, dropped = visible.gated([SIZE], None, replace(GATE, remove=True))
    assert dropped == [] and kept == [SIZE | dict.fromkeys(tables.MARKS)]


def test_tables_of_two_ingests_are_refused():
    row = question("object_size_estimation", "90", {"sofa": [77]})
    with pytest.raises(tables.TableError, match=r"does not hold object 77.*run the stage ingest again"):
        visible.marks(row, sights(), GATE)


def test_marks_of_training_leave_out_other_sets():
    row = {"answerable": ["full", "uniform16", "uniform32"], "budget_answers": [{"set": "uniform32", "answer": "2"}]}
    assert visible.only(row, ["uniform16"]) == {"answerable": ["full", "uniform16"], "budget_answers": None}
    assert visible.only({}, ["uniform16"]) == {"answerable": None, "budget_answers": None}


@pytest.mark.parametrize(
    ("questions", "judged"),
    [({}, True), ({"strict": "remove"}, True), ({"strict": "off"}, False), ({"compat": "vsibench"}, False)],
)
def test_the_benchmarks_own_questions_are_not_judged(questions, judged):
    gate = visible.Gate.of(Config.model_validate({"questions": questions}))
    assert (gate is not None) == judged
    if gate:
        assert gate.remove == (questions.get("strict") == "remove")
        assert gate.samplings == ("full", "uniform16", "uniform32")


def test_generated_questions_are_the_same_whatever_is_seen():
    rows, _ = questions_for_scene(view(random_things(1)), Config().questions, 0)
    assert rows
    for row in rows:
        ids = {k for each in row["objects"] for k in each["object_ids"]}
        hidden = visible.Sights("s", {"uniform16": {k: seen(k, "uniform16", None) for k in {*ids, 0}}})
        (marked,) = visible.gated([row], hidden, GATE)[0]
        assert marked["question_id"] == row["question_id"] and marked["ground_truth"] == row["ground_truth"]


def test_a_table_that_lacks_the_sampling_shown_is_an_error_that_says_so():
    """Questions would otherwise pass unseen."""
    with pytest.raises(tables.TableError, match="its table visibility lacks uniform16, which is shown: run the stage"):
        visible.marks(SIZE, visible.Sights.from_rows([seen(3, "full")]), GATE)
