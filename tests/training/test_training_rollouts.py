"""What each rollout method shows, and how its strength falls over training."""

import math
from pathlib import Path

import numpy as np
import pytest
import training_world as tw
import yaml

from rollout3d.model.regions import Regions
from rollout3d.training import schedule
from rollout3d.training.rollouts import Context, View, gradient_counts, make_views, noisy
from rollout3d.training.rollouts.downsample import frames_kept
from rollout3d.training.rollouts.object_centric import choose

ROOT = Path(__file__).parents[2]
FRAMES = np.full((tw.N_FRAMES, 56, 84, 3), 128, np.uint8)
FRAMES.setflags(write=False)
ROW = tw.question_row(0)


@pytest.fixture(scope="module")
def regions(files):
    rows = {scene: [tw.frame_row(scene, i) for i in range(tw.N_FRAMES)] for scene in tw.SCENES}
    return Regions([files["objects"]], [files["regions"]], rows.__getitem__)


def context(rollout, step=0, total=5, regions=None, schedule=None, run=None, **grpo):
    run = tw.run(rollout, **({"schedule": schedule} if schedule else {}), **(run or {}))
    return Context(tw.config(**grpo).grpo, run, 0, step, total, regions)


# --- schedules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "first", "middle", "last"),
    [
        ("linear", 0.5, 0.25, 0.0),
        ("cos", 0.5, 0.25, 0.0),
        ("exp", 0.5, 0.5 * (math.exp(-2.5) - math.exp(-5)) / (1 - math.exp(-5)), 0.0),
        ("fix", 0.25, 0.25, 0.25),
    ],
)
def test_schedules_reach_their_ends_exactly(shape, first, middle, last):
    assert [schedule.delta(shape, step, 2001) for step in (0, 1000, 2000)] == pytest.approx([first, middle, last])


def test_linear_falls_by_equal_amounts_and_the_others_bend():
    quarter = {shape: schedule.delta(shape, 1, 5) for shape in schedule.SHAPES}
    assert quarter["linear"] == pytest.approx(0.375)
    assert quarter["cos"] == pytest.approx(0.25 * (1 + math.cos(math.pi / 4)))
    assert quarter["exp"] < quarter["linear"] < quarter["cos"]


def test_an_unknown_schedule_and_a_training_of_one_step():
    with pytest.raises(ValueError, match="unknown schedule"):
        schedule.delta("steep", 0, 2)
    assert schedule.delta("linear", 0, 1) == 0.5


# --- all methods -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rollout", ["vanilla", "temporal", "noisy", "downsample", "object_centric"])
@pytest.mark.parametrize("frames", [FRAMES, None], ids=["video", "general data"])
def test_the_clean_view_comes_first_untouched_and_questions_without_video_are_left_as_they_are(
    rollout, frames, regions
):
    shape = "linear" if rollout == "downsample" else None
    row = ROW if frames is not None else {**ROW, "scene_id": None}
    views = make_views(row, frames, context(rollout, regions=regions, schedule=shape))
    assert views[0].name == "clean" and views[0].contributes_gradient and views[0].pooled
    assert views[0].frames is frames
    if frames is None:
        assert all(view.frames is None for view in views)
    pooled = sum(view.n for view in views if view.pooled)
    assert pooled == 4


@pytest.mark.parametrize(("mode", "expected"), [("clean", False), ("both_on_clean", True), ("both_on_own", True)])
def test_altered_views_give_gradient_only_if_asked(mode, expected, regions):
    views = make_views(ROW, FRAMES, context("object_centric", regions=regions, grad_rollouts=mode))
    assert [view.contributes_gradient for view in views] == [True, expected]


