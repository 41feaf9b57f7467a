"""The written ScanNet++ format, read back by a parser made from the published layout alone."""

import json
import struct
import zlib

import av
import lz4.block
import numpy as np
import pytest

import filmed
from toyworld.rooms.vocabulary import CATEGORIES
from toyworld.writers import scannetpp

SCENE = "7b6477cb95"


@pytest.fixture(autouse=True)
def _box_mesh(monkeypatch):
    monkeypatch.setattr(scannetpp, "mesh_of", filmed.gridded)


@pytest.fixture
def recording():
    return filmed.film(fps=10)


def write(recording, root, quirks=scannetpp.PLAIN):
    scannetpp.write_scan(recording, root, SCENE, seed=filmed.SEED, quirks=quirks)
    return root / "data" / SCENE


def video(path):
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
        return rate, [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def cameras(scene):
    return json.loads((scene / "iphone" / "pose_intrinsic_imu.json").read_text())


def annotation(scene):
    return json.loads((scene / "scans" / "segments_anno.json").read_text())["segGroups"]


def mesh(scene):
    head, body = (scene / "scans" / "mesh_aligned_0.05.ply").read_bytes().split(b"end_header\n", 1)
    n = int(head.split(b"element vertex ")[1].split()[0])
    return np.frombuffer(body, [("xyz", "<f4", 3), ("rgb", "u1", 3)], n)["xyz"].astype(float)


def video_intrinsics(entry):
    """Return K of the 64x48 video from that of the 1920x1440 sensor: 30 times smaller, integer pixel centres."""
    K = np.array(entry["intrinsic"])
    K[:2, 2] = (K[:2, 2] + 0.5) / 30 - 0.5
    K[[0, 1], [0, 1]] /= 30
    return K


def test_video_runs_at_60_fps_and_holds_each_recorded_frame(recording, tmp_path):
    rate, frames = video(write(recording, tmp_path) / "iphone" / "rgb.mkv")
    assert rate == 60
    assert len(frames) == 7 * 6
    for number, frame in enumerate(frames):
        expected = list(recording.frames())[number // 6][0]
        assert frame.shape == expected.shape
        assert np.median(np.abs(frame.astype(int) - expected)) <= 2


def test_pose_file_is_one_entry_short_and_numbered_from_zero(recording, tmp_path):
    entries = cameras(write(recording, tmp_path))
    assert list(entries) == [f"frame_{i:06d}" for i in range(7 * 6 - 1)]
    assert set(entries["frame_000000"]) == {"timestamp", "pose", "intrinsic", "aligned_pose", "imu"}
    times = np.array([entry["timestamp"] for entry in entries.values()])
    np.testing.assert_allclose(np.diff(times), 1 / 60, atol=1e-6)


def test_intrinsics_belong_to_the_sensor_and_vary_slightly(recording, tmp_path):
    entries = list(cameras(write(recording, tmp_path)).values())
    focal = np.array([entry["intrinsic"][0][0] for entry in entries])
    assert len(np.unique(focal)) > 10
    np.testing.assert_allclose(focal, 30 * recording.K[0, 0], rtol=1e-3)
    np.testing.assert_allclose(video_intrinsics(entries[0]), recording.K, rtol=1e-3)
    assert 900 < entries[0]["intrinsic"][0][2] < 1020


def test_mesh_stands_in_the_positive_octant_and_slightly_askew(recording, tmp_path):
    xyz, world = mesh(write(recording, tmp_path)), filmed.gridded(filmed.WORLD).vertices
    assert xyz.min() > 0
    centred, flat = xyz - xyz.mean(axis=0), world - world.mean(axis=0)
    R = np.linalg.lstsq(flat, centred, rcond=None)[0].T
    yaw = np.degrees(np.arctan2(R[1, 0], R[0, 0]))
    assert 2 < abs(yaw) < 10
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-5)
    assert R[2, 2] == pytest.approx(1, abs=1e-5)


def test_aligned_poses_belong_to_the_mesh_and_raw_poses_do_not(recording, tmp_path):
    scene = write(recording, tmp_path)
    entries, xyz = cameras(scene), mesh(scene)
    claims = {group["label"]: np.array(group["segments"]) for group in annotation(scene)}
    shares = {}
    for which in ("aligned_pose", "pose"):
        right = total = 0
        for i, (_, depth, owner) in enumerate(recording.frames()):
            entry = entries[f"frame_{6 * i + 3:06d}"]
            for thing in filmed.THINGS[:3]:
                (label,) = set(CATEGORIES[thing.category].labels["scannetpp"]) & set(claims)
                points = xyz[claims[label]]
                hits, seen = filmed.landing(
                    video_intrinsics(entry), np.array(entry[which]), points, owner, thing.thing_id, depth
                )
                right, total = right + hits, total + seen
        shares[which] = right / max(total, 1)
    assert shares["aligned_pose"] > 0.94
    assert shares["pose"] < 0.3


def test_boxes_have_their_axes_as_rows_and_contain_their_vertices(recording, tmp_path):
    scene = write(recording, tmp_path)
    groups, xyz = annotation(scene), mesh(scene)
    assert [group["id"] for group in groups] == [group["objectId"] for group in groups] == [*range(1, len(groups) + 1)]
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
    for group in groups[: len(filmed.THINGS)]:
        obb = {key: np.array(value) for key, value in group["obb"].items()}
        axes, thing = obb["normalizedAxes"].reshape(3, 3), filmed.THINGS[group["id"] - 1]
        assert np.array_equal(obb["axesLengths"], thing.size)
        corners = sum((signs[:, k] * obb["axesLengths"][k])[:, None] * axes[k] for k in range(3)) + obb["centroid"]
        np.testing.assert_allclose(corners.min(axis=0), obb["min"], atol=1e-9)
        np.testing.assert_allclose(corners.max(axis=0), obb["max"], atol=1e-9)
        local = (xyz[group["segments"]] - obb["centroid"]) @ axes.T
        assert (np.abs(local) <= obb["axesLengths"] / 2 + 1e-5).all()
        np.testing.assert_allclose(np.ptp(local, axis=0), obb["axesLengths"], atol=1e-5)


def test_the_smaller_instance_owns_vertices_that_two_claim(recording, tmp_path):
    scene = write(recording, tmp_path)
    groups, owner = annotation(scene), filmed.gridded(filmed.WORLD).thing_ids
    segments = json.loads((scene / "scans" / "segments.json").read_text())["segIndices"]
    members = [np.flatnonzero(np.isin(segments, group["segments"])) for group in groups]
    counts = np.bincount(np.concatenate(members), minlength=len(owner))
    assert counts.max() == 2
    assigned = np.full(len(owner), -9)
    for place in np.argsort([-len(vertices) for vertices in members], kind="stable"):  # smallest last: it keeps them
        assigned[members[place]] = place
    for thing in filmed.THINGS:
        assert set(assigned[owner == thing.thing_id]) == {thing.thing_id}
    (twice,) = {groups[place]["label"] for place in set(assigned[counts == 2])}
    assert twice not in ("wall", "floor", "ceiling")


def test_structure_and_the_annotators_oddities_are_labelled(recording, tmp_path):
    labels = [group["label"] for group in annotation(write(recording, tmp_path))]
    assert {"wall", "floor", "ceiling", "object", "remove", "split"} <= set(labels)
    for thing, label in zip(filmed.THINGS, labels):
        assert label in CATEGORIES[thing.category].labels["scannetpp"]


def depths(path, packing):
    data = path.read_bytes()
    if packing == "stream":
        return np.frombuffer(zlib.decompress(data, -15), "<f4").reshape(-1, 192, 256)
    images, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        payload = data[at + 4 : at + 4 + size]
        at += 4 + size
        if packing == "records_lz4":
            raw = lz4.block.decompress(payload, uncompressed_size=98304)
            assert len(raw) == 98304
            images.append(np.frombuffer(raw, "<u2").reshape(192, 256) / 1000)
        else:
            images.append(np.frombuffer(zlib.decompress(payload, -15), "<f4").reshape(192, 256))
    return np.stack(images)


@pytest.mark.parametrize("packing", ["stream", "records_lz4", "records_deflate"])
def test_depth_has_an_image_for_every_video_frame_in_each_packing(recording, tmp_path, packing):
    scene = write(recording, tmp_path, scannetpp.Quirks(depth_packing=packing))
    found = depths(scene / "iphone" / "depth.bin", packing)
    assert found.shape == (42, 192, 256)
    for number in (0, 5, 6, 41):
        _, depth, _ = list(recording.frames())[number // 6]
        np.testing.assert_allclose(found[number, 2::4, 2::4], depth, atol=0.0051)  # four times the size, 1 cm steps


def test_colmap_and_nerfstudio_hold_the_same_cameras(recording, tmp_path):
    scene = write(recording, tmp_path)
    entries = cameras(scene)
    lines = [line for line in (scene / "iphone/colmap/images.txt").read_text().splitlines() if line[:1] != "#"]
    nerf = json.loads((scene / "iphone/nerfstudio/transforms.json").read_text())
    by_name = {frame["file_path"]: np.array(frame["transform_matrix"]) for frame in nerf["frames"]}
    assert len(lines[::2]) == len(by_name) == 5
    M = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])
    for line in lines[::2]:
        _, w, x, y, z, *t, _, name = line.split()
        w, x, y, z = map(float, (w, x, y, z))
        R = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        pose = np.linalg.inv(np.vstack([np.column_stack([R, np.array(t, float)]), [0, 0, 0, 1]]))
        np.testing.assert_allclose(pose, entries[name.removesuffix(".jpg")]["aligned_pose"], atol=1e-9)
        np.testing.assert_allclose(M @ by_name[name] @ np.diag([1, -1, -1, 1]), pose, atol=1e-9)


