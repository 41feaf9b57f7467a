"""What the paper leaves open is a key each: every alternative against its definition."""

import math

import numpy as np
import pytest
import torch
import training_world as tw
from pydantic import ValidationError
from training_step import CLEAN_WORDS, NOISY_WORDS, engine, gradient, group, questions

from rollout3d import tables
from rollout3d.config import Grpo
from rollout3d.model import generate_hf
from rollout3d.model.regions import Regions
from rollout3d.model.sampling import Completion
from rollout3d.training.agreement import Disagreement, check_agreement
from rollout3d.training.grpo import reward, roll_out, show, update
from rollout3d.training.objective import kl_weights, truncated_ratio
from rollout3d.training.packing import LogProbs, PackedRow, pack
from rollout3d.training.rollouts import Context, make_views, noisy
from rollout3d.training.rollouts.object_centric import choose
from rollout3d.training.run import run_grpo

FRAMES = np.full((tw.N_FRAMES, 56, 84, 3), 128, np.uint8)


def views_of(files, step=0, row=None, frames=FRAMES, rollout="object_centric", **grpo):
    rows = {scene: [tw.frame_row(scene, i) for i in range(tw.N_FRAMES)] for scene in tw.SCENES}
    regions = Regions([files["objects"]], [files["regions"]], rows.__getitem__)
    run = tw.run(rollout, schedule="linear")
    return make_views(row or tw.question_row(0), frames, Context(tw.config(**grpo).grpo, run, 0, step, 5, regions))


# --- what is perturbed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "delta", "ceil"), [(5, 0.5, 3), (7, 0.2, 2), (30, 0.1, 3), (9, 0.01, 1), (9, 0.0, 0)])
def test_objects_can_be_counted_upwards(m, delta, ceil):
    assert len(choose(list(range(m)), delta, np.random.default_rng(0), "ceil")) == ceil


def test_each_object_can_be_drawn_by_itself():
    rng = np.random.default_rng(0)
    drawn = [choose(list(range(10, 18)), 0.25, rng, "bernoulli") for _ in range(2000)]
    hits = np.array([[object_id in chosen for object_id in range(10, 18)] for chosen in drawn])
    assert hits.mean(axis=0) == pytest.approx([0.25] * 8, abs=0.04)
    # The number of objects varies as a binomial's does; round and ceil keep it fixed.
    assert hits.sum(axis=1).var() == pytest.approx(8 * 0.25 * 0.75, rel=0.1)
    assert choose([1, 2], 0.0, rng, "bernoulli") == () and choose([1, 2], 1.0, rng, "bernoulli") == (1, 2)


def test_diffusion_noise_can_fill_the_regions(files):
    frames = np.full((8, 140, 196, 3), 200, np.uint8)
    altered = views_of(files, frames=frames, noise="diffusion")[1]
    keep, sigma = noisy.scales(500)
    changed = altered.frames[(altered.frames != frames).any(-1)].astype(float)
    assert altered.sigma == pytest.approx(255 * sigma)
    # Clipping does not move the median.
    assert np.median(changed) == pytest.approx(200 * keep, abs=2)
    above = 0.5 * math.erfc((254.5 - 200 * keep) / (255 * sigma) / math.sqrt(2))
    assert (changed == 255).mean() == pytest.approx(above, abs=0.01)


def test_frozen_noise_is_the_same_for_a_pixel_in_all_frames():
    from rollout3d.geometry.masks import add_noise

    frames = np.full((3, 40, 50, 3), 100, np.uint8)
    region = np.ones(frames.shape[:3], bool)
    region[1, :, 25:] = False
    frozen = add_noise(frames, region, 30.0, np.random.default_rng(0), frozen=True)
    assert (frozen[0] == frozen[2]).all() and (frozen[1, :, :25] == frozen[0, :, :25]).all()
    assert (frozen[1, :, 25:] == 100).all() and frozen[0].std() == pytest.approx(30, rel=0.05)
    moving = add_noise(frames, region, 30.0, np.random.default_rng(0))
    assert (moving[0] != moving[2]).mean() > 0.9


def test_the_key_reaches_the_views(files):
    large = np.repeat(FRAMES, 2, axis=1)
    for mode, equal in (("frozen", True), ("independent", False)):
        altered = views_of(files, frames=large, noise_frames=mode)[1]
        # Squares of neighbouring frames overlap: they move by 8 of 28 stored pixels.
        both = (altered.frames[0] != large[0]).any(-1) & (altered.frames[1] != large[1]).any(-1)
        assert both.sum() > 100
        assert (altered.frames[0][both] == altered.frames[1][both]).all() == equal


