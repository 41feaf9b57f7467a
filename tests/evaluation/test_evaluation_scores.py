"""Scores and baselines against values worked out by hand."""

from __future__ import annotations

import math

import pytest

from evaluation.eval_rows import prediction, question
from rollout3d import tables
from rollout3d.evaluation.baselines import frequent_score, random_score, training_answers
from rollout3d.evaluation.scores import score_rows

QUESTIONS = [
    question("c1", "object_counting", "4"),
    question("c2", "object_counting", "2"),
    question("e1", "object_rel_direction_easy", "A", 2),
    question("h1", "object_rel_direction_hard", "B", 4),
    question("h2", "object_rel_direction_hard", "C", 4),
    question("h3", "object_rel_direction_hard", "A", 4),
]
TRAINING = [
    question("t1", "object_counting", "4"),
    question("t2", "object_counting", "4"),
    question("t3", "object_counting", "3"),
    question("t4", "object_counting", "9"),
    question("t5", "object_rel_direction_hard", "C", 4),
    question("t6", "object_rel_direction_hard", "B", 4),
]
ANSWERS = training_answers(TRAINING)


def scores(rows, view):
    return {r["task"]: round(r["score"], 6) for r in rows if r["view"] == view}


def test_random_guess_of_a_choice_has_the_chance_of_its_options():
    assert random_score(QUESTIONS[2], ANSWERS) == 0.5
    assert random_score(QUESTIONS[3], ANSWERS) == 0.25


def test_random_guess_of_a_number_averages_over_the_training_answers():
    # Truth 4: answers 4, 4, 3, 9 score 1, 1, 0.6 (a quarter off), 0.
    assert random_score(QUESTIONS[0], ANSWERS) == pytest.approx((1 + 1 + 0.6 + 0) / 4)
    # Truth 2: 4 is 100 % off, 3 is 50 % off (threshold 0.5 only), 9 far off.
    assert random_score(QUESTIONS[1], ANSWERS) == pytest.approx(0.1 / 4)


def test_most_frequent_answer_breaks_ties_by_the_alphabet_and_knows_nothing_of_unseen_types():
    assert frequent_score(QUESTIONS[0], ANSWERS) == 1.0
    assert [frequent_score(q, ANSWERS) for q in QUESTIONS[3:]] == [1.0, 0.0, 0.0]  # B before C
    assert frequent_score(QUESTIONS[2], ANSWERS) == 0.0
    assert random_score(question("r", "room_size_estimation", "20.0"), ANSWERS) == 0.0


def test_tasks_and_overall_are_averaged_as_the_benchmark_does():
    answered = [prediction(q["question_id"], s) for q, s in zip(QUESTIONS, [1.0, 0.4, 0.0, 1.0, 1.0, 0.0])]
    rows = score_rows("ocr", "synthetic", answered, QUESTIONS, TRAINING)
    # Counting 70; direction = mean of easy 0 and hard 66.7 = 33.3, not the pooled 50; overall their mean.
    assert scores(rows, "video") == {
        "object_counting": 70.0,
        "object_rel_direction": 33.333333,
        "overall": 51.666667,
    }
    assert {r["task"]: r["n"] for r in rows if r["view"] == "video"} == {
        "object_counting": 2,
        "object_rel_direction": 4,
        "overall": 6,
    }
    assert scores(rows, "random")["object_rel_direction"] == 37.5
    assert scores(rows, "frequent") == {
        "object_counting": 50.0,
        "object_rel_direction": 16.666667,
        "overall": 33.333333,
    }
    assert "black" not in {r["view"] for r in rows}


def test_black_frames_are_a_view_of_their_own():
    answered = [prediction(q["question_id"], 1.0) for q in QUESTIONS]
    answered += [prediction(q["question_id"], 0.0, setting="black32") for q in QUESTIONS]
    rows = score_rows("ocr", "synthetic", answered, QUESTIONS, TRAINING)
    assert scores(rows, "video")["overall"] == 100.0 and scores(rows, "black")["overall"] == 0.0


