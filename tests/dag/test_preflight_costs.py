"""The preflight's notes on what the API stages will cost."""

import json
import re

import pytest

from cot.cot_rows import question
from dag.test_preflight import study, texts
from rollout3d import tables
from rollout3d.preflight import Job, costs
from teacher.frame_rows import frame_rows

LINEAGE = tables.Lineage("test")


@pytest.fixture
def annotate(tmp_path, monkeypatch):
    """The job, with the names that its files have; none exists."""
    monkeypatch.chdir(tmp_path)
    inputs = ["r/difficulty/hard.parquet", "r/train/ocr_rl.parquet"]
    inputs += ["r/scenes/scannet/0/frames.parquet", "r/scenes/scannet/0/maps.parquet"]
    return Job("annotate", inputs=inputs, outputs=["r/cot/annotations.parquet"])


def note(job, **changes):
    (found,) = costs.check(study(**changes), [job])
    assert not found.stops
    return found.text


def dollars(text):
    one, half = re.search(r"([\d.]+) dollars for one attempt, ([\d.]+) in batches", text).groups()
    return float(one), float(half)


def test_before_anything_exists_the_most_is_estimated_from_the_configuration(annotate):
    said = note(annotate, cot={"max_usd": 200})
    assert "at most 2,000 questions with 66,000 pictures (assumed: frames of 504x364 pixels) to gpt-4o" in said
    one, half = dollars(said)
    # 33 pictures of 255 tokens and about 350 of text at 2.50, and 350 tokens of reply at 10 dollars per million.
    assert one == pytest.approx(2000 * ((33 * 255 + 350) * 2.5 + 350 * 10) / 1e6, rel=0.02)
    assert half == pytest.approx(one / 2, abs=0.01)
    assert "prices of 2026-" in said and "cot.max_usd = 200.00 dollars: it covers every attempt" in said
    assert "covers 42% of one attempt at list price" in note(annotate, cot={"max_usd": 0.42 * one})
    assert "it covers one attempt in batches" in note(annotate, cot={"max_usd": 0.7 * one}, api={"batch": True})
    assert "at most 600 questions" in note(annotate, cot={"per_transition": 100, "fallback": 300})


def test_what_exists_is_read_unless_a_job_makes_it_anew(annotate, tmp_path):
    hard = [{"question_id": f"q{i}", "transition": "bev"} for i in range(7)]
    tables.write(tables.HARD, tmp_path / annotate.inputs[0], hard, LINEAGE)
    tables.write(tables.FRAMES, tmp_path / annotate.inputs[2], frame_rows("uniform32", "uniform16"), LINEAGE)
    tables.write(tables.MAPS, tmp_path / annotate.inputs[3], [], LINEAGE)
    said = note(annotate)
    assert "about 7 questions with 35 pictures (the mean of 1 scans)" in said
    replies = tmp_path / "r" / "cot" / "replies"
    replies.mkdir(parents=True)
    reply = {"text": "x", "request_id": None, "tokens_in": 1, "tokens_out": 1000, "usd": 0.5}
    (replies / "a.json").write_text(json.dumps(reply))
    one, _ = dollars(said)
    longer, _ = dollars(note(annotate))
    assert longer == pytest.approx(one + 7 * (1000 - 350) * 10 / 1e6, abs=0.011)
    (again,) = texts(costs.check(study(), [annotate, Job("select_hard", outputs=annotate.inputs[:1])]))[:1]
    assert "at most 2,000 questions" in again


def test_a_damaged_reply_in_the_cache_is_a_problem(annotate, tmp_path):
    (tmp_path / "r" / "cot" / "replies").mkdir(parents=True)
    (tmp_path / "r" / "cot" / "replies" / "a.json").write_text("{")
    (found,) = costs.check(study(), [annotate])
    assert found.stops and "a.json: a paid reply that is damaged" in found.text


def test_the_judge_is_estimated_once_its_questions_are_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = Job("judge", {"source": "spacer"}, inputs=["r/questions/external/spacer.parquet"])
    assert "its cost is known once its questions are imported; judge.max_usd = 9.00" in note(job, judge={"max_usd": 9})
    rows = [question(question_id="a"), question(question_id="b"), question(question_id="c", scene_id=None)]
    tables.write(tables.QUESTIONS, tmp_path / job.inputs[0], rows, LINEAGE)
    assert "judge: at most 2 questions with 32 pictures (assumed" in note(job)
    own = Job("judge", {"source": "generated"}, inputs=["r/questions/scannet/0.parquet"])
    assert "judge: at most 70 questions with" in note(own, judge={"max_usd": 9, "generated_sample": 70})


def test_a_model_without_a_price_is_a_problem_that_names_the_keys(annotate):
    (found,) = costs.check(study(cot={"max_usd": 1}, api={"model": "my-llm"}), [annotate])
    assert found.stops and "set api.prices to {my-llm: [IN, OUT]}" in found.text
    free = {"model": "my-llm", "prices": {"my-llm": [0, 0]}}
    assert "0.00 dollars for one attempt" in note(annotate, cot={"max_usd": 1}, api=free)


def test_the_geometric_teacher_costs_nothing(annotate):
    assert costs.check(study(cot={"teacher": "geometric"}), [annotate]) == []
