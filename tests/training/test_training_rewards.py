"""Rewards of whole groups, against the rules of the papers' code."""

import pytest

from rollout3d.config import Config
from rollout3d.doors import REWARDS
from rollout3d.training.rewards import Answers, Written, judge
from rollout3d.training.rewards._length import length_bonus
from rollout3d.training.rewards._temporal import temporal_bonus

GRPO = Config().grpo
CHOICE = {"answer_type": "choice", "ground_truth": "B"}
NUMBER = {"answer_type": "number", "ground_truth": "100"}


def text(answer, think="because"):
    return f"<think>{think}</think>\n<answer>{answer}</answer>"


def totals(reward, row, texts, **options):
    grpo = GRPO.model_copy(update={"ablation": GRPO.ablation.model_copy(update=options)})
    return [judged.total for judged in judge(reward, row, [Written(t, 10) for t in texts], grpo)]


def lengths(correct, n_tokens):
    """The length bonus of rollouts of given correctness and length."""
    return length_bonus(Answers(CHOICE, [Written("", n) for n in n_tokens], correct, GRPO))


def test_the_papers_reward_needs_both_a_right_answer_and_the_format():
    texts = [text("B"), "<answer>B</answer>", text("A"), "B", " " + text("B")]
    assert totals("ocr", CHOICE, texts) == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_video_r1_adds_accuracy_and_format():
    assert totals("video_r1", CHOICE, [text("B"), "<answer>B</answer>", text("A"), "B"]) == [2.0, 1.0, 1.0, 0.0]


def test_a_number_earns_its_mean_relative_accuracy():
    # off by .17: within the tolerances .5, .45, ..., .2 of thresholds .5 to .8, seven of ten
    assert totals("ocr", NUMBER, [text("100"), text("117"), text("300"), text("many")]) == pytest.approx([1, 0.7, 0, 0])


def test_a_number_can_be_rewarded_by_eleven_thresholds_which_change_nothing_else():
    # off by .17: within .5, .455, .41, .365, .32, .275, .23, .185 of eleven
    assert totals("ocr", NUMBER, [text("117")], mra_thresholds=11) == pytest.approx([8 / 11])
    assert totals("ocr", NUMBER, [text("117")], numeric="regression", mra_thresholds=11) == pytest.approx([0.83])
    assert totals("ocr", CHOICE, [text("B"), text("A")], mra_thresholds=11) == [1.0, 0.0]


@pytest.mark.parametrize(("numeric", "expected"), [("mra", 0.7), ("regression", 0.83), ("exact", 0.0)])
def test_other_readings_of_a_correct_number(numeric, expected):
    assert totals("ocr", NUMBER, [text("117")], numeric=numeric) == pytest.approx([expected])


def test_the_extracted_answer_is_reported():
    judged = judge("ocr", CHOICE, [Written(text("B"), 5), Written("no tags", 5)], GRPO)
    assert [j.answer for j in judged] == ["B", None]
    assert judged[0].parts == {"correctness": 1.0, "format": 1.0}


def test_the_length_bonus_needs_two_right_rollouts_of_the_right_length():
    assert lengths([1, 0, 0], [400, 400, 400]) == [0, 0, 0]
    assert lengths([1, 1, 1, 0, 1], [320, 512, 319, 400, 513]) == [0.2, 0.2, 0, 0, 0]


def test_the_length_bonus_is_part_of_its_reward_only():
    group = [Written(text("B"), 400), Written(text("B"), 100)]
    assert [j.total for j in judge("video_r1_length", CHOICE, group, GRPO)] == pytest.approx([2.2, 2.0])
    assert [j.total for j in judge("video_r1", CHOICE, group, GRPO)] == pytest.approx([2.0, 2.0])


