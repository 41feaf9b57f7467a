import pytest

from rollout3d.scoring.metric import (
    mean_relative_accuracy,
    relative_closeness,
    rouge,
    same_number,
    thresholds,
    word_accuracy,
)


@pytest.mark.parametrize(
    ("prediction", "truth", "score"),
    [
        (3, 3, 1.0),
        (3, 4, 0.6),
        (2, 4, 0.1),
        (105, 100, 1.0),
        (150, 100, 0.1),
        (0, 5, 0.0),
        (50, 100, 0.1),
        (-3, 3, 0.0),
        # 1 - 0.8 is below 0.2 in float64, and the official evaluator compares in float64.
        (80, 100, 0.6),
        (90, 100, 0.9),
        (1e9, 1, 0.0),
    ],
)
def test_mean_relative_accuracy_of_known_pairs(prediction, truth, score):
    assert mean_relative_accuracy(prediction, truth) == pytest.approx(score, abs=1e-12)


def test_ten_thresholds_from_half_to_ninety_five_percent():
    assert thresholds().tolist() == pytest.approx([0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])


@pytest.mark.parametrize(
    ("prediction", "of_ten", "of_eleven"),
    # Allowed errors: 0.5, 0.45, ..., 0.05; and 0.5, 0.455, 0.41, 0.365, 0.32, 0.275, 0.23, 0.185, 0.14, 0.095, 0.05.
    [(100, 10, 11), (104, 10, 11), (107, 9, 10), (90, 9, 9), (117, 7, 8), (75, 6, 6), (66, 4, 4), (151, 0, 0)],
)
def test_eleven_thresholds_are_those_of_spatial_r1s_second_equation(prediction, of_ten, of_eleven):
    assert mean_relative_accuracy(prediction, 100) == pytest.approx(of_ten / 10)
    assert mean_relative_accuracy(prediction, 100, 11) == pytest.approx(of_eleven / 11)
    assert len(thresholds(11)) == 9 + 2  # (0.95 - 0.5) / 0.05 + 2


def test_mean_relative_accuracy_agrees_with_counting_thresholds():
    for truth in (0.7, 2.3, 17.0, 243.0):
        for percent in range(0, 71):
            # Off the thresholds themselves, integer arithmetic has the answer.
            error = percent * 10 + 5
            passed = sum(error <= 1000 - t for t in range(500, 1000, 50))
            for sign in (1, -1):
                assert mean_relative_accuracy(truth * (1 + sign * error / 1000), truth) == pytest.approx(passed / 10)


def test_truth_zero_accepts_zero_only():
    assert mean_relative_accuracy(0.0, 0.0) == 1.0
    assert mean_relative_accuracy(0.1, 0.0) == 0.0


def test_relative_closeness_falls_linearly_to_zero():
    assert relative_closeness(3.0, 4.0) == pytest.approx(0.75)
    assert relative_closeness(9.0, 4.0) == 0.0
    assert relative_closeness(4.0, 4.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("prediction", "truth", "score"),
    [
        ("4", "4", 1),
        ("4.0", "4", 0),
        ("4", "4.0", 0),
        ("2.504", "2.5", 1),
        ("2.51", "2.5", 0),
        ("1,200", "1,200.0", 1),
        ("four", "4", 0),
        ("", "4", 0),
    ],
)
def test_same_number_is_equality_to_two_decimals(prediction, truth, score):
    assert same_number(prediction, truth) == score


@pytest.mark.parametrize(
    ("prediction", "truth", "score"),
    [
        ("exit on the left", "exit on the left", 1.0),
        ("exit the left", "exit on the left", 0.75),
        ("", "exit", 0.0),
        ("a b c d e f", "x", 0.0),
        ("b a", "a b", 0.0),
        ("a x b", "a b", 0.5),
        ("word", "", 0.0),
        ("", "", 1.0),
    ],
)
def test_word_accuracy_is_one_minus_word_error_rate(prediction, truth, score):
    assert word_accuracy(prediction, truth) == pytest.approx(score)


def test_rouge_is_the_mean_of_unigrams_bigrams_and_longest_common_subsequence():
    pytest.importorskip("rouge_score")
    assert rouge("the cat sat", "the cat sat") == pytest.approx(1.0)
    # Unigrams 2/3, bigrams 1/2, longest common subsequence 2/3 of both sides.
    assert rouge("the cat ran", "the cat sat") == pytest.approx((2 / 3 + 1 / 2 + 2 / 3) / 3)
    assert rouge("running", "run") > 0.6, "words are stemmed"
    assert rouge("dog", "the cat sat") == 0.0
