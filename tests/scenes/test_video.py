"""Frames of videos by index."""

import av
import numpy as np
import pytest
from hypothesis import given

from rollout3d.scenes.pictures import MAX_PIXELS
from rollout3d.scenes.scan import ScanError
from rollout3d.scenes.video import Video
from scenes import mini
from scenes.fuzz import damaged, fuzzed, survives

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


def test_frames_that_an_edit_list_hides_do_not_count(tmp_path):
    """A clip cut without encoding it anew starts behind a key frame: the frames before its start are never shown."""
    mini.write_video(tmp_path / "whole.mp4", [shade(i) for i in range(N)], 30, "libx264", 20, 2)
    with av.open(str(tmp_path / "whole.mp4")) as source, av.open(str(tmp_path / "cut.mp4"), "w") as cut:
        stream = source.streams.video[0]
        copy = cut.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.pts -= round(7 / 30 / stream.time_base)
                packet.dts -= round(7 / 30 / stream.time_base)
                packet.stream = copy
                cut.mux(packet)
    video = Video(tmp_path / "cut.mp4")
    assert video.n_frames == N - 7
    assert [index_of(video.frame(i)) for i in (0, 1, 20, 42, 5)] == [7, 8, 27, 49, 12]


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_damaged_videos_give_whole_frames_or_are_refused(tmp_path, codec):
    path = tmp_path / "rgb.mkv"
    mini.write_video(path, [shade(i) for i in range(12)], 60, codec, 6, 0)

    def read():
        video = Video(path)
        try:
            assert video.fps > 0
            for index in (0, video.n_frames - 1, video.n_frames // 2):
                assert video.frame(index).shape == (video.height, video.width, 3)
        finally:
            video.close()
        return video

    whole = path.read_bytes()
    assert survives(path, whole, read, 4, 1_000_000).n_frames == 12

    @fuzzed(40)
    @given(damaged(whole, 600))
    def check(data):
        survives(path, data, read, 4, 3 * MAX_PIXELS)

    check()
