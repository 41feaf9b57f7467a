"""It learns: GRPO raises the reward of held-out rooms, by looking; and the same training upside down lowers it."""

import math

import learning_world as lw
import numpy as np
import pytest
import training_world as tw

from rollout3d import tables
from rollout3d.training import grpo
from rollout3d.training.engines.engine import Engine
from rollout3d.training.objective import clipped_ratio
from rollout3d.training.run import run_grpo

pytestmark = pytest.mark.pipeline

SEEDS = (0, 1, 2)
STEPS = 60


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return lw.build(tmp_path_factory.mktemp("learning_world"))


@pytest.fixture(scope="module")
def before(world):
    """Clean reward of each held-out question before GRPO."""
    return lw.clean_rewards(world, world.start)


def trained(world, rollout, seed, out):
    """The model that a run of the rollout method leaves."""
    run = tw.run(rollout, reward="ocr", steps=STEPS, seed=seed)
    run_grpo(lw.config(), run, lw.inputs(world), out, tw.lineage)
    return out / "model.json"


def told(what, values):
    mean, low, high = lw.interval(values)
    print(f"{what}: {mean:+.3f} [{low:+.3f}, {high:+.3f}]")
    return low, high


def test_the_start_knows_the_format_and_has_room_both_ways(before):
    """A well-formed guess earns a third, a perfect copy of the lessons 0.6."""
    assert 0.33 < before.mean() < 0.67


@pytest.mark.parametrize("rollout", [pytest.param("vanilla", marks=pytest.mark.long), "object_centric"])
def test_grpo_raises_the_held_out_clean_reward_by_looking(world, before, tmp_path, rollout):
    models = [trained(world, rollout, seed, tmp_path / str(seed)) for seed in SEEDS]
    after = np.array([lw.clean_rewards(world, model) for model in models])
    blind = np.array([lw.clean_rewards(world, model, black=True) for model in models])
    gained, _ = told(f"{rollout}: after - before", after - before)
    seen, _ = told(f"{rollout}: true frames - black frames", after - blind)
    assert gained > 0 and seen > 0


@pytest.mark.long
@pytest.mark.parametrize("rollout", ["vanilla", "object_centric"])
def test_with_the_advantages_sign_flipped_it_falls(world, before, tmp_path, monkeypatch, rollout):
    def upside_down(logp, old, advantage, clip_eps):
        return clipped_ratio(logp, old, -advantage, clip_eps)

    monkeypatch.setattr(grpo, "clipped_ratio", upside_down)
    after = [lw.clean_rewards(world, trained(world, rollout, seed, tmp_path / str(seed))) for seed in SEEDS]
    _, lost = told(f"{rollout}, flipped: after - before", np.array(after) - before)
    assert lost < 0


# --- the five methods ------------------------------------------------------------------------------------------------

METHODS = {
    "vanilla": {"clean": 8},
    "temporal": {"clean": 8, "shuffled": 4},
    "noisy": {"clean": 4, "noisy": 4},
    "downsample": {"clean": 4, "fewer": 4},
    "object_centric": {"clean": 4, "perturbed": 4},
}
"""Rollouts of a question by view; the clean ones give gradient."""


@pytest.fixture(scope="module")
def five(world, tmp_path_factory):
    """By method: rows of its metrics and rollouts, and by step how many rollouts each packed row of the update had."""
    found = {}
    for method in METHODS:
        updates, update = [], Engine.update

        def watched(self, rows, *rest, updates=updates, update=update):
            updates.append([len(row.completions) for row in rows])
            return update(self, rows, *rest)

        out = tmp_path_factory.mktemp(method)
        run = tw.run(method, reward="ocr", steps=4, **({"schedule": "linear"} if method == "downsample" else {}))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Engine, "update", watched)
            run_grpo(lw.config(), run, lw.inputs(world), out, tw.lineage)
        metrics = tables.read(tables.METRICS, out / "metrics.parquet")
        found[method] = metrics, tables.read(tables.ROLLOUTS, out / "rollouts.parquet"), updates
    return found


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_with_finite_numbers_on_its_clean_rollouts(five, method):
    metrics, rollouts, updates = five[method]
    views = METHODS[method]
    assert len(metrics) == len(updates) == 4
    for row, packed in zip(metrics, updates, strict=True):
        numbers = [value for name, value in row.items() if isinstance(value, float)]
        numbers += [part["value"] for name in ("rewards", "seconds") for part in row[name]]
        assert all(map(math.isfinite, numbers))
        assert packed == [views["clean"]] * (4 - row["n_skipped"])
        assert (row["grad_norm"] > 0) == bool(packed)
        assert (row["acc_noisy"] is None) == (method == "vanilla")
    assert sum(map(len, updates)) >= 8  # at least half of the groups taught something
    for step in range(4):
        mine = [row for row in rollouts if row["step"] == step]
        for question in {row["question_id"] for row in mine}:
            shown = [row["view"] for row in mine if row["question_id"] == question]
            assert shown == [view for view, n in views.items() for _ in range(n)]


def test_methods_differ_in_what_is_written(five):
    """The same questions and draws, but other videos or other updates."""
    written = {
        method: [(row["step"], row["question_id"], row["text"]) for row in rollouts]
        for method, (_, rollouts, _) in five.items()
    }
    asked = {method: {(step, question) for step, question, _ in rows} for method, rows in written.items()}
    assert len(set(map(frozenset, asked.values()))) == 1
    for one in METHODS:
        for other in METHODS:
            assert one == other or written[one] != written[other]
