"""What is fuzzed: one small release of each format, how it is read, and how it may be refused.

Which files that concerns nobody lists: `Subject.found` reads the release once and takes what the record of raw files
says was opened or looked for, so a file that a reader starts to read is fuzzed from then on.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from evaluation import foreign_files, vsibench_release
from fixed import fixed
from rollout3d import tables
from rollout3d.config import Config, question_types
from rollout3d.config.sections import External
from rollout3d.evaluation import benchmarks, foreign
from rollout3d.fingerprint import ABSENT, FILE, Recorder, note
from rollout3d.imports import records, released, video_r1
from rollout3d.imports.release import Import
from rollout3d.releases import MissingData
from rollout3d.scenes.datasets import _scannet_labels, _scannetpp_labels
from rollout3d.scenes.formats.sens import SensFile
from rollout3d.scenes.ingest import NAMES, TooManyFailures, ingest_shard
from rollout3d.scenes.meta import MetaError, read_meta
from scenes import mini
from scenes.conftest import LINEAGE, settings
from toyworld.settings import Scans
from toyworld.writers import arkitscenes, release, scannet, scannetpp

SEED = 3
SMALL = Scans(scans_per_dataset=2, val_scans=1, seconds=2.0, fps=5, width=64, height=48, n_objects=(3, 4))

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Subject:
    """A release and its reader. `read(root, out)` returns the rows of each table, or raises one of `refusals`.

    `donors`: path of a file -> the files of the same kind of another scan, by their paths.
    """

    name: str
    root: Path
    read: Callable[[Path, Path], Rows]
    refusals: tuple[type[BaseException], ...]
    donors: Callable[[str], list[str]] = lambda path: []

    def found(self, out: Path) -> tuple[list[str], list[str], Rows]:
        """Files that the reader opens, paths that it looks for in vain, and the tables of the undamaged release."""
        forget()
        with Recorder({"root": self.root}) as raw:
            rows = self.read(self.root, out)
        kinds: dict[str, list[str]] = {FILE: [], ABSENT: []}
        for row in raw.rows():
            kinds.get(row["kind"], []).append(row["path"])
        return kinds[FILE], kinds[ABSENT], rows


def forget() -> None:
    """Label tables are kept in memory by their path."""
    _scannet_labels.meanings.cache_clear()
    _scannetpp_labels.meanings.cache_clear()


# --- scans -----------------------------------------------------------------------------------------------------------


def _ingest(dataset: str, split: str) -> Callable[[Path, Path], Rows]:
    splits = {"train": [split], "test": []} if split != "test" else {"train": [], "test": ["test"]}
    spec = {"max_scans": 1, "splits": splits}
    # A dropped scan must become a row, not an end of the shard.
    config = settings(datasets={dataset: spec}, site={"max_drop_share": 1.0})

    def read(root: Path, out: Path) -> Rows:
        ingest_shard(dataset, root, out, 0, 1, config, LINEAGE)
        return {name: tables.read(tables.TABLES[name], out / f"{name}.parquet") for name in NAMES}

    return read


def _scans(base: Path, name: str, dataset: str, quirks: Any, split: str = "train", seed: int = SEED) -> Subject:
    """A release with two scans of different rooms; the first one is read, the second one gives its files away."""
    root = base / name
    planned = [replace(plan, quirks=quirks, split=split) for plan in release.plan(dataset, SMALL, seed)]
    release.write_scans(dataset, root, planned, lambda plan: release.film(dataset, plan, SMALL, seed), seed)
    first, second = (plan.scene_id for plan in planned)
    for path in root.rglob("*"):  # the lists and tables of the release
        if path.suffix in (".txt", ".csv") and first not in str(path) and second not in str(path):
            path.write_text("".join(line for line in path.read_text().splitlines(True) if second not in line))

    def donors(path: str) -> list[str]:
        if first not in path:
            return []
        swapped = path.replace(first, second)
        if (root / swapped).is_file():
            return [swapped]
        # Files named by time: any of the same folder.
        folder = root / Path(*(second if part == first else part for part in Path(path).parent.parts))
        return sorted(each.relative_to(root).as_posix() for each in folder.glob(f"*{Path(path).suffix}"))

    return Subject(name, root, _ingest(dataset, split), (MissingData, TooManyFailures), donors)


def _scannet(base: Path) -> list[Subject]:
    plain = _scans(base, "scannet", "scannet", scannet.Quirks(projected=True, corrupt_times=True))
    first = _scans(base, "scannet version 1", "scannet", scannet.Quirks(version=1, depth_divisor=1))
    for file in [*first.root.glob("scannetv2*")]:
        target = file.with_name(file.name.replace("scannetv2_", "scannetv1_"))
        file.rename(target) if target != file else file.unlink()
    export = _scans(base, "scannet exported", "scannet", scannet.Quirks())
    for path in export.root.glob("scans/*/*.sens"):
        _export(path)
    return [plain, first, export]


def _export(path: Path) -> None:
    """Replace a .sens file by what the release's reader exports of it."""
    sens, folder = SensFile(path), path.parent
    for stream, K in (("color", sens.color_K), ("depth", sens.depth_K)):
        mini.write_bytes(folder / "intrinsic" / f"intrinsic_{stream}.txt", _text(np.pad(K, (0, 1))))
    for i, pose in enumerate(sens.poses):
        mini.write_bytes(folder / "color" / f"{i}.jpg", mini.jpeg(sens.color(i)))
        depth = np.rint(1000 * sens.depth(i)).astype(np.uint16)
        mini.write_bytes(folder / "depth" / f"{i}.png", cv2.imencode(".png", depth)[1].tobytes())
        mini.write_bytes(folder / "pose" / f"{i}.txt", _text(pose))
    sens.close()
    path.unlink()


