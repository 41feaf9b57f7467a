"""The resampled set (SpaceR, section 5.2): 8 answers per question, all right or all wrong left out."""

from __future__ import annotations

import json

import pytest

from difficulty.test_difficulty_settings import CONFIG, files, policy  # noqa: F401  fixtures
from difficulty.test_difficulty_settings import ask as ask_in
from evaluation.eval_rows import prediction, question
from evaluation.small_world import question_rows
from rollout3d import tables
from rollout3d.config import SAMPLED, Config, Grpo
from rollout3d.difficulty.select import outcomes
from rollout3d.difficulty.settings import N_SAMPLED, sampling_of
from rollout3d.errors import InvalidInput
from rollout3d.report.tables import build, read_references
from rollout3d.stages import resample

QUESTIONS = [question(name, "object_counting", "100") for name in ("right", "mixed", "wrong", "edge")]
RIGHTS = {"right": 8, "mixed": 1, "wrong": 0, "edge": 8}


def answers():
    """Numbers count as right above a mean relative accuracy of 0.5: 40 % off scores 0.3, 20 % off 0.7."""
    rows = []
    for asked in QUESTIONS:
        name = asked["question_id"]
        for sample in range(N_SAMPLED):
            close = "120" if name == "edge" else "100"
            answer = close if sample < RIGHTS[name] else "140"
            text = f"<think>x</think><answer>{answer}</answer>"
            rows.append(prediction(asked, 0.0, SAMPLED, sample=sample, text=text))
    return rows


def by_id(rows):
    return {row["question_id"]: row for row in rows}


def test_a_question_counts_by_how_many_of_its_answers_are_right():
    assert N_SAMPLED == 8
    found = outcomes([answers()], by_id(QUESTIONS), 0.5)
    assert found == outcomes([answers()[::2], answers()[1::2]], by_id(QUESTIONS), 0.5)
    assert found == {"right": "all right", "mixed": "mixed", "wrong": "all wrong", "edge": "all right"}
    assert outcomes([answers()], by_id(QUESTIONS), 0.8)["edge"] == "all wrong"


def test_other_numbers_of_answers_and_unknown_questions_are_refused():
    with pytest.raises(InvalidInput, match="1 of 4 questions, such as edge, have not 8 answers"):
        outcomes([answers()[:-1]], by_id(QUESTIONS), 0.5)
    with pytest.raises(InvalidInput, match="8 answers are to questions that the question table lacks, such as edge"):
        outcomes([answers()], by_id(QUESTIONS[:3]), 0.5)


def test_the_stage_keeps_mixed_questions_and_lists_the_others(tmp_path):
    tables.write(tables.OCR_RL, tmp_path / "sr.parquet", QUESTIONS, tables.Lineage("test"))
    tables.write(tables.PREDICTIONS, tmp_path / "p.parquet", answers(), tables.Lineage("test"))
    words = f"--questions {tmp_path}/sr.parquet --predictions {tmp_path}/p.parquet --out {tmp_path}/out.parquet"
    resample.main([*words.split(), "--dropped", f"{tmp_path}/dropped.parquet"])
    assert [row["question_id"] for row in tables.read(tables.OCR_RL, tmp_path / "out.parquet")] == ["mixed"]
    dropped = tables.read(tables.QUESTIONS_DROPPED, tmp_path / "dropped.parquet")
    assert [(row["question_id"], row["reason"]) for row in dropped] == [
        ("right", "all right of 8 answers"),
        ("wrong", "all wrong of 8 answers"),
        ("edge", "all right of 8 answers"),
    ]


def test_a_model_that_is_always_right_or_wrong_leaves_nothing_to_train_on(tmp_path, capsys):
    asked, made = [QUESTIONS[0]], [row for row in answers() if row["question_id"] == "right"]
    tables.write(tables.OCR_RL, tmp_path / "sr.parquet", asked, tables.Lineage("test"))
    tables.write(tables.PREDICTIONS, tmp_path / "p.parquet", made, tables.Lineage("test"))
    words = f"--questions {tmp_path}/sr.parquet --predictions {tmp_path}/p.parquet --out {tmp_path}/out.parquet"
    with pytest.raises(SystemExit):
        resample.main([*words.split(), "--dropped", f"{tmp_path}/dropped.parquet"])
    assert "no question has both right and wrong answers: 1 all right, 0 all wrong" in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()


def test_every_question_has_8_answers_drawn_as_rollouts_are(files, policy):  # noqa: F811
    rows, recorder = ask_in(SAMPLED, files, policy, "<think>a</think><answer>A</answer>", grpo=Grpo(temperature=0.7))
    assert all((s.n, s.temperature, s.top_p, s.max_new_tokens) == (8, 0.7, 0.95, 1024) for s in recorder.samplings)
    assert {row["scorer"] for row in rows} == {"tagged"} and {row["setting"] for row in rows} == {SAMPLED}
    assert len(recorder.prompts) == len(question_rows())
    assert all("<think>" in policy.tokenizer.decode(prompt.input_ids) for prompt in recorder.prompts)
    (shown,) = recorder.prompts[0].media
    assert shown.frames.shape[0] == 4, "all frames of training"
    assert sampling_of("frames16", CONFIG.generation).n == 1
    with pytest.raises(ValueError, match="needs the settings of rollouts"):
        sampling_of(SAMPLED, Config().generation)


def test_the_distribution_before_and_after_is_a_table():
    cells = build("spacer_figure3a", read_references(), predictions=answers(), rl=QUESTIONS)
    counting = {c["column"]: c["ours"] for c in cells if c["row"] == "object counting"}
    assert counting == {"Before": 4, "After": 1, "All right": 2, "All wrong": 1}
    total = {c["column"]: (c["ours"], c["n"]) for c in cells if c["row"] == "All"}
    assert total["After"] == (1.0, 4) and total["Before"] == (4.0, 4)
    assert json.dumps(cells)