def test_where_nothing_is_altered_all_rollouts_can_count_as_clean(files):
    general = {**tw.question_row(0), "scene_id": None}
    nothing = [
        (4, None, FRAMES, "object_centric"),
        (0, general, None, "object_centric"),
        (4, None, FRAMES, "downsample"),
    ]
    for step, row, frames, rollout in nothing:
        two = views_of(files, step, row, frames, rollout)
        assert [(view.n, view.contributes_gradient) for view in two] == [(2, True), (2, False)]
        (one,) = views_of(files, step, row, frames, rollout, reallocate_when_zero=True)
        assert (one.name, one.n, one.contributes_gradient, one.frames is frames) == ("clean", 4, True, True)
    assert len(views_of(files, 0, reallocate_when_zero=True)) == 2
    shuffled = views_of(files, 0, rollout="temporal", reallocate_when_zero=True)
    assert [view.name for view in shuffled] == ["clean", "shuffled"]


# --- what is learnt from it ------------------------------------------------------------------------------------------


def moved(files, grpo, by=0.02):
    """An engine whose policy differs from its reference."""
    motor = engine(files, grpo)
    with torch.no_grad():
        for p in motor.trained.values():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())), alpha=by)
    return motor


def each(module, made, words, places):
    """Log-probabilities of single completions, one forward each, on the prompt of the rollout at each place."""
    return [module(pack([PackedRow(made.rollouts[place].prompt, [word])])) for word, place in zip(words, places)]


def by_hand(motor, loss):
    motor.policy.core.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in motor.trained.values()])


