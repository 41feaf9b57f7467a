"""The leak guard: whatever is tested, by split or by benchmark, its physical space never trains."""

import json
import logging
from collections import Counter

import numpy as np
import pytest

from questions.question_rooms import random_things, view
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.questions import guard
from rollout3d.questions.assemble import assemble
from rollout3d.questions.types import object_size_estimation
from rollout3d.scenes.datasets import space_of
from rollout3d.stages import assemble as stage

CONFIG = {
    "datasets": {
        "scannet": {"splits": {"train": ["train"], "test": ["val"]}},
        "scannetpp": {},
        "arkitscenes": {},
    },
    "questions": {"max_value_share": 1.0},
}


def scene(dataset, scene_id, space_id, split="train"):
    return {"dataset": dataset, "scene_id": scene_id, "space_id": space_id, "split": split}


def questions(scene, source="generated"):
    """The size questions of a room, as asked about this scan."""
    view_of = view(random_things(3, 10), **scene)
    rows = object_size_estimation.generate(view_of, Config().questions, np.random.default_rng(0))[0]
    assert len(rows) > 3
    rows = [row | {"source": source} for row in rows]
    return [row | {"question_id": tables.question_id(row) + source[:2]} for row in rows]


def seen_in_test(dataset, scene_id):
    """A row of VSI-Bench: it knows the scan's name and nothing of its space."""
    space = space_of(dataset, scene_id)
    return {"dataset": dataset, "scene_id": scene_id, "space_id": space, "source": "vsibench"}


def made(scenes, benchmark=(), imported=(), **changes):
    rows = [row for each in scenes for row in questions(each)] + list(imported)
    return assemble(rows, scenes, Config.model_validate(CONFIG | changes), benchmark)


def trained(found):
    return {row["scene_id"] for row in found.train}


SCENES = [
    scene("scannet", "scene0000_00", "scene0000"),
    scene("scannet", "scene0207_00", "scene0207"),
    scene("scannet", "scene0300_00", "scene0300", "val"),
    scene("scannet", "scene0300_01", "scene0300", "train"),
    scene("scannetpp", "a1b2", "a1b2"),
    scene("scannetpp", "c3d4", "c3d4"),
    scene("arkitscenes", "40000001", "420001"),
    scene("arkitscenes", "40000002", "420001"),
    scene("arkitscenes", "40000003", "420002"),
    scene("arkitscenes", "40000004", "420003", "val"),
    scene("arkitscenes", "40000005", "420003"),
]


def test_another_scan_of_a_held_out_space_does_not_train():
    assert trained(made(SCENES)) == {
        *("scene0000_00", "scene0207_00", "a1b2", "c3d4", "40000001", "40000002", "40000003"),
    }


def test_every_space_of_the_benchmark_stays_out_in_all_three_datasets():
    # Other scans of the same room, the scan itself, and a visit known by one of its two videos.
    benchmark = [
        seen_in_test("scannet", "scene0207_02"),
        seen_in_test("scannetpp", "c3d4"),
        seen_in_test("arkitscenes", "40000001"),
    ]
    found = made(SCENES, benchmark)
    assert trained(found) == {"scene0000_00", "a1b2", "40000003"}
    reasons = Counter(row["reason"] for row in found.dropped if "vsibench" in row["reason"])
    assert set(reasons) == {f"leak guard: space {s} is tested by vsibench" for s in ("scene0207", "c3d4", "420001")}
    told = {(row["fate"], row["reason"]): row["n"] for row in found.sources}
    assert told["dropped", "leak guard: its space is tested by vsibench"] == sum(reasons.values())
    assert sum(row["n"] for row in found.sources) == len(found.train) + len(found.test) + len(found.dropped)


def test_a_benchmark_does_not_stop_its_space_from_being_tested():
    assert {row["scene_id"] for row in made(SCENES, [seen_in_test("scannet", "scene0300_00")]).test} == {"scene0300_00"}


def test_an_unknown_visit_is_held_out_by_its_video_and_said(caplog):
    with caplog.at_level(logging.WARNING):
        found = made(SCENES, [seen_in_test("arkitscenes", "49999999"), seen_in_test("arkitscenes", "40000003")])
    assert "40000003" not in trained(found)
    assert "1 ARKitScenes videos of the benchmark, such as 49999999" in caplog.text


def test_imports_go_by_the_scan_that_they_name_whatever_they_say_of_it():
    lying = scene("scannet", "scene0300_00", "elsewhere", "train")
    of_benchmark = scene("scannet", "scene0207_00", "elsewhere", "train")
    unknown = scene("scannet", "scene0999_00", "scene0999", "train")
    fine = scene("scannet", "scene0000_00", "elsewhere", "val")
    imported = [row for each in (lying, of_benchmark, unknown, fine) for row in questions(each, "spacer")]
    found = made(SCENES, [seen_in_test("scannet", "scene0207_02")], imported)
    mine = [row for row in found.train if row["source"] == "spacer"]
    assert {(row["scene_id"], row["space_id"], row["split"]) for row in mine} == {
        ("scene0000_00", "scene0000", "train")
    }
    n = len(imported) // 4
    assert {(r["fate"], r["reason"]): r["n"] for r in found.sources if r["source"] == "spacer"} == {
        ("train", ""): n,
        ("dropped", "its scan is not among the ingested ones"): n,
        ("dropped", "leak guard: its space is tested by vsibench"): n,
        ("dropped", "leak guard: its space is also in split 'val'"): n,
    }


