"""What thoughts name, and which answers change: exact counts of planted names, shares and their intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout3d import tables
from rollout3d.evaluation.claim_shares import changed_rows, share_rows
from rollout3d.evaluation.claims import Scenes, answer_claims, claims_of, rollout_claims
from rollout3d.stages import claims as stage

LINEAGE = tables.Lineage("test")


def scene(name="a", dataset="scannet", **counts):
    counted = [{"category": category.replace("_", " "), "n": n} for category, n in counts.items()]
    return {"scene_id": name, "dataset": dataset, "object_counts": counted}


def question(name="q", scene_id="a", text="How many chair(s) are in this room?", options=None, objects=(), **more):
    row = {"question_id": name, "scene_id": scene_id, "space_id": scene_id, "question": text, "options": options}
    row |= {"question_type": "object_counting", "answer_type": "number", "ground_truth": "2", "split": "test"}
    row |= {"dataset": "scannet", "media": None, "source": "generated", "evidence": "{}"}
    return row | {"objects": [{"category": each, "object_ids": [1]} for each in objects]} | more


ROOM = Scenes([scene(chair=2, table=1, sofa=1, trash_bin=1, tv=0), scene("b", tv=3)])


def kinds(text, row=None, scenes=ROOM):
    return [(each.kind, text[each.start : each.end]) for each in claims_of(text, row or question(), scenes).found]


def test_objects_of_the_question_of_the_scene_and_of_neither_are_told_apart():
    text = "<think>The chairs stand by the table. I see a TV, and a coffee table.</think> <answer>2 sofas</answer>"
    assert kinds(text) == [("queried", "chairs"), ("context", "table"), ("absent", "TV"), ("unknown", "coffee table")]


def test_options_and_the_column_objects_name_objects_of_the_question():
    row = question(text="Which is closest to the chair?", options=["A. couch", "B. garbage can"], objects=["table"])
    text = "<think>sofa, trash can, tables, chair, bed</think>"
    assert [kind for kind, _ in kinds(text, row)] == ["queried"] * 4 + ["absent"]
    row = question(text="Where is the coffee table?")
    assert kinds("<think>The coffee tables and the table.</think>", row) == [
        ("queried", "coffee tables"),
        ("context", "table"),
    ]


def test_answer_and_map_are_no_thought_and_no_name_reaches_across_them():
    text = '<map>{"tv": []}</map><think>A sofa.<map>{"bed": []}</map> trash<map>{}</map>bin</think><answer>tv</answer>'
    assert kinds(text) == [("context", "sofa")]
    assert kinds("<think>A chair and <map>{'tv'") == [("queried", "chair")], "cut at the maximum length"
    assert kinds("<think>chair <answer>sofa") == [("queried", "chair")]


@pytest.mark.parametrize(
    ("text", "more", "reason"),
    [
        ("B", {}, "no thought"),
        ("<think> </think><answer>2</answer>", {}, "no thought"),
        ("<think>A chair.</think>", {"scene_id": None, "space_id": None}, "about no scene"),
        ("<think>A chair.</think>", {"scene_id": "z"}, "the objects of its scene are not known"),
    ],
)
def test_an_answer_that_cannot_be_judged_says_why(text, more, reason):
    assert claims_of(text, question(**more), ROOM).reason == reason


def test_a_category_that_no_scene_of_the_dataset_counts_is_not_absent():
    """ScanNet's list has no whiteboard, so that its scans may have one that nobody counted."""
    assert kinds("<think>A whiteboard.</think>") == [("unknown", "whiteboard")]
    boards = Scenes([scene(dataset="scannetpp", chair=1)])
    assert kinds("<think>A whiteboard.</think>", scenes=boards) == [("absent", "whiteboard")]


