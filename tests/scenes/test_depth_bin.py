"""ScanNet++'s depth.bin, in both layouts and both payloads."""

import struct
import zlib

import lz4.block
import numpy as np
import pytest

from rollout3d.scenes.formats.depth_bin import DepthBin
from rollout3d.scenes.reading import ScanError

SHAPE = (192, 256)


def deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def records(payloads):
    return b"".join(struct.pack("<I", len(p)) + p for p in payloads)


@pytest.fixture(scope="module")
def depths():
    rng = np.random.default_rng(2)
    return [np.round(rng.uniform(0.2, 6, SHAPE), 3).astype(np.float32) for _ in range(5)]


LAYOUTS = {
    "stream of metres": lambda ds: deflate(b"".join(d.astype("<f4").tobytes() for d in ds)),
    "lz4 millimetres": lambda ds: records(
        [lz4.block.compress(np.rint(d * 1000).astype("<u2").tobytes(), store_size=False) for d in ds]
    ),
    "deflated metres": lambda ds: records([deflate(d.astype("<f4").tobytes()) for d in ds]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_frames_come_in_any_order(tmp_path, depths, layout):
    path = tmp_path / "depth.bin"
    path.write_bytes(LAYOUTS[layout](depths))
    reader = DepthBin(path)
    for i in (0, 3, 3, 1, 4):
        found = reader.frame(i)
        assert found.shape == SHAPE and found.dtype == np.float32
        assert np.abs(found - depths[i]).max() < 1e-4
    assert reader.frame(5) is None
    assert np.abs(reader.frame(2) - depths[2]).max() < 1e-4
    reader.close()


def test_smooth_depth_compresses_to_less_than_its_size_field(tmp_path):
    # A whole file of a few hundred bytes: its first four bytes must not be taken for a record.
    flat = [np.full(SHAPE, 2.5, np.float32)] * 3
    path = tmp_path / "depth.bin"
    path.write_bytes(LAYOUTS["stream of metres"](flat))
    assert np.all(DepthBin(path).frame(2) == 2.5)


def test_recording_that_stopped_in_the_middle_keeps_whole_frames(tmp_path, depths):
    path = tmp_path / "depth.bin"
    path.write_bytes(LAYOUTS["deflated metres"](depths)[:-1000])
    reader = DepthBin(path)
    assert reader.frame(3) is not None and reader.frame(4) is None


def test_unknown_content_is_refused(tmp_path):
    path = tmp_path / "depth.bin"
    path.write_bytes(b"\xff" * 5000)
    with pytest.raises(ScanError, match=r"depth\.bin"):
        DepthBin(path).frame(0)


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "depth.bin"
    path.write_bytes(b"")
    with pytest.raises(ScanError, match="is empty"):
        DepthBin(path)


@pytest.mark.parametrize("layout", ["stream of metres", "deflated metres"])
@pytest.mark.parametrize("value", [-0.5, 3e8])
def test_numbers_that_are_no_metres_are_damage(tmp_path, depths, layout, value):
    odd = [depths[0], depths[1].copy()]
    odd[1][5, 7] = value
    path = tmp_path / "depth.bin"
    path.write_bytes(LAYOUTS[layout](odd))
    reader = DepthBin(path)
    assert np.abs(reader.frame(0) - depths[0]).max() < 1e-4
    with pytest.raises(ScanError, match=r"depth\.bin: depth (from .* m: damaged|frame 1 cannot be decoded)"):
        reader.frame(1)