def test_dslr_pictures_are_written_with_their_lists(recording, tmp_path):
    scene = write(recording, tmp_path, scannetpp.Quirks(dslr=True))
    lists = json.loads((scene / "dslr" / "train_test_lists.json").read_text())
    cameras = json.loads((scene / "dslr" / "nerfstudio" / "transforms_undistorted.json").read_text())
    assert cameras["camera_model"] == "PINHOLE" and (cameras["w"], cameras["h"]) == (64, 48)
    assert [frame["is_bad"] for frame in cameras["frames"]] == [False, True]
    listed = {frame["file_path"] for frame in [*cameras["frames"], *cameras["test_frames"]]}
    images = {path.name for path in (scene / "dslr" / "resized_undistorted_images").iterdir()}
    assert {*lists["train"], *lists["test"]} == listed == images
    assert not (write(recording, tmp_path / "phone only") / "dslr").exists()


def test_nerfstudio_convention_matches_the_published_example(tmp_path):
    from toyworld.writers.structure_from_motion import write_nerfstudio

    pose = np.array([[0, 0, 1, 1], [-1, 0, 0, 2], [0, -1, 0, 1.5], [0, 0, 0, 1]])
    (path,) = write_nerfstudio(tmp_path, np.eye(3), (4, 3), {"a.jpg": pose})
    T = json.loads(path.read_text())["frames"][0]["transform_matrix"]
    assert np.array_equal(T, [[-1, 0, 0, 2], [0, 0, -1, 1], [0, -1, 0, -1.5], [0, 0, 0, 1]])


def test_a_rate_that_does_not_divide_60_is_refused(tmp_path):
    with pytest.raises(ValueError, match="60 fps"):
        write(filmed.film(fps=7), tmp_path)


def test_a_scene_written_twice_is_the_same_bytes(recording, tmp_path):
    one, two = write(recording, tmp_path / "a"), write(recording, tmp_path / "b")
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(names) == 11
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)
