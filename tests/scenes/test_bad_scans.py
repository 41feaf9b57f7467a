"""Each kind of bad input, through the ingest of a shard: the scan is dropped by name, the others stay as they were."""

import io
import shutil
import stat
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from rollout3d.scenes.datasets import scannet
from rollout3d.scenes.ingest import NAMES, ingest_scan
from rollout3d.scenes.reading import ScanError
from scenes import mini
from scenes.bad import edit_json, ingested, png
from scenes.conftest import settings

GOOD, BAD = "scene0001_00", "scene0002_00"
FRAME = 96
AT_FIRST_FRAME, AT_N_FRAMES = 319, 311


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A release of two tiny scans, and its tables."""
    root = tmp_path_factory.mktemp("sound") / "scannet"
    mini.write_tsv(root / "scannetv2-labels.combined.tsv")
    (root / "scannetv2_train.txt").write_text(f"{GOOD}\n{BAD}\n")
    for name in (GOOD, BAD):
        mini.write_scannet(root / "scans" / name, name)
    return root, ingested(root, root.parent / "tables")


@pytest.fixture
def shard(sound, tmp_path):
    """The release again, to damage; and the test that a shard has dropped the bad scan and kept the good one whole."""
    root = tmp_path / "scannet"
    shutil.copytree(sound[0], root)

    def drops(file, *says, counts=True):
        # None may be damaged where the scan counts as expected; one of two may happen at the default share.
        rows = ingested(root, tmp_path / "out", **({} if counts else {"max_drop_share": 0.0}))
        (dropped,) = rows["scenes_dropped"]
        assert dropped["scene_id"] == BAD and dropped["file"] == f"scans/{BAD}/{file}"
        assert all(word in dropped["reason"] for word in says), dropped["reason"]
        for name in NAMES[:-1]:
            assert rows[name] == [row for row in sound[1][name] if row["scene_id"] == GOOD], name

    return root / "scans" / BAD, drops


def overwrite(path, at, data):
    content = bytearray(path.read_bytes())
    content[at : at + len(data)] = data
    path.write_bytes(content)


def memory_to_refuse(root):
    """Most bytes held while the bad scan is read and refused.

    Without its tables: Arrow's threads take a Python thread state when they like, and CPython 3.11 dies of a
    segmentation fault where that meets `tracemalloc.stop`.
    """
    (ref,) = (ref for ref in scannet.list_scans(root, ["train"]) if ref.scene_id == BAD)
    tracemalloc.start()
    try:
        with pytest.raises(ScanError):
            ingest_scan(scannet, root, ref, settings())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def color_of_first_frame(path):
    """Where the first frame's colour lies, and how long it is."""
    (n,) = struct.unpack_from("<Q", path.read_bytes(), AT_FIRST_FRAME + 80)
    return AT_FIRST_FRAME + FRAME, n


def test_both_scans_are_read_while_they_are_sound(sound):
    assert [row["scene_id"] for row in sound[1]["scenes"]] == [GOOD, BAD] and sound[1]["scenes_dropped"] == []
    for name in NAMES[:-1]:
        assert {row["scene_id"] for row in sound[1][name]} == {GOOD, BAD}


@pytest.mark.parametrize("kept", [0, 100, AT_FIRST_FRAME + 30, -40])
def test_truncated_sens(shard, kept):
    folder, drops = shard
    path = folder / f"{BAD}.sens"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 264 + kept] if kept < 0 else data[:kept])  # 264: the IMU block, not needed
    drops(path.name, "truncated")


def test_sens_without_its_last_block_is_whole_enough(shard, tmp_path):
    folder, _ = shard
    path = folder / f"{BAD}.sens"
    path.write_bytes(path.read_bytes()[:-264])
    assert ingested(folder.parents[1], tmp_path / "out")["scenes_dropped"] == []


