"""Scores and baselines against values worked out by hand."""

from __future__ import annotations

import json
import logging
import math

import pytest

from evaluation.eval_rows import ASKED, DIRECT, prediction, question
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.evaluation import settings
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
    answered = [prediction(q, s) for q, s in zip(QUESTIONS, [1.0, 0.4, 0.0, 1.0, 1.0, 0.0])]
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
    answered = [prediction(q, 1.0) for q in QUESTIONS]
    answered += [prediction(q, 0.0, setting="black32") for q in QUESTIONS]
    rows = score_rows("ocr", "synthetic", answered, QUESTIONS, TRAINING)
    assert scores(rows, "video")["overall"] == 100.0 and scores(rows, "black")["overall"] == 0.0


def test_seeing_is_the_video_less_black_frames_with_an_interval_over_rooms():
    """Counting in three rooms, by hand: gains 1, 0 | 1 | 0; mean 0.5; residuals by room 0, 0.5, -0.5, over 4."""
    asked = [question(f"c{i}", "object_counting", "4") | {"space_id": room} for i, room in enumerate("aabc")]
    answered = [prediction(q, s) for q, s in zip(asked, [1.0, 0.5, 1.0, 0.5])]
    answered += [prediction(q, s, setting="black32") for q, s in zip(asked, [0.0, 0.5, 0.0, 0.5])]
    rows = {r["task"]: r for r in score_rows("ocr", "synthetic", answered, asked, TRAINING) if r["view"] == "seen"}
    half = 4.302653 * math.sqrt(3 / 2 * 2 * (0.5 / 4) ** 2)  # Student's t of 2 degrees of freedom
    for task in ("object_counting", "overall"):
        row = rows[task]
        assert (row["score"], row["n"]) == (50.0, 4)
        assert (row["low"], row["high"]) == pytest.approx((100 * (0.5 - half), 100 * (0.5 + half)), abs=1e-4)


def test_seeing_weighs_tasks_as_the_benchmark_does():
    """One room per question: overall is half counting, half directions, whose types count alike."""
    gains = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    asked = [q | {"space_id": str(i)} for i, q in enumerate(QUESTIONS)]
    answered = [prediction(q, g) for q, g in zip(asked, gains)]
    answered += [prediction(q, 0.0, setting="black32") for q in asked]
    rows = {r["task"]: r for r in score_rows("ocr", "synthetic", answered, asked, TRAINING) if r["view"] == "seen"}
    assert rows["overall"]["score"] == pytest.approx(100 * (0.5 + (1 + 2 / 3) / 2) / 2)
    # Residuals: counting +-0.5 of 2; easy 0 of 1; hard 1/3, -2/3, 1/3 of 3, and hard is a quarter of overall.
    squares = 2 * (0.5 / 2 / 2) ** 2 + sum((r / 3 / 4) ** 2 for r in (1 / 3, -2 / 3, 1 / 3))
    half = 2.570582 * math.sqrt(6 / 5 * squares)
    assert rows["overall"]["high"] - rows["overall"]["score"] == pytest.approx(100 * half, abs=1e-4)


def test_intervals_of_several_tasks_hold_together():
    """Two tasks share the 5 %: 97.5 % each, Student's t of three rooms 6.2053; overall has its own 95 %."""
    asked = [question(f"c{i}", "object_counting", "4") | {"space_id": room} for i, room in enumerate("abc")]
    asked += [question(f"r{i}", "room_size_estimation", "4") | {"space_id": room} for i, room in enumerate("abc")]
    answered = [prediction(q, s) for q, s in zip(asked, [1.0, 0.0, 0.5, 1.0, 1.0, 1.0])]
    answered += [prediction(q, 0.0, setting="black32") for q in asked]
    rows = {r["task"]: r for r in score_rows("ocr", "synthetic", answered, asked, TRAINING) if r["view"] == "seen"}
    deviation = math.sqrt(3 / 2 * 2 * (0.5 / 3) ** 2)
    counting, overall = rows["object_counting"], rows["overall"]
    assert counting["high"] - counting["score"] == pytest.approx(100 * 6.205347 * deviation, abs=1e-3)
    assert overall["high"] - overall["score"] == pytest.approx(100 * 4.302653 * deviation / 2, abs=1e-3)


def test_answers_that_follow_from_their_thought_are_a_share_of_those_that_can_be_judged():
    asked = [question(f"c{i}", "object_counting", "3") for i in range(4)]
    seen = "<think>I see 2 near the bed. I see 1 more near the tv. 2 plus 1 is 3.</think><answer>{}</answer>"
    texts = [seen.format(3), seen.format(4), "<think>There are some.</think><answer>3</answer>", "3"]
    answered = [prediction(q, 0.0, text=text) for q, text in zip(asked, texts)]
    rows = {r["view"]: r for r in score_rows("ocr", "synthetic", answered, asked, TRAINING) if r["task"] == "overall"}
    video = rows["video"]
    assert (video["well_formed"], video["readable"], video["consistent"]) == (0.75, 0.5, 0.5)
    assert rows["random"]["readable"] is None and rows["random"]["consistent"] is None
    direct = [p | DIRECT | {"scorer": "vsibench"} for p in answered]
    rows = score_rows("base", "synthetic", direct, asked, TRAINING)
    assert all(r["readable"] is None and r["consistent"] is None for r in rows)


