"""Samples that bring their own video: shown as a video, and read from disk when their turn comes."""

import cv2
import numpy as np
import pytest
import training_world as tw

from rollout3d import tables
from rollout3d.model.media import FrameStore
from rollout3d.training.data import Questions
from rollout3d.training.run import run_sft


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def clip(n, height=56, width=84):
    """Frame i is grey 10 i, a quarter of a second after the one before."""
    pictures = [np.full((height, width, 3), 10 * i, np.uint8) for i in range(n)]
    return [{"bytes": png(picture), "path": tables.frame_path(i / 4)} for i, picture in enumerate(pictures)]


def general(number, media):
    return tw.question_row(number) | {"scene_id": None, "space_id": None, "media": media}


@pytest.fixture
def cold_start(tmp_path):
    """A table of a video sample, a picture sample and two of a scene, in row groups of one row."""
    still = [{"bytes": png(np.full((56, 56, 3), 77, np.uint8)), "path": "image/0.png"}]
    rows = [general(0, clip(tw.N_FRAMES)), general(1, still), tw.question_row(2), tw.question_row(3)]
    path = tmp_path / "video_r1_cot.parquet"
    with tables.Writer(tables.OCR_SFT, path, tw.NOWHERE) as writer:
        for row in rows:
            writer.write([tw.target(row)])
    return path


def asked_of(files, rows, media=None):
    config = tw.config()
    return Questions(rows, FrameStore([files["frames"]]), config.video, "plain", 0, media)


def test_an_own_video_is_prompted_as_a_video_with_its_time(files):
    row = general(0, clip(2 * tw.N_FRAMES))
    questions = asked_of(files, [row])
    media = questions.media(row)
    # round(linspace(0, 15, 8)): 2.14 i.
    assert media.frames[:, 0, 0, 0].tolist() == [0, 20, 40, 60, 90, 110, 130, 150]
    prompt = questions.prompt(row, media, tw.tiny_policy().encoder)
    assert [medium.modality for medium in prompt.media] == ["video"]
    assert prompt.video_grid_thw.tolist() == [[4, 4, 6]] and prompt.image_grid_thw is None


def test_time_of_a_scene_is_that_of_its_frames(files, monkeypatch):
    """Fewer frames span the same time."""
    row = tw.question_row(0)
    questions = asked_of(files, [row])
    stamps = [shown["timestamp_s"] for shown in questions.frame_rows(row["scene_id"])]
    seen = []
    monkeypatch.setattr("rollout3d.model.prompts.question_parts", lambda row, video, **_: seen.append(video) or [])
    media = questions.media(row)
    frames = media.frames
    encoder = tw.tiny_policy().encoder
    for shown in (frames, frames[::2]):
        questions.prompt(row, media.showing(shown), encoder)
    whole = stamps[-1] - stamps[0]
    assert whole > 0
    told = [video.seconds_per_frame for video in seen]
    assert told == pytest.approx([whole / (len(frames) - 1), whole / (len(frames[::2]) - 1)])


def test_time_of_fewer_frames_spans_the_whole_own_video(files, monkeypatch):
    row = general(0, clip(tw.N_FRAMES))
    questions = asked_of(files, [row])
    seen = []
    monkeypatch.setattr("rollout3d.model.prompts.question_parts", lambda row, video, **_: seen.append(video) or [])
    questions.prompt(row, questions.media(row).showing(questions.media(row).frames[::7]), tw.tiny_policy().encoder)
    assert seen[0].seconds_per_frame == pytest.approx(7 / 4)


def test_an_own_video_is_shown_at_the_training_size(files):
    row = general(0, clip(tw.N_FRAMES, 112, 168))  # 18816 pixels; the world trains with 4704: half of each side
    questions = asked_of(files, [row])
    prompt = questions.prompt(row, questions.media(row), tw.tiny_policy().encoder)
    assert prompt.video_grid_thw.tolist() == [[4, 4, 6]]


def test_media_stay_on_disk_until_a_row_is_shown(files, cold_start):
    light = tables.read_light(tables.OCR_SFT, cold_start)
    assert all(set(image) == {"path"} for row in light for image in row["media"] or ())
    lazy = asked_of(files, light, tables.MediaReader(tables.OCR_SFT, cold_start))
    full = asked_of(files, tables.read(tables.OCR_SFT, cold_start))
    assert len(lazy) == 4 and lazy.batch(0, 8) == full.batch(0, 8)
    assert {row["question_id"]: row["media"] for row in lazy.batch(0, 4)} == {
        row["question_id"]: row["media"] for row in tables.read(tables.OCR_SFT, cold_start)
    }


def test_sft_runs_on_a_table_of_videos_pictures_and_scenes(files, cold_start, tmp_path):
    inputs = tw.inputs({**files, "ocr_sft": cold_start}, train="ocr_sft")
    run_sft(tw.with_sft(batch_size=4), tw.run(method="sft"), inputs, tmp_path / "run", tw.lineage)
    (metrics,) = tables.read(tables.METRICS, tmp_path / "run" / "metrics.parquet")
    assert metrics["loss"] > 0 and np.isfinite(metrics["grad_norm"])