@pytest.mark.parametrize("damage", ["cut short", "a stretch overwritten", "nothing", "no picture"])
def test_corrupt_jpeg(shard, damage):
    folder, drops = shard
    path = folder / f"{BAD}.sens"
    at, n = color_of_first_frame(path)
    noise = b"\xff\x17" * 4
    content = {
        "cut short": bytes(n // 4),
        "a stretch overwritten": noise,
        "nothing": bytes(n),
        "no picture": b"GIF89a",
    }[damage]
    where = {"cut short": at + n - len(content), "a stretch overwritten": at + n - 40}.get(damage, at)
    overwrite(path, where, content)
    drops(path.name, "colour of frame 0", "picture")


def test_wrong_image_size(shard):
    folder, drops = shard
    path = folder / f"{BAD}.sens"
    frames = [(np.linalg.inv(mini.ALIGN) @ p, mini.jpeg(np.zeros((24, 32, 3), np.uint8))) for p in mini.POSES]
    depth = np.full((24, 32), 1000)
    path.write_bytes(mini.sens_bytes([(*f, depth) for f in frames], mini.COLOR_K, mini.DEPTH_K, (64, 48), (32, 24)))
    drops(path.name, "32x24, expected 64x48")


@pytest.mark.parametrize(
    "suffix", [".sens", ".txt", "_vh_clean_2.ply", ".aggregation.json", "_vh_clean_2.0.010000.segs.json"]
)
def test_missing_file(shard, suffix):
    folder, drops = shard
    (folder / f"{BAD}{suffix}").unlink()
    drops(f"{BAD}{suffix}", "no such file")


def test_segments_of_another_mesh(shard):
    folder, drops = shard
    path = folder / f"{BAD}_vh_clean_2.0.010000.segs.json"
    edit_json(path, lambda content: content["segIndices"].pop())
    drops(path.name, "segment indices", "vertices of the mesh")


def test_aggregation_of_another_scan(shard):
    folder, drops = shard
    path = folder / f"{BAD}.aggregation.json"
    shutil.copy(folder.parent / GOOD / f"{GOOD}.aggregation.json", path)
    drops(path.name, GOOD)


def test_aggregation_that_names_absent_segments(shard):
    folder, drops = shard
    path = folder / f"{BAD}.aggregation.json"
    edit_json(path, lambda content: content["segGroups"][0]["segments"].append(4711))
    drops(path.name, "segment 4711", "object 3 ('couch')")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_mesh_with_a_vertex_that_is_nowhere(shard, value):
    folder, drops = shard
    path = folder / f"{BAD}_vh_clean_2.ply"
    start = path.read_bytes().index(b"end_header\n") + 11
    overwrite(path, start + 16 * 7 + 4, struct.pack("<f", value))
    drops(path.name, "spans 1e+30 m" if value == 1e30 else "not finite")


def test_scan_without_an_object_is_left_out_but_no_damage(shard):
    folder, drops = shard
    path = folder / f"{BAD}.aggregation.json"
    edit_json(path, lambda content: content["segGroups"].clear())
    drops(path.name, "annotates no object", counts=False)


@pytest.mark.parametrize("damage", ["no vertices", "no faces", "one point", "a line"])
def test_mesh_of_an_empty_scene(shard, damage):
    folder, drops = shard
    path = folder / f"{BAD}_vh_clean_2.ply"
    vertices, faces, _ = mini.world()
    if damage == "no vertices":
        vertices, faces = vertices[:0], faces[:0]
    elif damage == "no faces":
        faces = faces[:0]
    else:
        vertices = vertices * ([0, 0, 0] if damage == "one point" else [1, 0, 0])
    path.write_bytes(mini.ply_bytes(vertices, faces))
    drops(path.name)


def test_video_without_frames(shard):
    folder, drops = shard
    path = folder / f"{BAD}.sens"
    path.write_bytes(mini.sens_bytes([], mini.COLOR_K, mini.DEPTH_K, (64, 48), (32, 24)))
    drops(path.name, "no frames")


@pytest.mark.parametrize("pose", [mini.LOST, np.zeros((4, 4)), np.diag([1.0, 1, -1, 1]), np.full((4, 4), np.nan)])
def test_no_valid_pose(shard, pose):
    folder, drops = shard
    path = folder / f"{BAD}.sens"
    color, depth = mini.jpeg(np.zeros((48, 64, 3), np.uint8)), np.full((24, 32), 1000)
    path.write_bytes(mini.sens_bytes([(pose, color, depth)] * 3, mini.COLOR_K, mini.DEPTH_K, (64, 48), (32, 24)))
    drops(path.name, "no frame of the video has a valid pose")


@pytest.mark.parametrize("K", [np.full((3, 3), np.nan), np.zeros((3, 3))])
def test_no_intrinsics(shard, K):
    folder, drops = shard
    path = folder / f"{BAD}.sens"
    path.write_bytes(mini.sens_bytes([], K, mini.DEPTH_K, (64, 48), (32, 24)))
    drops(path.name, "no camera's")


@pytest.mark.parametrize("field", ["frames", "bytes of colour", "bytes of depth", "pixels", "vertices", "faces"])
def test_four_gigabytes_claimed_in_a_header(shard, field):
    folder, drops = shard
    sens, ply = folder / f"{BAD}.sens", folder / f"{BAD}_vh_clean_2.ply"
    claim = 2**32 - 1
    at = {"frames": AT_N_FRAMES, "bytes of colour": AT_FIRST_FRAME + 80, "bytes of depth": AT_FIRST_FRAME + 88}
    if field in at:
        overwrite(sens, at[field], struct.pack("<Q", claim))
    elif field == "pixels":
        overwrite(sens, AT_N_FRAMES - 20, struct.pack("<II", 2**16, 2**16))
    else:
        name = field.replace("vertices", "vertex").replace("faces", "face")
        words = ply.read_bytes().split(b"\n")
        line = next(i for i, word in enumerate(words) if word.startswith(f"element {name}".encode()))
        words[line] = f"element {name} {claim}".encode()
        ply.write_bytes(b"\n".join(words))
    assert memory_to_refuse(folder.parents[1]) < 2**26
    drops(ply.name if field in ("vertices", "faces") else sens.name, "truncated" if field in at else "claims")


# --- archives ----------------------------------------------------------------------------------------------------


def pictures(members=None, size=(64, 48), value=4):
    """The optional archive of instance pictures; `members`: name or entry -> bytes, added to those of three frames."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            archive.writestr(f"instance-filt/{i}.png", png(np.full(size[::-1], value, np.uint8)))
        for name, data in (members or {}).items():
            archive.writestr(name, data)
    return made.getvalue()


def scrambled(archive):
    """The archive with the data of its first member overwritten."""
    at = archive.index(b"instance-filt/0.png") + len(b"instance-filt/0.png") + 20
    return archive[:at] + bytes(8) + archive[at + 8 :]


def link():
    entry = zipfile.ZipInfo("instance-filt/9.png")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def test_instance_pictures_are_read_where_they_are(shard, sound, tmp_path):
    folder, _ = shard
    (folder / f"{BAD}_2d-instance-filt.zip").write_bytes(pictures())
    assert ingested(folder.parents[1], tmp_path / "out") == sound[1]


@pytest.mark.parametrize(
    "name",
    ["../outside.png", "instance-filt/../../x.png", "/etc/x.png", "C:/x.png", "..\\x.png", "a/..", link()],
    ids=str,
)
def test_archive_member_with_a_path_outside(shard, name):
    folder, drops = shard
    path = folder / f"{BAD}_2d-instance-filt.zip"
    path.write_bytes(pictures({name: b"x"}))
    before = sorted(folder.parents[1].rglob("*"))
    drops(path.name, "is a link" if isinstance(name, zipfile.ZipInfo) else "leads outside", "optional")
    assert sorted(folder.parents[1].rglob("*")) == before


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (pictures()[:-30], "no readable zip"),
        (pictures(size=(32, 24)), "32x24, expected 64x48"),
        (pictures({"instance-filt/3.png": b""}), "frame 3, the video has 3"),
        (pictures().replace(b"instance-filt", b"instance-filT"), "holds no instance-filt"),
        (scrambled(pictures()), "cannot be read"),
    ],
    ids=["truncated", "wrong size", "longer video", "other names", "damaged"],
)
def test_archive_of_something_else(shard, data, says):
    folder, drops = shard
    path = folder / f"{BAD}_2d-instance-filt.zip"
    path.write_bytes(data)
    drops(path.name, says)


def test_archive_member_that_claims_gigabytes(shard):
    folder, drops = shard
    path = folder / f"{BAD}_2d-instance-filt.zip"
    data = bytearray(pictures())
    entry = data.index(b"PK\1\2")
    data[entry + 24 : entry + 28] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(data)
    drops(path.name, "claims 4294967294 bytes")