def _text(matrix: np.ndarray) -> bytes:
    return "".join(" ".join(f"{value:f}" for value in row) + "\n" for row in matrix).encode()


def _scannetpp(base: Path) -> list[Subject]:
    made = [_scans(base, "scannetpp", "scannetpp", scannetpp.Quirks())]
    for packing in ("records_lz4", "records_deflate"):
        made.append(_scans(base, f"scannetpp {packing}", "scannetpp", scannetpp.Quirks(depth_packing=packing)))
    for video in made[1].root.rglob("rgb.mkv"):
        _as_mp4(video)
    dslr = _scans(base, "scannetpp dslr", "scannetpp", scannetpp.Quirks(dslr=True))
    for folder in dslr.root.glob("data/*/iphone"):
        folder.rename(folder.with_name("iphone_left_out"))
    colmap = _scans(base, "scannetpp colmap", "scannetpp", scannetpp.Quirks())
    for path in colmap.root.glob("data/*/iphone/pose_intrinsic_imu.json"):
        path.unlink()
    return [*made, dslr, colmap]


def _as_mp4(video: Path) -> None:
    with av.open(str(video)) as source, av.open(str(video.with_suffix(".mp4")), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    video.unlink()


def _arkitscenes(base: Path) -> list[Subject]:
    raw = arkitscenes.Quirks(layouts=("raw",), rotation_deg=90)
    packed = _scans(base, "arkitscenes packed", "arkitscenes", raw)
    for folder in [each for each in packed.root.glob("raw/Training/*/*") if each.is_dir()]:
        shutil.make_archive(str(folder), "zip", folder.parent, folder.name)
        shutil.rmtree(folder)
    return [
        _scans(base, "arkitscenes raw", "arkitscenes", raw),
        _scans(base, "arkitscenes 3dod", "arkitscenes", arkitscenes.Quirks(layouts=("3dod",))),
        packed,
    ]


# --- published boxes, benchmark, questions, predictions --------------------------------------------------------------


def _meta(base: Path) -> Subject:
    root = base / "meta"
    root.mkdir()
    box = {"axesLengths": [0.6, 0.4, 0.5], "normalizedAxes": np.eye(3).ravel().tolist()}

    def scene(dataset: str, k: int) -> dict[str, Any]:
        boxes = {
            name: [
                {**box, "centroid": [k + i, 1.0, 0.5], "min": [k + i - 0.3, 0.8, 0.25], "max": [k + i + 0.3, 1.2, 0.75]}
            ]
            for i, name in enumerate(("table", "chair", "sofa"))
        }
        counts = {name: len(some) for name, some in boxes.items()}
        about = {"dataset": dataset, "room_size": 12.5, "room_center": [1.0, 1.0, 1.2], "video_path": "v.mp4"}
        return {**about, "object_counts": counts, "object_bbox": boxes}

    names = {"scannet": ["scene0011_00", "scene0015_00"], "arkitscenes": ["41069021", "41069025"]}
    for dataset, scenes in names.items():
        content = {name: scene(dataset, k) for k, name in enumerate(scenes)}
        mini.write_json(root / f"{dataset}_meta_info_val.json", content)

    def read(root: Path, out: Path) -> Rows:
        found = read_meta(root, max_drop_share=1.0)
        rows = {"scenes": found.scenes, "objects": found.objects, "scenes_dropped": found.dropped}
        for name, some in rows.items():
            tables.write(tables.TABLES[name], out / f"{name}.parquet", some, LINEAGE)
        return {name: tables.read(tables.TABLES[name], out / f"{name}.parquet") for name in rows}

    return Subject("published boxes", root, read, (MetaError,))


def _benchmark(base: Path, form: str) -> Subject:
    """Questions and videos of VSI-Bench; ScanNet++'s three first videos are unpacked, the others in the archive."""
    root = base / f"vsibench {form}"
    vsibench_release.write_questions(root, form)
    vsibench_release.write_video(root / "made.mp4", n=6, width=32, height=32)
    content = (root / "made.mp4").read_bytes()
    (root / "made.mp4").unlink()
    scenes = vsibench_release.SCENES["scannetpp"]
    vsibench_release.pack(root, "scannetpp", dict.fromkeys(scenes[3:], content))
    for scene in scenes[:3]:
        mini.write_bytes(root / "scannetpp" / f"{scene}.mp4", content)
    values = {"site": {"benchmarks": {"vsibench": str(root)}}, "evaluation": {"datasets": ["scannetpp"]}}
    config = Config.model_validate({**values, "video": {"eval_frames": 2, "min_pixels": 784}})

    def read(root: Path, out: Path) -> Rows:
        prepared = benchmarks.prepare("vsibench", config)
        tables.write(tables.FRAMES, out / "frames.parquet", prepared.frames, LINEAGE)
        tables.write(tables.QUESTIONS, out / "questions.parquet", prepared.questions, LINEAGE)
        return {
            "frames": tables.read(tables.FRAMES, out / "frames.parquet"),
            "questions": tables.read(tables.QUESTIONS, out / "questions.parquet"),
        }

    return Subject(f"vsibench {form}", root, read, (benchmarks.BenchmarkError, MissingData, tables.TableError))


def _media(root: Path) -> None:
    (root / "pictures").mkdir(parents=True)
    for k, name in enumerate(("a.png", "b.jpg")):
        cv2.imwrite(str(root / "pictures" / name), np.full((60, 60, 3), 99 + k, np.uint8))
    mini.write_video(root / "videos" / "v.mp4", [np.full((56, 84, 3), 20 * i, np.uint8) for i in range(8)], rate=4)


ORDER = "What will be the first-time appearance order of the following categories in the video: bed, tv, lamp, door?"
_OPTIONS = ["A. bed, tv, lamp, door", "B. tv, bed, lamp, door"]


def _spacer_rows() -> list[dict[str, Any]]:
    scan = {"data_type": "video", "data_source": "SR_dataset", "path": "./ScanNet/video/scene0012_01.mp4"}
    choice = {"problem_type": "multiple choice", "options": _OPTIONS, "solution": "<answer>B</answer>"}
    asked = {"problem": "What?", "problem_type": "free-form", "options": None, "solution": "<answer>A leg</answer>"}
    shown = [("image", "pictures/a.png"), ("image", "pictures/b.jpg"), ("video", "videos/v.mp4")]
    size = "What is the length of the longest dimension (length, width, or height) of the bed, measured in centimeters?"
    return [
        {**scan, **choice, "problem_id": 1, "problem": ORDER},
        {**scan, "problem_id": 2, "problem": size, "problem_type": "regression", "solution": "<answer>172</answer>"},
        *({**asked, "problem_id": 3 + k, "data_type": kind, "path": path} for k, (kind, path) in enumerate(shown)),
    ]


def _vlm3r_rows() -> list[dict[str, Any]]:
    route = "You are a robot beginning at the door facing the bed. You want to navigate to the tv."
    text = f"<image>\nThese are frames of a video.\n{route}\nOptions:\nA. Turn Left\nB. Turn Right\nC. Turn Back"
    text += "\nAnswer with the option's letter from the given choices directly."
    return [
        {
            "id": k,
            "conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": "ABC"[k]}],
            "video": f"scannetpp/videos/train/09c1414f1{'abc'[k]}.mp4",
            "data_source": "scannetpp",
        }
        for k in range(3)
    ]