def test_seeing_in_a_single_room_has_no_interval():
    asked = [q | {"space_id": "a"} for q in QUESTIONS]
    answered = [prediction(q, 1.0) for q in asked]
    answered += [prediction(q, 0.0, setting="black32") for q in asked]
    rows = [r for r in score_rows("ocr", "synthetic", answered, asked, TRAINING) if r["view"] == "seen"]
    assert rows and all((r["score"], r["low"], r["high"]) == (100.0, None, None) for r in rows)


def test_share_of_well_formed_answers_is_counted_for_tagged_answers_only(tmp_path):
    texts = ["<think>a</think><answer>4</answer>", "4", "A", "<answer>B</answer>", "x", "y"]
    answered = [prediction(q, 0.0, text=t) for q, t in zip(QUESTIONS, texts)]
    rows = score_rows("ocr", "synthetic", answered, QUESTIONS, TRAINING)
    shares = {r["task"]: r["well_formed"] for r in rows if r["view"] == "video"}
    assert shares == {"object_counting": 0.5, "object_rel_direction": 0.0, "overall": pytest.approx(1 / 6)}
    direct = [p | DIRECT | {"scorer": "vsibench"} for p in answered]
    rows = score_rows("base", "synthetic", direct, QUESTIONS, TRAINING)
    assert all(r["well_formed"] is None for r in rows)
    tables.write(tables.SCORES, tmp_path / "scores.parquet", rows, tables.Lineage("test"))


@pytest.mark.parametrize("change", ["lost", "twice", "other"])
def test_every_question_must_be_answered_exactly_once(change):
    answered = [prediction(q, 1.0) for q in QUESTIONS]
    answered = {
        "lost": answered[1:],
        "twice": answered + answered[:1],
        "other": [*answered[1:], prediction(question("zz", "object_counting", "4"), 1.0)],
    }[change]
    with pytest.raises(ValueError, match=r"run ocr on synthetic, view video: 6 questions but"):
        score_rows("ocr", "synthetic", answered, QUESTIONS, TRAINING)


def video(rows):
    return [r for r in rows if r["view"] == "video"]


def test_scores_come_from_the_texts_and_never_from_the_numbers_beside_them(caplog):
    right = [prediction(q, 1.0) | {"score": 0.0} for q in QUESTIONS]
    with caplog.at_level(logging.WARNING):
        rows = score_rows("ocr", "synthetic", right, QUESTIONS, TRAINING)
    assert {r["score"] for r in video(rows)} == {100.0}
    assert "6 of 6 scores stored with the predictions are not those of their texts by tagged" in caplog.text
    wrong = [prediction(q, 0.0) | {"score": 1.0} for q in QUESTIONS]
    assert {r["score"] for r in video(score_rows("ocr", "synthetic", wrong, QUESTIONS, TRAINING))} == {0.0}
    caplog.clear()
    score_rows("ocr", "synthetic", [prediction(q, 1.0) | {"score": 1.0} for q in QUESTIONS], QUESTIONS, TRAINING)
    assert not caplog.text


def test_the_prompt_decides_the_scorer_and_others_stand_beside_it(tmp_path):
    direct = [prediction(q, 1.0, **DIRECT) | {"text": q["ground_truth"]} for q in QUESTIONS]
    rows = score_rows("base", "synthetic", direct, QUESTIONS, TRAINING, scorers=["auto", "tagged", "vsibench"])
    overall = [(r["scorer"], r["score"]) for r in video(rows) if r["task"] == "overall"]
    assert overall == [("vsibench", 100.0), ("tagged", 0.0)], "each once, the official one first"
    assert {(r["scorer"], r["settings"], r["model_digest"]) for r in rows if r["view"] in ("random", "frequent")} == {
        (None, None, None)
    }
    first = settings.official(rows)
    assert {r["scorer"] for r in video(first)} == {"vsibench"} and {r["view"] for r in first} == {
        r["view"] for r in rows
    }
    tables.write(tables.SCORES, tmp_path / "s.parquet", rows, tables.Lineage("test"))
    with pytest.raises(ValueError, match="unknown scorer 'gpt'"):
        score_rows("base", "synthetic", direct, QUESTIONS, TRAINING, scorers=["gpt"])


