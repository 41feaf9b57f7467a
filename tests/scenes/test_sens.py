"""ScanNet's .sens files."""

import struct

import cv2
import numpy as np
import pytest

from rollout3d.scenes.formats.sens import SensFile
from rollout3d.scenes.reading import ScanError
from scenes import mini

COLOR_K = np.array([[40.0, 0, 19.5], [0, 41.0, 14.5], [0, 0, 1]])
DEPTH_K = np.array([[20.0, 0, 9.5], [0, 20.0, 7.5], [0, 0, 1]])


@pytest.fixture
def frames():
    rng = np.random.default_rng(1)
    poses = [mini.look_at((0, 0, 1), (i + 1, 1, 1)) for i in range(3)] + [mini.LOST]
    colors = [np.full((30, 40, 3), (10 + 50 * i, 200 - 40 * i, 90), np.uint8) for i in range(4)]
    depths = [rng.integers(0, 6000, (16, 20)).astype(np.uint16) for _ in range(4)]
    return poses, colors, depths


def packed(frames, **options):
    content = [(p, mini.jpeg(c), d) for p, c, d in zip(*frames)]
    return mini.sens_bytes(content, COLOR_K, DEPTH_K, (40, 30), (20, 16), **options)


@pytest.mark.parametrize("version", [4, 3])
def test_every_field_comes_back(tmp_path, frames, version):
    path = tmp_path / "a.sens"
    path.write_bytes(packed(frames, version=version, name=b"some sensor"))
    sens = SensFile(path)
    poses, colors, depths = frames
    assert sens.n_frames == 4 and sens.color_size == (40, 30) and sens.depth_size == (20, 16)
    assert np.allclose(sens.color_K, COLOR_K) and np.allclose(sens.depth_K, DEPTH_K)
    assert np.allclose(sens.poses[:3], poses[:3], atol=1e-6)
    assert np.isneginf(sens.poses[3]).all()
    for i in (2, 0, 3, 1):
        assert np.abs(sens.color(i).astype(int) - colors[i]).max() <= 6
        assert sens.depth(i).dtype == np.float32
        assert np.allclose(sens.depth(i), depths[i] / 1000, atol=1e-6)
    sens.close()


def test_depth_shift_is_a_divisor(tmp_path, frames):
    path = tmp_path / "a.sens"
    path.write_bytes(packed(frames, shift=500.0))
    assert np.allclose(SensFile(path).depth(0), frames[2][0] / 500, atol=1e-5)


def test_header_has_the_documented_length(frames):
    # 304 bytes and the name; the first frame of a StructureSensor file is at byte 319.
    data = packed(frames)
    assert struct.unpack_from("<16f", data, 319) == pytest.approx(np.asarray(frames[0][0]).ravel(), abs=1e-6)


@pytest.mark.parametrize("cut", [100, 400, -300])
def test_truncated_file_is_named(tmp_path, frames, cut):
    data = packed(frames, version=3)
    path = tmp_path / "cut.sens"
    path.write_bytes(data[:cut])
    with pytest.raises(ScanError, match=r"cut\.sens"):
        SensFile(path)


def test_unknown_versions_and_compressions_are_refused(tmp_path, frames):
    data = bytearray(packed(frames))
    path = tmp_path / "odd.sens"
    path.write_bytes(struct.pack("<I", 5) + bytes(data[4:]))
    with pytest.raises(ScanError, match="version 5"):
        SensFile(path)
    at = 4 + 8 + 15 + 256
    data[at + 4 : at + 8] = struct.pack("<i", 2)
    path.write_bytes(data)
    with pytest.raises(ScanError, match="compression"):
        SensFile(path)


def test_damaged_picture_is_an_error_when_it_is_asked_for(tmp_path, frames):
    poses, colors, depths = frames
    content = [(poses[0], b"no jpeg", depths[0]), (poses[1], mini.jpeg(colors[1]), depths[1])]
    path = tmp_path / "a.sens"
    path.write_bytes(mini.sens_bytes(content, COLOR_K, DEPTH_K, (40, 30), (20, 16)))
    sens = SensFile(path)
    assert sens.color(1).shape == (30, 40, 3)
    with pytest.raises(ScanError, match="frame 0"):
        sens.color(0)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ScanError, match=r"gone\.sens"):
        SensFile(tmp_path / "gone.sens")


@pytest.mark.parametrize("version", [3, 4])
def test_a_header_that_states_fewer_frames_than_the_file_holds_is_refused(tmp_path, frames, version):
    data = bytearray(packed(frames, version=version))
    at = 4 + 8 + 15 + 256 + 8 + 16 + 4
    (stated,) = struct.unpack_from("<Q", data, at)
    struct.pack_into("<Q", data, at, stated - 1)
    path = tmp_path / "few.sens"
    path.write_bytes(data)
    with pytest.raises(ScanError, match=f"states {stated - 1} frames and holds more"):
        SensFile(path)


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_intrinsics_of_no_camera_with_such_pictures_are_refused(tmp_path, frames, scale):
    poses, colors, depths = frames
    content = [(poses[0], mini.jpeg(colors[0]), depths[0])]
    path = tmp_path / "odd.sens"
    path.write_bytes(mini.sens_bytes(content, COLOR_K, np.diag([scale, 1, 1]) @ DEPTH_K, (40, 30), (20, 16)))
    with pytest.raises(ScanError, match="intrinsics of no camera with pictures of 20x16"):
        SensFile(path)


@pytest.mark.parametrize("shift", [1.0, 1e7, float("nan")])
def test_depth_units_that_no_room_fits_are_refused(tmp_path, frames, shift):
    poses, colors, depths = frames
    content = [(poses[0], mini.jpeg(colors[0]), depths[0])]
    path = tmp_path / "odd.sens"
    path.write_bytes(mini.sens_bytes(content, COLOR_K, DEPTH_K, (40, 30), (20, 16), shift=shift))
    with pytest.raises(ScanError, match="depth shift"):
        SensFile(path)


def test_a_grey_picture_is_no_colour_frame(tmp_path, frames):
    poses, _, depths = frames
    grey = cv2.imencode(".jpg", np.full((30, 40), 90, np.uint8))[1].tobytes()
    path = tmp_path / "grey.sens"
    path.write_bytes(mini.sens_bytes([(poses[0], grey, depths[0])], COLOR_K, DEPTH_K, (40, 30), (20, 16)))
    with pytest.raises(ScanError, match="colour of frame 0: a grey picture"):
        SensFile(path).color(0)
