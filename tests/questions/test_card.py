"""The data card of the training questions: real counts, what is missing, what stands in, and the terms."""

from __future__ import annotations

import json

from evaluation.eval_rows import question
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.questions.card import card
from rollout3d.stages import train_part

SPACER = {"questions": {"rules": "spacer", "wording": "spacer", "max_value_share": 0.1}, "external": {"general": 4}}
APPROXIMATE = json.dumps({"approximate": "distance of boxes instead of point clouds"})
TRAIN = [
    question("c1", "object_counting", "3"),
    question("c2", "object_counting", "4"),
    question("d1", "object_rel_distance", "A", 4, scene_id="scene0001_00", space_id="scene0001", evidence=APPROXIMATE),
    question("g1", "OCR", "text", scene_id=None, space_id=None, dataset="video_r1"),
]
DROPPED = [
    {"question_id": "x1", "file": "", "reason": "leak guard: space scene0568 is tested by vsibench"},
    {"question_id": "x2", "file": "", "reason": "leak guard: space scene0011 is also in split 'val'"},
    {"question_id": "x3", "file": "", "reason": "ambiguous: two sofas"},
]


def made(train=TRAIN, dropped=DROPPED, **changes):
    return card(train, dropped, Config.model_validate(SPACER), **changes)


def test_a_card_has_the_counts_of_the_rows():
    text = made()
    assert text.startswith("# Training questions: 3 about scans, 1 general\n")
    assert "| object_counting | 2 | 66.7% |" in text and "| object_rel_distance | 1 | 33.3% |" in text
    assert "| number | 2 | 66.7% |" in text and "| choice | 1 | 33.3% |" in text
    assert "2 scans of 2 spaces; questions per scan: 1 to 2, median 1.5." in text
    assert "rules of SpaceR (`questions.rules: spacer`)" in text and "more than 10% of a type" in text


def test_general_data_that_are_missing_are_a_line_of_their_own():
    assert "**Smaller than asked for.** General data: 1 questions of 4 (external.general)" in made()
    full = card(TRAIN, [], Config.model_validate(SPACER | {"external": {"general": 1}}))
    assert "Smaller than asked for" not in full and "| OCR | 1 | 100.0% |" in full
    assert "None: `external.general` is 0." in card(TRAIN[:3], [], Config())


def test_what_was_left_out_and_what_stands_in_is_counted_by_reason():
    text = made()
    assert "- 2 in a space that is tested, or of a held-out split" in text and "- 1 ambiguous" in text
    assert "- 1 questions: distance of boxes instead of point clouds" in text
    assert "Nothing: every answer rests on the data that its rule names." in made(TRAIN[:2])


def test_terms_are_those_of_the_scans_or_of_rendered_rooms():
    assert "ScanNet Terms of Use" in made() and "General data are those of their release" in made()
    assert "ScanNet Terms of Use" not in made(synthetic=True) and "The scans are synthetic" in made(synthetic=True)
    assert made([], []).startswith("# Training questions: 0 about scans, 0 general")


def test_the_stage_writes_the_card_beside_the_two_tables(tmp_path):
    tables.write(tables.OCR_RL, tmp_path / "rl.parquet", TRAIN, tables.Lineage("test"))
    tables.write(tables.QUESTIONS_DROPPED, tmp_path / "dropped.parquet", DROPPED, tables.Lineage("test"))
    words = f"--train {tmp_path}/rl.parquet --scans {tmp_path}/sr.parquet --general {tmp_path}/g.parquet"
    more = f"--dropped {tmp_path}/dropped.parquet --card {tmp_path}/README.md"
    train_part.main(["--config", json.dumps(SPACER), *words.split(), *more.split()])
    assert (tmp_path / "README.md").read_text() == made()
    assert len(tables.read(tables.OCR_RL, tmp_path / "sr.parquet")) == 3
