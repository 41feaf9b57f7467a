"""The pixels that objects cover."""

import numpy as np
import pytest

from rollout3d import tables
from rollout3d.geometry.masks import rle_decode
from rollout3d.scenes.ingest import ingest_shard
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.regions import regions_shard
from rollout3d.stages import regions as stage
from scenes import mini
from scenes.conftest import LINEAGE, SYNTHETIC, settings, trained
from toyworld.rendering.mesh import coarse_mesh_of
from toyworld.rendering.renderer import Renderer

COUCH = 3


def regions(dataset, root, folder, mode, out, **changes):
    regions_shard(dataset, root, folder, mode, settings(**changes), out, LINEAGE)
    return tables.read(tables.REGIONS, out)


def prepared(base, depth):
    """One tiny ScanNet scan whose depth pictures are `depth`, ingested."""
    root = base / "scannet"
    mini.write_tsv(root / "scannetv2-labels.combined.tsv")
    (root / "scannetv2_train.txt").write_text("scene0001_00\n")
    mini.write_scannet(root / "scans" / "scene0001_00", "scene0001_00", depth=lambda i: depth)
    ingest_shard("scannet", root, base / "tables", 0, 1, trained("scannet"), LINEAGE)
    return root, base / "tables"


def frames(folder):
    return {row["frame_index"]: row for row in tables.read(tables.FRAMES, folder / "frames.parquet")}


def mask_of(row, frame):
    return rle_decode(row["mask"], frame["width"], frame["height"])


@pytest.fixture(scope="module")
def unseen(tmp_path_factory):
    """Depth unknown everywhere."""
    return prepared(tmp_path_factory.mktemp("unseen"), np.zeros((24, 32), np.uint16))


def test_region_lies_where_the_object_projects(unseen, tmp_path):
    rows = regions("scannet", *unseen, "instance_none", tmp_path / "r.parquet")
    shown = frames(unseen[1])
    corners = mini.COUCH_CENTER + (np.array(list(np.ndindex(2, 2, 2))) - 0.5) * mini.COUCH_SIZE
    couch = [row for row in rows if row["object_id"] == COUCH]
    assert sorted({row["frame_index"] for row in couch}) == [0, 2], "the frame in between has no pose"
    for row in couch:
        frame = shown[row["frame_index"]]
        K, pose = np.reshape(frame["K"], (3, 3)), np.reshape(frame["pose"], (4, 4))
        pixels = np.array([mini.pixel(K, pose, corner)[0] for corner in corners])
        nearest = min(mini.pixel(K, pose, corner)[1] for corner in corners)
        reach = np.ceil(K[0, 0] * mini.STEP / nearest) + 1
        limits = np.clip([*pixels.min(axis=0), *pixels.max(axis=0)], 0, [frame["width"] - 1, frame["height"] - 1] * 2)
        assert np.abs(np.array(row["box"]) - limits).max() <= reach
        mask = mask_of(row, frame)
        assert row["n_visible"] == mask.sum()
        lines, columns = np.nonzero(mask)
        assert row["box"] == [columns.min(), lines.min(), columns.max(), lines.max()]
        u, v = np.rint(mini.pixel(K, pose, mini.COUCH_CENTER)[0]).astype(int)
        assert mask[v - 2 : v + 3, u - 2 : u + 3].all(), "no holes inside"


def test_box_rule_takes_what_else_is_in_the_box(unseen, tmp_path):
    """The floor under the couch lies in its box: its points count for the box rule only."""
    root, folder = unseen
    by_mode = {
        m: regions("scannet", root, folder, m, tmp_path / f"{m}.parquet") for m in ("aabb_none", "instance_none")
    }
    shown = frames(folder)
    for index in (0, 2):
        mask = {
            mode: next(mask_of(r, shown[index]) for r in rows if (r["frame_index"], r["object_id"]) == (index, COUCH))
            for mode, rows in by_mode.items()
        }
        assert (mask["aabb_none"] | ~mask["instance_none"]).all()
    # A plate around the couch would differ more; the trashcan, a patch of floor, is the same by both rules.
    for index in (0, 2):
        a, b = ([r["mask"] for r in by_mode[m] if (r["frame_index"], r["object_id"]) == (index, 1)] for m in by_mode)
        assert a == b


def test_walls_and_floors_have_no_region(unseen, tmp_path):
    rows = regions("scannet", *unseen, "aabb_none", tmp_path / "r.parquet")
    assert {row["object_id"] for row in rows} <= {1, COUCH}


