"""The record of raw files is complete: compared with what the kernel says was opened."""

import json
import shutil

import numpy as np
import pytest

from evaluation import vsibench_release
from fixed import fixed
from opened import Opened
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.config.sections import External
from rollout3d.evaluation import benchmarks
from rollout3d.fingerprint import FILE, FOLDER, Recorder, compare
from rollout3d.imports import video_r1
from rollout3d.imports.release import Import
from rollout3d.scenes.check import check_scan
from rollout3d.scenes.ingest import ingest_shard
from rollout3d.scenes.regions import regions_shard
from rollout3d.stages import ingest as stage
from scenes import mini
from scenes.conftest import LINEAGE, settings


def recorded(raw, kind):
    return {row["path"] for row in raw.rows() if row["kind"] == kind}


def assert_complete(raw, opened):
    assert opened.files, "the kernel saw nothing opened"
    assert opened.files <= recorded(raw, FILE), sorted(opened.files - recorded(raw, FILE))
    assert opened.folders <= recorded(raw, FOLDER), sorted(opened.folders - recorded(raw, FOLDER))


def test_ingest_records_every_file_that_it_opens(made, tmp_path):
    with Opened(made.root) as opened, Recorder({"root": made.root}) as raw:
        ingest_shard(made.dataset, made.root, tmp_path, 0, 1, settings(), lambda: raw.lineage(LINEAGE))
    assert_complete(raw, opened)
    assert len(opened.files) > 20
    about = {tables.lineage(path)["parents"]["raw"] for path in tmp_path.glob("*.parquet")}
    assert about == {raw.digest()}


@pytest.mark.parametrize("mode", ["aabb_none", "instance_depth"])
def test_regions_record_every_file_that_they_open(made, tmp_path, mode):
    with Opened(made.root) as opened, Recorder({"root": made.root}) as raw:
        out = tmp_path / "regions.parquet"
        regions_shard(made.dataset, made.root, made.tables_dir, mode, settings(), out, lambda: raw.lineage(LINEAGE))
    assert_complete(raw, opened)
    assert tables.lineage(out)["parents"] == {"raw": raw.digest()}


def test_lists_of_labels_count_again_for_a_second_job_of_the_process(releases, tmp_path):
    """Their readers keep them in memory."""
    made = releases["scannet"]
    digests = []
    for name in ("a", "b"):
        with Recorder({"root": made.root}) as raw:
            ingest_shard("scannet", made.root, tmp_path / name, 0, 1, settings(), LINEAGE)
        digests.append(raw.digest())
        assert any(path.endswith("labels.combined.tsv") for path in recorded(raw, FILE))
    assert digests[0] == digests[1]


@pytest.fixture(scope="module")
def external(tmp_path_factory):
    """Video-R1's shape: a JSON file, a picture and a video."""
    root = tmp_path_factory.mktemp("external")
    (root / "pictures").mkdir()
    mini.write_video(root / "videos" / "v.mp4", [np.full((56, 84, 3), 20 * i, np.uint8) for i in range(8)], rate=4)
    import cv2

    cv2.imwrite(str(root / "pictures" / "a.png"), np.full((60, 60, 3), 99, np.uint8))
    shared = {"problem": "What?", "problem_type": "free-form", "options": None}
    shared |= {"process": "<think>\nLegs.\n</think>", "solution": "<answer>B</answer>"}
    shown = [("image", "pictures/a.png"), ("video", "videos/v.mp4"), ("image", "pictures/none.png")]
    records = [{**shared, "problem_id": i, "data_type": kind, "path": path} for i, (kind, path) in enumerate(shown)]
    (root / "cot.json").write_text(json.dumps(records))
    return root


def test_imports_record_every_file_that_they_open(external, tmp_path):
    config = Config.model_validate({"video": {"train_frames": 4}})
    with fixed(External, max_share_dropped=1.0), Opened(external) as opened, Recorder({"root": external}) as raw:
        out, dropped = tmp_path / "a.parquet", tmp_path / "b.parquet"
        to = Import(out, dropped, config, lambda: raw.lineage(LINEAGE), threads=2)
        counts = video_r1.import_cot(external / "cot.json", to)
    assert counts == (2, 1)
    assert_complete(raw, opened)
    assert opened.files == {"cot.json", "pictures/a.png", "videos/v.mp4"}
    assert recorded(raw, "absent") == {"pictures/none.png"}


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_benchmark_records_every_file_that_it_opens(tmp_path, form):
    root = tmp_path / "vsibench"
    vsibench_release.write_questions(root, "halves" if form == "parquet" else form)
    vsibench_release.write_folders(root, ["scannet"])
    packed = {path.stem: path.read_bytes() for path in (root / "scannet").iterdir()}
    vsibench_release.pack(root, "scannet", dict(list(packed.items())[:3]))
    for name in list(packed)[:2]:
        (root / "scannet" / f"{name}.mp4").unlink()
    config = Config.model_validate(
        {"site": {"benchmarks": {"vsibench": str(root)}}, "evaluation": {"datasets": ["scannet"]}}
    )
    with Opened(root) as opened, Recorder({"root": root}) as raw:
        assert list(benchmarks.prepare("vsibench", config).frames)
    assert_complete(raw, opened)
    files = {"test.jsonl"} if form == "jsonl" else {"test_debiased.parquet", "test_pruned.parquet"}
    assert opened.files == files | {"scannet.zip"} | {f"scannet/{name}.mp4" for name in list(packed)[2:]}


def test_the_stage_writes_the_record_and_a_mended_scan_changes_the_parents(releases, tmp_path):
    made = releases["scannet"]
    root = tmp_path / "copy"
    shutil.copytree(made.root, root)

    def run(out, root=root):
        values = settings().model_dump(mode="json")
        values = {name: values[name] for name in ("seed", "datasets", "scenes", "video")}
        args = ["--config", json.dumps(values), "--dataset", "scannet", "--shard", "0", "--root", str(root)]
        stage.main([*args, "--out-dir", str(tmp_path / out)])
        return {path.stem: tables.lineage(path) for path in (tmp_path / out).glob("*.parquet")}

    first, again = run("first"), run("again", made.root)
    assert set(first) == {"scenes", "objects", "frames", "maps", "visibility", "scenes_dropped", "raw_files"}
    assert len({about["parents"]["raw"] for about in first.values()}) == 1
    assert first == again
    for name in set(first) - {"raw_files"}:
        paths = [tmp_path / out / f"{name}.parquet" for out in ("first", "again")]
        assert paths[0].read_bytes() == paths[1].read_bytes(), name
    rows = tables.read(tables.RAW_FILES, tmp_path / "first" / "raw_files.parquet")
    assert compare(rows, {"roots.scannet": root}) == []
    mended = root / next(row["path"] for row in rows if row["path"].endswith(".ply"))
    mended.write_bytes(mended.read_bytes() + b"\n")
    (difference,) = compare(rows, {"roots.scannet": root})
    assert (difference.what, difference.path) == ("changed", mended.relative_to(root).as_posix())


def test_checking_a_scan_is_recorded_too(releases):
    made = releases["arkitscenes"]
    plan = made.plans()[0]
    folder = next(p for p in made.root.rglob(plan.scene_id) if p.is_dir())
    with Opened(made.root) as opened, Recorder({"root": made.root}) as raw:
        check_scan("arkitscenes", folder)
    assert_complete(raw, opened)
