"""The table of faults counts what it says: rows, questions, steps, and finished trainings that are repeated."""

import pytest

from faults import world as fw
from faults.table import Line, render, summary
from rollout3d import tables

OUT = "eval/ocr/synthetic/predictions/0.parquet"
ONCE = [f"step ocr 0 {step}" for step in range(4)] + ["saved ocr 0 4"]
ASKED = [f"asked evaluate results/study/{OUT} q{n}" for n in range(3)]
ROWS = [{"file": str(n), "scene_id": "", "dataset": "scannet", "n_bytes": n, "sha256": ""} for n in range(3)]


def study(folder, events, rows=ROWS):
    found = fw.Study(folder, folder / "faults")
    found.faults.mkdir(parents=True)
    (found.faults / "events.log").write_text("".join(f"{event}\n" for event in events))
    tables.write(tables.SCANS, found.results / "scans.parquet", rows, tables.Lineage("test"))
    return found


@pytest.fixture
def world(tmp_path):
    made = fw.World(tmp_path / "world")
    made.finished = study(tmp_path / "world/finished", ONCE + ASKED)
    return made


def line(world, tmp_path, events, may, rows=ROWS):
    return world.line("fault", "happened", study(tmp_path / "study", events, rows), may)


def test_what_had_to_be_done_is_not_done_twice(world, tmp_path):
    may = fw.Expected(to_train={"ocr"}, to_answer={OUT})
    assert line(world, tmp_path, ONCE + ASKED, may) == Line("fault", "happened")


@pytest.mark.parametrize("missing", [0, 2])
def test_rows_that_are_gone_are_lost(world, tmp_path, missing):
    found = line(world, tmp_path, [], fw.Expected(), ROWS[missing:])
    assert found.rows_lost == missing and bool(found.problems) == bool(missing)


def test_another_row_in_its_place_is_a_lost_row_and_a_missing_table_loses_all(world, tmp_path):
    changed = line(world, tmp_path, [], fw.Expected(), [{**ROWS[0], "n_bytes": 9}, *ROWS[1:]])
    assert changed.rows_lost == 1
    empty = fw.Study(tmp_path / "empty", tmp_path / "empty.faults")
    gone = world.line("fault", "happened", empty, fw.Expected())
    assert gone.rows_lost == 3 and "is missing" in gone.problems[0]


def test_steps_after_the_last_checkpoint_may_be_trained_again_and_no_more(world, tmp_path):
    events = [*ONCE[:3], *ONCE[1:]]  # killed in step 2, resumed after step 1
    for allowed in (2, 1):
        found = line(world, tmp_path / str(allowed), events, fw.Expected(steps=allowed, to_train={"ocr"}))
        assert found.trained_twice == 2 and bool(found.problems) == (allowed < 2)


@pytest.mark.parametrize("to_train", [set(), {"ocr"}])
def test_a_step_of_a_finished_training_is_never_allowed(world, tmp_path, to_train):
    events = ["step ocr 0 0"] if not to_train else [*ONCE, "step ocr 0 3"]
    found = line(world, tmp_path, events, fw.Expected(steps=5, to_train=to_train))
    assert found.trained_twice == 1 and found.problems == ("the finished training of ocr was repeated",)


def test_questions_in_flight_may_be_answered_again_and_no_more(world, tmp_path):
    for allowed in (1, 0):
        may = fw.Expected(answers=allowed, to_answer={OUT})
        found = line(world, tmp_path / str(allowed), [*ASKED, ASKED[2]], may)
        assert found.answered_twice == 1 and bool(found.problems) == (allowed < 1)
    assert line(world, tmp_path / "kept", ASKED, fw.Expected()).answered_twice == 3, "they were answered already"


def test_whatever_goes_wrong_is_a_line_and_fails_the_run(world):
    def broken(_):
        yield Line("first", "well")
        raise fw.Unexpected("nobody waited")

    first, second = fw.meet(broken, world)
    assert not first.problems and second.problems == ("nobody waited",)
    assert "NOT AS EXPECTED: nobody waited" in render(second)
    assert "2 faults in 1.0 min: 1 not as expected" in summary([first, second], 60)