def _cot_rows() -> list[dict[str, Any]]:
    shared = {"problem": "What?", "problem_type": "free-form", "options": None, "select": True, "data_source": "G"}
    shared |= {"process": "<think>\nLegs.\n</think>", "solution": "<answer>B</answer>"}
    shown = [("image", "pictures/a.png"), ("video", "videos/v.mp4"), ("image", "pictures/b.jpg")]
    return [{**shared, "problem_id": i, "data_type": kind, "path": path} for i, (kind, path) in enumerate(shown)]


def _imported(base: Path, source: str, rows: list[dict[str, Any]], lines: bool) -> Subject:
    root = base / f"questions {source}"
    _media(root)
    path = root / ("questions.jsonl" if lines else "questions.json")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) if lines else json.dumps(rows))
    few = {"spatial_types": list(question_types.NAMES), "general": 100}
    config = Config.model_validate({"external": few, "video": {"train_frames": 4, "min_pixels": 784}})
    cot = source == video_r1.NAME
    kept = tables.OCR_SFT if cot else tables.QUESTIONS

    def read(root: Path, out: Path) -> Rows:
        own, dropped = out / "rows.parquet", out / "dropped.parquet"
        note(path)
        with fixed(External, max_share_dropped=1.0):
            if cot:
                video_r1.import_cot(path, Import(own, dropped, config, LINEAGE))
            else:
                released.import_questions(source, path, Import(own, dropped, config, LINEAGE))
        return {
            "questions": tables.read(kept, own),
            "questions_dropped": tables.read(tables.QUESTIONS_DROPPED, dropped),
        }

    return Subject(f"questions {source}", root, read, (records.ExternalError,))


