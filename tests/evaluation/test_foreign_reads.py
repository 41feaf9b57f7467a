"""Predictions files of others: their shapes, and their faults."""

from __future__ import annotations

import json

import pytest

from evaluation.eval_rows import prediction
from evaluation.foreign_files import write_rows
from rollout3d import tables
from rollout3d.evaluation.foreign import ForeignError, read_predictions

TEXTS = {"7": "A", "8": "<think>two, or\nthree\u2028chairs?</think>\n<answer>3</answer>", "12": "4,5 \"about\"; 'x'\tm"}


def as_rows(id_name: str = "id", text_name: str = "prediction") -> list[dict]:
    return [{"task": "x", id_name: int(name), text_name: text} for name, text in TEXTS.items()]


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "tsv", "parquet"])
@pytest.mark.parametrize("names", [("id", "prediction"), ("question_id", "response"), ("ID", "Model_Output")])
def test_rows_are_read_from_every_format_by_well_known_names(tmp_path, suffix, names):
    found = read_predictions(write_rows(tmp_path / f"p.{suffix}", as_rows(*names)))
    assert found.texts == TEXTS
    assert (found.id_column, found.text_column, found.rows) == (*names, 3)
    assert found.settings is None


def test_given_columns_replace_the_guess(tmp_path):
    path = write_rows(tmp_path / "p.csv", as_rows("number", "said"))
    with pytest.raises(ForeignError, match=r"p.csv: none of its columns 'task', 'number', 'said' .*--id-column"):
        read_predictions(path)
    assert read_predictions(path, "number", "said").texts == TEXTS
    with pytest.raises(ForeignError, match=r"no column 'sid' .*'number'"):
        read_predictions(path, "sid", "said")


@pytest.mark.parametrize(
    ("more", "expected"),
    [({"index": 1}, "the id may be in 'id', 'index': choose with --id-column"),
     ({"response": "x"}, "the text may be in 'prediction', 'response': choose with --text-column")],
)  # fmt: skip
def test_an_ambiguous_guess_is_refused_with_its_candidates(tmp_path, more, expected):
    path = write_rows(tmp_path / "p.jsonl", [row | more for row in as_rows()])
    with pytest.raises(ForeignError, match=expected):
        read_predictions(path)
    assert read_predictions(path, "id", "prediction").texts == TEXTS


def test_an_answer_column_is_never_guessed_because_it_may_hold_the_right_answer(tmp_path):
    path = write_rows(tmp_path / "p.jsonl", as_rows("id", "answer"))
    with pytest.raises(ForeignError, match="--text-column"):
        read_predictions(path)


@pytest.mark.parametrize(
    "value",
    [
        TEXTS,
        {name: {"prediction": text, "score": 1} for name, text in TEXTS.items()},
        {"results": as_rows("problem_id", "output"), "final_acc": [{}][:0], "model": "m"},
        [{"id": float(name), "prediction": [text]} for name, text in TEXTS.items()],
    ],
    ids=["id to text", "id to row", "a list within", "floats and lists"],
)
def test_shapes_of_json(tmp_path, value):
    path = tmp_path / "p.json"
    path.write_text(json.dumps(value))
    assert read_predictions(path).texts == TEXTS


def test_json_lines_under_the_name_json_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "p.json"
    path.write_text("\ufeff" + "".join(json.dumps(row) + "\r\n" for row in as_rows()), encoding="utf-8")
    assert read_predictions(path).texts == TEXTS


def test_numbers_and_nulls_are_texts_and_empty_ones_are_counted(tmp_path):
    rows = [{"id": 1, "prediction": 3}, {"id": 2, "prediction": 2.5}, {"id": 3, "prediction": None}, {"id": 4}]
    found = read_predictions(write_rows(tmp_path / "p.jsonl", rows))
    assert found.texts == {"1": "3", "2": "2.5", "3": "", "4": ""}
    assert found.empty == 2


def test_logs_of_lmms_eval_give_the_scored_text_or_on_request_the_raw_one(tmp_path):
    def line(k: int, name: str, scored: str, **raw: list[str]) -> dict:
        about = {"id": int(name), "question_type": "object_counting", "ground_truth": "4", "prediction": scored}
        return {"doc_id": k, "target": "4", "filtered_resps": [scored], **raw, "vsibench_overall": about}

    rows = [line(0, "7", "A"), line(1, "8", "3", resps=[["<think>2?</think>3"]])]
    path = write_rows(tmp_path / "20261128_samples_vsibench.jsonl", rows)
    found = read_predictions(path)
    assert found.texts == {"7": "A", "8": "3"}
    assert (found.id_column, found.text_column) == ("vsibench_overall.id", "filtered_resps")
    assert found.stated["7"] == {"question_type": "object_counting", "ground_truth": "4"}
    assert read_predictions(path, text_column="resps").texts == {"7": "A", "8": "<think>2?</think>3"}