@pytest.mark.parametrize(
    ("sizes", "most", "counts"),
    [
        ([(4, True), (4, False)], None, [4, 0]),
        ([(4, True), (4, True)], 4, [2, 2]),
        ([(4, True), (4, True)], 3, [2, 1]),
        ([(12, True)], 6, [6]),
        ([(8, True), (4, False)], 6, [6, 0]),
        ([(1, True), (8, True)], 6, [1, 5]),
        ([(4, True), (4, True)], 99, [4, 4]),
    ],
)
def test_a_limit_takes_rollouts_in_turn_from_the_views_that_give_gradient(sizes, most, counts):
    views = [View(f"view{i}", FRAMES, n, contributes_gradient=gives) for i, (n, gives) in enumerate(sizes)]
    assert gradient_counts(views, most) == counts


# --- object-centric --------------------------------------------------------------------------------------------------


def shrunk(object_id, index):
    """The square of an object at 56x84, worked out from its corners: 3/4 and 2/3 of the stored 112x84."""
    stored = tw.square(object_id, index)
    out = np.zeros((56, 84), bool)
    for y in range(56):
        for x in range(84):
            out[y, x] = stored[int((y + 0.5) * 84 / 56), int((x + 0.5) * 112 / 84)]
    return out


def test_noise_lies_exactly_in_the_chosen_objects_region(regions):
    clean, altered = make_views(ROW, FRAMES, context("object_centric", regions=regions))
    assert altered.name == "perturbed" and altered.n == 2 and altered.pooled
    (chosen,) = altered.perturbed_objects  # two objects may be perturbed; half of them is one
    assert chosen in (1, 2)
    changed = (altered.frames != FRAMES).any(-1)
    for i in range(tw.N_FRAMES):
        region = shrunk(chosen, i)
        assert not changed[i][~region].any()
        assert changed[i][region].mean() > 0.95
    assert (clean.frames == 128).all()


def test_noise_has_the_schedules_deviation_and_is_clipped():
    frames = np.full((8, 112, 140, 3), 128, np.uint8)
    region = np.ones(frames.shape[:3], bool)
    from rollout3d.geometry.masks import add_noise

    rng = np.random.default_rng(0)
    mild = add_noise(frames, region, 20.0, rng).astype(float) - 128
    assert abs(mild.mean()) < 0.1 and mild.std() == pytest.approx(20, rel=0.01)
    assert abs(np.corrcoef(mild[0].ravel(), mild[1].ravel())[0, 1]) < 0.02  # independent per frame
    strong = add_noise(frames, region, 400.0, rng)
    assert strong.min() == 0 and strong.max() == 255
    # clipped mass on each side: P(z > 127/400)
    assert (strong == 255).mean() == pytest.approx(0.5 * math.erfc(126.5 / 400 / math.sqrt(2)), abs=0.01)


def test_sigma_and_the_number_of_objects_fall_with_delta(regions):
    sigmas, counts = [], []
    for step in range(5):
        altered = make_views(ROW, FRAMES, context("object_centric", step, regions=regions))[1]
        sigmas.append(altered.sigma)
        counts.append(len(altered.perturbed_objects))
    assert sigmas == pytest.approx([128, 96, 64, 32, 0])
    assert counts == [1, 1, 1, 0, 0]  # round(delta * 2), halves up
    last = make_views(ROW, FRAMES, context("object_centric", 4, regions=regions))
    assert (last[1].frames == last[0].frames).all()


@pytest.mark.parametrize(("m", "delta", "expected"), [(4, 0.5, 2), (5, 0.5, 3), (3, 0.5, 2), (7, 0.2, 1), (9, 0.0, 0)])
def test_m_prime_is_delta_m_rounded(m, delta, expected):
    chosen = choose(list(range(10, 10 + m)), delta, np.random.default_rng(0))
    assert len(chosen) == len(set(chosen)) == expected
    assert set(chosen) <= set(range(10, 10 + m))


def test_only_perturbable_objects_that_are_seen_can_be_chosen(regions):
    assert regions.objects("scene_a") == [1, 2]  # 3 is in no frame, 4 is a wall


@pytest.mark.parametrize(("mode", "expected"), [("eligible", {1, 2}), ("excluded", {2}), ("only", {1})])
def test_objects_of_the_question_can_be_excluded_or_singled_out(mode, expected, regions):
    # at delta 1 everything eligible is chosen
    views = make_views(ROW, FRAMES, context("object_centric", regions=regions, query_objects=mode, delta_start=1.0))
    assert set(views[1].perturbed_objects) == expected


