"""The hard set from hand-made predictions."""

from __future__ import annotations

import pytest

from rollout3d.config import Cot
from rollout3d.difficulty.select import is_correct, select_hard, table1

WRONG, RIGHT = 0.0, 1.0
CASES = {
    # question: scores in frames2, frames16, frames16_bev, frames16_grpo
    "more_frames_help": (WRONG, RIGHT, WRONG, WRONG),
    "the_map_helps": (WRONG, WRONG, RIGHT, WRONG),
    "both_help": (WRONG, RIGHT, RIGHT, WRONG),
    "grpo_solves_it": (WRONG, RIGHT, RIGHT, RIGHT),
    "always_easy": (RIGHT, RIGHT, RIGHT, RIGHT),
    "forgotten_by_grpo": (RIGHT, RIGHT, RIGHT, WRONG),
    "always_wrong": (WRONG, WRONG, WRONG, WRONG),
    "half_right_number": (0.5, 0.6, 0.5, 0.4),
}
SETTINGS = ("frames2", "frames16", "frames16_bev", "frames16_grpo")


class Questions(dict):
    """Every question is a number whose answer is 100."""

    def __contains__(self, key):
        return True

    def __missing__(self, key):
        return {"question_id": key, "answer_type": "number", "ground_truth": "100"}


QUESTIONS = Questions()


def text(score, setting="frames2"):
    """An answer that scores so: off by the middle of a step of mean relative accuracy."""
    answer = "100" if score == RIGHT else str(100 + 5 * (10 - 10 * score) + 2.5)
    return f"<think>x</think><answer>{answer}</answer>" if setting == "frames16_grpo" else answer


def predictions(cases=CASES):
    """The scores beside the texts are wrong on purpose."""
    return {
        setting: [
            {"question_id": q, "sample": 0, "text": text(scores[i], setting), "score": 1 - scores[i]}
            for q, scores in cases.items()
        ]
        for i, setting in enumerate(SETTINGS)
    }


def chosen(rows):
    return {row["question_id"]: row["transition"] for row in rows}


def test_keeps_what_more_frames_or_the_map_solve_and_grpo_does_not():
    selection = select_hard(predictions(), QUESTIONS, Cot(), 0.5, seed=0)
    assert chosen(selection.rows) == {
        "more_frames_help": "frames",
        "both_help": "frames",
        "half_right_number": "frames",
        "the_map_helps": "bev",
    }
    assert selection.sizes == {"frames": 3, "bev": 2} and selection.notes == []


def test_threshold_decides_when_a_number_is_right():
    assert not is_correct(0.5, 0.5) and is_correct(0.6, 0.5)
    assert is_correct(1.0, 1.0) and not is_correct(0.9, 1.0)
    strict = select_hard(predictions(), QUESTIONS, Cot(), 0.6, seed=0)
    assert "half_right_number" not in chosen(strict.rows)


def test_limit_draws_by_seed_without_depending_on_row_order():
    cases = {f"q{i:03}": (WRONG, RIGHT, WRONG, WRONG) for i in range(100)}
    cot = Cot(per_transition=10)
    first = select_hard(predictions(cases), QUESTIONS, cot, 0.5, seed=0)
    backwards = select_hard(predictions(dict(reversed(cases.items()))), QUESTIONS, cot, 0.5, seed=0)
    other = select_hard(predictions(cases), QUESTIONS, cot, 0.5, seed=1)
    assert len(first.rows) == 10 and first.sizes == {"frames": 100, "bev": 0}
    assert first.rows == backwards.rows and first.rows != other.rows


def test_a_question_that_the_frames_draw_left_out_may_stand_for_the_map():
    cases = {f"q{i}": (WRONG, RIGHT, RIGHT, WRONG) for i in range(6)}
    rows = select_hard(predictions(cases), QUESTIONS, Cot(per_transition=3), 0.5, seed=0).rows
    assert sorted(chosen(rows).values()) == ["bev"] * 3 + ["frames"] * 3


def test_a_poor_transition_is_topped_up_with_what_stays_wrong_and_says_so():
    cases = {"the_map_helps": CASES["the_map_helps"]} | {f"lost{i}": CASES["always_wrong"] for i in range(9)}
    cases["easy"] = CASES["always_easy"]
    selection = select_hard(predictions(cases), QUESTIONS, Cot(fallback=4), 0.5, seed=0)
    kinds = chosen(selection.rows)
    assert kinds.pop("the_map_helps") == "bev"
    # Four for the empty kind, three beside the one question that the map helps.
    assert set(kinds.values()) == {"fallback"} and len(kinds) == 4 + 3 and "easy" not in kinds
    assert ["'frames'" in note for note in selection.notes] == [True, False]


def test_without_fallback_an_empty_transition_stays_empty():
    assert select_hard(predictions({"q": CASES["always_wrong"]}), QUESTIONS, Cot(), 0.5, seed=0).rows == []


def test_settings_that_saw_different_questions_are_refused():
    short = predictions()
    short["frames16_bev"] = short["frames16_bev"][1:]
    with pytest.raises(ValueError, match=r"frames16_bev.*more_frames_help"):
        select_hard(short, QUESTIONS, Cot(), 0.5, seed=0)
    del short["frames16_bev"]
    with pytest.raises(ValueError, match="missing: frames16_bev"):
        select_hard(short, QUESTIONS, Cot(), 0.5, seed=0)


def test_table1_counts_each_setting():
    counts = {c.setting: (c.correct, c.wrong) for c in table1(predictions(), QUESTIONS, 0.5)}
    assert counts == {"frames2": (2, 6), "frames16": (6, 2), "frames16_bev": (5, 3), "frames16_grpo": (2, 6)}
    assert table1(predictions(), QUESTIONS, 0.5)[0].percent == 25.0


def test_stored_scores_decide_nothing():
    """All texts are right while every score beside them is 0: nothing is hard."""
    rows = {q: (RIGHT, RIGHT, RIGHT, RIGHT) for q in "abc"}
    given = predictions(rows)
    assert {p["score"] for answers in given.values() for p in answers} == {0.0}
    assert select_hard(given, QUESTIONS, Cot(), 0.5, seed=0).rows == []
    assert {c.percent for c in table1(given, QUESTIONS, 0.5)} == {100.0}


def test_answers_to_unknown_questions_are_refused():
    with pytest.raises(ValueError, match=r"frames2: 8 answers .* such as more_frames_help"):
        select_hard(predictions(), {}, Cot(), 0.5, seed=0)
