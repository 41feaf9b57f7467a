from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rollout3d import tables
from rollout3d.config import Video
from rollout3d.geometry.camera import sample_indices
from rollout3d.model.media import FrameStore, MissingFrames, decode_image, question_media
from rollout3d.model.pixels import resize
from rollout3d.resize import smart_size


def _scene(picture, n=8):
    """Frames 0, 10, .., of one grey each, every other one in uniform16, all in uniform32, written in disorder."""
    frames = [(10 * i, ["uniform32"] + ["uniform16"] * (i % 2 == 0), np.full_like(picture, 10 * i)) for i in range(n)]
    return frames[::-1]


@pytest.fixture
def picture(frames):
    return frames(1, 56, 84)[0]


@pytest.fixture
def store(picture, write_frames, write_maps, frames):
    path = write_frames({"room": _scene(picture), "hall": [(0, ["uniform32"], picture)]})
    return FrameStore([path], [write_maps({"room": frames(1, 56, 56, seed=9)[0]})])


def _grey(frames):
    return frames[:, 0, 0, 0].tolist()


def test_frames_come_in_time_order_from_the_wanted_set(store):
    assert _grey(store.frames("room", "uniform32")) == [0, 10, 20, 30, 40, 50, 60, 70]
    assert _grey(store.frames("room", "uniform16")) == [0, 20, 40, 60]


def test_n_frames_are_spread_with_both_ends(store):
    assert _grey(store.frames("room", "uniform32", 2)) == [0, 70]
    assert _grey(store.frames("room", "uniform32", 3)) == [0, 40, 70]  # 3.5 rounds to the even 4
    assert [row["frame_index"] for row in store.rows("room", "uniform32", 3)] == [0, 40, 70]


def test_a_short_video_repeats_frames(store):
    # Places 0, .5, 1, 1.5, 2, 2.5, 3 of four frames, halves to even.
    assert _grey(store.frames("room", "uniform16", 7)) == [0, 0, 20, 40, 40, 40, 60]
    assert store.frames("hall", "uniform32", 4).shape == (4, 56, 84, 3)


@pytest.mark.parametrize("source", [(480, 640), (968, 1296), (1440, 1920)])
def test_training_sees_4_to_3_at_280x364_though_frames_are_stored_at_364x504(frames, write_frames, source):
    """Video-R1's sizes. From the stored size the rule would give 252x364."""
    stored = smart_size(*source, 3136, Video().eval_max_pixels)
    assert stored == (364, 504)
    path = write_frames({"s": [(0, ["uniform16"], frames(1, *stored)[0])]}, source=source)
    assert FrameStore([path]).frames("s", "uniform16", 1, Video().train_pixels).shape[1:3] == (280, 364)


def test_colours_survive_and_frames_are_resized_once_by_the_encoders_rule(picture, write_frames):
    store = FrameStore([write_frames({"room": [(0, ["uniform16"], picture)]})])
    assert np.array_equal(store.frames("room", "uniform16")[0], picture)
    small = store.frames("room", "uniform16", pixels=(784, 28 * 28 * 4))
    assert np.array_equal(small, resize(picture[None], *small.shape[1:3]))
    assert small.shape[1] * small.shape[2] <= 28 * 28 * 4


def test_video_carries_the_time_between_frames(store):
    assert store.video("room", "uniform32", 8).seconds_per_frame == pytest.approx(1.0)
    assert store.video("room", "uniform32", 2).seconds_per_frame == pytest.approx(7.0)
    assert store.video("hall", "uniform32", 1).seconds_per_frame == 0.0


def test_decoded_videos_are_kept_and_cannot_be_spoilt(store):
    first = store.frames("room", "uniform32", 4)
    assert store.frames("room", "uniform32", 4) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


def test_only_the_last_scenes_are_kept(picture, write_frames):
    path = write_frames({f"room{i}": [(0, ["uniform16"], picture)] for i in range(4)})
    store = FrameStore([path], capacity=1)
    first = store.frames("room0", "uniform16")
    for i in range(1, 4):
        store.frames(f"room{i}", "uniform16")
    assert store.frames("room0", "uniform16") is not first


def test_several_files_are_one_store(picture, write_frames):
    paths = [write_frames({name: [(0, ["uniform16"], picture)]}, f"{name}.parquet") for name in ("a", "b")]
    store = FrameStore(paths)
    assert store.scenes == ["a", "b"] and "b" in store and "c" not in store
    assert len(store.frames("b", "uniform16")) == 1


def test_the_top_view_is_read_from_the_maps(store, frames):
    assert np.array_equal(store.bev("room"), frames(1, 56, 56, seed=9)[0])


def test_missing_frames_name_the_files(store):
    with pytest.raises(MissingFrames, match=r"scene attic: no frames in .*frames\.parquet"):
        store.frames("attic", "uniform32")
    with pytest.raises(MissingFrames, match="no frames of set 'uniform16'"):
        store.frames("hall", "uniform16")
    with pytest.raises(MissingFrames, match=r"no map in .*maps\.parquet"):
        store.bev("hall")


