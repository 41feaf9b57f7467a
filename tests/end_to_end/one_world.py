"""Worlds of different shapes, each filmed once and written as a scan of each dataset, and what those make of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from rollout3d import config, tables
from rollout3d.config.frames import WHOLE_VIDEO
from rollout3d.geometry.frames import frame_set
from rollout3d.questions import visible
from rollout3d.questions.generate import questions_for_scene
from rollout3d.questions.scene import SceneView
from rollout3d.questions.templates import option_text
from rollout3d.scenes.ingest import NAMES, ingest_shard
from toyworld.rendering.recording import Recording
from toyworld.rooms.vocabulary import CATEGORIES, FORMATS
from toyworld.truth import truth
from toyworld.writers import arkitscenes, release, scannet, scannetpp

SEED = 0
FPS = 10
SEEDS = {"rectangle": 14, "l": 18, "flat": 17}
"""Worlds with three or more things that occur once and that all datasets ask about."""
QUIRKS = {
    # Depth as large as colour: twenty pixels, the least that is visible, would be 0.4 % of a picture of half the size,
    # and the other datasets' depth asks for the 0.1 % that real depth pictures ask for.
    "scannet": [scannet.Quirks(depth_divisor=1, duplicated_groups=k == 1, unlisted_label=k == 2) for k in range(3)],
    "scannetpp": [scannetpp.Quirks(depth_packing=name) for name in ("stream", "records_lz4", "records_deflate")],
    "arkitscenes": [
        arkitscenes.Quirks(rotation_deg=0, layouts=("raw",)),
        arkitscenes.Quirks(rotation_deg=90, layouts=("3dod",), delimiter="/"),
        arkitscenes.Quirks(rotation_deg=180, layouts=("raw", "3dod")),
    ],
}
NAMES_OF = {
    "scannet": lambda k: (f"scene{k:04d}_00", f"scene{k:04d}"),
    "scannetpp": lambda k: (f"{k:010x}", f"{k:010x}"),
    "arkitscenes": lambda k: (f"{41000000 + k}", f"{420000 + k}"),
}
CATEGORY = {
    dataset: {kind.name: kind.asked_as[dataset] for kind in CATEGORIES.values() if dataset in kind.asked_as}
    for dataset in FORMATS
}
KIND = {dataset: {category: kind for kind, category in named.items()} for dataset, named in CATEGORY.items()}
SET = "uniform4"
SHARED = set.intersection(*(set(named) for named in CATEGORY.values()))
"""Kinds that all three datasets ask about."""


@dataclass
class Account:
    """What one dataset makes of the film."""

    dataset: str
    recording: Recording
    rows: dict[str, list[dict]]
    aligned_from_world: np.ndarray
    settings: config.Questions

    @cached_property
    def scene(self) -> dict:
        (row,) = self.rows["scenes"]
        return row

    @cached_property
    def view(self) -> SceneView:
        (maps,) = self.rows["maps"]
        return SceneView.from_rows(self.scene, self.rows["objects"], maps)

    @cached_property
    def questions(self) -> list[dict]:
        return questions_for_scene(self.view, self.settings, SEED)[0]

    @cached_property
    def gated(self) -> tuple[list[dict], list[dict]]:
        """Its questions that the four frames of `SET`, and the whole video, can answer; and what is dropped."""
        return visible.gated(self.questions, visible.Sights.from_rows(self.rows["visibility"]), self._gate(True))

    @cached_property
    def marked(self) -> list[dict]:
        """All its questions with the samplings that answer them."""
        return visible.gated(self.questions, visible.Sights.from_rows(self.rows["visibility"]), self._gate(False))[0]

    def _gate(self, remove: bool) -> visible.Gate:
        return visible.Gate((WHOLE_VIDEO, SET), (SET,), (SET,), {}, remove, False, self.settings.appearance_gap_s)

    def film_frames(self, name: str) -> list[int]:
        """Frames of the film that a sampling of the dataset's video shows."""
        n = self.scene["n_frames"]
        shown = range(n) if name == WHOLE_VIDEO else frame_set(name).indices(n, self.scene["fps"])
        hold = 3 if self.dataset == "scannetpp" else 1
        return [min(index // hold, len(self.recording.poses) - 1) for index in shown]

    def kinds(self, categories) -> tuple[str, ...]:
        return tuple(KIND[self.dataset][category] for category in categories)

    def asked(self, *types: str) -> dict[tuple[str, ...], str]:
        """(type, kinds named) -> number or option text as the answer."""
        found = {}
        for row in self.questions:
            if row["question_type"] in types:
                answer = row["ground_truth"]
                if row["options"] is not None:
                    answer = option_text(row["options"]["ABCD".index(answer)])
                named = self.kinds(entry["category"] for entry in row["objects"])
                assert found.setdefault((row["question_type"], *named), answer) == answer
        return found

    @cached_property
    def first_frames(self) -> dict[str, int]:
        """Category -> frame of the film of its first appearance; seconds are those of the dataset's own video."""
        (maps,) = self.rows["maps"]
        found = {}
        for entry in maps["appearances"]:
            index = round(entry["first_seen_s"] * self.scene["fps"])
            # ScanNet++ at 30 fps holds each frame of the film for three; the others show each frame once.
            found[KIND[self.dataset][entry["category"]]] = index // 3 if self.dataset == "scannetpp" else index
        return found

    @property
    def tracked(self) -> list[int]:
        """Frames of the film that have a pose."""
        lost = () if self.dataset == "scannetpp" else self.recording.lost
        return [k for k in range(len(self.recording.poses)) if k not in lost]


@dataclass
class Case:
    """A world, what is true of it, and the three accounts."""

    shape: str
    recording: Recording
    accounts: dict[str, Account]

    @cached_property
    def truth(self) -> dict:
        return truth(self.recording)

    @cached_property
    def things(self) -> dict[str, list]:
        of = defaultdict(list)
        for thing in self.recording.world.things:
            of[thing.category].append(thing)
        return of

    @cached_property
    def masks(self) -> np.ndarray:
        """Pixels (frames, things) of each thing in each frame of the film."""
        n = len(self.recording.world.things)
        return np.stack([np.bincount(owner[owner >= 0], minlength=n) for _, _, owner in self.recording.frames()])

    @cached_property
    def pixels(self) -> list[Counter]:
        """Pixels of each kind in each frame of the film."""
        found = []
        for counts in self.masks.tolist():
            found.append(Counter())
            for thing, n in zip(self.recording.world.things, counts):
                found[-1][thing.category] += n
        return found

    def distance(self, a: str, b: str) -> float:
        """Metres between the nearest boxes of two kinds."""
        ids = [{thing.thing_id for thing in self.things[kind]} for kind in (a, b)]
        return min(m for i, j, m in self.truth["distances"] if {i, j} & ids[0] and {i, j} & ids[1])

    def told(self, *types: str) -> dict[tuple[str, ...], dict[str, str]]:
        """Question -> dataset -> answer."""
        found = defaultdict(dict)
        for dataset, account in self.accounts.items():
            for question, answer in account.asked(*types).items():
                found[question][dataset] = answer
        return found


def accounts(base: Path, dataset: str, films: dict[str, Recording], settings: config.Config):
    planned = [
        release.Planned(*NAMES_OF[dataset](k), space=k, take=0, split="train", quirks=QUIRKS[dataset][k])
        for k in range(len(films))
    ]
    film_of = dict(zip([scan.scene_id for scan in planned], films.values()))
    root, out = base / dataset, base / f"{dataset}_tables"
    release.write_scans(dataset, root, planned, lambda scan: film_of[scan.scene_id], SEED)
    ingest_shard(dataset, root, out, 0, 1, settings, tables.Lineage("ingest"))
    rows = {name: tables.read(tables.TABLES[name], out / f"{name}.parquet") for name in NAMES}
    assert rows["scenes_dropped"] == []
    writer = {"scannet": scannet, "scannetpp": scannetpp, "arkitscenes": arkitscenes}[dataset]
    for scan, (shape, film) in zip(planned, films.items()):
        mine = {name: [row for row in some if row["scene_id"] == scan.scene_id] for name, some in rows.items()}
        placed = writer.release_from_world(film, scan.scene_id, seed=SEED)
        aligned = np.reshape(mine["scenes"][0]["to_aligned"], (4, 4)) @ placed
        yield shape, Account(dataset, film, mine, aligned, settings.questions)