def test_every_score_carries_its_settings_and_its_part():
    answered = [prediction(q, 1.0) for q in QUESTIONS] + [prediction(q, 0.0, "black32") for q in QUESTIONS]
    rows = score_rows("ocr", "vsibench", answered, QUESTIONS, TRAINING, wanted=settings.configured(Config(), "think"))
    told = "32 frames uniform, at most 200704 px, think_video_r1, temperature 0, 1024 tokens, vllm"
    of = {r["view"]: r for r in rows}
    assert {view: (of[view]["scorer"], of[view]["settings"]) for view in ("video", "black", "seen")} == dict.fromkeys(
        ("video", "black", "seen"), ("tagged", told)
    )
    assert {r["part"] for r in rows} == {"scannet, 6 of 5130"} and of["video"]["model_digest"] == "1234"
    assert {r["part"] for r in score_rows("o", "synthetic", answered, QUESTIONS, TRAINING)} == {None}


@pytest.mark.parametrize(
    ("change", "says", "mark"),
    [
        ({"frames": 16}, r"frames is 16 in .*, 32 in .*\(video.eval_frames\)", "16 frames uniform [configured: 32]"),
        ({"max_pixels": 9408}, r"max pixels is 9408 .*, 200704", "at most 9408 px [configured: 200704]"),
        (
            {"prompt": "think_plain"},
            "prompt is think_plain .*, think_video_r1",
            "think_plain [configured: think_video_r1]",
        ),
        ({"prompt_digest": "ab"}, "prompt digest is ab in", "another wording [configured: the present file]"),
        ({"temperature": 0.7}, "temperature is 0.7 .*, 0.0", "temperature 0.7 [configured: 0.0]"),
        (
            {"max_new_tokens": 72},
            r"max new tokens is 72 .*, 1024 .*\(generation.max_new_tokens\)",
            "72 tokens [configured: 1024]",
        ),
        ({"backend": "hf"}, "backend is hf .*, vllm", "hf [configured: vllm]"),
        ({"frame_policy": "official"}, "frame policy is official .*, uniform", "frames official [configured: uniform]"),
    ],
)
def test_a_setting_that_is_not_the_configured_one_is_an_error_or_with_keep_a_mark(change, says, mark):
    answered = [prediction(q, 1.0, **change) for q in QUESTIONS]
    given = ("ocr", "synthetic", answered, QUESTIONS, TRAINING)
    wanted = settings.configured(Config(), "think")
    for kept in ([], ["sft"]):
        with pytest.raises(ValueError, match=says) as error:
            score_rows(*given, kept, wanted=wanted)
        assert "keep: [evaluate]" in str(error.value)
    (line,) = {r["settings"] for r in video(score_rows(*given, ["evaluate"], wanted=wanted))}
    assert mark in line
    assert "configured" not in {r["settings"] for r in video(score_rows(*given))}.pop(), "nothing to compare with"


def test_answers_under_several_settings_are_no_single_score():
    answered = [prediction(q, 1.0, frames=16 if i else 32) for i, q in enumerate(QUESTIONS)]
    with pytest.raises(ValueError, match="frames is 32 and 16 in different answers"):
        score_rows("ocr", "synthetic", answered, QUESTIONS, TRAINING)
    kept = score_rows("ocr", "synthetic", answered, QUESTIONS, TRAINING, ["merge_predictions"])
    assert video(kept)[0]["settings"].startswith("32 or 16 frames uniform")
    models = [prediction(q, 1.0, model_digest=str(i)) for i, q in enumerate(QUESTIONS)]
    with pytest.raises(ValueError, match="answers of 6 models"):
        score_rows("ocr", "synthetic", models, QUESTIONS, TRAINING)


def test_older_predictions_are_scored_and_marked():
    unknown = dict.fromkeys(ASKED)
    answered = [prediction(q, 1.0, **unknown) for q in QUESTIONS]
    wanted = settings.configured(Config(), "think")
    rows = video(score_rows("ocr", "synthetic", answered, QUESTIONS, TRAINING, wanted=wanted))
    assert {(r["score"], r["scorer"], r["settings"]) for r in rows} == {(100.0, "tagged", "settings unknown")}
    some = [p if i else p | ASKED for i, p in enumerate(answered)]
    rows = video(score_rows("ocr", "synthetic", some, QUESTIONS, TRAINING, wanted=wanted))
    assert rows[0]["settings"].endswith("vllm, settings unknown for 5 of 6 answers")


def test_predictions_of_other_weights_are_refused(tmp_path):
    model = tmp_path / "model.json"
    for digest, fits in (("1234", True), ("5678", False)):
        model.write_text(json.dumps({"digest": digest}))
        if fits:
            settings.check_model([prediction(QUESTIONS[0], 1.0)], model)
        else:
            with pytest.raises(ValueError, match=r"come from the model 1234, .* describes 5678"):
                settings.check_model([prediction(QUESTIONS[0], 1.0)], model)