def test_the_kl_can_be_that_of_whole_sequences(files):
    grpo = tw.config(beta=0.1, kl="sequence").grpo
    motor = moved(files, grpo)
    made = group(files, motor, grpo, (1.0, 0.0, 0.0, 0.0))
    ours, told = gradient(motor, [made], grpo)
    logp = each(LogProbs(motor.policy), made, CLEAN_WORDS, (0, 1))
    with torch.no_grad():
        ref = each(motor.reference.module, made, CLEAN_WORDS, (0, 1))
    loss = 0.0
    for i in range(2):
        kl = torch.exp(ref[i] - logp[i]) - (ref[i] - logp[i]) - 1
        surrogate = torch.exp(logp[i] - logp[i].detach()) * made.rollouts[i].advantage
        loss = loss - (surrogate.mean() - 0.1 * kl.sum()) / 2
    assert told["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert torch.allclose(ours, by_hand(motor, loss), atol=1e-6, rtol=1e-4)


def test_kl_weights_sum_over_the_tokens_and_average_over_sequences():
    assert kl_weights(torch.zeros(5), 4, 2).tolist() == [0.125] * 5


def test_further_updates_keep_the_first_policy_as_the_old_one_and_clip(files):
    grpo = tw.config(updates_per_rollout=2, beta=0.1, lr=3e-2).grpo
    motor = engine(files, grpo)
    made = group(files, motor, grpo, (1.0, 0.0, 0.0, 0.0))
    policy, states, totals = LogProbs(motor.policy), [], []
    real = motor.update

    def watched(rows, loss, step):
        with torch.no_grad():
            states.append(each(policy, made, CLEAN_WORDS, (0, 1)))
        totals.append(real(rows, loss, step))
        return totals[-1]

    motor.update = watched
    told = update([made], motor, grpo, 0)
    assert motor.updates == 2 and (told["loss"], told["kl"]) == (totals[0][0], pytest.approx(0, abs=1e-6))
    assert told["grad_norm"] == max(norm for _, norm in totals)
    (old, new), expected, clipped = states, 0.0, 0
    for i in range(2):
        a, ratio = made.rollouts[i].advantage, torch.exp(new[i] - old[i])
        kl = torch.exp(old[i] - new[i]) - (old[i] - new[i]) - 1  # the reference is the policy before the first update
        gain = torch.minimum(ratio * a, ratio.clamp(0.8, 1.2) * a)
        clipped += int((gain != ratio * a).sum())
        expected -= ((gain - 0.1 * kl).mean() / 2).item()
    assert clipped > 0
    assert totals[1][0] == pytest.approx(expected, rel=1e-4)


def test_either_half_can_have_statistics_of_its_own(files):
    grpo = tw.config(advantage_group="separate").grpo
    motor = engine(files, grpo)
    made = group(files, motor, grpo, (0.0,) * 4)
    made.separate = True
    right, wrong = "<think>a</think><answer>1</answer>", "nothing"

    def advantages(*texts):
        for rollout, text in zip(made.rollouts, texts):
            rollout.completion = Completion([1], text, True)
        reward(made, "ocr", grpo)
        return [rollout.advantage for rollout in made.rollouts]

    half = 0.5 / (0.5 * math.sqrt(2) + 1e-4)
    assert advantages(right, wrong, wrong, wrong) == pytest.approx([half, -half, 0, 0])
    assert made.teaches
    # Pooled, the clean half would be ahead by 0.5; alone it is level, and what the other half has is not trained on.
    assert advantages(right, right, right, wrong) == pytest.approx([0, 0, half, -half])
    assert not made.teaches
    whole = show(made.question, questions(files), Context(grpo, tw.run("vanilla"), 0, 0, 4), motor)
    assert whole.separate and len(whole.prompts) == 1


def test_perturbed_rollouts_scored_on_the_clean_video_can_be_corrected(files, monkeypatch):
    monkeypatch.setattr(Grpo, "offpolicy_cap", 1.02)
    grpo = tw.config(grad_rollouts="both_on_clean", offpolicy_correction="truncated", beta=0.0).grpo
    motor = moved(files, grpo, by=0.2)
    made = group(files, motor, grpo, (1.0, 0.0, 0.0, 0.7))
    ours, told = gradient(motor, [made], grpo)
    policy, words = LogProbs(motor.policy), [*CLEAN_WORDS, *NOISY_WORDS]
    on_clean = each(policy, made, words, (0, 0, 0, 0))
    with torch.no_grad():
        on_own = each(policy, made, words, range(4))
    loss, weights = 0.0, []
    for i, (scored, drawn) in enumerate(zip(on_clean, on_own)):
        weight = torch.exp(scored.detach() - drawn).clamp(max=1.02)
        weights.append(weight)
        gain = torch.exp(scored - scored.detach()) * made.rollouts[i].advantage * weight
        loss = loss - gain.mean() / 4
    altered = torch.cat(weights[2:])
    assert torch.allclose(torch.cat(weights[:2]), torch.ones(6), atol=1e-5)
    assert (altered < 0.98).any() and (altered == torch.tensor(1.02)).any()  # corrected, and cut off
    assert told["loss"] == pytest.approx(loss.item(), rel=1e-4, abs=1e-6)
    assert torch.allclose(ours, by_hand(motor, loss), atol=1e-6, rtol=1e-4)


def test_the_correction_is_truncated_from_above():
    old, behaviour = torch.log(torch.tensor([0.5, 0.1, 0.3])), torch.log(torch.tensor([0.1, 0.4, torch.nan]))
    assert truncated_ratio(old, behaviour, 2.0).tolist() == pytest.approx([2.0, 0.25, 1.0])


def test_a_correction_without_anything_to_correct_is_refused():
    with pytest.raises(ValidationError, match="grad_rollouts: both_on_clean"):
        tw.config(offpolicy_correction="truncated")


@pytest.mark.parametrize(
    ("key", "value"),
    [("temperature", 0.0), ("delta_start", 0.0), ("delta_start", 2)],
)
def test_values_that_would_only_fail_in_training_are_refused_at_the_start(key, value):
    with pytest.raises(ValidationError, match=f"grpo.{key}"):
        tw.config(**{key: value})


@pytest.mark.parametrize(
    "settings",
    [
        {"grad_rollouts": "both_on_clean", "offpolicy_correction": "truncated", "updates_per_rollout": 2},
        {"grad_rollouts": "both_on_own", "advantage_group": "separate", "kl": "sequence", "noise": "diffusion"},
        {"reallocate_when_zero": True, "object_count": "bernoulli", "noise_frames": "frozen", "temperature": 0.7},
    ],
    ids=lambda settings: ",".join(settings),
)
def test_whole_runs_take_them(files, taught, tmp_path, settings):
    run_grpo(tw.config(max_new_tokens=24, **settings), tw.run(steps=2), tw.inputs(files, taught), tmp_path, tw.lineage)
    metrics = tables.read(tables.METRICS, tmp_path / "metrics.parquet")
    assert all(math.isfinite(row["loss"]) for row in metrics) and metrics[0]["grad_norm"] > 0


# --- sampler and trainer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_sampler_and_trainer_are_compared_before_the_first_update(files, temperature):
    grpo = tw.config(temperature=temperature).grpo
    motor = engine(files, grpo)
    asked = questions(files)
    groups = [show(row, asked, Context(grpo, tw.run("vanilla"), 0, 0, 4), motor) for row in asked.batch(0, 2)]
    roll_out(groups, motor, grpo, 0)
    assert check_agreement(groups, motor, grpo) < 1e-5
    for rollout in groups[0].rollouts:
        rollout.completion.logprobs[:] = [chance - 0.1 for chance in rollout.completion.logprobs]
    with pytest.raises(Disagreement, match=r"differ by 0\.1 nats.*generation.backend: hf"):
        check_agreement(groups, motor, grpo)


def test_a_run_whose_sampler_has_other_weights_does_not_start(files, taught, tmp_path, monkeypatch):
    from rollout3d.model.load import load_policy

    other = load_policy(files["init"], video=tw.config().video)
    real = generate_hf.generate
    monkeypatch.setattr(generate_hf, "generate", lambda policy, *rest: real(other, *rest))
    with pytest.raises(Disagreement, match="do not see the same model"):
        run_grpo(tw.config(), tw.run(), tw.inputs(files, taught), tmp_path, tw.lineage)
    assert not (tmp_path / "model.json").exists()
    monkeypatch.undo()
    run_grpo(tw.config(), tw.run(steps=1), tw.inputs(files, taught), tmp_path, tw.lineage)
    assert (tmp_path / "model.json").exists()