def test_draws_depend_on_seed_run_step_and_question_only(regions):
    def altered(question=ROW, **options):
        fixed = context("object_centric", regions=regions, schedule="fix", **options)
        return make_views(question, FRAMES, fixed)[1].frames

    assert (altered() == altered()).all()
    assert (altered() != altered(step=1)).any()
    assert (altered() != altered(run={"seed": 1})).any()
    assert (altered() != altered(run={"run": "other"})).any()
    assert (altered() != altered(question={**ROW, "question_id": "other"})).any()


def test_fresh_noise_makes_a_video_for_each_rollout_over_the_same_objects(regions):
    views = make_views(ROW, FRAMES, context("object_centric", regions=regions, fresh_noise=True))
    assert [view.n for view in views] == [2, 1, 1]
    assert views[1].perturbed_objects == views[2].perturbed_objects != ()
    assert (views[1].frames != views[2].frames).any()


def test_an_object_centric_run_needs_its_tables():
    with pytest.raises(ValueError, match="regions tables"):
        make_views(ROW, FRAMES, context("object_centric"))


# --- the others ------------------------------------------------------------------------------------------------------


def test_shuffled_frames_are_a_permutation_outside_the_pool():
    frames = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.ones((1, 28, 28, 3), np.uint8)
    ordered, shuffled = make_views(ROW, frames, context("temporal"))
    assert (ordered.n, shuffled.n) == (4, 2)
    assert not shuffled.pooled and not shuffled.contributes_gradient
    order = shuffled.frames[:, 0, 0, 0].tolist()
    assert sorted(order) == list(range(8)) and order != list(range(8))


def test_diffusion_noise_is_that_of_noisyrollout():
    published = {0: (1.0, 0.0047), 100: (0.998, 0.058), 300: (0.981, 0.194), 450: (0.911, 0.413), 500: (0.863, 0.505)}
    for t, (keep, sigma) in published.items():
        assert noisy.scales(t) == pytest.approx((keep, sigma), abs=6e-4)


def test_noisyrollouts_strength_falls_by_its_own_sigmoid_unless_a_schedule_is_named():
    # Its 60 steps are 1 to 60: t = int(500 (1 - sigmoid(30 (step - 40) / 60))). At step 42 the sigmoid is that of 1.
    own = [noisy.diffusion_step(context("noisy", step - 1, 60)) for step in (1, 20, 40, 42, 60)]
    assert own == [499, 499, 250, int(500 * (1 - 1 / (1 + math.exp(-1)))), 0] and own[3] == 134
    named = [noisy.diffusion_step(context("noisy", step, 5, schedule="linear")) for step in range(5)]
    assert named == [500, 375, 250, 125, 0]


def test_noisy_views_alter_the_whole_frame():
    _, altered = make_views(ROW, FRAMES, context("noisy"))
    assert (altered.frames != FRAMES).any(-1).mean() > 0.95
    assert altered.sigma == pytest.approx(128.5, abs=1)


def test_noisy_pixels_are_the_forward_process_clipped_and_truncated():
    """Levels of NoisyRollout's own conversion: x_t on [0, 1] times 255, without what stands behind the point."""
    frames = np.full((2, 28, 28, 3), 100, np.uint8)
    keep, sigma = noisy.scales(500)
    altered = noisy.diffuse(frames, keep, sigma, np.random.default_rng(3))
    eps = np.random.default_rng(3).standard_normal(frames.shape, np.float32).astype(float)
    expected = np.floor(255 * np.clip(keep * (100 / 255) + sigma * eps, 0, 1))
    assert (np.abs(altered - expected) > 0).mean() < 1e-3 and np.abs(altered - expected).max() <= 1  # float32
    assert (altered == 0).any() and (altered == 255).any() and (altered[0] != altered[1]).mean() > 0.9


