"""The GRPO step: who gives gradient, what is skipped, and the loss against the equation written out."""

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import training_world as tw
from training_step import CLEAN_WORDS, NOISY_WORDS, engine, gradient, group, questions

from rollout3d import tables
from rollout3d.config import Grpo
from rollout3d.model.regions import Regions
from rollout3d.model.sampling import Completion, Sampling
from rollout3d.training.data import NotTrainable
from rollout3d.training.group import Group, Rollout
from rollout3d.training.grpo import reward, roll_out, show, update
from rollout3d.training.packing import LogProbs, PackedRow, pack
from rollout3d.training.rollouts import Context, noisy
from rollout3d.training.run import run_grpo

# --- the objective ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rewards", [(1.0, 0.0, 0.0, 0.0), (0.3, 0.9, 0.5, 1.0)])
def test_the_loss_is_the_equation_written_out(files, rewards):
    """Equation 6 over the n clean rollouts by hand: own forwards, own advantages, ratio 1, k3 against another model."""
    grpo = tw.config(beta=0.1).grpo
    motor = engine(files, grpo)
    with torch.no_grad():  # move the policy away from its reference, so that there is a KL
        for p in motor.trained.values():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())), alpha=0.02)
    made = group(files, motor, grpo, rewards)
    ours, told = gradient(motor, [made], grpo)

    r = torch.tensor(rewards)
    a = (r - r.mean()) / (r.std() + 1e-4)
    policy, reference = LogProbs(motor.policy), motor.reference.module
    loss, kls = 0.0, []
    for i, words in enumerate(CLEAN_WORDS):
        packed = pack([PackedRow(made.rollouts[i].prompt, [words])])
        logp = policy(packed)
        with torch.no_grad():
            ref = reference(packed)
        kl = torch.exp(ref - logp) - (ref - logp) - 1
        ratio = torch.exp(logp - logp.detach())
        loss = loss - ((ratio * a[i] - 0.1 * kl).sum() / len(words)) / 2
        kls.append(kl.detach())
    motor.policy.core.zero_grad()
    loss.backward()
    theirs = torch.cat([p.grad.flatten() for p in motor.trained.values()])
    assert told["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert told["kl"] / told["kl_tokens"] == pytest.approx(torch.cat(kls).mean().item(), rel=1e-4)
    assert torch.cat(kls).mean() > 1e-3
    assert torch.allclose(ours, theirs, atol=1e-6, rtol=1e-4)


def test_only_clean_rollouts_give_gradient(files):
    """What the noisy half wrote does not matter, what it earned does."""
    grpo = tw.config().grpo
    motor = engine(files, grpo)
    rewards = (1.0, 0.0, 0.0, 0.0)
    one, _ = gradient(motor, [group(files, motor, grpo, rewards)], grpo)
    other_words = (*CLEAN_WORDS, [1, 2, 3, 4, 5, 6], [9])
    same, _ = gradient(motor, [group(files, motor, grpo, rewards, other_words)], grpo)
    changed, _ = gradient(motor, [group(files, motor, grpo, (1.0, 0.0, 1.0, 1.0))], grpo)
    assert one.abs().max() > 0 and torch.equal(one, same)
    assert not torch.allclose(one, changed)


@pytest.mark.parametrize(("mode", "rows"), [("clean", 1), ("both_on_own", 2), ("both_on_clean", 1)])
def test_modes_of_gradient(files, mode, rows):
    grpo = tw.config(grad_rollouts=mode).grpo
    motor = engine(files, grpo)
    made = group(files, motor, grpo, (1.0, 0.0, 0.0, 0.0))
    found = made.gradient_rows(grpo, 1, 1.0)
    assert len(found) == rows
    clean = made.rollouts[0].prompt.key
    completions = [c for row in found for c in row.completions]
    assert completions == [*CLEAN_WORDS, *(NOISY_WORDS if mode != "clean" else [])]
    on_own = [row.prompt.key != clean for row in found]
    assert on_own == ([False, True] if mode == "both_on_own" else [False])


def test_the_letter_of_equation_6_halves_the_step(files):
    motor = engine(files, tw.config().grpo)
    both = []
    for denominator in ("contributing", "all"):
        grpo = tw.config(loss_denominator=denominator).grpo
        both.append(gradient(motor, [group(files, motor, grpo, (1.0, 0.0, 0.0, 0.0))], grpo)[0])
    assert torch.allclose(both[0], 2 * both[1], atol=1e-7)


@pytest.mark.parametrize("loss", ["grpo", "dapo", "dr_grpo", "token_mean"])
def test_groups_without_spread_are_skipped_but_counted(files, loss):
    grpo = tw.config(loss=loss).grpo
    motor = engine(files, grpo)
    teaching = group(files, motor, grpo, (1.0, 0.0, 0.0, 0.0))
    flat = group(files, motor, grpo, (1.0, 1.0, 1.0, 1.0), question="q01")
    alone, _ = gradient(motor, [teaching], grpo)
    together, _ = gradient(motor, [teaching, flat], grpo)
    assert torch.allclose(alone, 2 * together, atol=1e-7)
    nothing, told = gradient(motor, [flat], grpo)
    assert nothing is None and told["loss"] == told["grad_norm"] == 0.0


def moved(files, grpo):
    """An engine whose policy differs from its reference, so that there is a KL."""
    motor = engine(files, grpo)
    with torch.no_grad():
        for p in motor.trained.values():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())), alpha=0.02)
    return motor


