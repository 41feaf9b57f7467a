"""A rollout method and a reward of one new file each: chosen by a run row, refused where the row is incomplete."""

import json
import os
import subprocess

import pytest
import training_world as tw
from new_files import BREVITY, MIRRORED

import preloaded
from dag.clones import copy_repository
from rollout3d import tables
from rollout3d.doors import Door


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the repository with one rollout method and one reward more."""
    folder = copy_repository(tmp_path_factory.mktemp("doors") / "clone")
    training = folder / "workflow" / "rollout3d" / "training"
    (training / "rollouts" / "mirrored.py").write_text(MIRRORED)
    (training / "rewards" / "brevity.py").write_text(BREVITY)
    return folder


def python(clone, *arguments):
    environment = os.environ | {"PYTHONPATH": str(clone / "workflow")}
    return subprocess.run(
        [preloaded.python(preloaded.STAGE), *map(str, arguments)],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
    )


def row(rollout="mirrored", **cells):
    values = {"run": "mine", "method": "grpo", "init": "base", "train_table": "ocr_rl", "reward": "brevity", "steps": 2}
    return json.dumps({**values, "rollout": rollout, "schedule": "linear", **cells})


def test_a_run_trains_with_a_rollout_and_a_reward_of_one_new_file_each(clone, files, taught, tmp_path):
    made = tw.quick_command("train_grpo", tw.config(), tw.run(), files, taught, tmp_path / "out")
    made[made.index("--row") + 1] = row()
    done = python(clone, *made[made.index("-m") :])
    assert done.returncode == 0, done.stderr[-2000:]
    rollouts = tables.read(tables.ROLLOUTS, tmp_path / "out" / "rollouts.parquet")
    assert {entry["view"] for entry in rollouts} == {"clean", "mirrored"}
    for entry in rollouts:
        parts = {part["name"]: part["value"] for part in entry["rewards"]}
        assert list(parts) == ["correctness", "format", "brevity", "total"]
        assert parts["brevity"] == pytest.approx(1 - entry["n_tokens"] / 6)
        assert parts["total"] == pytest.approx(parts["correctness"] + 0.5 * parts["brevity"])
    read = tables.lineage(tmp_path / "out" / "model.json")["values"]
    assert "grpo.downsample" in read and not {"grpo.sigma0", "grpo.noise"} & set(read)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"schedule": None}, "lacks schedule"),
        ({"rollout": "mirored"}, "mirrored"),
        ({"reward": "brevty"}, "brevity"),
    ],
)
def test_a_wrong_row_is_refused_by_what_the_new_files_declare(clone, cells, message):
    program = "import sys; from rollout3d.config import Run; Run.model_validate_json(sys.argv[1])"
    done = python(clone, "-c", program, row(**cells))
    assert done.returncode == 1 and message in done.stderr


def test_a_constant_is_read_without_importing_and_must_be_a_literal(tmp_path, monkeypatch):
    monkeypatch.setattr("rollout3d.doors.PACKAGE", tmp_path)
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "one.py").write_text("import nowhere\nKEYS: tuple = ('a',)\nBAD = nowhere.X\n")
    door = Door("thing", "things")
    assert door.names == ("one",) and door.constant("one", "KEYS", ()) == ("a",)
    assert door.constant("one", "NEEDS", ("default",)) == ("default",)
    with pytest.raises(ValueError, match="BAD must be a literal"):
        door.constant("one", "BAD", None)
    with pytest.raises(ValueError, match="unknown thing 'two': choose from one"):
        door.constant("two", "KEYS", ())
