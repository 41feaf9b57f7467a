"""Attempts, verdicts, and the cold start table made of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cot.cot_rows import number, question
from rollout3d import tables
from rollout3d.cot.annotate import Draft, annotate
from rollout3d.cot.sft_table import sft_rows
from rollout3d.teacher.asking import Asking, TooManyFailed

GOOD = "<think>Left of the tv.</think>\n<answer>A</answer>"
WRONG = "<think>Right of the tv.</think>\n<answer>B</answer>"


class Scripted:
    name, model = "openai", "scripted"

    def __init__(self, texts):
        self.texts = texts
        self.asked = []

    def write(self, row, attempt):
        self.asked.append((row["question_id"], attempt))
        text = self.texts[row["question_id"]][attempt]
        if text is None:
            return Draft("d" * 64, error="server down")
        return Draft("d" * 64, text, request_id="r", tokens_in=10, tokens_out=2, usd=0.5)


def hard(*ids):
    return [{"question_id": q, "transition": "frames"} for q in ids]


def test_tries_until_accepted_and_keeps_every_attempt_with_its_reason(tmp_path):
    rows = [question(question_id="b"), question(question_id="a"), question(question_id="c")]
    teacher = Scripted({"a": [WRONG, WRONG, GOOD], "b": [GOOD], "c": [WRONG, WRONG, WRONG]})
    notes = annotate(hard("c", "a", "b"), rows, teacher, attempts=3)
    assert [(n["question_id"], n["attempt"], n["verdict"]) for n in notes] == [
        ("a", 0, "rejected"),
        ("a", 1, "rejected"),
        ("a", 2, "accepted"),
        ("b", 0, "accepted"),
        ("c", 0, "rejected"),
        ("c", 1, "rejected"),
        ("c", 2, "rejected"),
    ]
    assert notes[0]["reason"].startswith("wrong answer") and notes[0]["think"] == "Right of the tv."
    assert notes[0]["usd"] == 0.5 and notes[2]["reason"] is None
    tables.write(tables.ANNOTATIONS, tmp_path / "a.parquet", notes, tables.Lineage("test"))


def test_a_failed_request_ends_its_question_and_is_where_a_rerun_goes_on(tmp_path):
    rows = [question(question_id="a"), question(question_id="b")]
    teacher = Scripted({"a": [WRONG, None, GOOD], "b": [GOOD]})
    notes = annotate(hard("a", "b"), rows, teacher, attempts=3)
    assert teacher.asked == [("a", 0), ("a", 1), ("b", 0)]
    assert [n["verdict"] for n in notes] == ["rejected", "failed", "accepted"]
    assert notes[1]["reason"] == "server down" and notes[1]["usd"] == 0 and notes[1]["think"] is None
    tables.write(tables.ANNOTATIONS, tmp_path / "a.parquet", notes, tables.Lineage("test"))
    teacher.texts["a"][1] = GOOD
    again = annotate(hard("a", "b"), rows, teacher, attempts=3)
    assert [n["verdict"] for n in again] == ["rejected", "accepted", "accepted"]


def test_more_failures_than_allowed_are_an_error_and_as_many_as_allowed_are_rows():
    rows = [question(question_id=f"q{i:02}") for i in range(20)]
    ids = [row["question_id"] for row in rows]
    texts = {q: [None] if i in (3, 11) else [GOOD] for i, q in enumerate(ids)}
    notes = annotate(hard(*ids), rows, Scripted(texts), 1, Asking(max_share_failed=0.1))
    assert [n["question_id"] for n in notes if n["verdict"] == "failed"] == ["q03", "q11"]
    assert len(notes) == 20
    teacher = Scripted(texts | {"q05": [None]})
    with pytest.raises(
        TooManyFailed, match=r"gpt at home: the requests of 3 of 20 .* MAX_SHARE_FAILED = 0\.1 .*'server"
    ):
        annotate(hard(*ids), rows, teacher, 1, Asking(max_share_failed=0.1, whom="gpt at home"))
    assert len(teacher.asked) == 12, "no question is asked once the share cannot be kept"


def test_texts_that_are_no_answers_are_rejected_with_their_reason_and_cost():
    class Cut(Scripted):
        def write(self, row, attempt):
            draft = super().write(row, attempt)
            return replace(draft, problem="cut at max_tokens") if attempt == 0 else draft

    notes = annotate(hard("a"), [question(question_id="a")], Cut({"a": [GOOD, GOOD]}), attempts=3)
    assert [(n["verdict"], n["reason"], n["usd"]) for n in notes] == [
        ("rejected", "cut at max_tokens", 0.5),
        ("accepted", None, 0.5),
    ]
    assert notes[0]["think"] is None and notes[0]["answer"] is None


def test_threads_change_neither_rows_nor_order():
    rows = [question(question_id=f"q{i:02}") for i in range(20)]
    texts = {f"q{i:02}": [WRONG, GOOD] if i % 3 else [GOOD] for i in range(20)}
    one = list(annotate(hard(*texts), rows, Scripted(texts), attempts=2))
    many = list(annotate(hard(*texts), rows, Scripted(texts), attempts=2, how=Asking(workers=4)))
    assert one == many and len(one) == 20 + 13


def test_an_error_of_the_teacher_itself_ends_the_work():
    class Broke(Scripted):
        def write(self, row, attempt):
            raise RuntimeError("limit reached")

    rows = [question(question_id=f"q{i}") for i in range(8)]
    with pytest.raises(RuntimeError, match="limit reached"):
        list(annotate(hard(*(r["question_id"] for r in rows)), rows, Broke({}), attempts=1, how=Asking(workers=3)))


def test_unknown_hard_question_is_an_error():
    with pytest.raises(ValueError, match="1 hard questions are not in the question table, such as zz"):
        list(annotate(hard("zz"), [question()], Scripted({}), attempts=1))


def test_cold_start_rows_hold_the_question_and_the_text_to_learn(tmp_path):
    rows = [question(question_id="b"), number("4.0", question_id="a"), question(question_id="c")]
    close = "<think>About four metres.</think><answer>4.1</answer>"
    teacher = Scripted({"a": [close], "b": [WRONG, GOOD], "c": [WRONG, WRONG]})
    notes = list(annotate(hard("a", "b", "c"), rows, teacher, attempts=2))
    sft = sft_rows(notes, rows)
    assert [r["question_id"] for r in sft] == ["a", "b"]
    assert sft[0]["target"] == "<think>About four metres.</think>\n<answer>4.1</answer>"
    assert sft[1]["target"] == GOOD and sft[1]["think"] == "Left of the tv."
    assert {k: sft[1][k] for k in rows[0]} == rows[0]
    tables.write(tables.OCR_SFT, tmp_path / "sft.parquet", sft, tables.Lineage("test"))


def test_annotation_of_an_unknown_question_is_an_error():
    notes = list(annotate(hard("b"), [question(question_id="b")], Scripted({"b": [GOOD]}), attempts=1))
    with pytest.raises(ValueError, match="not in the question table"):
        sft_rows(notes, [question(question_id="other")])
    with pytest.raises(ValueError, match="two accepted"):
        sft_rows(notes * 2, [question(question_id="b")])
