"""Binary files, damaged at random: the readers refuse them by name, and take no more memory than the file justifies."""

import struct
import tracemalloc
import zlib

import cv2
import lz4.block
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout3d.scenes.formats.depth_bin import DepthBin
from rollout3d.scenes.formats.pictures import decode_picture
from rollout3d.scenes.formats.ply import read_ply
from rollout3d.scenes.formats.sens import SensFile
from rollout3d.scenes.reading import ScanError
from scenes import mini
from scenes.fuzz import damaged, fuzzed, survives

K = np.array([[40.0, 0, 19.5], [0, 41.0, 14.5], [0, 0, 1]])
HALF = np.diag([0.5, 0.5, 1]) @ K
RNG = np.random.default_rng(5)
PICTURES = [cv2.resize(RNG.integers(0, 255, (6, 8, 3), dtype=np.uint8), (40, 30)) for _ in range(3)]
POSES = [mini.look_at((0, 0, 1), (i + 1, 1, 1)) for i in range(2)] + [mini.LOST]


def sens(version=4, color=mini.jpeg):
    frames = [(p, color(c), RNG.integers(0, 6000, (16, 20))) for p, c in zip(POSES, PICTURES)]
    return mini.sens_bytes(frames, K, HALF, (40, 30), (20, 16), version=version)


def png(rgb):
    return cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


SENS_HEADER = 319 + 96
AT_COLOR_SIZE, AT_FRAMES = 4 + 8 + 15 + 256 + 8, 4 + 8 + 15 + 256 + 8 + 16 + 4
AT_COMPRESSION = AT_COLOR_SIZE - 8


def with_png(data):
    return data[:AT_COMPRESSION] + struct.pack("<i", 1) + data[AT_COMPRESSION + 4 :]


SENS = {"version 4": sens(), "version 3": sens(3), "png": with_png(sens(color=png))}


def read_everything(path):
    file = SensFile(path)
    try:
        assert file.poses.shape == (file.n_frames, 4, 4)
        for i in range(file.n_frames):
            picture, depth = file.color(i), file.depth(i)
            assert picture.shape == (*file.color_size[::-1], 3) and picture.dtype == np.uint8
            assert depth.shape == file.depth_size[::-1] and (depth >= 0).all()
    finally:
        file.close()
    return file


@pytest.mark.parametrize("kind", SENS)
def test_sens(tmp_path, kind):
    path = tmp_path / "a.sens"
    assert survives(path, SENS[kind], lambda: read_everything(path), 4, 100_000).n_frames == 3

    @fuzzed(80)
    @given(damaged(SENS[kind], SENS_HEADER))
    def check(data):
        survives(path, data, lambda: read_everything(path), 4, 100_000)

    check()


def test_sens_cut_within_the_headers_says_truncated(tmp_path):
    path = tmp_path / "a.sens"
    for cut in range(0, SENS_HEADER + 40, 7):
        path.write_bytes(SENS["version 4"][:cut])
        with pytest.raises(ScanError, match="truncated"):
            SensFile(path)


@pytest.mark.parametrize("at", [AT_FRAMES, 319 + 80, 319 + 88])
@pytest.mark.parametrize("claim", [2**32, 2**63, 2**64 - 1])
def test_sens_with_a_claim_of_gigabytes_is_refused_before_memory_is_taken(tmp_path, at, claim):
    path = tmp_path / "a.sens"
    data = SENS["version 4"][:at] + struct.pack("<Q", claim) + SENS["version 4"][at + 8 :]
    assert survives(path, data, lambda: SensFile(path), 1, 50_000) is None


def test_sens_with_depth_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked(tmp_path):
    packer = zlib.compressobj()
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    head = SENS["version 4"][:AT_FRAMES] + struct.pack("<Q", 1)
    color = mini.jpeg(PICTURES[0])
    frame = np.eye(4, dtype="<f4").tobytes() + struct.pack("<4Q", 0, 0, len(color), len(bomb)) + color + bomb
    path = tmp_path / "a.sens"
    assert survives(path, head + frame, lambda: SensFile(path).depth(0), 2, 50_000) is None


def test_only_the_frames_asked_for_are_in_memory(tmp_path):
    """60 frames of 45 kB each: index and two frames take a small part of the file."""
    noise = RNG.integers(0, 255, (120, 160, 3), dtype=np.uint8)
    depth = RNG.integers(0, 6000, (120, 160))
    for version in (3, 4):
        path = tmp_path / f"{version}.sens"
        frames = [(POSES[0], mini.jpeg(noise), depth)] * 60
        path.write_bytes(mini.sens_bytes(frames, K, K, (160, 120), (160, 120), version=version))
        tracemalloc.start()
        file = SensFile(path)
        for i in (50, 3):
            file.color(i), file.depth(i)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < path.stat().st_size / 10


