"""A dataset is one new file: MyBox, scans of boxes alone, is configured, ingested, asked about and scored."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from dag.clones import ROOT, copy_repository, run_stages
from rollout3d import code, doors, tables

DATASET = Path(__file__).with_name("mybox.py")
SIZE = (6.0, 5.0, 2.6)
THINGS = {
    "chair": [(0.6, 0.6), (5.0, 4.2), (0.7, 3.9)],
    "table": [(4.8, 0.8)],
    "sofa": [(2.6, 0.5)],
    "bed": [(2.4, 4.3)],
    "lamp": [(0.5, 2.2)],
    "plant pot": [(5.5, 2.4)],
}
"""Label -> places on the floor, metres."""
STOOD = {"chair": (0.5, 0.5, 0.9), "table": (1.2, 0.8, 0.75), "sofa": (1.8, 0.8, 0.8), "bed": (2.0, 1.2, 0.5)}
N_FRAMES, WIDTH, HEIGHT = 24, 112, 84
STUDY = {
    "datasets": {"mybox": {"shards": 1, "splits": {"train": ["train"], "test": ["val"]}}}
    | dict.fromkeys(("scannet", "scannetpp", "arkitscenes")),
    "scenes": {"agreement": "flag"},
    "runs": {"select": ["qwen3b"]},
}
TARGETS = ("results/tiny/eval/qwen3b/synthetic/scores.parquet", "results/tiny/train/ocr_rl.parquet")


def pose_of(k):
    """Camera-to-world (4,4) of frame `k`: from the middle of the room, turning once around, a little downward."""
    turn, tilt = 2 * np.pi * k / N_FRAMES, -0.35
    forward = np.array([np.cos(turn) * np.cos(tilt), np.sin(turn) * np.cos(tilt), np.sin(tilt)])
    right = np.array([np.sin(turn), -np.cos(turn), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], 1)
    pose[:3, 3] = [3 + 0.3 * np.cos(turn), 2.5 + 0.3 * np.sin(turn), 1.5]
    return pose


def write_scan(root, scan, moved):
    """A furnished room; `moved`: metres by which its things are moved along x."""
    objects = []
    for label, places in THINGS.items():
        for x, y in places:
            wide, deep, high = STOOD.get(label, (0.4, 0.4, 1.2))
            low = np.clip([x + moved - wide / 2, y - deep / 2, 0], 0, None)
            objects.append({"label": label, "low": low.tolist(), "high": (low + np.array([wide, deep, high])).tolist()})
    frames = root / "data" / scan / "frames"
    frames.mkdir(parents=True)
    for k in range(N_FRAMES):
        picture = np.full((HEIGHT, WIDTH, 3), 40 + 8 * k, np.uint8)
        cv2.imwrite(str(frames / f"{k:06d}.png"), picture)
    content = {
        "size": SIZE,
        "fps": 6,
        "K": [60, 0, (WIDTH - 1) / 2, 0, 60, (HEIGHT - 1) / 2, 0, 0, 1],
        "poses": [pose_of(k).ravel().tolist() for k in range(N_FRAMES)],
        "objects": objects,
    }
    (root / "data" / scan / "scan.json").write_text(json.dumps(content))


@pytest.fixture
def clone(tmp_path):
    """A clone with the new dataset, two scans of it, and a study of nothing else."""
    folder = copy_repository(tmp_path / "clone")
    shutil.copy(DATASET, folder / "workflow/rollout3d/scenes/datasets")
    root = tmp_path / "mybox"
    for scan, split, moved in (("kitchen-0", "train", 0.0), ("lounge-0", "val", 0.2)):
        write_scan(root, scan, moved)
        (root / f"{split}.txt").write_text(f"{scan}\n")
    study = STUDY | {"site": {"roots": {"mybox": str(root)}}}
    (folder / "config" / "local.yaml").write_text(yaml.safe_dump(study))
    return folder


def test_a_dataset_of_one_file_is_asked_about_and_scored(clone):
    done = run_stages(
        clone, "--cores", "1", "--configfile", "config/presets/tiny.yaml", "--quiet", "rules", "--", *TARGETS
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shard = clone / "results/tiny/scenes/mybox/0"
    scenes = tables.read(tables.SCENES, shard / "scenes.parquet")
    assert {(row["scene_id"], row["space_id"], row["split"]) for row in scenes} == {
        ("kitchen-0", "kitchen", "train"),
        ("lounge-0", "lounge", "val"),
    }
    assert all({"category": "chair", "n": 3} in row["object_counts"] for row in scenes)
    asked = tables.read(tables.QUESTIONS, clone / "results/tiny/questions/mybox/0.parquet")
    assert len({row["question_type"] for row in asked}) >= 5 and {row["dataset"] for row in asked} == {"mybox"}
    trained = tables.read(tables.OCR_RL, clone / "results/tiny/train/ocr_rl.parquet")
    assert trained and {row["scene_id"] for row in trained} == {"kitchen-0"}
    scores = tables.read(tables.SCORES, clone / TARGETS[0])
    assert {(row["run"], row["benchmark"]) for row in scores} == {("qwen3b", "synthetic")}
    assert "object_counting" in {row["task"] for row in scores}


@pytest.mark.parametrize("stage", ["ingest", "assemble", "questions", "score", "evaluate"])
def test_a_new_dataset_leaves_the_results_of_the_others_current(tmp_path, stage):
    folder = tmp_path / "workflow"
    shutil.copytree(ROOT / "workflow", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("resources", "config"):
        shutil.copytree(ROOT / name, tmp_path / name)
    others = {"dataset": doors.DATASETS.names}
    before = code.Package(folder / "rollout3d").closure(stage, others)
    shutil.copy(DATASET, folder / "rollout3d/scenes/datasets")
    assert code.Package(folder / "rollout3d").closure(stage, others) == before
    if stage == "ingest":
        mine = code.Package(folder / "rollout3d").closure(stage, {"dataset": "mybox"}).files
        assert "workflow/rollout3d/scenes/datasets/mybox.py" in mine