@pytest.mark.parametrize("kl", ["token", "sequence"])
@pytest.mark.parametrize("grad_rollouts", ["clean", "both_on_clean", "both_on_own"])
def test_groups_without_spread_can_keep_their_kl(files, kl, grad_rollouts):
    """Equation 6 with A = 0 for one of two groups, by separate forwards: its KL counts, its rewards do not."""
    grpo = tw.config(beta=0.1, kl=kl, grad_rollouts=grad_rollouts, kl_of_skipped=True).grpo
    motor = moved(files, grpo)
    teaching = group(files, motor, grpo, (1.0, 0.0, 0.0, 0.0))
    flat = group(files, motor, grpo, (0.7, 0.7, 0.7, 0.7), question="q01")
    assert teaching.teaches and not flat.teaches
    ours, told = gradient(motor, [teaching, flat], grpo)

    policy, loss, tokens = LogProbs(motor.policy), 0.0, 0
    everyone = [*CLEAN_WORDS, *NOISY_WORDS]
    used = everyone if grad_rollouts != "clean" else CLEAN_WORDS
    for made, rewards in ((teaching, [1.0, 0, 0, 0]), (flat, [0.7] * 4)):
        r = torch.tensor(rewards, dtype=torch.float64)
        a = (r - r.mean()) / (r.std() + 1e-4)
        for i, words in enumerate(used):
            prompt = made.rollouts[i if grad_rollouts == "both_on_own" else 0].prompt
            logp = policy(pack([PackedRow(prompt, [words])]))
            with torch.no_grad():
                ref = motor.reference.module(pack([PackedRow(prompt, [words])]))
            x = ref - logp
            k3 = torch.exp(x) - x - 1
            gain = torch.exp(logp - logp.detach()) * a[i]
            loss = loss - (gain.mean() - 0.1 * (k3.mean() if kl == "token" else k3.sum())) / (2 * len(used))
            tokens += len(words)
    motor.policy.core.zero_grad()
    loss.backward()
    theirs = torch.cat([p.grad.flatten() for p in motor.trained.values()])
    assert told["loss"] == pytest.approx(loss.item(), rel=1e-5) and told["kl_tokens"] == tokens
    assert torch.allclose(ours, theirs, atol=1e-6, rtol=1e-4)
    # Alone, the group without spread has the gradient of its KL and of nothing else.
    alone, told = gradient(motor, [flat], grpo)
    assert alone.abs().max() > 0 and told["loss"] > 0 and told["kl"] > 0


@pytest.mark.parametrize("settings", [{"kl_of_skipped": False}, {"kl_of_skipped": True, "beta": 0.0}])
def test_without_a_kl_term_of_theirs_groups_without_spread_have_no_forward(files, settings):
    grpo = tw.config(**settings).grpo
    motor = moved(files, grpo)
    nothing, told = gradient(motor, [group(files, motor, grpo, (0.7,) * 4)], grpo)
    assert nothing is None and told["loss"] == told["kl"] == told["kl_tokens"] == 0


def test_a_step_that_teaches_nothing_changes_nothing(files, monkeypatch):
    monkeypatch.setattr(Grpo, "weight_decay", 0.5)
    grpo = tw.config().grpo
    motor = engine(files, grpo)
    before = {name: p.clone() for name, p in motor.trained.items()}
    update([group(files, motor, grpo, (0.0, 0.0, 0.0, 0.0))], motor, grpo, 0)
    assert motor.updates == 0
    assert all(torch.equal(before[name], p) for name, p in motor.trained.items())


