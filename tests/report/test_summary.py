"""What a run prints at its end about its questions."""

from __future__ import annotations

import pytest

from questions.question_rooms import random_things, view
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.questions.generate import questions_for_scene
from rollout3d.report.summary import summary

LINEAGE = tables.Lineage("questions")


def test_refused_questions_are_counted_by_reason(tmp_path):
    rows, _ = questions_for_scene(view(random_things(1)), Config().questions, 0)
    folder = tmp_path / "questions" / "scannet"
    reasons = [f"never clearly seen in uniform16: {name}" for name in ("sofa", "bed")]
    reasons += ["order of appearance not certain in full: bed, sofa", "4 candidates: closer than 0.2 m"]
    dropped = [{"question_id": str(k), "file": "", "reason": reason} for k, reason in enumerate(reasons)]
    tables.write(tables.QUESTIONS, folder / "0.parquet", rows, LINEAGE)
    tables.write(tables.QUESTIONS_DROPPED, folder / "0_dropped.parquet", dropped, LINEAGE)
    # What was wrong with imported files is another matter.
    tables.write(tables.QUESTIONS_DROPPED, tmp_path / "questions" / "external" / "a_dropped.parquet", dropped, LINEAGE)
    line = "questions refused: 2 never clearly seen in uniform16, 1 order of appearance not certain in full (left out)"
    assert [text.strip() for text in summary(tmp_path).splitlines() if "questions refused" in text] == [line]
    marks = {"answerable": ["full"], "refused": reasons[0], "budget_answers": None}
    tables.write(tables.QUESTIONS, folder / "1.parquet", [rows[0] | marks, *rows[1:]], LINEAGE)
    told = [text.strip() for text in summary(tmp_path).splitlines() if "questions refused" in text]
    assert told == [line, "questions refused: 1 never clearly seen in uniform16 (kept and marked)"]


def test_two_lines_say_what_is_answered_from_the_frames_and_what_is_not(tmp_path):
    shared = {"benchmark": "synthetic", "n": 9, "rests_on": [], "scorer": "tagged", "well_formed": None}
    shared |= {"settings": "s", "part": None, "model_digest": None, "readable": 0.5, "consistent": 0.9}
    rows = []
    for run, gains in {"sft": (4.0, 1.0), "ocr": (3.0, -1.0)}.items():
        tasks = {"object_counting": gains, "room_size_estimation": (2.0, 2.0), "route_planning": (-1.0, 5.0)}
        mean = {"run": run, "task": "overall", "score": 40.0, "low": None, "high": None}
        rows += [shared | mean | {"view": name} for name in ("video", "black", "other_room")]
        for task, lows in tasks.items():
            for name, low in zip(("seen", "seen_other_room"), lows):
                gain = {"score": low + 1, "low": low, "high": low + 2, "readable": None, "consistent": None}
                rows.append(shared | {"run": run, "task": task, "view": name} | gain)
    path = tmp_path / "eval" / "all" / "synthetic" / "scores.parquet"
    tables.write(tables.SCORES, path, rows, LINEAGE)
    lines = [line for line in summary(tmp_path).splitlines() if line.startswith(("Answer", "Not shown"))]
    assert lines == [
        "Answered from the frames, above every control (black frames, another room's video): object count (sft), room "
        "size (sft, ocr).",
        "Not shown to be: route planning.",
        "Answers that follow from their thought: sft 90% (50% of 9 thoughts can be read), "
        "ocr 90% (50% of 9 thoughts can be read)",
    ]


@pytest.mark.parametrize(("black", "warned"), [(0.30, True), (0.95, False), (None, False)])
def test_a_difference_by_lost_format_is_told_apart_from_sight(tmp_path, black, warned):
    shared = {"run": "ocr", "benchmark": "synthetic", "task": "overall", "n": 9, "rests_on": [], "scorer": "tagged"}
    shared |= {"settings": "s", "part": None, "model_digest": None, "low": None, "high": None}
    shared |= {"readable": None, "consistent": None}
    views = (("video", 33.0, 0.98), ("black", 6.0, black), ("seen", 27.0, None))
    rows = [shared | {"view": view, "score": score, "well_formed": kept} for view, score, kept in views]
    path = tmp_path / "eval" / "ocr" / "synthetic" / "scores.parquet"
    tables.write(tables.SCORES, path, rows, LINEAGE)
    caution = "of little meaning: 30% of those answers keep the format, 98% with the video"
    assert (caution in summary(tmp_path)) == warned
