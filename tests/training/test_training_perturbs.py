"""It perturbs what it says: only the chosen objects' pixels, of the right scene, and never what gives gradient.

The checks are functions, and each is also shown a run that is wrong in the way that it is there to find.
"""

import numpy as np
import pytest
import training_world as tw
from training_step import engine, questions

from rollout3d import tables
from rollout3d.geometry.masks import rle_encode
from rollout3d.model.regions import Regions
from rollout3d.training.group import Group
from rollout3d.training.grpo import roll_out, show
from rollout3d.training.packing import LogProbs
from rollout3d.training.rollouts import Context, make_views
from rollout3d.training.run import run_grpo

LOST = 3
"""The frame without a pose: it has no regions."""
CORNERS = {"scene_a": (0, 0), "scene_b": (28, 28), "scene_c": (56, 84)}
"""Top left corner of object 1, a square of 28 stored pixels, in each scene; object 2 is to the right of it."""


def own_square(scene, object_id, height, width):
    """Pixels of an object at the size that training shows, worked out from the corners."""
    y, x = CORNERS[scene]
    x = (x + 28 * (object_id - 1)) % tw.WIDTH
    rows, columns = (np.arange(height) + 0.5) * tw.HEIGHT / height, (np.arange(width) + 0.5) * tw.WIDTH / width
    return ((rows >= y) & (rows < y + 28))[:, None] & ((columns >= x) & (columns < x + 28))


def region_rows(exchange=None):
    rows = []
    for scene, (y, x) in CORNERS.items():
        for object_id in (1, 2):
            left = (x + 28 * (object_id - 1)) % tw.WIDTH
            mask = np.zeros((tw.HEIGHT, tw.WIDTH), bool)
            mask[y : y + 28, left : left + 28] = True
            about = {
                "object_id": object_id,
                "sets": ["uniform16"],
                "n_visible": 784,
                "box": [left, y, left + 27, y + 27],
                "mask": rle_encode(mask),
            }
            name = (exchange or {}).get(scene, scene)
            rows += [{"scene_id": name, "frame_index": 5 * i, **about} for i in range(tw.N_FRAMES) if i != LOST]
    return sorted(rows, key=lambda row: row["scene_id"])


@pytest.fixture
def world(files, tmp_path):
    """The training world with regions that differ between scenes and lack a frame; `exchange` renames scenes' masks."""

    def make(exchange=None):
        tables.write(tables.REGIONS, tmp_path / "regions.parquet", region_rows(exchange), tw.NOWHERE)
        return {**files, "regions": tmp_path / "regions.parquet"}

    return make


def perturbed_views(files, **grpo):
    """(scene, clean frames, perturbed view) of a question about each scene, at full strength."""
    asked = questions(files)
    regions = Regions([files["objects"]], [files["regions"]], asked.frame_rows)
    for number, scene in enumerate(tw.SCENES):
        row = tw.question_row(number, scene)
        context = Context(tw.config(**grpo).grpo, tw.run(), 0, 0, 4, regions)
        clean, altered = make_views(row, asked.media(row).frames, context)
        assert clean.frames is asked.media(row).frames
        yield scene, clean.frames, altered


def check_where_it_differs(files, **grpo):
    """Perturbed frames equal the clean ones byte for byte outside the chosen objects' own squares and on the frame
    without a pose, and differ almost everywhere inside."""
    for scene, clean, altered in perturbed_views(files, **grpo):
        assert altered.perturbed_objects
        shown = clean.shape[1:3]
        inside = np.logical_or.reduce([own_square(scene, one, *shown) for one in altered.perturbed_objects])
        differs = (altered.frames != clean).any(-1)
        for index in range(tw.N_FRAMES):
            if index == LOST:
                assert not differs[index].any(), f"{scene}: the frame without a pose was altered"
            else:
                assert not differs[index][~inside].any(), f"{scene}: altered outside the chosen objects"
                assert differs[index][inside].mean() > 0.95, f"{scene}: not altered inside"


