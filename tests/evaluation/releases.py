"""Releases of benchmarks in small, written from their descriptions without a line of the readers.

Every writer takes a folder and fills it; numbers of questions are the released ones where the reader compares them.
"""

from __future__ import annotations

import json
import zipfile
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evaluation.vsibench_release import write_video

STI = {
    "3D Video Grounding": 317,
    "Dimensional Measurement": 289,
    "Displacement & Path Length": 358,
    "Ego-Centric Orientation": 185,
    "Pose Estimation": 360,
    "Spatial Relation": 146,
    "Speed & Acceleration": 331,
    "Trajectory Description": 78,
}
STI_VIDEOS = ("scene0011_00.mp4", "000123.mp4", "segment-9_camera_1.mp4")
REVSI = (
    ("object_counting_single", None, "4"),
    ("object_counting_multiple", None, "7"),
    ("object_abs_distance", None, "2.5"),
    ("object_size_estimation", None, "90"),
    ("room_size_estimation_single", None, "20.1"),
    ("room_size_estimation_multiple", None, "41"),
    ("object_rel_distance_closest", ["A. tv", "B. sofa"], "B"),
    ("object_rel_distance_farthest", ["A. tv", "B. sofa"], "A"),
    ("object_rel_direction_forward_easy", ["A. left", "B. right"], "A"),
    ("object_rel_direction_backward_easy", ["A. left", "B. right"], "B"),
    ("object_rel_direction_forward_hard", ["A. left", "B. right", "C. back", "D. front"], "D"),
    ("object_rel_direction_backward_hard", ["A. left", "B. right", "C. back", "D. front"], "C"),
    ("route_planning", ["A. Turn Left", "B. Turn Right"], "A"),
)
SPAR_LOW = [f"{a}_prediction_{b}{c}" for a in ("depth", "distance") for b in ("oc", "oo") for c in ("", "_mv")]
SPAR_HIGH = [f"{a}_{b}" for a in ("spatial_imagination",) for b in ("oc", "oo", "oc_mv", "oo_mv")]
SPAR_HIGH += ["obj_spatial_relation_oo", "obj_spatial_relation_oc_mv", "obj_spatial_relation_oo_mv"]
SPAR_HIGH += ["distance_infer_center_oo", "distance_infer_center_oo_mv"]
SPAR_MIDDLE = ["view_change_infer", "position_matching", "camera_motion_infer"]