def _predictions(base: Path, suffix: str) -> Subject:
    root = base / f"predictions {suffix}"
    root.mkdir()
    given = foreign_files.right(foreign_files.questions(2))
    path = root / f"predictions{suffix}"
    foreign_files.write_rows(path, [{"id": name, "prediction": text} for name, text in given.items()])

    def read(root: Path, out: Path) -> Rows:
        found = foreign.read_predictions(path)
        return {"predictions": [{"id": name, "text": text} for name, text in found.texts.items()]}

    return Subject(f"predictions {suffix}", root, read, (foreign.ForeignError,))


def every(base: Path, pattern: str = "") -> list[Subject]:
    """All subjects whose name holds `pattern`, written below `base`."""
    made: list[tuple[str, Callable[[], list[Subject]]]] = [
        ("scannet version 1 exported", lambda: _scannet(base)),
        ("scannetpp records_lz4 records_deflate dslr colmap", lambda: _scannetpp(base)),
        ("arkitscenes raw 3dod packed", lambda: _arkitscenes(base)),
        ("published boxes", lambda: [_meta(base)]),
        ("vsibench jsonl halves", lambda: [_benchmark(base, form) for form in ("jsonl", "halves")]),
        (
            "questions spacer vlm3r_route video_r1_cot",
            lambda: [
                _imported(base, "spacer", _spacer_rows(), True),
                _imported(base, "vlm3r_route", _vlm3r_rows(), False),
                _imported(base, video_r1.NAME, _cot_rows(), False),
            ],
        ),
        ("predictions", lambda: [_predictions(base, suffix) for suffix in (".jsonl", ".json", ".csv", ".tsv")]),
    ]
    words = re.split(r"[ _]", pattern)
    found = [subject for names, make in made if not pattern or words[0] in names for subject in make()]
    return [subject for subject in found if pattern in subject.name]
