"""`rollout3d questions` on published boxes: workers, caps, the same rows as from the tables, bad arguments."""

import json
from collections import Counter

import pytest

from questions.naive_rules import random_scene
from rollout3d import tables
from rollout3d.config import Questions, question_types
from rollout3d.stages import ingest_meta, questions

SCENES = {f"scene{k:04d}_00": random_scene(k, n_objects=10, largest_m=0.3) for k in range(6)}


@pytest.fixture(scope="module")
def meta(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meta")
    (folder / "scannet_meta_info_val.json").write_text(json.dumps(SCENES))
    return folder


def ask(meta, out, *more):
    questions.main([*more, "--meta", str(meta), "--out", str(out)])
    return tables.read(tables.QUESTIONS, out)


def test_two_workers_write_the_bytes_of_one(meta, tmp_path):
    (tmp_path / "two").mkdir()
    one = ask(meta, tmp_path / "q.parquet")
    assert ask(meta, tmp_path / "two" / "q.parquet", "--workers", "2") == one
    for name in ("q.parquet", "q_dropped.parquet"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert {row["scene_id"] for row in one} == set(SCENES) and {row["split"] for row in one} == {"val"}
    assert len({row["question_id"] for row in one}) == len(one)


def test_relative_distance_keeps_twenty_sets_an_object_drawn_by_the_seed(meta, tmp_path, monkeypatch):
    def sets(*more):
        rows = ask(meta, tmp_path / "q.parquet", *more)
        return {
            (row["scene_id"], row["objects"][0]["category"], row["question"])
            for row in rows
            if row["question_type"] == "object_rel_distance"
        }

    first, other = sets(), sets("--config", '{"seed": 1}')
    monkeypatch.setattr("rollout3d.questions.generate._Everything.sets_per_object", 5)
    five = sets()
    counted = [Counter((scene, primary) for scene, primary, _ in some) for some in (first, other, five)]
    assert counted[0] == counted[1] and max(counted[0].values()) == 20 and max(counted[2].values()) == 5
    assert first != other and {key: min(n, 5) for key, n in counted[0].items()} == counted[2]
    dropped = tables.read(tables.QUESTIONS_DROPPED, tmp_path / "q_dropped.parquet")
    assert any("cap of 5 an object" in row["reason"] for row in dropped)


def test_the_tables_of_ingest_meta_give_the_same_questions(meta, tmp_path, monkeypatch):
    ingest_meta.main(["--meta", str(meta), "--out", str(tmp_path)])
    caps = dict.fromkeys(question_types.NAMES, 100_000)
    config = {
        "datasets": {"scannet": {"splits": {"test": ["val"]}}},
        "questions": {"per_scene": caps},
    }
    monkeypatch.setattr(Questions, "sets_per_object", 20)
    stage = ["--config", json.dumps(config), "--out", str(tmp_path / "q.parquet")]
    questions.main(
        [*stage, "--scenes", str(tmp_path / "scenes.parquet"), "--objects", str(tmp_path / "objects.parquet")]
    )
    assert tables.read(tables.QUESTIONS, tmp_path / "q.parquet") == ask(meta, tmp_path / "m.parquet")


def test_a_dropped_scene_stays_on_record(tmp_path):
    content = dict(list(SCENES.items())[:3]) | {"scene0999_00": {"dataset": "scannet"}}
    (tmp_path / "scannet_meta_info_val.json").write_text(json.dumps(content))
    rows = ask(tmp_path, tmp_path / "q.parquet")
    assert "scene0999_00" not in {row["scene_id"] for row in rows}
    dropped = tables.read(tables.QUESTIONS_DROPPED, tmp_path / "q_dropped.parquet")
    assert dropped[0] == {
        "question_id": "scene0999_00",
        "file": "scannet_meta_info_val.json",
        "reason": "lacks object_counts, instances per category",
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give --meta, or --scenes and --objects"),
        (["--meta", "x", "--scenes", "y"], "give --meta, or --scenes and --objects"),
        (["--meta", "x", "--maps", "y"], "give --meta, or --scenes and --objects"),
        (["--scenes", "y"], "give --meta, or --scenes and --objects"),
        (["--meta", "x", "--workers", "0"], "--workers is at least 1"),
        (["--meta", "x.json"], "x.json: no such file or directory"),
        (["--scenes", "x.parquet", "--objects", "y.parquet"], "x.parquet: no such file"),
    ],
)
def test_arguments_that_do_not_go_together(tmp_path, capsys, arguments, says):
    with pytest.raises(SystemExit):
        questions.main([*arguments, "--out", str(tmp_path / "q.parquet")])
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