VERTICES, FACES = mini.sheet((0, 0, 0), (2, 0, 0), (0, 2, 0))
TEXT = (
    "ply\nformat ascii 1.0\nelement vertex 441\nproperty float x\nproperty float y\nproperty float z\n"
    "element face 800\nproperty list uchar int vertex_indices\nend_header\n"
    + "".join(" ".join(f"{v:.3f}" for v in p) + "\n" for p in VERTICES)
    + "".join("3 " + " ".join(map(str, f)) + "\n" for f in FACES)
).encode()
BINARY = mini.ply_bytes(VERTICES, FACES)
QUADS = BINARY[: BINARY.index(b"end_header\n") + 11 + 16 * len(VERTICES)] + b"".join(
    struct.pack("<B4i", 4, *f, f[0]) if i % 2 else struct.pack("<B3i", 3, *f) for i, f in enumerate(FACES.tolist())
)
BIG_ENDIAN = (
    b"ply\nformat binary_big_endian 1.0\nelement vertex 441\nproperty double x\nproperty double y\nproperty double z\n"
    b"property ushort label\nelement face 800\nproperty list uint8 uint32 vertex_index\nend_header\n"
    + b"".join(struct.pack(">3dH", *map(float, v), 3) for v in VERTICES)
    + b"".join(struct.pack(">B3I", 3, *map(int, f)) for f in FACES)
)
PLY = {"triangles": (BINARY, 12), "ascii": (TEXT, 60), "polygons": (QUADS, 25), "big endian": (BIG_ENDIAN, 12)}


@pytest.mark.parametrize("kind", PLY)
def test_ply(tmp_path, kind):
    data, factor = PLY[kind]
    path = tmp_path / "mesh.ply"

    def read():
        mesh = read_ply(path)
        assert np.isfinite(mesh.vertices).all() and len(mesh.vertices)
        assert mesh.faces.shape[1] == 3 and mesh.faces.dtype == np.int32
        assert not len(mesh.faces) or 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices)
        return mesh

    assert len(survives(path, data, read, factor, 150_000).vertices) == 441

    @fuzzed(80)
    @given(damaged(data, data.index(b"end_header") + 12))
    def check(broken):
        survives(path, broken, read, factor, 150_000)

    check()


@pytest.mark.parametrize("claim", ["4294967295", "-1", "99999999999999999999", "1e9", ""])
@pytest.mark.parametrize("element", ["vertex 441", "face 800"])
@pytest.mark.parametrize("kind", PLY)
def test_ply_with_a_forged_count_is_refused_before_memory_is_taken(tmp_path, kind, element, claim):
    data, factor = PLY[kind]
    path = tmp_path / "mesh.ply"
    forged = data.replace(element.encode(), f"{element.split()[0]} {claim}".encode())
    assert survives(path, forged, lambda: read_ply(path), factor, 150_000) is None


def deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


DEPTHS = [np.tile(np.round(np.linspace(0.5, 5 + i, 256), 3).astype("<f4"), (192, 1)) for i in range(3)]
MILLIMETRES = [np.rint(d * 1000).astype("<u2").tobytes() for d in DEPTHS]
RECORDS = {
    "lz4": [lz4.block.compress(d, store_size=False) for d in MILLIMETRES],
    "deflate": [deflate(d.tobytes()) for d in DEPTHS],
}
DEPTH_BIN = {
    "stream": deflate(b"".join(d.tobytes() for d in DEPTHS)),
    **{k: b"".join(struct.pack("<I", len(p)) + p for p in records) for k, records in RECORDS.items()},
}
FRAME = 192 * 256 * 4


@pytest.mark.parametrize("kind", DEPTH_BIN)
def test_depth_bin(tmp_path, kind):
    path = tmp_path / "depth.bin"

    def read():
        file = DepthBin(path)
        try:
            depths = [file.frame(i) for i in (0, 2, 1, 3)]
        finally:
            file.close()
        assert all(d is None or (d.shape == (192, 256) and np.isfinite(d).all()) for d in depths)
        return depths

    whole = survives(path, DEPTH_BIN[kind], read, 4, 12 * FRAME)
    assert np.abs(whole[1] - DEPTHS[2]).max() < 1e-3 and whole[3] is None

    @fuzzed(60)
    @given(damaged(DEPTH_BIN[kind], 64))
    def check(data):
        survives(path, data, read, 4, 12 * FRAME)

    check()


@pytest.mark.parametrize("size", [0, 100, 4 * FRAME + 1, 2**32 - 1])
def test_depth_record_of_an_impossible_size_is_damage(tmp_path, size):
    path = tmp_path / "depth.bin"
    path.write_bytes(DEPTH_BIN["lz4"] + struct.pack("<I", size) + bytes(1000))
    with pytest.raises(ScanError, match=f"frame 3 claims {size} bytes"):
        DepthBin(path)


JPEG, PNG = mini.jpeg(PICTURES[0]), png(PICTURES[0])


@fuzzed(300)
@given(st.one_of(damaged(JPEG), damaged(PNG)))
def test_pictures_decode_to_the_size_they_state_or_are_refused(data):
    try:
        picture = decode_picture(data, cv2.IMREAD_COLOR, (40, 30))
    except ValueError as error:
        assert str(error)
    else:
        assert picture.shape == (30, 40, 3)