def test_advantages_are_pooled_over_both_views_and_leave_the_shuffled_out(files):
    grpo = tw.config().grpo
    motor = engine(files, grpo)
    right, wrong = "<think>a</think><answer>1</answer>", "nothing"
    pooled = group(files, motor, grpo, (0.0,) * 4)
    for rollout, text in zip(pooled.rollouts, (right, wrong, wrong, wrong)):
        rollout.completion = Completion([1], text, True)
    reward(pooled, "ocr", grpo)
    spread = 0.5 + 1e-4
    assert [r.advantage for r in pooled.rollouts] == pytest.approx([0.75 / spread] + [-0.25 / spread] * 3)
    outside = [Rollout(pooled.views[0], r.prompt, r.completion) for r in pooled.rollouts[:2]]
    control = replace(pooled.views[1], name="shuffled", pooled=False)
    outside += [Rollout(control, r.prompt, r.completion) for r in pooled.rollouts[2:]]
    temporal = Group(pooled.question, [pooled.views[0], control], rollouts=outside)
    reward(temporal, "ocr", grpo)
    # among the two ordered ones: rewards 1.3 (with the bonus) and 0
    half = 0.65 / (1.3 / math.sqrt(2) + 1e-4)
    assert [r.advantage for r in temporal.rollouts] == pytest.approx([half, -half, 0, 0])


def test_all_views_are_rolled_out_in_one_call_however_many_each_wants(files, monkeypatch):
    grpo = tw.config(n_clean=4, n_perturbed=2, fresh_noise=True).grpo
    motor = engine(files, grpo)
    asked = questions(files)
    regions = Regions([files["objects"]], [files["regions"]], asked.frame_rows)
    rows = asked.batch(0, 2)
    groups = [show(row, asked, Context(grpo, tw.run(), 0, 0, 4, regions), motor) for row in rows]
    calls = []
    generate = motor.generate
    motor.generate = lambda prompts, how, *rest: calls.append((len(prompts), how)) or generate(prompts, how, *rest)
    roll_out(groups, motor, grpo, 0)
    assert calls == [(2 * (4 + 1 + 1), Sampling(1, grpo.temperature, grpo.top_p, grpo.max_new_tokens))]
    for made in groups:
        assert [r.view.name for r in made.rollouts] == ["clean"] * 4 + ["perturbed"] * 2
        assert len({tuple(r.completion.token_ids) for r in made.rollouts}) > 3  # every rollout has draws of its own


def test_a_questions_draws_do_not_depend_on_the_questions_beside_it(files):
    """A picture has 4 rollouts, T-GRPO's video 4 and 2: the requests of both must be of one size."""
    grpo = tw.config().grpo
    motor = engine(files, grpo)
    _, data = cv2.imencode(".png", np.zeros((56, 56, 3), np.uint8))
    picture = {"scene_id": None, "space_id": None, "media": [{"bytes": data.tobytes(), "path": "a.png"}]}
    rows = [tw.question_row(0), {**tw.question_row(1), **picture}]
    asked = questions(files, rows)
    drawn = []
    for beside in (rows, rows[1:]):
        groups = [show(row, asked, Context(grpo, tw.run("temporal"), 0, 0, 4), motor) for row in beside]
        roll_out(groups, motor, grpo, 0)
        drawn.append([r.completion.token_ids for r in groups[-1].rollouts])
    assert len(drawn[0]) == 4 and drawn[0] == drawn[1]


@pytest.mark.parametrize(("rollout", "step"), [("object_centric", 3), ("downsample", 3), ("noisy", 0)])
def test_views_that_look_alike_have_draws_of_their_own(files, monkeypatch, rollout, step):
    """At the end of a schedule the altered video is the clean one: with shared draws it would be answered alike."""
    grpo = tw.config(n_clean=4, n_perturbed=4, max_new_tokens=12).grpo
    motor, asked = engine(files, grpo), questions(files)
    regions = Regions([files["objects"]], [files["regions"]], asked.frame_rows)
    monkeypatch.setattr(noisy, "diffuse", lambda frames, *_: frames)  # as if its noise had no strength
    shape = {} if rollout == "noisy" else {"schedule": "linear"}
    row = asked.batch(0, 1)[0]
    made = show(row, asked, Context(grpo, tw.run(rollout, **shape), 0, step, 4, regions), motor)
    assert len(made.prompts) == 2 and made.prompts[0].key == made.prompts[1].key
    roll_out([made], motor, grpo, 0)
    clean, altered = ([tuple(r.completion.token_ids) for r in made.rollouts if r.view is view] for view in made.views)
    assert len(clean) == len(altered) == 4 and not set(clean) & set(altered)
    assert len({words[0] for words in clean + altered}) > 1  # and not merely from the second token on


