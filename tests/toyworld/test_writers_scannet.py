"""The written ScanNet format, read back by a parser made from the published layout alone."""

import csv
import json
import struct
import zlib

import cv2
import numpy as np
import pytest

import filmed
from toyworld.rooms.vocabulary import CATEGORIES
from toyworld.writers import scannet
from toyworld.writers.scannet_labels import write_labels

SCENE = "scene0003_00"


@pytest.fixture(autouse=True)
def _box_mesh(monkeypatch):
    monkeypatch.setattr(scannet, "mesh_of", filmed.gridded)


@pytest.fixture
def recording():
    return filmed.film(lost=(2,))


def write(recording, root, quirks=scannet.PLAIN):
    scannet.write_scan(recording, root, SCENE, seed=filmed.SEED, quirks=quirks)
    return root / "scans" / SCENE


def sens(path):
    """Return every field of a version 4 .sens file, in file order."""
    data, at = path.read_bytes(), 0

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values

    version, length = take("I")[0], take("Q")[0]
    found = {"version": version, "sensor": take(f"{length}s")[0]}
    for name in ("K_color", "extrinsic_color", "K_depth", "extrinsic_depth"):
        found[name] = np.array(take("16f")).reshape(4, 4)
    found["compression"] = take("ii")
    found["sizes"] = take("IIII")
    found["shift"], n = take("fQ")
    found["frames"] = []
    for _ in range(n):
        pose, stamps, (c, d) = np.array(take("16f")).reshape(4, 4), take("QQ"), take("QQ")
        found["frames"].append((pose, stamps, data[at : at + c], data[at + c : at + c + d]))
        at += c + d
    found["imu"] = [take("15dQ") for _ in range(take("Q")[0])]
    assert at == len(data), "bytes after the last record"
    return found


def mesh(path):
    head, body = path.read_bytes().split(b"end_header\n", 1)
    lines = head.decode().splitlines()
    counts = {line.split()[1]: int(line.split()[2]) for line in lines if line.startswith("element")}
    dtype = [("xyz", "<f4", 3), ("rgba", "u1", 4)]
    vertices = np.frombuffer(body, dtype, counts["vertex"])
    faces = np.frombuffer(body, [("n", "u1"), ("abc", "<i4", 3)], counts["face"], offset=16 * counts["vertex"])
    return lines, vertices, faces, body


def meta(path):
    return dict(line.split(" = ") for line in path.read_text().splitlines())


def numbers(text):
    return np.array(text.split(), float)


def test_sens_file_holds_the_recording_field_by_field(recording, tmp_path):
    found = sens(write(recording, tmp_path) / f"{SCENE}.sens")
    assert (found["version"], found["sensor"], found["compression"]) == (4, b"StructureSensor", (2, 1))
    assert found["sizes"] == (64, 48, 32, 24)
    assert found["shift"] == 1000
    assert np.array_equal(found["extrinsic_color"], np.eye(4))
    assert np.array_equal(found["extrinsic_depth"], np.eye(4))
    np.testing.assert_allclose(found["K_color"][:3, :3], recording.K, rtol=1e-6)
    assert len(found["frames"]) == len(recording.poses)
    assert len(found["imu"]) >= 2
    for (_, stamps, jpeg, deflated), (rgb, depth, _) in zip(found["frames"], recording.frames()):
        assert stamps[1] > stamps[0] or stamps[0] == 0
        seen = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        assert seen.shape == rgb.shape
        assert np.abs(seen.astype(int) - rgb).mean() < 6
        millimetres = np.frombuffer(zlib.decompress(deflated), "<u2").reshape(24, 32)
        assert np.array_equal(millimetres, np.round(depth[::2, ::2] * 1000))


def test_lost_frames_have_a_pose_of_minus_infinity_and_no_other_does(recording, tmp_path):
    frames = sens(write(recording, tmp_path) / f"{SCENE}.sens")["frames"]
    assert [i for i, frame in enumerate(frames) if not np.isfinite(frame[0]).all()] == [2]
    assert (frames[2][0] == -np.inf).all()


def test_axis_alignment_leads_raw_mesh_and_poses_back_to_the_world(recording, tmp_path):
    folder = write(recording, tmp_path)
    A = numbers(meta(folder / f"{SCENE}.txt")["axisAlignment"]).reshape(4, 4)
    assert np.linalg.det(A) == pytest.approx(1, abs=1e-5)
    assert abs(A[0, 1]) > 0.2 and np.abs(A[:3, 3]).max() > 0.1, "hardly turned: forgetting it would go unnoticed"
    assert np.array_equal(A[2, :3], [0, 0, 1])
    _, vertices, _, _ = mesh(folder / f"{SCENE}_vh_clean_2.ply")
    truth = filmed.gridded(filmed.WORLD).vertices
    assert np.abs(vertices["xyz"] - truth).max() > 0.5, "the mesh must be in the raw frame"
    error = vertices["xyz"] @ A[:3, :3].T + A[:3, 3] - truth
    assert np.abs(error).max() < 0.003, "half a millimetre of surface noise, and nothing else"
    assert np.abs(error.mean(axis=0)).max() < 5e-5 and 0.0004 < error.std() < 0.0006
    frames = sens(folder / f"{SCENE}.sens")["frames"]
    for i in (0, 6):
        np.testing.assert_allclose(A @ frames[i][0], recording.poses[i], atol=5e-6)


