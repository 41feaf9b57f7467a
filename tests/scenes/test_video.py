"""Frames of videos by index."""

import numpy as np
import pytest

from rollout3d.scenes.scan import ScanError
from rollout3d.scenes.video import Video
from scenes import mini

N = 50


def shade(i):
    """Frame i as a pattern that survives compression: its index in six large squares."""
    picture = np.zeros((48, 96, 3), np.uint8)
    for bit in range(6):
        picture[:, 16 * bit : 16 * bit + 16] = 220 if i >> bit & 1 else 30
    return picture


def index_of(picture):
    return sum((picture[:, 16 * bit + 4 : 16 * bit + 12].mean() > 125) << bit for bit in range(6))


CODECS = [("mpeg4", 12, 0), ("libx264", 10, 2), ("libx265", 16, 3)]


@pytest.fixture(scope="module", params=CODECS, ids=lambda c: c[0])
def path(request, tmp_path_factory):
    codec, gop, b_frames = request.param
    path = tmp_path_factory.mktemp(codec) / "rgb.mkv"
    mini.write_video(path, [shade(i) for i in range(N)], 60, codec, gop, b_frames)
    return path


def test_size_rate_and_count_come_from_the_stream(path):
    video = Video(path)
    assert (video.n_frames, video.width, video.height) == (N, 96, 48)
    assert video.fps == pytest.approx(60, abs=0.5)


@pytest.mark.parametrize(
    "order",
    [range(N), range(0, N, 7), [49, 0, 30, 31, 12, 12, 48, 3], [23]],
    ids=["all", "every seventh", "any order", "one"],
)
def test_the_frame_asked_for_is_the_frame_given(path, order):
    video = Video(path)
    assert [index_of(video.frame(i)) for i in order] == list(order)
    video.close()


def test_no_frame_behind_the_end(path):
    with pytest.raises(IndexError):
        Video(path).frame(N)


def test_what_is_no_video_is_named(tmp_path):
    path = tmp_path / "rgb.mkv"
    path.write_bytes(b"no video at all" * 100)
    with pytest.raises(ScanError, match=r"rgb\.mkv"):
        Video(path)
    with pytest.raises(ScanError, match=r"gone\.mkv"):
        Video(tmp_path / "gone.mkv")