def test_unknown_depth_hides_nothing(unseen, tmp_path):
    plain, tested = (
        regions("scannet", *unseen, m, tmp_path / f"{m}.parquet") for m in ("instance_none", "instance_depth")
    )
    assert plain == tested and plain


@pytest.mark.parametrize(("metres", "visible"), [(1.0, False), (9.0, True)])
def test_nearer_depth_hides_and_farther_does_not(tmp_path, metres, visible):
    root, folder = prepared(tmp_path, np.full((24, 32), round(1000 * metres), np.uint16))
    for mode in ("aabb_depth", "instance_depth"):
        rows = regions("scannet", root, folder, mode, tmp_path / f"{mode}.parquet")
        assert any(row["object_id"] == COUCH for row in rows) == visible
    assert any(r["object_id"] == COUCH for r in regions("scannet", root, folder, "aabb_none", tmp_path / "a.parquet"))


def test_margin_decides_at_the_surface(tmp_path, monkeypatch):
    """The couch's centre is 2.66 m from the first camera: hidden behind 2.2 m, kept behind 2.5 m by 10 %."""
    root, folder = prepared(tmp_path, np.full((24, 32), 2200, np.uint16))
    near = regions("scannet", root, folder, "instance_depth", tmp_path / "a.parquet")
    monkeypatch.setattr("rollout3d.scenes.regions.DEPTH_MARGIN_SHARE", 0.9)
    wide = regions("scannet", root, folder, "instance_depth", tmp_path / "b.parquet")
    area = [sum(r["n_visible"] for r in rows if r["object_id"] == COUCH) for rows in (near, wide)]
    assert 0 < area[0] < 0.8 * area[1]


def test_small_regions_are_left_out(unseen, tmp_path, monkeypatch):
    rows = regions("scannet", *unseen, "aabb_none", tmp_path / "a.parquet")
    sizes = sorted(row["n_visible"] for row in rows)
    monkeypatch.setattr("rollout3d.scenes.regions.MIN_PIXELS", sizes[0] + 1)
    fewer = regions("scannet", *unseen, "aabb_none", tmp_path / "b.parquet")
    assert sorted(row["n_visible"] for row in fewer) == [s for s in sizes if s > sizes[0]]


def test_scan_that_changed_since_is_refused(unseen, tmp_path):
    root, folder = unseen
    other = tmp_path / "tables"
    other.mkdir()
    for name in ("scenes", "objects", "frames"):
        (other / f"{name}.parquet").write_bytes((folder / f"{name}.parquet").read_bytes())
    rows = tables.read(tables.OBJECTS, folder / "objects.parquet")
    tables.write(tables.OBJECTS, other / "objects.parquet", [{**row, "object_id": 99} for row in rows], LINEAGE)
    with pytest.raises(ScanError, match="ingest it again"):
        regions("scannet", root, other, "aabb_none", tmp_path / "r.parquet")
    with pytest.raises(ScanError, match="uniform16"):
        regions("scannet", root, folder, "aabb_none", tmp_path / "r.parquet", video={"train_frames": 16})


def overlaps(made, mode, out):
    """Rotation -> IoU and recall of each object that shows 200 pixels or more in a training frame.

    Against the picture of thing ids by the world's own renderer, which knows neither readers nor geometry.
    """
    rows = regions(made.dataset, made.root, made.tables_dir, mode, out)
    found = {(row["scene_id"], row["frame_index"], row["object_id"]): row for row in rows}
    scores = {}
    for scene, recording in made.recordings():
        renderer = Renderer(coarse_mesh_of(recording.world))
        to_world = np.linalg.inv(made.aligned_from_world(scene))
        truth = made.truth(scene["scene_id"])["release"]
        for frame in made.of("frames", scene["scene_id"]):
            if frame["pose"] is None or "uniform6" not in frame["sets"]:
                continue
            K, pose = np.reshape(frame["K"], (3, 3)), to_world @ np.reshape(frame["pose"], (4, 4))
            _, _, things = renderer.render(K, pose, frame["width"], frame["height"])
            for thing_id, object_id in truth["object_ids"].items():
                true = things == int(thing_id)
                row = found.get((scene["scene_id"], frame["frame_index"], object_id))
                if true.sum() >= 200:
                    mask = mask_of(row, frame) if row else np.zeros_like(true)
                    score = (mask & true).sum() / (mask | true).sum(), (mask & true).sum() / true.sum()
                    scores.setdefault(truth["rotation_deg"], []).append(score)
    return {rotation: np.array(some) for rotation, some in scores.items()}