def test_draws_depend_on_the_step_the_seeds_and_the_run(files, tmp_path):
    """One question, weights that do not move: what is written can differ by the draws alone."""
    one = {**files, "ocr_rl": tmp_path / "ocr_rl.parquet"}
    tables.write(tables.OCR_RL, one["ocr_rl"], [tw.question_row(0)], tw.NOWHERE)
    config = tw.config(prompts_per_step=1, lr=1e-12, max_new_tokens=12)

    def written(name, config=config, **row):
        out = tmp_path / name
        run_grpo(config, tw.run("vanilla", steps=2, **row), tw.inputs(one), out, tw.lineage)
        rows = tables.read(tables.ROLLOUTS, out / "rollouts.parquet")
        assert {row["question_id"] for row in rows} == {"q00"} and len(rows) == 2 * 4
        return [tuple(row["text"] for row in rows if row["step"] == step) for step in (0, 1)]

    first = written("first")
    assert written("again") == first
    others = [written("run", run="other"), written("row's seed", seed=1)]
    others.append(written("seed", config.model_copy(update={"seed": 1})))
    draws = [texts for run in (first, *others) for texts in run]
    for i, texts in enumerate(draws):
        assert len(set(texts)) == 4
        for other in draws[:i]:
            assert not set(texts) & set(other)


def test_a_control_that_is_only_compared_with_is_not_in_the_denominator(files):
    grpo = tw.config(loss_denominator="all").grpo
    made = group(files, engine(files, grpo), grpo, (1.0, 0.0, 0.0, 0.0))
    control = replace(made.views[1], name="shuffled", pooled=False)
    beside = [Rollout(control, r.prompt, r.completion, judged=r.judged) for r in made.rollouts[2:]]
    lengths = made.counted_lengths(grpo)
    made.rollouts += beside
    assert len(lengths) == 4 and made.counted_lengths(grpo) == lengths


# --- whole runs ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ocr(files, taught, tmp_path_factory):
    out = tmp_path_factory.mktemp("ocr")
    run_grpo(tw.config(max_new_tokens=24), tw.run(), tw.inputs(files, taught), out, tw.lineage)
    return out


def test_a_run_leaves_model_metrics_and_rollouts_and_no_checkpoints(ocr):
    assert sorted(p.name for p in ocr.iterdir()) == ["metrics.parquet", "model.json", "rollouts.parquet", "weights"]
    assert json.loads((ocr / "model.json").read_text())["kind"] == "grpo"


def test_metrics_agree_with_the_rollouts(ocr):
    metrics = tables.read(tables.METRICS, ocr / "metrics.parquet")
    rollouts = tables.read(tables.ROLLOUTS, ocr / "rollouts.parquet")
    assert [row["step"] for row in metrics] == [0, 1, 2, 3] and len(rollouts) == 4 * 2 * 4
    assert [row["delta"] for row in metrics] == pytest.approx([0.5, 1 / 3, 1 / 6, 0])
    assert [row["sigma"] for row in metrics] == pytest.approx([128, 256 / 3, 128 / 3, 0])
    assert sum(row["n_skipped"] for row in metrics) < 8 and any(row["grad_norm"] > 0 for row in metrics)
    for row in metrics:
        mine = [r for r in rollouts if r["step"] == row["step"]]
        parts = [{part["name"]: part["value"] for part in r["rewards"]} for r in mine]
        told = {part["name"]: part["value"] for part in row["rewards"]}
        for name in ("correctness", "format", "total"):
            assert told[name] == pytest.approx(np.mean([part[name] for part in parts]))
        clean = [i for i, r in enumerate(mine) if r["view"] == "clean"]
        assert row["acc_clean"] == pytest.approx(np.mean([parts[i]["correctness"] for i in clean]))
        assert row["adv_clean_mean"] == pytest.approx(np.mean([mine[i]["advantage"] for i in clean]))
        assert row["completion_len_mean"] == pytest.approx(np.mean([r["n_tokens"] for r in mine]))
        groups = [
            [p["total"] for r, p in zip(mine, parts) if r["question_id"] == q] for q in {r["question_id"] for r in mine}
        ]
        assert row["reward_std"] == pytest.approx(np.mean([np.std(g, ddof=1) for g in groups]))
        assert row["n_skipped"] == sum(max(g) == min(g) for g in groups)
        assert {part["name"] for part in row["seconds"]} == {"views", "rollouts", "rewards", "update"}
    perturbed = [r for r in rollouts if r["view"] == "perturbed" and r["step"] == 0]
    assert all(len(r["perturbed_objects"]) == 1 for r in perturbed)
    assert metrics[0]["n_regions"] == 2
    assert [r["sample"] for r in rollouts[:4]] == [0, 1, 0, 1]