def test_noisyrollouts_recipe_trains_on_both_halves_and_one_noisy_video_serves_its_rollouts():
    recipe = yaml.safe_load((ROOT / "config" / "recipes" / "noisyrollout.yaml").read_text())["grpo"]
    views = make_views(ROW, FRAMES, context("noisy", **recipe))
    shown = [(view.name, view.n, view.contributes_gradient, view.pooled) for view in views]
    assert shown == [("clean", 2, True, True), ("noisy", 2, True, True)]
    assert recipe["ablation"]["grad_rollouts"] == "both_on_clean"


def test_t_grpos_recipe_gives_gradient_to_the_ordered_group_alone():
    recipe = yaml.safe_load((ROOT / "config" / "recipes" / "tgrpo.yaml").read_text())["grpo"]
    views = make_views(ROW, FRAMES, context("temporal", **recipe))
    shown = [(view.name, view.n, view.contributes_gradient, view.pooled) for view in views]
    assert shown == [("clean", 4, True, True), ("shuffled", 2, False, False)]
    assert recipe["ablation"]["kl_of_skipped"] is True


@pytest.mark.parametrize(
    ("n", "delta", "kept"), [(16, 0.5, 8), (16, 0.0, 16), (16, 0.3, 12), (16, 0.99, 2), (3, 0.9, 2)]
)
def test_downsampling_keeps_an_even_number_of_frames(n, delta, kept):
    assert frames_kept(n, delta) == kept


NUMBERED = np.arange(16, dtype=np.uint8)[:, None, None, None] * np.ones((1, 28, 28, 3), np.uint8)
"""Sixteen frames that show their own index."""


def frames_left(step=0, question="q00", total=5, **options):
    """Indices of the frames that a downsampled view shows, by what its pixels hold."""
    row = {**ROW, "question_id": question}
    _, fewer = make_views(row, NUMBERED, context("downsample", step, total, schedule="linear", **options))
    assert fewer.name == "fewer" and (fewer.frames == fewer.frames[:, :1, :1, :1]).all()
    return fewer.frames[:, 0, 0, 0].tolist()


def test_downsampling_removes_frames_at_random_by_the_schedule_and_keeps_their_order():
    # delta falls from 0.5 to 0 over five steps: 16 (1 - delta) is 8, 10, 12, 14, 16.
    for step, count in enumerate((8, 10, 12, 14, 16)):
        for question in map(str, range(40)):
            left = frames_left(step, question)
            assert len(left) == count and left == sorted(set(left)) and set(left) <= set(range(16))


def test_every_frame_is_as_likely_to_be_removed_as_any_other():
    draws = [frames_left(question=str(i)) for i in range(3000)]
    kept = np.array([[frame in left for frame in range(16)] for left in draws])
    # Half of the frames stay: 1500 times each, with a standard deviation of sqrt(3000 / 4) = 27; five of them.
    assert np.abs(kept.sum(axis=0) - 1500).max() < 137
    # Any two of sixteen stay together with probability (8 / 16) (7 / 15): neighbours are no exception.
    together = (kept[:, :-1] & kept[:, 1:]).sum(axis=0)
    assert np.abs(together - 3000 * 7 / 30).max() < 5 * np.sqrt(3000 * 7 / 30 * 23 / 30)


def test_what_is_removed_depends_on_seed_run_step_and_question_only():
    first = frames_left(0, total=10**6)
    assert first == frames_left(0, total=10**6)
    for other in (
        frames_left(1, total=10**6),
        frames_left(question="other", total=10**6),
        frames_left(total=10**6, run={"seed": 1}),
        frames_left(total=10**6, run={"run": "other"}),
    ):
        assert len(other) == len(first) == 8 and other != first


def test_downsampling_can_keep_evenly_spaced_frames():
    assert frames_left(downsample="even") == [0, 2, 4, 6, 9, 11, 13, 15]
    assert frames_left(question="other", downsample="even") == frames_left(step=0, downsample="even")


def test_downsampling_needs_a_schedule():
    with pytest.raises(ValueError, match="lacks schedule"):
        make_views(ROW, FRAMES, context("downsample"))
