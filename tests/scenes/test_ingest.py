"""Raw scans to scene tables."""

import logging
import math
from collections import Counter

import cv2
import numpy as np
import pytest

from rollout3d import tables
from rollout3d.geometry.topdown import unpack_grid
from rollout3d.releases import MissingData
from rollout3d.scenes.damage import more_than_chance
from rollout3d.scenes.ingest import NAMES, TooManyFailures, ingest_shard, shard_scans
from rollout3d.stages import ingest as stage
from scenes import mini
from scenes.conftest import LINEAGE, SYNTHETIC, ingested_without_depth, settings, trained

VIDEO_FPS = {"scannet": 24.0, "scannetpp": 30.0, "arkitscenes": SYNTHETIC.fps}


def picture(image):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(image["bytes"], np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def recording_frame(dataset, index):
    """The frame of the recording that a frame of the video shows: ScanNet++ holds each until the next is due."""
    return int(index * SYNTHETIC.fps / 30 + 1e-9) if dataset == "scannetpp" else index


def test_every_scan_is_there_and_nothing_but_the_skipped_one_was_dropped(made):
    assert len(made.rows["scenes"]) == SYNTHETIC.scans_per_dataset
    assert len(made.rows["scenes_dropped"]) == (made.dataset == "arkitscenes")
    assert all("skipped" in row["reason"] for row in made.rows["scenes_dropped"])
    splits = Counter(scene["split"] for scene in made.rows["scenes"])
    assert splits == {"train": SYNTHETIC.scans_per_dataset - SYNTHETIC.val_scans, "val": SYNTHETIC.val_scans}
    for scene in made.rows["scenes"]:
        facts = made.truth(scene["scene_id"])["release"]
        space_id = scene["scene_id"] if facts["space_id"] == "NA" else facts["space_id"]
        assert (scene["space_id"], scene["split"]) == (space_id, facts["split"])
        assert scene["rotation_deg"] == facts["rotation_deg"] and scene["fps"] == pytest.approx(VIDEO_FPS[made.dataset])


def test_objects_are_where_the_world_has_them(made):
    for scene in made.rows["scenes"]:
        truth, move = made.truth(scene["scene_id"]), made.aligned_from_world(scene)
        rows = {row["object_id"]: row for row in made.of("objects", scene["scene_id"])}
        boxes = {str(box["thing_id"]): box for box in truth["boxes"]}
        expected = Counter()
        for thing_id, object_id in truth["release"]["object_ids"].items():
            row, box = rows[object_id], boxes[thing_id]
            assert row["label"] == truth["release"]["labels"][thing_id] and row["perturbable"]
            assert np.allclose(row["centroid"], move[:3, :3] @ box["center"] + move[:3, 3], atol=0.15)
            if made.dataset != "scannet":  # ScanNet has no boxes: Open3D's are near minimal, not the true ones
                assert np.allclose(sorted(row["axes_lengths"]), sorted(box["size"]), atol=1e-6)
            if row["category"]:
                expected[row["category"]] += 1
        assert {c["category"]: c["n"] for c in scene["object_counts"]} == expected
        assert expected, "some objects are asked about"


def test_poses_and_intrinsics_belong_to_the_stored_pixels(made):
    for scene, recording in made.recordings():
        move = made.aligned_from_world(scene)
        turns = {0: 0, 90: 1, 180: 2, 270: 3}[scene["rotation_deg"]]
        seen = 0
        for row in made.of("frames", scene["scene_id"]):
            if row["pose"] is None:
                continue
            true_pose = move @ recording.poses[recording_frame(made.dataset, row["frame_index"])]
            K, pose = np.reshape(row["K"], (3, 3)), np.reshape(row["pose"], (4, 4))
            assert np.allclose(pose[:3, 3], true_pose[:3, 3], atol=2e-3)
            # A point two metres ahead of the true camera, and one to its side.
            for offset in ((0, 0, 2), (0.3, -0.2, 1.5)):
                point = true_pose[:3, :3] @ offset + true_pose[:3, 3]
                stored, _ = mini.pixel(recording.K, true_pose, point)
                found, _ = mini.pixel(K, pose, point)
                scale = [row["width"] / scene["width"], row["height"] / scene["height"]]
                assert np.allclose(found, (stored + 0.5) * scale - 0.5, atol=0.1), (turns, offset)
            seen += 1
        assert seen >= 6


def test_frames_show_what_the_recording_shows(made):
    for scene, recording in made.recordings():
        truth = [rgb for rgb, _, _ in recording.frames()]
        for row in made.of("frames", scene["scene_id"]):
            shown = picture(row["image"]).astype(int)
            assert shown.shape == (row["height"], row["width"], 3)
            expected = cv2.resize(
                truth[recording_frame(made.dataset, row["frame_index"])],
                (row["width"], row["height"]),
                interpolation=cv2.INTER_AREA,
            )
            others = truth[(recording_frame(made.dataset, row["frame_index"]) + len(truth) // 2) % len(truth)]
            others = cv2.resize(others, (row["width"], row["height"]), interpolation=cv2.INTER_AREA)
            error = np.abs(shown - expected).mean()
            assert error < 8 and error < 0.5 * max(np.abs(shown - others.astype(int)).mean(), 16)


def test_lost_frames_stay_without_a_pose_and_are_counted(made):
    for scene in made.rows["scenes"]:
        lost = made.truth(scene["scene_id"])["release"]["lost"]
        rows = made.of("frames", scene["scene_id"])
        none = [row["frame_index"] for row in rows if row["pose"] is None]
        if made.dataset != "scannetpp":  # there every pose is known, but the last entry may be missing
            assert none == [row["frame_index"] for row in rows if row["frame_index"] in lost]
        assert (f"lost_frames:{len(none)}" in scene["flags"]) == bool(none)


def test_frames_are_sampled_by_the_one_rule_and_named_by_number(made):
    for scene in made.rows["scenes"]:
        rows = made.of("frames", scene["scene_id"])
        for name, n in (("uniform6", 6), ("uniform9", 9)):
            expected = np.rint(np.linspace(0, scene["n_frames"] - 1, n)).astype(int)
            assert [row["frame_index"] for row in rows if name in row["sets"]] == expected.tolist()
        assert all(row["sets"] for row in rows)
        for row in rows:
            assert row["timestamp_s"] == pytest.approx(row["frame_index"] / scene["fps"])
            tall = scene["rotation_deg"] in (90, 270)
            assert (row["width"], row["height"]) == ((84, 112) if tall else (112, 84))


def test_room_is_as_large_as_its_floor(made):
    for scene in made.rows["scenes"]:
        assert scene["room_size_m2"] == pytest.approx(made.truth(scene["scene_id"])["room_area_m2"], rel=0.03)


def test_maps_show_the_floor(made):
    for scene in made.rows["scenes"]:
        (row,) = made.of("maps", scene["scene_id"])
        bev = picture(row["bev"])
        assert bev.shape == (432, 432, 3)
        x_min, y_min, x_max, y_max = row["floor_rect"]
        for item in made.of("objects", scene["scene_id"]):
            if item["perturbable"]:
                assert x_min - 0.1 <= item["centroid"][0] <= x_max + 0.1
                assert y_min - 0.1 <= item["centroid"][1] <= y_max + 0.1
        cols, rows = row["grid_size"]
        free = unpack_grid(row["walkable"], cols, rows).sum() * row["cell_m"] ** 2
        assert 0.3 * scene["room_size_m2"] < free < scene["room_size_m2"]
        # The cameras walked where one can walk.
        grid = unpack_grid(row["walkable"], cols, rows)
        for frame in made.of("frames", scene["scene_id"]):
            if frame["pose"] is not None:
                x, y = frame["pose"][3], frame["pose"][7]
                col, line = (np.array([x, y]) - row["grid_origin"]) // row["cell_m"]
                assert grid[int(line), int(col)]
                u, v = (x - row["x0"]) / row["m_per_px"], (row["y0"] - y) / row["m_per_px"]
                assert bev[round(v), round(u)].any()
        assert 1000 < len(row["points"]) <= 20_000


def test_first_appearances_agree_with_the_worlds_own_pixels(made):
    """Our count is of depth pixels within 20 %: it may find things a little early or late, rarely far off."""
    gaps = []
    for scene in made.rows["scenes"]:
        truth = made.truth(scene["scene_id"])
        kinds = {str(box["thing_id"]): box["kind"] for box in truth["boxes"]}
        rows = {row["object_id"]: row for row in made.of("objects", scene["scene_id"])}
        first: dict[str, float] = {}
        for thing_id, object_id in truth["release"]["object_ids"].items():
            category, seconds = rows[object_id]["category"], truth["first_seen_s"].get(kinds[thing_id])
            if category and seconds is not None:
                first[category] = min(first.get(category, np.inf), seconds)
        (row,) = made.of("maps", scene["scene_id"])
        found = {a["category"]: a["first_seen_s"] for a in row["appearances"]}
        speed = scene["fps"] / SYNTHETIC.fps if made.dataset == "scannet" else 1  # ScanNet's video runs at 24
        gaps += [abs(found[name] * speed - first[name]) for name in set(found) & set(first)]
        assert len(set(found) ^ set(first)) <= 2
    assert len(gaps) >= 10 and np.mean(np.array(gaps) <= 1 / SYNTHETIC.fps + 1e-6) >= 0.8


def test_same_input_gives_the_same_bytes(made, tmp_path):
    ingest_shard(made.dataset, made.root, tmp_path, 0, 1, settings(), LINEAGE)
    for name in NAMES:
        assert (tmp_path / f"{name}.parquet").read_bytes() == (made.tables_dir / f"{name}.parquet").read_bytes()


def test_shards_share_out_the_scans_and_keep_spaces_together(made, tmp_path):
    n, of_shard = 5, {}
    for shard in range(n):
        for ref in shard_scans(made.dataset, made.root, shard, n, settings()):
            of_shard.setdefault(ref.space_id, set()).add(shard)
            assert of_shard[ref.space_id] == {shard}
    assert set(of_shard) == {scene["space_id"] for scene in made.rows["scenes"]}
    empty = next(s for s in range(n) if s not in set.union(*of_shard.values()))
    ingest_shard(made.dataset, made.root, tmp_path, empty, n, settings(), LINEAGE)
    for name in NAMES:
        assert tables.read(tables.TABLES[name], tmp_path / f"{name}.parquet") == []


def test_limit_takes_the_first_scans_of_each_split(made):
    few = settings(datasets={made.dataset: {"max_scans": 1}})
    refs = shard_scans(made.dataset, made.root, 0, 1, few)
    every = shard_scans(made.dataset, made.root, 0, 1, settings())
    assert [r.split for r in refs] == ["train", "val"]
    assert refs == [every[0], next(r for r in every if r.split == "val")]


# --- damage ------------------------------------------------------------------------------------------------------


@pytest.fixture
def scannet_root(tmp_path):
    """Five listed scans: one not on disk, four tiny ones."""
    root = tmp_path / "scannet"
    mini.write_tsv(root / "scannetv2-labels.combined.tsv")
    names = [f"scene{i:04d}_00" for i in range(5)]
    (root / "scannetv2_train.txt").write_text("\n".join(names) + "\n")
    for name in names[1:]:
        mini.write_scannet(root / "scans" / name, name)
    return root


def run(root, out, **site):
    ingest_shard("scannet", root, out, 0, 1, trained("scannet", site=site), LINEAGE)
    return {name: tables.read(tables.TABLES[name], out / f"{name}.parquet") for name in NAMES}


def test_damaged_and_absent_scans_are_dropped_with_file_and_reason(scannet_root, tmp_path, caplog):
    (scannet_root / "scans" / "scene0002_00" / "scene0002_00.aggregation.json").write_text("{ not json")
    with caplog.at_level(logging.WARNING):
        rows = run(scannet_root, tmp_path / "out")
    assert [row["scene_id"] for row in rows["scenes"]] == ["scene0001_00", "scene0003_00", "scene0004_00"]
    assert {row["scene_id"] for row in rows["frames"]} == {row["scene_id"] for row in rows["scenes"]}
    dropped = {row["scene_id"]: (row["file"], row["reason"]) for row in rows["scenes_dropped"]}
    assert dropped["scene0000_00"][0] == "" and "not on disk" in dropped["scene0000_00"][1]
    assert dropped["scene0002_00"][0] == "scans/scene0002_00/scene0002_00.aggregation.json"
    assert "JSON" in dropped["scene0002_00"][1]
    assert "scene0002_00" in caplog.text


def test_damage_in_a_sampled_frame_drops_the_whole_scan(scannet_root, tmp_path):
    path = scannet_root / "scans" / "scene0003_00" / "scene0003_00.sens"
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xd8\xff")
    data[at : at + 200] = bytes(200)
    path.write_bytes(data)
    rows = run(scannet_root, tmp_path / "out")
    assert "scene0003_00" not in {row["scene_id"] for name in NAMES[:-1] for row in rows[name]}
    assert "scans/scene0003_00/scene0003_00.sens" in {row["file"] for row in rows["scenes_dropped"]}


def test_much_damage_stops_with_one_error_and_leaves_nothing(scannet_root, tmp_path):
    for name in ("scene0001_00", "scene0002_00", "scene0004_00"):
        (scannet_root / "scans" / name / f"{name}.sens").write_bytes(b"")
    out = tmp_path / "out"
    with pytest.raises(TooManyFailures, match="3 of the shard's 4") as caught:
        run(scannet_root, out)
    assert "scans/scene0002_00/scene0002_00.sens" in str(caught.value) and "max_drop_share" in str(caught.value)
    assert list(out.iterdir()) == []
    assert len(run(scannet_root, out, max_drop_share=0.5)["scenes"]) == 1


def test_one_damaged_scan_stops_a_small_shard_only_where_none_may_be(scannet_root, tmp_path):
    (scannet_root / "scans" / "scene0002_00" / "scene0002_00.sens").write_bytes(b"")
    assert len(run(scannet_root, tmp_path / "out")["scenes"]) == 3
    with pytest.raises(TooManyFailures, match="1 of the shard's 4"):
        run(scannet_root, tmp_path / "strict", max_drop_share=0.0)


def test_share_of_a_dataset_is_judged_by_what_chance_puts_into_a_shard():
    # Binomial tails by hand. 4 scans at 0.05: two or more 0.0140, three or more 0.0005.
    assert [more_than_chance(k, 4, 0.05) for k in range(5)] == [False, False, False, True, True]
    assert not more_than_chance(1, 1, 0.05) and more_than_chance(2, 2, 0.05)  # 0.05, 0.0025
    # 95 scans, about a shard of ScanNet, against the sum of the tail written out.
    tail = [sum(math.comb(95, i) * 0.05**i * 0.95 ** (95 - i) for i in range(k, 96)) for k in range(96)]
    assert [more_than_chance(k, 95, 0.05) for k in range(1, 96)] == [p < 0.01 for p in tail[1:]]
    assert more_than_chance(11, 95, 0.05) and not more_than_chance(10, 95, 0.05)
    assert more_than_chance(1, 95, 0.0) and not more_than_chance(0, 95, 0.0) and not more_than_chance(95, 95, 1.0)


def test_mesh_without_anything_to_see_is_a_dropped_scan(scannet_root, tmp_path):
    path = scannet_root / "scans" / "scene0001_00" / "scene0001_00_vh_clean_2.ply"
    vertices, _, _ = mini.world()
    path.write_bytes(mini.ply_bytes(mini.raw(vertices), np.empty((0, 3))))
    rows = run(scannet_root, tmp_path / "out")
    assert "scene0001_00" in {row["scene_id"] for row in rows["scenes_dropped"]}


def test_listed_scans_that_are_all_absent_are_missing_data(scannet_root, tmp_path):
    (scannet_root / "scannetv2_train.txt").write_text("scene0100_00\nscene0101_00\n")
    with pytest.raises(MissingData, match="scene0100_00"):
        run(scannet_root, tmp_path / "out")


def test_quality_of_the_frames_is_a_constant(scannet_root, tmp_path, monkeypatch):
    """A JPEG's first quantiser is 16 at quality 50 (ISO 10918-1, table K.1, as libjpeg scales it), 3 at 90."""
    for quality, first in ((50, 16), (90, 3)):
        out = tmp_path / str(quality)
        monkeypatch.setattr("rollout3d.scenes.rows.JPEG_QUALITY", quality)
        ingest_shard("scannet", scannet_root, out, 0, 1, trained("scannet"), LINEAGE)
        data = tables.read(tables.FRAMES, out / "frames.parquet")[0]["image"]["bytes"]
        assert data[data.index(b"\xff\xdb") + 5] == first


def skipped_videos(root, n=3):
    rows = []
    for i in range(n):
        video = f"4104819{i}"
        mini.write_json(root / "raw" / "Training" / video / f"{video}_3dod_annotation.json", {"skipped": True})
        rows.append(f"{video},NA,Training")
    mini.write_bytes(root / "raw" / "metadata.csv", ("video_id,visit_id,fold\n" + "\n".join(rows)).encode())


def test_skipped_annotations_do_not_count_as_damage(tmp_path):
    root = tmp_path / "arkit"
    skipped_videos(root)
    config = settings(datasets={"arkitscenes": {"shards": 2}})
    dropped = []
    for shard in range(2):
        out = tmp_path / str(shard)
        ingest_shard("arkitscenes", root, out, shard, 2, config, LINEAGE)
        dropped += tables.read(tables.TABLES["scenes_dropped"], out / "scenes_dropped.parquet")
    assert len(dropped) == 3 and all("skipped" in row["reason"] for row in dropped)


def test_a_dataset_without_any_scan_to_use_is_an_error_and_a_shard_of_it_a_warning(tmp_path, caplog):
    root = tmp_path / "arkit"
    skipped_videos(root)
    said = "none of the shard's 3 scans can be used"
    with pytest.raises(MissingData, match=rf"(?s){said}.*3 x the annotators skipped this video.*rollout3d inventory"):
        ingest_shard("arkitscenes", root, tmp_path / "out", 0, 1, settings(), LINEAGE)
    assert list((tmp_path / "out").iterdir()) == []
    caplog.clear()
    ingest_shard("arkitscenes", root, tmp_path / "all", 0, 1, settings(site={"max_drop_share": 1.0}), LINEAGE)
    assert said in caplog.text and "3 x the annotators skipped this video" in caplog.text
    assert (tmp_path / "all" / "scenes.parquet").is_file()


def test_scan_without_depth_takes_it_from_the_mesh(releases, tmp_path):
    made = releases["scannetpp"]
    scene = ingested_without_depth(made, tmp_path)
    (row,) = tables.read(tables.MAPS, tmp_path / "out" / "maps.parquet", ["appearances"])
    (measured,) = made.of("maps", scene)
    rendered = {a["category"]: a["first_seen_s"] for a in row["appearances"]}
    sensed = {a["category"]: a["first_seen_s"] for a in measured["appearances"]}
    both = set(rendered) & set(sensed)
    assert len(both) >= len(sensed) - 1 >= 2
    assert np.median([abs(rendered[c] - sensed[c]) for c in both]) <= 1 / SYNTHETIC.fps


def test_stage_writes_the_tables_with_lineage(releases, tmp_path):
    made = releases["arkitscenes"]
    text = settings().model_dump_json(include={"seed", "datasets", "scenes", "video"})
    arguments = ["--config", text, "--dataset", "arkitscenes", "--shard", "0", "--root", str(made.root)]
    stage.main([*arguments, "--out-dir", str(tmp_path)])
    assert tables.content_digest(tmp_path / "scenes.parquet") == tables.content_digest(
        made.tables_dir / "scenes.parquet"
    )
    assert tables.lineage(tmp_path / "maps.parquet")["stage"] == "ingest"


def test_stage_says_what_is_missing_and_fails(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        stage.main(
            ["--dataset", "scannetpp", "--shard", "0", "--root", str(tmp_path / "no"), "--out-dir", str(tmp_path)]
        )
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert str(tmp_path / "no") in said and "apply for ScanNet++" in said and "Traceback" not in said


def test_stage_takes_the_share_from_the_site_and_ends_with_one_error(scannet_root, tmp_path, monkeypatch, capsys):
    (scannet_root / "scans" / "scene0002_00" / "scene0002_00.sens").write_bytes(b"")
    text = trained("scannet").model_dump_json(include={"seed", "datasets", "scenes", "video"})
    arguments = ["--config", text, "--dataset", "scannet", "--shard", "0", "--root", str(scannet_root)]
    monkeypatch.setenv("ROLLOUT3D_SITE", '{"max_drop_share": 0.0}')
    with pytest.raises(SystemExit) as caught:
        stage.main([*arguments, "--out-dir", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert caught.value.code == 1 and "scans/scene0002_00/scene0002_00.sens: truncated" in said
    assert "site.max_drop_share" in said and "Traceback" not in said and list((tmp_path / "out").iterdir()) == []


def test_a_mesh_whose_colours_are_lost_is_a_flag(scannet_root, tmp_path):
    """A damaged header renames a property, and the map from above is grey."""
    mesh = scannet_root / "scans" / "scene0002_00" / "scene0002_00_vh_clean_2.ply"
    mesh.write_bytes(mesh.read_bytes().replace(b"uchar red", b"uchar reb"))
    flags = {row["scene_id"]: row["flags"] for row in run(scannet_root, tmp_path / "out")["scenes"]}
    assert [name for name, some in flags.items() if "no_mesh_colors" in some] == ["scene0002_00"]