def write_table(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


@cache
def jpeg(level: int = 90) -> bytes:
    return cv2.imencode(".jpg", np.full((56, 56, 3), level, np.uint8))[1].tobytes()


def pack_videos(root: Path, archive: str, videos: dict[str, int]) -> None:
    """An archive of videos (path within it -> number of frames), with what a Mac adds."""
    with zipfile.ZipFile(root / archive, "w") as packed:
        for name, n in videos.items():
            write_video(root / "made.mp4", n=n, level=lambda i: 20 * (i % 12))
            packed.writestr(name, (root / "made.mp4").read_bytes())
            packed.writestr(f"__MACOSX/{name}", b"Mac OS X")
    (root / "made.mp4").unlink(missing_ok=True)


def revsi_rows(budget: str, n: int) -> list[dict]:
    scenes = [("scannet", "scene0011_00"), ("ScanNet++", "0a7cc12c0e"), ("3RScan", "4acaebcc-6c10")]
    rows = []
    for k, (kind, options, answer) in enumerate(2 * REVSI):
        dataset, scene = scenes[k % 3]
        row = {"id": 100 + k, "dataset": dataset, "scene_id": scene, "num_frames": n if n else 7, "question_type": kind}
        rows.append(row | {"question": f"Question {k} at {budget}?", "options": options, "ground_truth": answer})
    return rows


def write_revsi(
    root: Path, frames: int = 16, budgets: tuple[tuple[str, int], ...] = (("16_frame", 16), ("all_frame", 0))
):
    """Questions of some budgets, and their videos of `frames` or, for all, 7 frames each."""
    root.mkdir(parents=True, exist_ok=True)
    videos = {}
    for folder, n in budgets:
        rows = revsi_rows(folder, n)
        write_table(root / folder / "test-00000-of-00001.parquet", rows)
        videos |= {f"{folder}/{row['scene_id']}.mp4": frames if n else 7 for row in rows}
    pack_videos(root, "video.zip", videos)


def sti_rows() -> list[dict]:
    rows = []
    for task, n in STI.items():
        for k in range(n):
            row = {"Source": "made", "Video": STI_VIDEOS[k % 3], "ID": len(rows), "Task": task, "QType": "choice"}
            row |= {"Question": f"How far ({task})?", "time_start": 1.5 * k, "time_end": 1.5 * k + 2}
            row |= {"Candidates": {letter: f"{i}.5 m" for i, letter in enumerate("ABCDE")}}
            rows.append(row | {"Answer": "ABCDE"[k % 5], "Answer Detail": "..."})
    return rows


def write_sti(root: Path, rows: list[dict] | None = None) -> None:
    root.mkdir(parents=True, exist_ok=True)
    write_table(root / "qa.parquet", sti_rows() if rows is None else rows)
    pack_videos(root, "video.zip", {f"video/{name}": 12 for name in STI_VIDEOS})


def spar_rows() -> list[dict]:
    tasks = [*SPAR_LOW, *SPAR_MIDDLE, *SPAR_HIGH]
    movement = "move_right:0.4,move_up:0.4,move_forward:2.4,rotate_up:5,rotate_right:60"
    rows = []
    for k in range(7207):
        task = tasks[k % 20]
        several = task.endswith("_mv") or task in SPAR_MIDDLE
        answer = "2.5" if task in SPAR_LOW else movement if task == "view_change_infer" else "ABCD"[k % 4]
        question = f"Question {k}?" + ("" if task in SPAR_LOW else " A. left B. right C. back D. front")
        image = [{"bytes": jpeg(), "path": f"scene{k % 50:04d}_00_{i}.jpg"} for i in range(3 if several else 1)]
        row = {"id": k, "img_type": "multi_view" if several else "single_view", "task": task, "source": "scannet"}
        row |= {"format_type": "fill" if task in SPAR_LOW else "select", "image": image}
        rows.append(row | {"question": question, "answer": answer})
    return rows


def write_spar(root: Path, rows: list[dict] | None = None) -> None:
    rows = spar_rows() if rows is None else rows
    for part in range(4):
        write_table(root / "data" / f"test-{part:05d}-of-00004.parquet", rows[part::4])


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


DOMAINS = {"Knowledge": "Law", "Film & Television": "Animation", "Multilingual": "Multilingual"}


def video_mme_rows() -> list[dict]:
    rows = []
    for k in range(2700):
        video = k // 3
        domain = list(DOMAINS)[video % 3]
        row = {
            "video_id": f"{video + 1:03d}",
            "videoID": f"-v{video % 4}",
            "duration": ("short", "medium", "long")[video // 300],
        }
        row |= {
            "domain": domain,
            "sub_category": DOMAINS[domain],
            "url": "made",
            "question_id": f"{video + 1:03d}-{k % 3 + 1}",
        }
        row |= {"task_type": ("Counting Problem", "OCR Problems")[k % 2], "question": f"Question {k}?"}
        rows.append(row | {"options": ["A. One.", "B. Two.", "C. Three.", "D. Four."], "answer": "ABCD"[k % 4]})
    return rows


def write_video_mme(root: Path, rows: list[dict] | None = None) -> None:
    write_table(root / "videomme/test-00000-of-00001.parquet", video_mme_rows() if rows is None else rows)
    pack_videos(root, "videos_chunked_01.zip", {"data/-v0.mp4": 12, "data/-v1.mp4": 12})
    pack_videos(root, "videos_chunked_02.zip", {"data/-v2.mp4": 12})
    write_video(root / "data" / "-v3.mp4")


ASPECTS = ("action", "direction", "speed", "order", "attribute_change")
TEMP = {"multi-choice": 1580, "yes_no": 2453, "caption_matching": 1503}


def temp_compass_rows(task: str) -> list[dict]:
    asked = {
        "multi-choice": ("How fast?\nA. fast\nB. slowly", "B. slowly"),
        "yes_no": ("Is it fast?", "no"),
        "caption_matching": ("Which fits?\nCaption A: it runs\nCaption B: it sleeps", "Caption B: it sleeps"),
    }
    question, answer = asked[task]
    return [
        {"video_id": str(100 + k % 2), "question": question, "answer": answer, "dim": ASPECTS[k % 5]}
        for k in range(TEMP[task])
    ]


def write_temp_compass(root: Path, nested: bool = False) -> None:
    """As on the Hub, a Parquet file per task, or as the authors' JSON."""
    root.mkdir(parents=True, exist_ok=True)
    for task in TEMP:
        rows = temp_compass_rows(task)
        if not nested:
            write_table(root / task / "test-00000-of-00001.parquet", rows)
            continue
        videos: dict = {}
        for row in rows:
            asked = videos.setdefault(row["video_id"], {}).setdefault(row["dim"], [])
            asked.append({"question": row["question"], "answer": row["answer"]})
        write_json(root / "questions" / f"{task}.json", videos)
    pack_videos(root, "tempcompass_videos.zip", {"videos/100.mp4": 12, "videos/101.mp4": 60})


def write_long_video_bench(root: Path) -> None:
    rows = []
    for k in range(1337):
        row = {"video_id": "@x", "id": f"x_{k}", "video_path": f"x{k % 2}.mp4", "question": f"Question {k}?"}
        row |= {"candidates": ["one", "two", "three"][: 2 + k % 2], "correct_choice": k % 2, "question_category": "T3E"}
        rows.append(row | {"duration_group": (15, 60, 600, 3600)[k % 4], "duration": 8.0, "level": "L1-Perception"})
    write_json(root / "lvb_val.json", rows)
    for name in ("x0", "x1"):
        write_video(root / "videos" / f"{name}.mp4")


def write_mmsi(root: Path) -> None:
    types = ("Positional Relationship (Cam.–Obj.)", "MSR", "Motion (Cam.)")
    rows = [
        {"id": k, "images": [jpeg(), jpeg(30)], "question_type": types[k % 3], "thought": "..."}
        | {"question": f"Question {k}?\nOptions: A: left, B: right, C: up, D: down", "answer": "ABCD"[k % 4]}
        for k in range(1000)
    ]
    write_table(root / "MMSI_Bench.parquet", rows)


VIEW_SPATIAL = {
    "Camera perspective - Relative Direction": 1773,
    "Camera perspective - Object View Orientation": 996,
    "Person perspective - Object View Orientation": 996,
    "Person perspective - Relative Direction": 842,
    "Person perspective - Scene Simulation Relative Direction": 1105,
}


def pack_pictures(root: Path, archive: str, paths: list[str]) -> None:
    with zipfile.ZipFile(root / archive, "w") as packed:
        for path in paths:
            packed.writestr(path, jpeg())


def write_view_spatial(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    for kind, n in VIEW_SPATIAL.items():
        for k in range(n):
            scan = "Simulation" in kind
            names = [
                "scannetv2_val/scene0011_00/original_images/280.jpg",
                "scannetv2_val/scene0011_00/original_images/9.jpg",
            ]
            paths = [f"ViewSpatial-Bench/{name}" for name in (names if scan else ["val2017/000000000785.jpg"])]
            row = {"question_type": kind, "image_path": paths, "question": f"Question {k}?", "answer": "B. front-up"}
            rows.append(row | {"choices": "A. right\nB. front-up"})
    write_json(root / "ViewSpatial-Bench.json", rows)
    pack_pictures(root, "scannetv2_val.zip", [f"scannetv2_val/scene0011_00/original_images/{k}.jpg" for k in (280, 9)])
    pack_pictures(root, "val2017.zip", ["val2017/000000000785.jpg"])


def write_mind_cube(root: Path) -> None:
    counts = {"among": 600, "around": 250, "rotation": 200}
    rows, paths = [], [f"other_all_image/{name}/1/{view}.jpg" for name in counts for view in ("front", "back")]
    for name, n in counts.items():
        for k in range(n):
            row = {"id": f"{name}_group{k}_q0", "category": [], "type": "made", "meta_info": []}
            row |= {"question": f"Question {k}? A. Above B. Under", "gt_answer": "AB"[k % 2]}
            rows.append(row | {"images": [path for path in paths if f"/{name}/" in path]})
    file = root / "data" / "raw" / "MindCube_tinybench.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pack_pictures(root, "data.zip", [f"data/{path}" for path in paths])