def test_our_own_table_gives_the_texts_on_video_and_says_its_setting(tmp_path):
    how = tables.Lineage("evaluate", {}, {}, "c" * 64, ())
    path = tmp_path / "predictions.parquet"
    width = {name: None for name in tables.PREDICTIONS.schema.names}
    rows = [width | prediction("q1", 0.0), width | prediction("q1", 1.0, "black32", text="B")]
    tables.write(tables.PREDICTIONS, path, rows, how)
    found = read_predictions(path)
    assert found.texts == {"q1": rows[0]["text"]}
    assert (
        found.settings.startswith("32 frames uniform, at most 200704 px") and "uniform32 of the run" in found.settings
    )
    tables.write(tables.PREDICTIONS, path, [*rows, rows[0] | {"sample": 1}], how)
    with pytest.raises(ForeignError, match="2 answers per question"):
        read_predictions(path)


def test_equal_doubles_count_once_and_different_ones_are_refused(tmp_path):
    rows = [*as_rows(), {"id": "7", "prediction": "A"}]
    found = read_predictions(write_rows(tmp_path / "p.jsonl", rows))
    assert (found.texts, found.rows, found.doubled) == (TEXTS, 4, 1)
    rows.append({"id": 8, "prediction": "other"})
    with pytest.raises(ForeignError, match=r"p\.jsonl: line 5: the id 8 has another text than in line 2"):
        read_predictions(write_rows(tmp_path / "p.jsonl", rows))


BAD = {
    "cut.jsonl": (b'{"id": 1, "prediction": "A"}\n{"id": 2, "pred', r"cut\.jsonl: line 2 is no JSON .*whole"),
    "list.jsonl": (b"[1, 2]\n", r"list\.jsonl: line 1 is no JSON object"),
    "cut.json": (b'[{"id": 1, "prediction": "A"}, {"id"', r"cut\.json is no JSON .*whole"),
    "deep.json": (b"[" * 100_000, r"deep\.json is no JSON"),
    "number.json": (b"3", r"number\.json: neither a list of rows nor id -> text"),
    "mixed.json": (b'[{"id": 1, "prediction": "A"}, 3]', r"mixed\.json: row 2 is no JSON object"),
    "two.json": (b'{"a": [{"id": 1}], "b": [{"id": 2}]}', r"two\.json: neither a list"),
    "empty.jsonl": (b"\n\n", r"empty\.jsonl: holds no prediction"),
    "empty.json": (b"[]", r"empty\.json: holds no prediction"),
    "empty.csv": (b"", r"empty\.csv: holds no prediction"),
    "header.csv": (b"id,prediction\n", r"header\.csv: holds no prediction"),
    "ragged.csv": (b"id,prediction\n1,A\n2,B, left\n", r"ragged\.csv: line 3 has 3 fields, the header 2: .*quotation"),
    "quote.csv": (b'id,prediction\n1,"A\n', r"quote\.csv: no table of separated values"),
    "twice.csv": (b"id,prediction,prediction\n1,A,B\n", r"twice\.csv: has the column 'prediction' twice"),
    "latin.csv": ("id,prediction\n1,caf\xe9\n".encode("latin-1"), r"latin\.csv: is not UTF-8 \(byte 19\): save it"),
    "null_id.jsonl": (b'{"id": null, "prediction": "A"}\n', r"line 1: its 'id' is None, no id"),
    "true_id.jsonl": (b'{"id": true, "prediction": "A"}\n', r"line 1: its 'id' is True, no id"),
    "blank_id.csv": (b"id,prediction\n ,A\n", r"line 2: its 'id' is ' ', no id"),
    "many.jsonl": (b'{"id": 1, "prediction": ["A", "B"]}\n', r"line 1: its 'prediction' holds 2 texts, not one"),
    "nested.jsonl": (b'{"id": 1, "prediction": {"x": 1}}\n', r"line 1: its 'prediction' holds dict, not one text"),
    "excel.xlsx": (b"PK", r"excel\.xlsx: no Excel file that can be read .*whole"),
    "old.xls": (b"", r"old\.xls: predictions are read from \.jsonl"),
    "0_running.pkl": (b"cos\nsystem\n(S'touch x'\ntR.", r"0_running\.pkl: a pickle .* never opened: .*PRED_FORMAT=tsv"),
    "broken.parquet": (b"PAR1 no PAR1", r"broken\.parquet"),
    "keys.json": (b'{"7": "A", "8": "B", "7": "C"}', r"keys\.json has the key '7' twice, with different values"),
    "results.json": (b'{"results": {"vsibench": {"a": 1}}, "n": 3}', r"results\.json: neither a list"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_error_that_names_file_row_and_remedy(tmp_path, name):
    content, expected = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ForeignError, match=expected):
        read_predictions(tmp_path / name)


def test_a_missing_file_and_a_folder_are_errors_too(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    for name in ("none.jsonl", "folder.csv"):
        with pytest.raises(ForeignError, match=f"{name}: cannot be read"):
            read_predictions(tmp_path / name)


def test_a_long_text_in_a_csv_is_read_whole(tmp_path):
    long = "x" * 400_000
    path = write_rows(tmp_path / "p.csv", [{"id": 1, "prediction": long}])
    assert read_predictions(path).texts == {"1": long}


def test_semicolons_separate_where_the_header_has_no_comma(tmp_path):
    (tmp_path / "p.csv").write_text("id;prediction\n1;A, or B\n")
    assert read_predictions(tmp_path / "p.csv").texts == {"1": "A, or B"}