@pytest.mark.parametrize("noise", ["additive", "diffusion"])
@pytest.mark.parametrize("noise_frames", ["independent", "frozen"])
def test_frames_differ_inside_the_chosen_objects_and_nowhere_else(world, noise, noise_frames):
    check_where_it_differs(world(), noise=noise, noise_frames=noise_frames)


def test_masks_of_another_scene_would_be_noticed(world):
    with pytest.raises(AssertionError, match="scene_a: altered outside"):
        check_where_it_differs(world({"scene_a": "scene_b", "scene_b": "scene_a"}))


@pytest.mark.parametrize("grpo", [{"sigma0": 0.0}, {"sigma0": 0.0, "noise_frames": "frozen"}])
def test_noise_of_no_strength_gives_the_clean_video(world, grpo):
    for _, clean, altered in perturbed_views(world(), **grpo):
        assert altered.perturbed_objects and altered.frames.tobytes() == clean.tobytes()


def test_every_rollout_is_drawn_from_the_video_of_its_view(world):
    files, grpo = world(), tw.config().grpo
    motor, asked = engine(files, grpo), questions(files)
    context = Context(grpo, tw.run(), 0, 0, 4, Regions([files["objects"]], [files["regions"]], asked.frame_rows))
    made = show(tw.question_row(0), asked, context, motor)
    shown, generate = [], motor.generate
    motor.generate = lambda prompts, *rest: shown.extend(prompts) or generate(prompts, *rest)
    roll_out([made], motor, grpo, 0)
    clean, altered = (view.frames.tobytes() for view in made.views)
    assert clean != altered
    assert [prompt.media[0].frames.tobytes() for prompt in shown] == [clean, altered]
    assert [rollout.prompt.media[0].frames.tobytes() for rollout in made.rollouts] == [clean] * 2 + [altered] * 2


def check_what_is_trained_on(files, taught, out, monkeypatch, **grpo):
    """Every packed row that the policy or the reference sees in training is a question with its stored, unaltered
    video, and completions that the rollouts table has under the view named clean."""
    asked, seen = questions(files), []
    forward = LogProbs.forward

    def watched(self, packed, *args, **kwargs):
        for row in packed.rows:
            written = [self.policy.decode(completion) for completion in row.completions]
            seen.append((row.prompt.media[0].frames.tobytes(), written))
        return forward(self, packed, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(LogProbs, "forward", watched)
        run_grpo(tw.config(max_new_tokens=24, **grpo), tw.run(steps=2), tw.inputs(files, taught), out, tw.lineage)
    videos = {asked.media(row).frames.tobytes() for row in tables.read(tables.OCR_RL, files["ocr_rl"])}
    rollouts = tables.read(tables.ROLLOUTS, out / "rollouts.parquet")
    clean: dict[tuple, list[str]] = {}
    for rollout in rollouts:
        if rollout["view"] == "clean":
            clean.setdefault((rollout["step"], rollout["question_id"]), []).append(rollout["text"])
    assert len(seen) >= 3  # the check at the start; policy and reference of at least one group
    for video, written in seen:
        assert video in videos, "trained on an altered video"
        assert written in list(clean.values()), "trained on completions of the altered video"


def test_clean_completions_are_trained_on_the_clean_video(world, taught, tmp_path, monkeypatch):
    check_what_is_trained_on(world(), taught, tmp_path / "run", monkeypatch)


def test_training_on_the_perturbed_video_would_be_noticed(world, taught, tmp_path, monkeypatch):
    real = Group.gradient_rows

    def wrong(self, *args):
        from dataclasses import replace

        return [replace(row, prompt=self.rollouts[-1].prompt) for row in real(self, *args)]

    monkeypatch.setattr(Group, "gradient_rows", wrong)
    with pytest.raises(AssertionError, match="trained on an altered video"):
        check_what_is_trained_on(world(), taught, tmp_path / "run", monkeypatch)


def test_training_on_perturbed_completions_would_be_noticed(world, taught, tmp_path, monkeypatch):
    with pytest.raises(AssertionError, match="trained on completions of the altered video"):
        check_what_is_trained_on(world(), taught, tmp_path / "run", monkeypatch, grad_rollouts="both_on_clean")