def test_mesh_has_an_alpha_byte_and_whole_triangles(recording, tmp_path):
    lines, vertices, faces, body = mesh(write(recording, tmp_path) / f"{SCENE}_vh_clean_2.ply")
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    properties = [line.split()[1:] for line in lines if line.startswith("property")]
    assert properties == [
        *(["float", axis] for axis in "xyz"),
        *(["uchar", channel] for channel in ("red", "green", "blue", "alpha")),
        ["list", "uchar", "int", "vertex_indices"],
    ]
    assert len(body) == 16 * len(vertices) + 13 * len(faces)
    assert (vertices["rgba"][:, 3] == 255).all() and (faces["n"] == 3).all()
    expected = filmed.gridded(filmed.WORLD)
    assert np.array_equal(vertices["rgba"][:, :3], expected.colors)
    assert np.array_equal(faces["abc"], expected.faces)


def instances(folder):
    """Return the vertex indices of each instance by (objectId, label), and the set of those in no instance."""
    segments = json.loads((folder / f"{SCENE}_vh_clean_2.0.010000.segs.json").read_text())
    groups = json.loads((folder / f"{SCENE}.aggregation.json").read_text())
    of = np.array(segments["segIndices"])
    found = {(g["objectId"], g["label"]): np.flatnonzero(np.isin(of, g["segments"])) for g in groups["segGroups"]}
    return segments, groups, found


def test_instances_are_the_worlds_things_and_structure_under_raw_labels(recording, tmp_path):
    folder = write(recording, tmp_path)
    segments, groups, found = instances(folder)
    assert segments["sceneId"] == groups["sceneId"] == f"scannet.{SCENE}"
    assert groups["segmentsFile"] == f"scannet.{SCENE}_vh_clean_2.0.010000.segs.json"
    assert [g["objectId"] for g in groups["segGroups"]] == list(range(len(groups["segGroups"])))
    owner = filmed.gridded(filmed.WORLD).thing_ids
    for thing in filmed.THINGS:
        (label,) = [label for (number, label) in found if number == thing.thing_id]
        assert label in CATEGORIES[thing.category].labels["scannet"]
        assert np.array_equal(found[thing.thing_id, label], np.flatnonzero(owner == thing.thing_id))
        pieces = groups["segGroups"][thing.thing_id]["segments"]
        assert 2 <= len(pieces) <= 3
    assert {label for _, label in found} >= {"wall", "floor", "ceiling", "object"}


def test_some_vertices_belong_to_no_instance_and_none_to_two(recording, tmp_path):
    _, _, found = instances(write(recording, tmp_path))
    owner = filmed.gridded(filmed.WORLD).thing_ids
    claims = np.bincount(np.concatenate(list(found.values())), minlength=len(owner))
    assert claims.max() == 1
    assert 0.02 < (claims == 0).mean() < 0.5
    assert (owner[claims == 0] < 0).all(), "every thing of this world has a ScanNet label"


def test_instances_land_on_their_own_pixels(recording, tmp_path):
    folder = write(recording, tmp_path)
    found = sens(folder / f"{SCENE}.sens")
    _, vertices, _, _ = mesh(folder / f"{SCENE}_vh_clean_2.ply")
    _, _, members = instances(folder)
    for K, step in ((found["K_color"], 1), (found["K_depth"], 2)):
        right = total = 0
        for (pose, *_), (_, depth, owner) in zip(found["frames"], recording.frames()):
            if not np.isfinite(pose).all():
                continue
            for (number, _), index in members.items():
                if number < len(filmed.THINGS):
                    points = vertices["xyz"][index].astype(float)
                    hits, seen = filmed.landing(K, pose, points, owner[::step, ::step], number, depth[::step, ::step])
                    right, total = right + hits, total + seen
        assert total > 200
        assert right / total > 0.94  # the rest lies on outlines


def test_text_file_agrees_with_the_stream(recording, tmp_path):
    folder = write(recording, tmp_path)
    values, found = meta(folder / f"{SCENE}.txt"), sens(folder / f"{SCENE}.sens")
    for stream in ("color", "depth"):
        K = found[f"K_{stream}"]
        written = [float(values[f"{name}_{stream}"]) for name in ("fx", "fy", "mx", "my")]
        np.testing.assert_allclose(written, [K[0, 0], K[1, 1], K[0, 2], K[1, 2]], atol=1e-5)
    sizes = [int(values[key]) for key in ("colorWidth", "colorHeight", "depthWidth", "depthHeight")]
    assert tuple(sizes) == found["sizes"]
    assert (int(values["numColorFrames"]), int(values["numIMUmeasurements"])) == (7, len(found["imu"]))
    assert values["sceneType"] == "Bedroom / Hotel"
    assert not np.allclose(numbers(values["colorToDepthExtrinsics"]).reshape(4, 4), np.eye(4))


