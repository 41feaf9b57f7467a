"""The benchmarks' own rules: against second implementations, and by the values that were measured on texts."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rollout3d.scoring.match import NOTHING
from rollout3d.scoring.scorers import score
from scoring import naive_benchmark_rules as naive
from scoring.adversarial import predictions

WORDS = """(A) (b) B. C) D. A: answer: Answer Ans= option is correct was correct yes No no not 3 12 4.5 1,200 .5 2^3
<answer> </answer> <Answer> <think> </think> </s> left cat meters ` `` { } * " ' , : = - ^ a A B C D E b c d e"""
PHRASES = ("Option ", "The best answer is", "The answer", "Best option:", "The best option is", "The correct option is")
PIECES = st.sampled_from([*WORDS.split(), *PHRASES, "Best answer:", "my answer is ", " ", " ", "\n", "  ", "²", "٣"])
TEXTS = st.one_of(st.lists(PIECES, max_size=9).map("".join), st.text(max_size=30), st.sampled_from(predictions(400)))
CHOICE = {"answer_type": "choice", "ground_truth": "B"}


def choice(truth, **more):
    return {"answer_type": "choice", "ground_truth": truth, **more}


def number(truth, task="depth_prediction_oc"):
    return {"answer_type": "number", "ground_truth": truth, "question_type": task}


@pytest.mark.parametrize("scorer", naive.CHOICES)
@settings(deadline=None)
@given(text=TEXTS, truth=st.sampled_from("ABCDE"))
def test_letters_agree_with_second_implementations(scorer, text, truth):
    assert score(text, choice(truth), scorer).score == float(naive.CHOICES[scorer](text) == truth)


@pytest.mark.parametrize("scorer", naive.CHOICES)
def test_five_thousand_adversarial_texts_agree(scorer):
    right = 0
    for k, text in enumerate(predictions(5_000, seed=3)):
        truth, letter = "ABCD"[k % 4], naive.CHOICES[scorer](text)
        assert score(text, choice(truth), scorer).score == float(letter == truth), text
        right += letter == truth
    assert right > 50, "the texts must be answers too"


@settings(deadline=None)
@given(TEXTS, st.sampled_from("ABCD"))
def test_spar_bench_agrees_on_choices(text, truth):
    assert score(text, choice(truth), "spar_bench").score == naive.spar_choice(text, truth)


@settings(deadline=None)
@given(TEXTS, st.sampled_from(["4.5", "12", "0", "200"]), st.booleans())
def test_spar_bench_agrees_on_numbers(text, truth, last):
    found = naive.spar_number(text, last)
    row = number(truth, "depth_prediction_oc_mv" if last else "distance_prediction_oo")
    wanted = 0.0 if found is None else naive.accuracy(found, float(truth))
    assert score(text, row, "spar_bench").score == pytest.approx(wanted)


@settings(deadline=None)
@given(TEXTS)
@example("B. slowly")
@example("B: slowly")
def test_temp_compass_agrees(text):
    options = ["A. fast", "B. slowly", "C. not at all"]
    found = score(text, choice("B", options=options), "temp_compass").score
    assert found == (naive.temp_choice(text, "B. slowly") if naive.inside(text).strip() else 0)
    for truth in ("yes", "no"):
        row = {"answer_type": "text", "ground_truth": truth}
        assert score(text, row, "temp_compass").score == naive.temp_yes_no(text, truth)


MOVES = st.dictionaries(
    st.sampled_from(
        [f"move_{w}" for w in ["right", "left", "up", "down", "forward", "backward"]] + ["rotate_right", "rotate_down"]
    ),
    st.integers(-40, 40).map(lambda n: n / 10),
    min_size=1,
).map(lambda moves: ",".join(f"{name}:{value}" for name, value in moves.items()))


@settings(deadline=None)
@given(MOVES, MOVES)
def test_movements_agree_by_both_divisors(said, truth):
    row = {"answer_type": "text", "ground_truth": truth, "question_type": "view_change_infer"}
    assert score(said, row, "spar_bench").score == pytest.approx(naive.spar_movement(said, truth))
    assert score(said, row, "robust").score == pytest.approx(naive.spar_movement(said, truth, by_truth=True))


TRUTH = "move_right:0.4,move_up:0.4,move_forward:2.4,rotate_up:5,rotate_right:60"


MOVED = {
    # text: by the prediction as released, by the truth
    TRUTH: (1.0, 1.0),
    "move_right:0,move_up:0,move_forward:0,rotate_up:0,rotate_right:0": (0.12, 0.0),
    "move_right:0.6,move_up:0.6,move_forward:3.6,rotate_up:8,rotate_right:90": (0.38, 0.06),
    "move_right:0.2,move_up:0.2,move_forward:1.2,rotate_up:2.5,rotate_right:30": (0.0, 0.1),
}


@pytest.mark.parametrize("said", MOVED)
def test_measured_values_of_movements(said):
    """Exchanged arguments divide by the prediction: zeros score, and too large movements more than too small ones."""
    row = {"answer_type": "text", "ground_truth": TRUTH, "question_type": "view_change_infer"}
    assert [score(said, row, name).score for name in ("spar_bench", "robust")] == pytest.approx(MOVED[said])
    assert score(said.replace(",", ", "), row, "robust").score == score(said, row, "robust").score
    assert score(f"The movement is: {said}", row, "spar_bench").score == 0.0


MEASURED = [
    # scorer, text, truth, score
    ("sti_bench", "B. 3.5 m", "B", 0),
    ("sti_bench", "B 3.5 m", "B", 0),
    ("sti_bench", "The answer is D", "D", 1),
    ("sti_bench", "Answer: approximately", "A", 1),
    ("spar_bench", "Answer: B", "A", 1),
    ("spar_bench", "a cat", "A", 1),
    ("spar_bench", "(A)", "A", 0),
    ("spar_bench", "", "A", 0),
    ("video_mme", "Best option: D", "B", 1),
    ("video_mme", "Best answer: C", "B", 1),
    ("video_mme", "Based on the video, D", "B", 1),
    ("video_mme", "A person walks to C", "A", 1),
    ("long_video_bench", "Best option: D", "D", 1),
    ("mmsi_bench", "B left", "B", 0),
    ("mmsi_bench", "A. left", "A", 1),
    ("mmsi_bench", "**A**", "A", 1),
    ("mmsi_bench", "A or ``C``", "C", 1),
    ("view_spatial", "it is a left turn", "A", 1),
    ("view_spatial", "B\nnone", "B", 0),
    ("mind_cube", "A. Above, not in 3D.", "D", 1),
    ("mind_cube", "<answer>B. left</answer>", "B", 1),
    ("revsi", "Answer: B", "B", 0),
    ("revsi", "<answer>B</answer>", "B", 1),
]


@pytest.mark.parametrize(("scorer", "text", "truth", "wanted"), MEASURED)
def test_measured_values_of_letters(scorer, text, truth, wanted):
    assert score(text, choice(truth), scorer).score == wanted


@pytest.mark.parametrize(("text", "read"), [("-2", 2), ("1,200", 1), (".5", 5), ("between 2 and 4", 2)])
def test_measured_values_of_spar_numbers(text, read):
    assert score(text, number(str(read)), "spar_bench").score == 1.0
    assert score("between 2 and 4", number("4", "distance_prediction_oo_mv"), "spar_bench").score == 1.0


ROBUST = {
    **dict.fromkeys(["B", "b", "(B)", "(b).", "B.", "**B**", "`B`", "B) right", "Answer: B", "The answer is B."], "B"),
    **dict.fromkeys(
        ["The correct option is (B)", r"\boxed{B}", r"\boxed{\text{B}}", "right", "Right.", "B right"], "B"
    ),
    **dict.fromkeys(["<think>A or C</think><answer>B</answer>", "<think>A</think> B", "B\nbecause of the lamp"], "B"),
    **dict.fromkeys(["A or B", "A and B", "A person", "a cat", "E", "", "<answer></answer>", "A, B", "A. or B."], None),
    **dict.fromkeys(["<think>B", "left, right", "Because", "B is wrong"], None),
}


@pytest.mark.parametrize("text", ROBUST)
def test_robust_reads_one_stated_choice(text):
    row = choice("B", options=["A. left", "B. right", "C. behind"])
    found = score(text, row, "robust")
    assert found.answer == ROBUST[text] and found.score == float(ROBUST[text] == "B")


def test_robust_reads_numbers_labels_and_yes_or_no():
    assert score("about 3.5 m", number("3.5"), "robust").score == 1.0
    assert score("0.05", number("0"), "robust").score == 1.0
    yes = {"answer_type": "text", "ground_truth": "yes"}
    assert [score(text, yes, "robust").score for text in ("Yes.", "yes, it does", "not yes", "no", "maybe")] == [
        1,
        1,
        0,
        0,
        0,
    ]
    captions = ["Caption A: a cat jumps", "Caption B: a cat sleeps"]
    row = {"answer_type": "choice", "ground_truth": captions[1], "options": captions}
    texts = ("Caption B", "a cat sleeps.", captions[1], "B", "caption a", "a cat")
    assert [score(text, row, "robust").score for text in texts] == [1, 1, 1, 1, 0, 0]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["", " ", "<answer></answer>", "<think>A</think><answer> </answer>", "\n"]))
def test_an_empty_answer_never_scores(text):
    scorers = (
        "revsi sti_bench spar_bench video_mme long_video_bench temp_compass mmsi_bench view_spatial mind_cube robust"
    )
    for scorer in scorers.split():
        for row in (choice("A"), number("0"), {"answer_type": "text", "ground_truth": "yes"}):
            assert score(text, row, scorer) == NOTHING, scorer