def test_threads_may_share_a_store(store):
    with ThreadPoolExecutor(4) as threads:
        wanted = [2, 3, 5, 6, 7, 8] * 4
        found = list(threads.map(lambda n: _grey(store.frames("room", "uniform32", n)), wanted))
    assert found == [[10 * i for i in sample_indices(8, n)] for n in wanted]


def test_a_questions_own_pictures_are_decoded(question, encoded, frames):
    picture = frames(1, 30, 40)[0]
    row = question(media=[{"bytes": encoded(picture), "path": "a.png"}])
    assert np.array_equal(media_of(row).images[0], picture)
    assert media_of(row).video is None
    with pytest.raises(ValueError, match="picture 0 of question q"):
        media_of(question(media=[{"bytes": b"rubbish", "path": None}]))
    with pytest.raises(ValueError, match="can be decoded"):
        decode_image(None, "x")


def media_of(row, *how):
    """What a question without a scene shows."""
    return question_media(row, None, *how)


def _clip(encoded, frames, greys=(0, 10, 20, 30)):
    """Frames of one grey each, half a second apart."""
    picture = frames(1, 56, 84)[0]
    stored = [(tables.frame_path(i / 2), np.full_like(picture, grey)) for i, grey in enumerate(greys)]
    return [{"bytes": encoded(grey), "path": path} for path, grey in stored]


def test_frames_of_a_questions_own_video_are_one_video_and_no_pictures(question, encoded, frames):
    row = question(media=_clip(encoded, frames))
    assert media_of(row).images == () and media_of(row).times == (0.0, 0.5, 1.0, 1.5)
    video = media_of(row).video
    assert _grey(video.frames) == [0, 10, 20, 30] and video.frames.shape == (4, 56, 84, 3)
    assert video.seconds_per_frame == pytest.approx(0.5)
    none = media_of(question(media=[{"bytes": encoded(video.frames[0]), "path": "image/0.png"}]))
    assert none.video is None and none.frames is None and none.times == ()


def test_fewer_or_more_frames_of_an_own_video_are_spread_with_both_ends(question, encoded, frames):
    row = question(media=_clip(encoded, frames))
    two, seven = media_of(row, None, 2, (784, 1568)).video, media_of(row, "uniform7", 7).video
    assert _grey(two.frames) == [0, 30] and two.seconds_per_frame == pytest.approx(1.5)
    assert two.frames.shape[1:3] == (28, 28)  # 56x84 shrunk by 1.73 to 32.3 and 48.5, rounded down
    assert _grey(seven.frames) == [0, 0, 10, 20, 20, 20, 30] and seven.seconds_per_frame == pytest.approx(0.25)
    assert media_of(question(media=row["media"][:1])).video.seconds_per_frame == 0.0


@pytest.mark.parametrize(
    ("size", "shown"), [((240, 320), (280, 392)), ((480, 640), (280, 364)), ((720, 1280), (224, 420))]
)
def test_video_r1_shows_at_least_128_tokens_a_frame(question, encoded, frames, write_frames, size, shown):
    """240x320 becomes 10 x 14 tokens a pair of frames, enlarged; a bound of 4 tokens leaves 9 x 11."""
    path = write_frames({"s": [(0, ["uniform16"], frames(1, *size)[0])]}, source=size)
    assert FrameStore([path]).frames("s", "uniform16", 1, Video().train_pixels).shape[1:3] == shown
    half = size[0] // 2, size[1] // 2
    origin = tables.Origin(0, 1, 25.0, size[1], size[0])
    media = [{"bytes": encoded(frames(1, *half)[0]), "path": tables.frame_path(0.0, origin)}]
    own = media_of(question(media=media), "fps2max16", None, Video().train_pixels)
    assert own.frames.shape[1:3] == shown  # by the size of the video, not of what is stored


def test_an_own_video_shows_the_frames_of_the_set_and_says_if_it_lacks_them(question, encoded, frames):
    def media(indices):
        paths = [tables.frame_path(i / 10, tables.Origin(i, 40, 10.0, 84, 56)) for i in indices]
        return [{"bytes": encoded(np.full((56, 84, 3), i, np.uint8)), "path": path} for i, path in zip(indices, paths)]

    # 4 s at 2 per second: 8 frames at round(linspace(0, 39, 8)); 4 frames at 0, 13, 26, 39.
    rate, four = [0, 6, 11, 17, 22, 28, 33, 39], [0, 13, 26, 39]
    row = question(media=media(sorted({*rate, *four})))
    assert _grey(media_of(row, "fps2max16").frames) == rate
    assert _grey(media_of(row, "uniform4", 4).frames) == four
    assert media_of(row, "fps2max16").times == pytest.approx([i / 10 for i in rate])
    with pytest.raises(ValueError, match="question q: its table does not hold the frames uniform5"):
        media_of(row, "uniform5", 5)


def test_a_bad_frame_of_an_own_video_names_the_question(question, encoded, frames):
    row = question(media=[*_clip(encoded, frames), {"bytes": b"rubbish", "path": tables.frame_path(9)}])
    with pytest.raises(ValueError, match="frame 4 of the video of question q"):
        media_of(row)
    row["media"][-1]["bytes"] = encoded(frames(1, 28, 28)[0])
    with pytest.raises(ValueError, match="question q differ in size"):
        media_of(row)