def test_seeing_is_the_video_less_black_frames_with_an_interval_over_rooms():
    """Counting in three rooms, by hand: gains 1, 0 | 1 | 0; mean 0.5; residuals by room 0, 0.5, -0.5, over 4."""
    asked = [question(f"c{i}", "object_counting", "4") | {"space_id": room} for i, room in enumerate("aabc")]
    answered = [prediction(q["question_id"], s) for q, s in zip(asked, [1.0, 0.5, 1.0, 0.5])]
    answered += [prediction(q["question_id"], s, setting="black32") for q, s in zip(asked, [0.0, 0.5, 0.0, 0.5])]
    rows = {r["task"]: r for r in score_rows("ocr", "synthetic", answered, asked, TRAINING) if r["view"] == "seen"}
    half = 4.302653 * math.sqrt(3 / 2 * 2 * (0.5 / 4) ** 2)  # Student's t of 2 degrees of freedom
    for task in ("object_counting", "overall"):
        row = rows[task]
        assert (row["score"], row["n"]) == (50.0, 4)
        assert (row["low"], row["high"]) == pytest.approx((100 * (0.5 - half), 100 * (0.5 + half)), abs=1e-4)


def test_seeing_weighs_tasks_as_the_benchmark_does():
    """One room a question: overall is half counting, half directions, whose types count alike."""
    gains = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    asked = [q | {"space_id": str(i)} for i, q in enumerate(QUESTIONS)]
    answered = [prediction(q["question_id"], g) for q, g in zip(asked, gains)]
    answered += [prediction(q["question_id"], 0.0, setting="black32") for q in asked]
    rows = {r["task"]: r for r in score_rows("ocr", "synthetic", answered, asked, TRAINING) if r["view"] == "seen"}
    assert rows["overall"]["score"] == pytest.approx(100 * (0.5 + (1 + 2 / 3) / 2) / 2)
    # Residuals: counting +-0.5 of 2; easy 0 of 1; hard 1/3, -2/3, 1/3 of 3, and hard is a quarter of overall.
    squares = 2 * (0.5 / 2 / 2) ** 2 + sum((r / 3 / 4) ** 2 for r in (1 / 3, -2 / 3, 1 / 3))
    half = 2.570582 * math.sqrt(6 / 5 * squares)
    assert rows["overall"]["high"] - rows["overall"]["score"] == pytest.approx(100 * half, abs=1e-4)


def test_seeing_in_a_single_room_has_no_interval():
    asked = [q | {"space_id": "a"} for q in QUESTIONS]
    answered = [prediction(q["question_id"], 1.0) for q in asked]
    answered += [prediction(q["question_id"], 0.0, setting="black32") for q in asked]
    rows = [r for r in score_rows("ocr", "synthetic", answered, asked, TRAINING) if r["view"] == "seen"]
    assert rows and all((r["score"], r["low"], r["high"]) == (100.0, None, None) for r in rows)


def test_share_of_well_formed_answers_is_counted_for_tagged_answers_only(tmp_path):
    texts = ["<think>a</think><answer>4</answer>", "4", "A", "<answer>B</answer>", "x", "y"]
    answered = [prediction(q["question_id"], 0.0, text=t) for q, t in zip(QUESTIONS, texts)]
    rows = score_rows("ocr", "synthetic", answered, QUESTIONS, TRAINING)
    shares = {r["task"]: r["well_formed"] for r in rows if r["view"] == "video"}
    assert shares == {"object_counting": 0.5, "object_rel_direction": 0.0, "overall": pytest.approx(1 / 6)}
    direct = [p | {"scorer": "vsibench"} for p in answered]
    rows = score_rows("base", "synthetic", direct, QUESTIONS, TRAINING)
    assert all(r["well_formed"] is None for r in rows)
    tables.write(tables.SCORES, tmp_path / "scores.parquet", rows, tables.Lineage("test"))


@pytest.mark.parametrize("change", ["lost", "twice", "other"])
def test_every_question_must_be_answered_exactly_once(change):
    answered = [prediction(q["question_id"], 1.0) for q in QUESTIONS]
    answered = {
        "lost": answered[1:],
        "twice": answered + answered[:1],
        "other": [*answered[1:], prediction("zz", 1.0)],
    }[change]
    with pytest.raises(ValueError, match=r"run ocr on synthetic, view video: 6 questions but"):
        score_rows("ocr", "synthetic", answered, QUESTIONS, TRAINING)
