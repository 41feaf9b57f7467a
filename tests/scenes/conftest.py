"""Small synthetic releases in the genuine formats: written by the writers, which share no code with the readers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rollout3d import config, tables
from rollout3d.scenes import datasets
from rollout3d.scenes.ingest import NAMES, ingest_shard
from rollout3d.scenes.scan import Scan
from scenes import mini
from toyworld.rendering.recording import Recording
from toyworld.rooms.vocabulary import FORMATS
from toyworld.settings import Scans
from toyworld.writers import release

SYNTHETIC = Scans(scans_per_dataset=4, val_scans=1, seconds=4.0, fps=5, width=128, height=96, n_objects=(8, 14))
SEED = 3
LINEAGE = tables.Lineage("ingest")


def settings(**changes) -> config.Config:
    """One shard per dataset, train and val, small frames."""
    spec = {"shards": 1, "splits": {"train": ["train"], "test": ["val"]}}
    values = {
        "datasets": {name: spec for name in FORMATS},
        "video": {
            "train_frames": 6,
            "eval_frames": 9,
            "eval_max_pixels": 9408,
            "train_max_pixels": 9408,
            "min_pixels": 784,
            "train_min_pixels": 784,
        },
    }
    return config.Config.model_validate(config.merge(values, changes))


def ingested_without_depth(made, folder):
    """Ingest the first scan of a ScanNet++ release into `folder`/out, without its depth; its name."""
    root, scene = folder / "scannetpp", made.rows["scenes"][0]["scene_id"]
    source = made.root / "data" / scene
    for path in source.rglob("*"):
        if path.is_file() and path.name != "depth.bin":
            mini.write_bytes(root / "data" / scene / path.relative_to(source), path.read_bytes())
    mini.write_bytes(root / "splits" / "nvs_sem_train.txt", scene.encode())
    ingest_shard("scannetpp", root, folder / "out", 0, 1, trained("scannetpp"), LINEAGE)
    return scene


def output_of(stage, capsys, *argv):
    """Text and error output of the command, and its exit status."""
    status = 0
    try:
        stage.main([str(word) for word in argv])
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr()
    return said.out, said.err, status


def trained(dataset: str, **changes) -> config.Config:
    """`settings` for a release that has scans to train on only: a list of no scan is an error."""
    return settings(**config.merge({"datasets": {dataset: {"splits": {"test": []}}}}, changes))


@dataclass
class Release:
    """One synthetic release with its tables and its truth."""

    dataset: str
    root: Path
    tables_dir: Path
    rows: dict[str, list[dict]]

    def truth(self, scene_id: str) -> dict:
        return json.loads((self.root.parent / f"{self.dataset}_truth" / f"{scene_id}.json").read_text())

    def of(self, name: str, scene_id: str) -> list[dict]:
        return [row for row in self.rows[name] if row["scene_id"] == scene_id]

    def aligned_from_world(self, scene: dict) -> np.ndarray:
        """World of the synthetic room to the aligned frame of the tables."""
        placed = np.array(self.truth(scene["scene_id"])["release"]["release_from_world"])
        return np.reshape(scene["to_aligned"], (4, 4)) @ placed

    def plans(self) -> list[release.Planned]:
        """The scans that have questions."""
        return [plan for plan in release.plan(self.dataset, SYNTHETIC, SEED) if not plan.aside]

    def film(self, plan: release.Planned) -> Recording:
        return release.film(self.dataset, plan, SYNTHETIC, SEED)

    def open(self, plan: release.Planned) -> Scan:
        """A scan as its reader gives it."""
        reader = datasets.load(self.dataset)
        (ref,) = (ref for ref in reader.list_scans(self.root, [plan.split]) if ref.scene_id == plan.scene_id)
        return datasets.read_scan(reader, self.root, ref)

    def recordings(self):
        """Scene row and recording of every scan that has questions."""
        for plan in self.plans():
            (scene,) = self.of("scenes", plan.scene_id)
            yield scene, self.film(plan)


@pytest.fixture(scope="session")
def releases(tmp_path_factory) -> dict[str, Release]:
    """All three datasets, written and ingested once."""
    base = tmp_path_factory.mktemp("releases")
    made = {}
    for dataset in FORMATS:
        root, out = base / dataset, base / f"{dataset}_tables"
        release.write_release(dataset, root, SYNTHETIC, SEED)
        ingest_shard(dataset, root, out, 0, 1, settings(), LINEAGE)
        rows = {name: tables.read(tables.TABLES[name], out / f"{name}.parquet") for name in NAMES}
        made[dataset] = Release(dataset, root, out, rows)
    return made


@pytest.fixture(params=FORMATS)
def made(request, releases) -> Release:
    return releases[request.param]