def test_the_policy_leaves_its_reference(ocr, taught):
    metrics = tables.read(tables.METRICS, ocr / "metrics.parquet")
    told = [row["kl"] for row in metrics if row["kl"] is not None]
    assert told[0] == pytest.approx(0.0, abs=1e-6) and max(told[1:]) > 1e-3
    before, after = tw.weights(taught), tw.weights(ocr / "model.json")
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("rollout", ["vanilla", "temporal", "noisy", "downsample"])
def test_the_other_methods_run_too(files, taught, tmp_path, rollout):
    run = tw.run(rollout, steps=1, **({"schedule": "linear"} if rollout == "downsample" else {}))
    run_grpo(tw.config(), run, tw.inputs(files, taught), tmp_path, tw.lineage)
    rows = tables.read(tables.ROLLOUTS, tmp_path / "rollouts.parquet")
    views = [row["view"] for row in rows if row["question_id"] == rows[0]["question_id"]]
    expected = {
        "vanilla": ["clean"] * 4,
        "temporal": ["clean"] * 4 + ["shuffled"] * 2,
        "noisy": ["clean"] * 2 + ["noisy"] * 2,
        "downsample": ["clean"] * 2 + ["fewer"] * 2,
    }
    assert views == expected[rollout]


def test_general_data_and_questions_without_frames(files, taught, tmp_path):
    _, data = cv2.imencode(".png", np.zeros((56, 56, 3), np.uint8))
    general = {"scene_id": None, "space_id": None, "media": [{"bytes": data.tobytes(), "path": "a.png"}]}
    rows = [tw.question_row(0), {**tw.question_row(1), **general}, tw.question_row(2, scene="nowhere")]
    tables.write(tables.OCR_RL, tmp_path / "ocr_rl.parquet", rows, tw.NOWHERE)
    inputs = tw.inputs({**files, "ocr_rl": tmp_path / "ocr_rl.parquet"}, taught)
    run_grpo(tw.config(), tw.run(steps=1), inputs, tmp_path / "run", tw.lineage)
    rollouts = tables.read(tables.ROLLOUTS, tmp_path / "run" / "rollouts.parquet")
    assert {row["question_id"] for row in rollouts} == {"q00", "q01"}
    of_general = [row for row in rollouts if row["question_id"] == "q01"]
    assert [row["view"] for row in of_general] == ["clean"] * 2 + ["perturbed"] * 2
    assert all(row["perturbed_objects"] == [] for row in of_general)


def test_questions_without_any_frames_are_an_error_that_names_the_remedy(files):
    with pytest.raises(NotTrainable, match="pass the frames tables"):
        questions(files, [tw.question_row(0, scene="nowhere")])


def test_an_object_centric_run_without_regions_is_refused(files, taught, tmp_path):
    nothing = replace(tw.inputs(files, taught), regions=())
    with pytest.raises(NotTrainable, match="no training scene is in the regions tables"):
        run_grpo(tw.config(), tw.run(), nothing, tmp_path, tw.lineage)


def test_a_generator_that_disagrees_with_the_trainer_is_noticed(files, taught, tmp_path, monkeypatch):
    from rollout3d.training.agreement import log, watch_agreement

    warnings = []
    monkeypatch.setattr(log, "warning", lambda text, *values: warnings.append(text % values))
    settings = tw.config(max_new_tokens=24)
    run_grpo(settings, tw.run(steps=1), tw.inputs(files, taught), tmp_path / "agree", tw.lineage)
    assert not warnings
    motor = engine(files, settings.grpo)
    row = some_row(motor, torch.zeros(3))
    watch_agreement(torch.full((3,), -0.2), pack([row]), settings.grpo)
    assert len(warnings) == 1 and "differ by 0.200" in warnings[0]


def some_row(motor, sampler_logp):
    from rollout3d.model.encode import Text

    return PackedRow(motor.policy.encoder.prompt([Text("How many?")]), [[5, 6, 7]], sampler_logp=sampler_logp)