def test_regions_cover_what_the_world_shows_in_every_rotation(made, tmp_path):
    instance, box = (overlaps(made, mode, tmp_path / f"{mode}.parquet") for mode in ("instance_depth", "aabb_none"))
    rotations = {0, 90, 180, 270} if made.dataset == "arkitscenes" else {0}
    assert set(instance) == set(box) == rotations
    for rotation in rotations:
        iou, recall = instance[rotation].T
        assert len(iou) >= 10
        assert np.median(iou) >= 0.95 and recall.mean() >= 0.95, "asked for: 0.85"
        iou_of_box, recall = box[rotation].T
        assert recall.mean() >= 0.98 and recall.min() >= 0.95, "asked for: 0.95"
        assert iou_of_box.mean() < iou.mean(), "the box takes its neighbours and what hides the object"


def test_shuffled_poses_would_show(releases, tmp_path):
    """The yardstick itself: with another scan's poses the overlap is gone."""
    made = releases["scannet"]
    folder = tmp_path / "tables"
    folder.mkdir()
    for name in ("scenes", "objects"):
        (folder / f"{name}.parquet").write_bytes((made.tables_dir / f"{name}.parquet").read_bytes())
    rows = made.rows["frames"]
    poses = [row["pose"] for row in rows]
    moved = [{**row, "pose": poses[(i + 4) % len(rows)]} for i, row in enumerate(rows)]
    tables.write(tables.FRAMES, folder / "frames.parquet", moved, LINEAGE)
    wrong = regions_of(made, folder, tmp_path / "r.parquet")
    assert np.median(wrong) < 0.2


def regions_of(made, folder, out):
    rows = regions(made.dataset, made.root, folder, "instance_none", out)
    right = regions(made.dataset, made.root, made.tables_dir, "instance_none", out)
    sizes = {(r["scene_id"], r["frame_index"]): r for r in made.rows["frames"]}
    key = ("scene_id", "frame_index", "object_id")
    found = {tuple(r[k] for k in key): r for r in rows}
    scores = []
    for row in right:
        frame = sizes[row["scene_id"], row["frame_index"]]
        a, other = mask_of(row, frame), found.get(tuple(row[k] for k in key))
        b = mask_of(other, frame) if other else np.zeros_like(a)
        scores.append((a & b).sum() / (a | b).sum())
    return scores


def test_depth_of_the_mesh_serves_where_the_sensor_has_none(releases, tmp_path):
    made = releases["scannetpp"]
    scene = made.rows["scenes"][0]["scene_id"]
    root, folder = tmp_path / "scannetpp", tmp_path / "tables"
    for path in (made.root / "data" / scene).rglob("*"):
        if path.is_file() and path.name != "depth.bin":
            mini.write_bytes(root / "data" / scene / path.relative_to(made.root / "data" / scene), path.read_bytes())
    for name in ("scenes", "objects", "frames"):
        tables.write(tables.TABLES[name], folder / f"{name}.parquet", made.of(name, scene), LINEAGE)
    rendered = regions("scannetpp", root, folder, "instance_depth", tmp_path / "a.parquet")
    sensed = regions("scannetpp", made.root, folder, "instance_depth", tmp_path / "b.parquet")
    everything = regions("scannetpp", root, folder, "instance_none", tmp_path / "c.parquet")
    area = [sum(row["n_visible"] for row in rows) for rows in (rendered, sensed, everything)]
    assert area[0] == pytest.approx(area[1], rel=0.1) and area[0] < 0.95 * area[2]


def test_same_input_gives_the_same_bytes(made, tmp_path):
    for name in ("a", "b"):
        regions(made.dataset, made.root, made.tables_dir, "aabb_depth", tmp_path / f"{name}.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_stage_writes_the_table(releases, tmp_path, capsys):
    made = releases["arkitscenes"]
    text = settings().model_dump_json(include={"video", "regions"})
    arguments = ["--config", text, "--dataset", "arkitscenes", "--mode", "aabb_none", "--root", str(made.root)]
    stage.main([*arguments, "--shard-dir", str(made.tables_dir), "--out", str(tmp_path / "r.parquet")])
    assert set(tables.lineage(tmp_path / "r.parquet")["parents"]) == {"scenes", "objects", "frames", "raw"}
    assert len(tables.read(tables.REGIONS, tmp_path / "r.parquet")) > SYNTHETIC.scans_per_dataset
    with pytest.raises(SystemExit):
        stage.main([*arguments, "--shard-dir", str(tmp_path / "none"), "--out", str(tmp_path / "r.parquet")])
    assert str(tmp_path / "none") in capsys.readouterr().err