def test_quirks_show_in_the_files(recording, tmp_path):
    quirks = scannet.Quirks(
        depth_divisor=1, duplicated_groups=True, unlisted_label=True, extrinsics=False, corrupt_times=True
    )
    folder = write(recording, tmp_path, quirks)
    assert "colorToDepthExtrinsics" not in meta(folder / f"{SCENE}.txt")
    found = sens(folder / f"{SCENE}.sens")
    assert found["sizes"] == (64, 48, 64, 48)
    assert {stamps[0] for _, stamps, _, _ in found["frames"]} == {0xDEADBEEF00000000}
    groups = json.loads((folder / f"{SCENE}.aggregation.json").read_text())["segGroups"]
    half = len(groups) // 2
    assert [g["segments"] for g in groups[:half]] == [g["segments"] for g in groups[half:]]
    write_labels(tmp_path / "labels.tsv")
    listed = {row["raw_category"] for row in csv.DictReader((tmp_path / "labels.tsv").open(), delimiter="\t")}
    assert len({g["label"] for g in groups} - listed) == 1


def test_json_files_of_version_2_have_a_prefix_and_those_of_version_1_none(recording, tmp_path):
    for version, prefix in ((1, ""), (2, "scannet.")):
        folder = write(recording, tmp_path / str(version), scannet.Quirks(version=version))
        segs = json.loads((folder / f"{SCENE}_vh_clean_2.0.010000.segs.json").read_text())
        aggregation = json.loads((folder / f"{SCENE}.aggregation.json").read_text())
        assert segs["sceneId"] == aggregation["sceneId"] == prefix + SCENE
        assert aggregation["appId"] == f"Aggregator.v{version}"
        assert aggregation["segmentsFile"] == f"{prefix}{SCENE}_vh_clean_2.0.010000.segs.json"
        assert ("axisAlignment" in meta(folder / f"{SCENE}.txt")) == (version == 2)


def test_scans_of_the_test_split_have_no_annotation_alignment_or_scene_type(recording, tmp_path):
    files = scannet.write_scan(
        recording, tmp_path, SCENE, seed=filmed.SEED, quirks=scannet.Quirks(hidden=True, depth_divisor=1)
    )
    names = [f"{SCENE}{suffix}" for suffix in (".sens", ".txt", "_vh_clean_2.ply")]
    assert sorted(path.relative_to(tmp_path).as_posix() for path in files) == [f"scans_test/{SCENE}/{n}" for n in names]
    assert not {"axisAlignment", "sceneType"} & set(meta(files[1]))


def test_label_table_of_version_1_has_15_columns_and_the_raw_name_as_category(tmp_path):
    write_labels(tmp_path / "labels.tsv", version=1)
    lines = [line.split("\t") for line in (tmp_path / "labels.tsv").read_text().splitlines()]
    assert {len(line) for line in lines} == {15} and "raw_category" not in lines[0]
    rows = [dict(zip(lines[0], line)) for line in lines[1:]]
    names = {row["category"]: row["nyu40id"] for row in rows}
    assert len(names) == len(rows) == len({row["id"] for row in rows})
    assert (names["couch"], names["stack of chairs"]) == ("6", "5")


def test_label_table_has_17_columns_unique_raw_names_and_repeated_ids(tmp_path):
    write_labels(tmp_path / "labels.tsv")
    lines = [line.split("\t") for line in (tmp_path / "labels.tsv").read_text().splitlines()]
    assert {len(line) for line in lines} == {17}
    rows = [dict(zip(lines[0], line)) for line in lines[1:]]
    by_name = {row["raw_category"]: row for row in rows}
    assert len(by_name) == len(rows)
    ids = [row["id"] for row in rows]
    assert len(set(ids)) < len(ids)
    assert by_name["chair"]["id"] == by_name["stack of chairs"]["id"]
    known = {"couch": ("6", "sofa"), "office chair": ("5", "chair"), "desk": ("14", "desk"), "wall": ("1", "wall")}
    known |= {"refrigerator": ("24", "refrigerator"), "nightstand": ("32", "night stand"), "tv": ("25", "television")}
    known |= {"trash can": ("40", "otherprop"), "door": ("8", "door"), "coffee table": ("7", "table")}
    for name, expected in known.items():
        assert (by_name[name]["nyu40id"], by_name[name]["nyu40class"]) == expected
    assert {word for category in CATEGORIES.values() for word in category.labels.get("scannet", ())} <= set(by_name)


def test_a_vocabulary_label_without_a_row_is_refused(tmp_path, monkeypatch):
    category = CATEGORIES["sofa"]
    odd = {**CATEGORIES, "sofa": type(category)(**{**vars(category), "labels": {"scannet": ("chesterfield",)}})}
    monkeypatch.setattr("toyworld.writers.scannet_labels.CATEGORIES", odd)
    with pytest.raises(ValueError, match="chesterfield"):
        write_labels(tmp_path / "labels.tsv")


def test_a_scan_written_twice_is_the_same_bytes(recording, tmp_path):
    one, two = write(recording, tmp_path / "a"), write(recording, tmp_path / "b")
    names = sorted(path.name for path in one.iterdir())
    assert len(names) == 5
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)
