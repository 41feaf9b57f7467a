"""The gallery shows what training saw, to the pixel, and where the noise is."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from report.page_study import CONFIG, LABELS, RUNS, build, files_of
from rollout3d import tables
from rollout3d.config import Run
from rollout3d.model.media import FrameStore
from rollout3d.model.regions import Regions
from rollout3d.report import gallery
from rollout3d.report.page import render
from rollout3d.report.study import collect
from rollout3d.training.data import Questions
from rollout3d.training.rollouts import Context, make_views


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return build(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def examples(study):
    return collect(files_of(study), CONFIG).examples


def pixels(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


def inside(path, height, width):
    """Pixels (H, W) that an outline encloses: those with an odd number of upright edges to their left."""
    edges = np.zeros((height, width + 1), int)
    for x, y0, y1 in re.findall(r"M(\d+) (\d+)V(\d+)", path):
        edges[int(y0) : int(y1), int(x)] += 1
    return np.cumsum(edges, axis=1)[:, :width] % 2 == 1


def trained(study, example):
    """The clean frames and the perturbed ones as the trainer makes them, from the trainer's own parts."""
    rows = tables.read(tables.OCR_RL, study["train"])
    store = FrameStore(study["frames"], study["maps"])
    questions = Questions(rows, store, CONFIG.video, CONFIG.prompts.think, (CONFIG.seed, 0))
    row = next(row for row in rows if row["question_id"] == example.question["question_id"])
    clean = questions.media(row).frames
    regions = Regions(study["objects"], study["regions"], questions.frame_rows)
    run = Run.model_validate(RUNS["ocr"])
    context = Context(CONFIG.grpo, run, CONFIG.seed, example.step, run.steps, regions)
    return clean, next(v.frames for v in make_views(row, clean, context) if v.name == "perturbed")


def test_frames_are_the_trainers_to_the_pixel(study, examples):
    assert len(examples) >= 2
    for example in examples:
        clean, perturbed = trained(study, example)
        assert clean.shape[1:3] == (28, 28), "stored frames have 56 pixels a side: this is about resizing"
        assert example.n_frames == len(clean) and len(example.frames) == 4
        for frame in example.frames:
            assert np.array_equal(pixels(frame.clean), clean[frame.index])
            assert np.array_equal(pixels(frame.perturbed), perturbed[frame.index])


def test_outlines_enclose_exactly_the_regions_of_the_named_objects(examples):
    assert examples[0].step == 0
    for example in examples:
        recorded = next(r["perturbed_objects"] for r in example.rollouts if r["perturbed_objects"])
        assert example.objects == tuple(LABELS[i] for i in recorded) and "wall" not in example.objects
        assert example.n_objects == 3 and len(example.objects) == int(3 * example.delta + 0.5)
        assert example.sigma == pytest.approx(128 * example.delta / 0.5)
        shares = []
        for frame in example.frames:
            found = [inside(path, frame.height, frame.width) for _, path in frame.outlines]
            assert [place for place, _ in frame.outlines] == list(range(len(recorded)))
            for object_id, mask in zip(recorded, found):
                # Object i covers rows 14 i to 14 i + 9 of 56, so 7 i to 7 i + 4 of 28.
                rows = np.unique(np.nonzero(mask)[0])
                assert rows.tolist() == list(range(7 * object_id, 7 * object_id + 5)) and mask[rows].all()
            union = np.any(found, axis=0)
            differs = (pixels(frame.clean) != pixels(frame.perturbed)).any(axis=2)
            assert not differs[~union].any() and differs[union].mean() > 0.9
            shares.append(union.mean())
        assert example.share == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("seed", range(5))
def test_borders_follow_every_edge_of_a_mask(seed):
    mask = np.random.default_rng(seed).random((13, 17)) < 0.4
    mask[0], mask[:, -1] = True, True
    path = gallery.border(mask)
    assert np.array_equal(inside(path, *mask.shape), mask)
    edges = np.pad(mask, 1).astype(int)
    crossed = sum(np.abs(np.diff(edges, axis=axis)).sum() for axis in (0, 1))
    drawn = sum(int(x1) - int(x0) for x0, x1 in re.findall(r"M(\d+) \d+H(\d+)", path))
    drawn += sum(int(y1) - int(y0) for y0, y1 in re.findall(r"M\d+ (\d+)V(\d+)", path))
    assert drawn == crossed
    assert gallery.border(np.zeros((3, 3), bool)) == ""


def test_frames_with_noise_are_shown_even_if_few_have_any(study, examples, monkeypatch):
    """One frame of eight shows the object: an even choice of four frames would miss it."""

    class One:
        def union(self, scene, ids, shape):
            mask = np.zeros(shape, bool)
            mask[3, :3, :2] = True
            return mask

    class Rows:
        def rows(self, scene):
            return [{"frame_index": i, "timestamp_s": i / 2} for i in range(8)]

    frames = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 3), dtype=np.uint8)
    shown, share = gallery._shown(examples[0].question, frames, frames, [7], Rows(), One())
    assert [frame.index for frame in shown] == [0, 3, 4, 6] and share == pytest.approx(6 / frames[..., 0].size)
    assert [len(frame.outlines) for frame in shown] == [0, 1, 0, 0]
    monkeypatch.setattr(gallery, "FRAMES_SHOWN", 2)
    shown, _ = gallery._shown(examples[0].question, frames, frames, [7], Rows(), One())
    assert [frame.index for frame in shown] == [3, 4]


def test_question_whose_recorded_objects_differ_is_left_out_with_a_warning(study, tmp_path, caplog):
    rows = tables.read(tables.ROLLOUTS, study["rollouts"][0])
    wrong = [r | {"perturbed_objects": [0, 1, 2]} if r["perturbed_objects"] else r for r in rows]
    path = tmp_path / "ocr" / "rollouts.parquet"
    tables.write(tables.ROLLOUTS, path, wrong, tables.Lineage("test"))
    assert collect(files_of(study, rollouts=[str(path)]), CONFIG).examples == []
    assert "is not the recorded one" in caplog.text


def test_scenes_without_frames_are_left_out(study):
    assert collect(files_of(study, frames=[]), CONFIG).examples == []


def test_each_outline_is_drawn_on_both_pictures_in_the_colour_of_its_name(study):
    page = render(collect(files_of(study), CONFIG))
    card = page[page.index('class="card example"') :].split("</details>")[0]
    ids = re.findall(r'<path id="([^"]+)"', card)
    used = re.findall(r'<use href="#([^"]+)"', card)
    assert ids and sorted(used) == sorted(4 * ids), "clean and perturbed, each with a dark line below"
    colours = re.findall(r'<li><i style="background: (#\w+)">', card)
    assert set(re.findall(r'stroke="(#\w+)"', card)) == set(colours) and len(colours) == 2