def test_general_data_has_no_space_and_always_trains():
    general = [
        row | {"scene_id": None, "space_id": None, "dataset": "video_r1"} for row in questions(SCENES[0], "video_r1")
    ]
    found = made(SCENES[:1], [seen_in_test("scannet", "scene0000_05")], general)
    assert {row["source"] for row in found.train} == {"video_r1"}


def test_pictures_of_general_data_arrive_with_their_bytes(tmp_path, monkeypatch):
    from rollout3d.questions import assemble as module

    monkeypatch.setattr(module, "GROUP", 3)
    general = [
        row | {"scene_id": None, "space_id": None, "media": [{"bytes": b"jpeg%d" % k, "path": "image/0.jpg"}]}
        for k, row in enumerate(questions(SCENES[0], "video_r1"))
    ]
    for name, rows in (("a", questions(SCENES[0])), ("b", general)):
        tables.write(tables.QUESTIONS, tmp_path / f"{name}.parquet", rows, tables.Lineage("test"))
    full = dict.fromkeys(tables.SCENES.schema.names) | {"object_counts": [], "flags": []} | SCENES[0]
    tables.write(tables.SCENES, tmp_path / "scenes.parquet", [full], tables.Lineage("test"))
    argv = ["--config", json.dumps(CONFIG), "--scenes", str(tmp_path / "scenes.parquet")]
    argv += ["--questions", *(str(tmp_path / f"{name}.parquet") for name in "ab")]
    for name in ("out-train", "out-test", "dropped", "sources"):
        argv += [f"--{name}", str(tmp_path / f"{name}.parquet")]
    stage.main(argv)
    found = tables.read(tables.OCR_RL, tmp_path / "out-train.parquet")
    assert len(found) == 2 * len(general)
    assert {r["question_id"]: r["media"] for r in found if r["media"]} == {
        r["question_id"]: r["media"] for r in general
    }


def test_all_288_scenes_of_the_benchmark_reach_no_training_table(tmp_path):
    """The stage, on a training side that holds a sibling of each ScanNet scene and every other scene itself."""
    names = [("scannet", f"scene{k:04d}_00") for k in range(88)]
    names += [("scannetpp", f"{k:010x}") for k in range(50)] + [("arkitscenes", str(41000000 + k)) for k in range(150)]
    scenes = [scene("scannet", f"scene{k:04d}_01", f"scene{k:04d}") for k in range(100)]
    scenes += [scene("scannetpp", f"{k:010x}", f"{k:010x}") for k in range(60)]
    scenes += [scene("arkitscenes", str(41000000 + k), str(420000 + k // 2)) for k in range(160)]
    template = questions(SCENES[0])[0]
    rows = [template | each | {"question_id": f"{k:016x}"} for k, each in enumerate(scenes)]
    tables.write(tables.QUESTIONS, tmp_path / "questions.parquet", rows, tables.Lineage("test"))
    full = {key: None for key in tables.SCENES.schema.names} | {
        "rotation_deg": 0,
        "to_aligned": np.eye(4).ravel().tolist(),
    }
    full |= {"object_counts": [], "flags": []}
    tables.write(tables.SCENES, tmp_path / "scenes.parquet", [full | each for each in scenes], tables.Lineage("test"))
    bench = [template | seen_in_test(*name) | {"split": "val", "question_id": f"{k}"} for k, name in enumerate(names)]
    tables.write(tables.QUESTIONS, tmp_path / "vsibench.parquet", bench, tables.Lineage("test"))

    def run(*more):
        argv = ["--config", json.dumps(CONFIG), *more]
        for name in ("questions", "scenes"):
            argv += [f"--{name}", str(tmp_path / f"{name}.parquet")]
        for name in ("out-train", "out-test", "dropped", "sources"):
            argv += [f"--{name}", str(tmp_path / f"{name}.parquet")]
        stage.main(argv)
        return {row["scene_id"] for row in tables.read(tables.OCR_RL, tmp_path / "out-train.parquet")}

    assert len(run()) == len(scenes), "without the benchmark all of them train"
    kept = run("--benchmarks", str(tmp_path / "vsibench.parquet"))
    assert kept == {
        *(f"scene{k:04d}_01" for k in range(88, 100)),
        *(f"{k:010x}" for k in range(50, 60)),
        *(str(41000000 + k) for k in range(150, 160)),
    }
    assert len(tables.read(tables.QUESTIONS_DROPPED, tmp_path / "dropped.parquet")) == 288


def test_disjoint_check_raises_for_a_shared_space():
    guard.check_disjoint([{"space_id": "a"}, {"space_id": None}], [{"space_id": "b"}, {"space_id": None}])
    with pytest.raises(guard.LeakError, match=r"1 spaces .* a$"):
        guard.check_disjoint([{"space_id": "a"}], [{"space_id": "a"}, {"space_id": "b"}])
