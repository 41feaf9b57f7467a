"""Answers that harnesses logged: logs of lmms-eval by id and by place, tables of VLMEvalKit."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation import harness_logs as logs
from evaluation.foreign_files import questions, right, write_questions
from rollout3d.evaluation.foreign import ForeignError, read_predictions
from rollout3d.stages.score import main

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def scored(tmp_path, predictions, answers, *more):
    """Overall score and what else `rollout3d score` writes as JSON."""
    given = ["--predictions", str(predictions), "--answers", str(answers), "--json", str(tmp_path / "out.json")]
    main([*given, *more])
    return json.loads((tmp_path / "out.json").read_text())


@pytest.fixture
def rows():
    return questions()


@pytest.fixture
def answers(tmp_path, rows):
    return write_questions(tmp_path / "test.jsonl", rows)


def test_a_log_of_vsibench_is_scored_by_the_ids_of_its_rows(tmp_path, rows, answers):
    texts = list(right(rows).values())
    texts[3] = "none"
    log = logs.write_log(tmp_path / "20261130_101112_samples_vsibench.jsonl", rows, texts)
    found = scored(tmp_path, log, answers)
    # One of five rooms is wrong in one of eight tasks: 100 - 20 / 8.
    assert found["cells"]["vsibench"]["overall"]["score"] == pytest.approx(97.5)
    assert (found["id_column"], found["missing"]["overall"]) == ("vsibench_overall.id", 0)


def test_what_a_filter_cut_is_scored_whole_on_request(tmp_path, rows, answers):
    texts = list(right(rows).values())
    raw = [f"<think>perhaps B</think> <answer>{text}</answer>" for text in texts]
    log = logs.write_log(tmp_path / "log.jsonl", rows, texts, raw)
    by_filter = scored(tmp_path, log, answers)
    whole = scored(tmp_path, log, answers, "--scorer", "tagged", "vsibench", "--text-column", "resps")
    assert by_filter["cells"]["vsibench"]["overall"]["score"] == 100
    assert [whole["cells"][name]["overall"]["score"] for name in ("tagged", "vsibench")] == [100, 0]


def test_a_log_without_ids_is_joined_by_place(tmp_path, rows, answers):
    texts = list(right(rows).values())
    log = logs.write_log(tmp_path / "log.jsonl", rows, texts, metrics=logs.score_only)
    found = scored(tmp_path, log, answers)
    assert found["cells"]["vsibench"]["overall"]["score"] == 100
    assert found["id_column"] == "doc_id"


def test_a_shuffled_log_without_ids_is_refused(tmp_path, rows, answers, capsys):
    shuffled = rows[::-1]
    log = logs.write_log(tmp_path / "log.jsonl", shuffled, [""] * len(rows), metrics=logs.score_only)
    with pytest.raises(SystemExit):
        scored(tmp_path, log, answers)
    assert "LMMS_EVAL_SHUFFLE_DOCS" in capsys.readouterr().err
    # With ids the order is free.
    log = logs.write_log(tmp_path / "log.jsonl", shuffled, [right(rows)[str(row["id"])] for row in shuffled])
    assert scored(tmp_path, log, answers)["cells"]["vsibench"]["overall"]["score"] == 100


def test_places_need_the_released_file_that_the_task_loads(tmp_path, rows, answers, capsys):
    log = logs.write_log(tmp_path / "log.jsonl", rows, [""] * len(rows), metrics=logs.score_only)
    half = write_questions(tmp_path / "half.jsonl", rows[:30])
    with pytest.raises(SystemExit):
        scored(tmp_path, log, half)
    assert "has 30 rows, and the log names row 30" in capsys.readouterr().err


@pytest.mark.parametrize("form", [{}, {"inline": True}, {"sheet": "xl/worksheets/other.xml"}])
def test_a_table_of_vlmevalkit_is_read_from_excel(tmp_path, rows, answers, form):
    texts = list(right(rows).values())
    texts[3] = "none"
    table = logs.write_xlsx(tmp_path / "model_VSI-Bench_32frame.xlsx", logs.kit_rows(rows, texts), **form)
    found = scored(tmp_path, table, answers)
    assert found["cells"]["vsibench"]["overall"]["score"] == pytest.approx(97.5)
    assert (found["id_column"], found["text_column"]) == ("index", "prediction")


def test_row_numbers_in_place_of_ids_are_noticed(tmp_path, rows, answers, capsys):
    table = logs.kit_rows(rows, [""] * len(rows))
    numbered = [{**row, "index": 101 + place} for place, row in enumerate(table)]
    with pytest.raises(SystemExit):
        scored(tmp_path, logs.write_xlsx(tmp_path / "p.xlsx", numbered), answers)
    assert "is 'index' a row number" in capsys.readouterr().err


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=5), st.booleans())
def test_any_text_of_an_excel_file_is_read_whole(tmp_path_factory, texts, inline):
    """Control characters have an escape of their own; a text that looks like one is escaped, too."""

    def stored(text):
        text = text.replace("_x", "_x005F_x")
        return "".join(c if c >= " " and c not in "\ufffe\uffff" else f"_x{ord(c):04X}_" for c in text)

    path = tmp_path_factory.mktemp("xlsx") / "p.xlsx"
    logs.write_xlsx(path, [{"id": k, "prediction": stored(text)} for k, text in enumerate(texts)], inline=inline)
    assert read_predictions(path).texts == {str(k): text for k, text in enumerate(texts)}


def test_empty_cells_and_numbers_of_an_excel_file(tmp_path):
    rows = [{"id": 7, "prediction": 2.5}, {"id": 8, "prediction": None}, {"id": 9.0, "prediction": "A"}]
    assert read_predictions(logs.write_xlsx(tmp_path / "p.xlsx", rows)).texts == {"7": "2.5", "8": "", "9": "A"}


def test_texts_that_excel_cuts_and_entities_are_refused(tmp_path):
    rows = [{"id": 1, "prediction": "x" * 32_767}]
    with pytest.raises(ForeignError, match=r"p\.xlsx: row 2 has a text of 32767 characters.*PRED_FORMAT=tsv"):
        read_predictions(logs.write_xlsx(tmp_path / "p.xlsx", rows))
    rows[0]["prediction"] = "x" * 32_766
    assert len(read_predictions(logs.write_xlsx(tmp_path / "p.xlsx", rows)).texts["1"]) == 32_766
    bomb = '<!DOCTYPE x [<!ENTITY a "aa">]>'
    with pytest.raises(ForeignError, match=r"p\.xlsx: holds a document type"):
        read_predictions(logs.write_xlsx(tmp_path / "p.xlsx", rows, doctype=bomb))