def test_the_temporal_bonus_compares_ordered_with_shuffled():
    shuffled = [False, False, True, True]
    assert temporal_bonus([1, 0, 1, 0], shuffled) == [0.3, 0, 0, 0]
    assert temporal_bonus([0.8, 0, 1, 0], shuffled) == [0.3, 0, 0, 0]  # .4 >= .8 * .5
    assert temporal_bonus([0.7, 0, 1, 0], shuffled) == [0, 0, 0, 0]
    assert temporal_bonus([0.1, 1, 0, 0], shuffled) == [0, 0.3, 0, 0]  # right means above .1
    assert temporal_bonus([1, 1], [False, False]) == [0, 0]  # no control, no bonus


def test_the_temporal_bonus_is_earned_at_exactly_four_fifths_of_the_shuffled_mean():
    eight_and_four = [False] * 8 + [True] * 4
    # Ordered: mean 0.6. Shuffled: mean 0.75, four fifths of it 0.6. The comparison is >=, the mean over all ordered
    # ones, the bonus for those above 0.1 only.
    ordered = [1.0, 1.0, 1.0, 1.0, 0.5, 0.2, 0.1, 0.0]
    assert sum(ordered) / 8 == pytest.approx(0.6)
    assert temporal_bonus([*ordered, 1, 1, 1, 0], eight_and_four) == [0.3] * 6 + [0.0] * 6
    # A little more among the shuffled, 0.775: four fifths are 0.62.
    assert temporal_bonus([*ordered, 1, 1, 1, 0.1], eight_and_four) == [0.0] * 12


def test_video_r1s_sum_has_the_temporal_bonus_beside_accuracy_and_format():
    group = [Written(text("B"), 5), Written("<answer>B</answer>", 5), Written(text("A"), 5)]
    group += [Written(text("B"), 5, shuffled=True), Written(text("A"), 5, shuffled=True)]
    # Ordered 2/3 >= 0.8 * 1/2: the two right ones earn 1 + 0.3, the first of them 1 for its format.
    assert [j.total for j in judge("video_r1", CHOICE, group, GRPO)] == pytest.approx([2.3, 1.3, 1.0, 2.0, 1.0])


def test_the_temporal_bonus_counts_within_the_papers_product():
    group = [Written(text("B"), 5), Written("<answer>B</answer>", 5), Written(text("A"), 5, shuffled=True)]
    assert [j.total for j in judge("ocr", CHOICE, group, GRPO)] == pytest.approx([1.3, 0.0, 0.0])


@pytest.mark.parametrize(("second", "bonus"), [("B", 0.2), ("A", 0.0)])
def test_the_length_bonus_counts_right_answers_of_the_ordered_group_only(second, bonus):
    group = [Written(text("B"), 400), Written(text(second), 400), Written(text("B"), 400, shuffled=True)]
    parts = [judged.parts for judged in judge("ocr_length", CHOICE, group, GRPO)]
    assert [part["length"] for part in parts] == [bonus, bonus, 0.0]
    assert parts[0]["temporal"] == (0.3 if second == "B" else 0.0)  # .5 < .8 * 1


def test_an_unknown_reward_is_refused():
    with pytest.raises(ValueError, match="unknown reward 'fluency'"):
        judge("fluency", CHOICE, [], GRPO)


def test_the_length_bonus_can_join_the_papers_product():
    written = [Written(words, 400) for words in (text("B"), text("B"), text("A"), "<answer>B</answer>")]
    assert [judged.total for judged in judge("ocr_length", CHOICE, written, GRPO)] == pytest.approx([1.2, 1.2, 0, 0])
    assert [judged.total for judged in judge("ocr", CHOICE, written, GRPO)] == pytest.approx([1, 1, 0, 0])


def test_the_run_table_knows_the_rewards_and_refuses_others_before_anything_starts():
    import training_world as tw
    from pydantic import ValidationError

    of_spacer = {"spacer", "spacer_no_length", "spacer_no_map", "spatial_r1"}
    assert set(REWARDS.names) == {"ocr", "ocr_length", "video_r1", "video_r1_length"} | of_spacer
    assert [tw.run(reward=name).reward for name in REWARDS.names] == list(REWARDS.names)
    with pytest.raises(ValidationError, match="video_r1_length"):
        tw.run(reward="fluency")