# Names of a thing: the category, plurals, synonyms, compound names.
WAYS = {
    "chair": ("chair", "chairs", "office chair", "armchairs"),
    "sofa": ("sofa", "Sofas", "couch", "couches", "settee"),
    "refrigerator": ("refrigerator", "fridge", "fridges"),
    "trash bin": ("trash bin", "trash-bins", "garbage can", "recycling bins"),
    "bookshelf": ("bookshelf", "bookshelves", "book case"),
    "tv": ("tv", "TVs", "television", "tv monitor"),
    "computer mouse": ("computer mouse", "mouse", "computer mice"),
    "table": ("table", "desks", "TABLE"),
    "nightstand": ("night stand", "bedside table", "nightstands"),
}
NEUTRAL = (
    "I",
    "see",
    "the",
    "bedroom",
    "left",
    "of",
    "a",
    "coffee table",
    "windowsill",
    "1.5 m",
    "door handle",
    "now,",
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_planted_names_give_the_exact_counts_places_and_shares(data):
    every = sorted(WAYS)
    there = data.draw(st.sets(st.sampled_from(every)))
    asked = data.draw(st.sets(st.sampled_from(every)))
    scenes = Scenes([scene("a", **{name.replace(" ", "_"): 1 for name in there})])
    listing = " and ".join(data.draw(st.sampled_from(WAYS[name])) for name in sorted(asked))
    row = question(text=f"Where: {listing}?")
    piece = st.one_of(
        st.sampled_from(NEUTRAL).map(lambda word: (word, None)),
        st.sampled_from(every).flatmap(lambda name: st.sampled_from(WAYS[name]).map(lambda way: (way, name))),
    )
    planted = data.draw(st.lists(piece, max_size=20))
    # A full stop, so that two words beside each other are no compound name.
    text = f"<think>{'. '.join(word for word, _ in planted)}. </think><answer>chair</answer>"
    found = claims_of(text, row, scenes)

    def kind(name):
        return "queried" if name in asked else "context" if name in there else "absent"

    wanted = [(kind(name), name, word) for word, name in planted if name]
    judged = [each for each in found.found if each.kind != "unknown"]
    assert [(each.kind, each.category, text[each.start : each.end]) for each in judged] == wanted
    assert sum(each.kind == "unknown" for each in found.found) == sum(
        word in ("coffee table", "door handle") for word, _ in planted
    )
    rollout = {"question_id": "q", "text": text, "view": "clean", "sample": 0, "step": 3}
    (claim,) = rollout_claims("ocr", [rollout], [row], scenes)
    of = {(each["measure"], each["kind"]): each["share"] for each in share_rows([claim])}
    for each in ("queried", "context", "absent"):
        n = sum(found_kind == each for found_kind, *_ in wanted)
        assert claim[each] == n and of["answers", each] == (n > 0)
        assert not wanted or of["mentions", each] == pytest.approx(n / len(wanted))


def answered(name, thought, view="uniform8", answer="2", **more):
    row = {"question_id": name, "model": "ocr", "setting": view, "sample": 0, "answer": None, "score": 0.0}
    row |= {"text": f"<think>{thought}</think> <answer>{answer}</answer>", "scorer": "tagged", "n_tokens": 9}
    return row | dict.fromkeys(tables.SETTING_COLUMNS) | {"temperature": 0.0, "given_map": None} | more


def test_shares_are_of_answers_and_of_names_with_intervals_over_rooms():
    """Three answers name a chair; one of them a table twice. Of five names three are queried and two context."""
    questions = [question("q1"), question("q2"), question("q3", scene_id="b"), question("q4", question_type="other")]
    rows = [answered("q1", "A chair, a table, a table."), answered("q2", "A chair."), answered("q3", "A chair.")]
    rows += [answered("q4", "Nothing."), answered("q1", "A tv.", "black8")]
    shares = share_rows(answer_claims("ocr", "synthetic", rows, questions, ROOM))
    of = {(row["view"], row["question_type"], row["measure"], row["kind"]): row for row in shares}
    overall = {kind: of["video", "overall", "answers", kind] for kind in ("queried", "context", "absent")}
    assert [row["share"] for row in overall.values()] == [0.75, 0.25, 0.0]
    assert {(row["n"], row["spaces"]) for row in overall.values()} == {(4, 2)}
    counting = of["video", "object_counting", "answers", "context"]
    assert counting["share"] == pytest.approx(1 / 3) and counting["n"] == 3
    assert counting["low"] == 0 and counting["high"] == 0.5, "drawn: room a alone, or b alone, or both"
    assert of["video", "overall", "mentions", "queried"]["share"] == pytest.approx(3 / 5)
    assert of["video", "overall", "mentions", "queried"]["n"] == 5
    assert of["black", "overall", "mentions", "absent"]["share"] == 1
    assert of["black", "overall", "answers", "absent"]["low"] is None, "one room"
    assert ("video", "other", "mentions", "queried") not in of, "no name"


def test_rollouts_have_shares_by_part_of_the_training():
    rows = [
        {"question_id": "q", "step": step, "view": view, "sample": 0, "text": f"<think>A {word}.</think>"}
        for step in range(4)
        for view, word in (("clean", "table" if step > 1 else "chair"), ("perturbed", "tv"))
    ]
    found = [
        (row["view"], row["step"], row["last_step"], row["share"])
        for row in share_rows(rollout_claims("ocr", rows, [question()], ROOM), 2)
        if row["measure"] == "answers" and row["kind"] == "context" and row["question_type"] == "overall"
    ]
    assert found == [("clean", 0, 1, 0.0), ("perturbed", 0, 1, 0.0), ("clean", 2, 3, 1.0), ("perturbed", 2, 3, 0.0)]


def test_changed_answers_are_paired_with_those_to_the_true_video():
    questions = [question(f"q{k}", scene_id="ab"[k % 2]) for k in range(4)]
    rows = [answered(f"q{k}", "x", answer="2") for k in range(4)]
    # As numbers: "2.0" is no change; no answer is one.
    rows += [answered(f"q{k}", "x", "drowned8", answer) for k, answer in enumerate(("3", "2.0", "", "4"))]
    rows += [answered("q0", "x", "drowned_context8", "3"), answered("q2", "x", "drowned_context8", "2")]
    shares = changed_rows("ocr", "synthetic", rows, questions)
    found = {(row["view"], row["measure"]): row for row in shares if row["question_type"] == "overall"}
    assert found["drowned", "changed"]["share"] == 0.75 and found["drowned", "changed"]["n"] == 4
    assert found["drowned_context", "changed"]["share"] == 0.5
    both = found["drowned", "changed_minus_context"]
    assert both["share"] == 0.5 and both["n"] == 2, "q0: 1 - 1; q2: 1 - 0"
    assert found["drowned", "changed"]["low"] == 0.5 and found["drowned", "changed"]["high"] == 1


def test_answers_that_were_sampled_have_no_shares_of_changed_ones(caplog):
    rows = [answered("q", "x", temperature=0.7), answered("q", "x", "black8", "3", temperature=0.7)]
    assert changed_rows("ocr", "synthetic", rows, [question()]) == []
    assert "2 answers are not greedy" in caplog.text


@pytest.fixture
def files(tmp_path):
    made = {name: str(tmp_path / f"{name}.parquet") for name in ("predictions", "questions", "claims", "shares")}
    rows = [question() | dict.fromkeys(tables.MARKS)]
    tables.write(tables.QUESTIONS, made["questions"], rows, LINEAGE)
    tables.write(tables.PREDICTIONS, made["predictions"], [answered("q", "A chair.")], LINEAGE)
    return made


def run(files):
    given = f"--predictions {files['predictions']} --questions {files['questions']}"
    written = f"--out {files['claims']} --shares {files['shares']}"
    stage.main(f"--run ocr --benchmark synthetic {given} {written}".split())


def test_the_stage_says_that_no_scene_is_known(files, caplog):
    caplog.set_level("INFO")
    run(files)
    (row,) = tables.read(tables.CLAIMS, files["claims"])
    assert row["reason"] == "the objects of its scene are not known" and row["queried"] is None
    assert tables.read(tables.CLAIM_SHARES, files["shares"]) == []
    assert "site.boxes" in caplog.text


def test_answers_to_other_questions_are_refused(files, capsys):
    tables.write(tables.PREDICTIONS, files["predictions"], [answered("p", "A chair.")], LINEAGE)
    with pytest.raises(SystemExit):
        run(files)
    assert "has an answer to question 'p'" in capsys.readouterr().err


def test_equal_answers_give_equal_intervals():
    rows = [answered(f"q{k}", "A chair." if k % 3 else "A table.") for k in range(12)]
    questions = [question(f"q{k}", scene_id="ab"[k % 2]) for k in range(12)]
    made = [share_rows(answer_claims("ocr", "synthetic", rows, questions, ROOM)) for _ in range(2)]
    assert made[0] == made[1] and np.isfinite([row["share"] for row in made[0]]).all()
