"""Rows of a GRPO step for the run's tables: its rollouts, and one row of metrics over all processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from statistics import stdev
from typing import Any

from rollout3d.training.engines.engine import Engine
from rollout3d.training.group import Group
from rollout3d.training.metrics import Clock, named, peak_memory_mb
from rollout3d.training.rollouts import CLEAN, Context


def rollout_rows(groups: Sequence[Group], step: int, rank: int) -> list[dict[str, Any]]:
    """Return this process's rollouts as rows, group by group; `sample` counts within the views of one name."""
    rows = []
    for group in groups:
        samples = {view.name: count() for view in group.views}
        rows += [
            {
                "step": step,
                "rank": rank,
                "question_id": group.question["question_id"],
                "view": rollout.view.name,
                "sample": next(samples[rollout.view.name]),
                "text": rollout.completion.text,
                "answer": rollout.judged.answer,
                "rewards": named(rollout.judged.parts | {"total": rollout.judged.total}),
                "advantage": rollout.advantage,
                "n_tokens": len(rollout.completion.token_ids),
                "perturbed_objects": list(rollout.view.perturbed_objects),
            }
            for rollout in group.rollouts
        ]
    return rows


def metric_rows(
    groups: Sequence[Group], context: Context, engine: Engine, figures: Mapping[str, float], clock: Clock
) -> list[dict[str, Any]]:
    """Return the step's row of metrics on the first process, and no rows on the others, whose sums are in it.

    `figures`: what `grpo.update` returned.
    """
    sums = engine.world.gather(_sums(groups, figures))
    if sums is None:
        return []
    total: Counter[str] = Counter()
    for part in sums:
        total.update(part)

    def mean(of: str, over: str) -> float | None:
        return total[of] / total[over] if total[over] else None

    rewards = {name: mean(name, "pooled") for name in total if name.startswith("reward/")}
    sigmas = [view.sigma for group in groups for view in group.views if view.sigma is not None]
    step = context.step
    row = {
        "step": step,
        "lr": engine.lr(step),
        "loss": total["loss"] / engine.world.size,
        "kl": mean("kl", "kl_tokens"),
        "rewards": named({name.removeprefix("reward/"): value for name, value in rewards.items() if value is not None}),
        "reward_std": mean("std", "groups"),
        "frac_zero_std": mean("skipped", "groups"),
        "n_skipped": int(total["skipped"]),
        "acc_clean": mean("clean_correct", "clean"),
        "acc_noisy": mean("altered_correct", "altered"),
        "adv_clean_mean": mean("clean_advantage", "clean"),
        "completion_len_mean": mean("tokens", "n"),
        "grad_norm": figures["grad_norm"],
        "delta": context.delta,
        "sigma": sigmas[0] if sigmas else None,
        "n_regions": int(total["regions"]),
        "peak_memory_mb": peak_memory_mb(engine.world.device),
        "seconds": named(clock.seconds),
    }
    return [row]


def _sums(groups: Sequence[Group], figures: Mapping[str, float]) -> dict[str, float]:
    """Return this process's part of what adds up over processes."""
    sums: Counter[str] = Counter({name: figures[name] for name in ("loss", "kl", "kl_tokens")})
    for group in groups:
        perturbed = {object_id for view in group.views for object_id in view.perturbed_objects}
        spread = stdev(group.rewards) if len(group.rewards) > 1 else 0.0
        sums.update({"groups": 1, "skipped": int(not group.teaches), "std": spread, "regions": len(perturbed)})
        for rollout in group.rollouts:
            correct = rollout.judged.parts["correctness"]
            sums.update({"n": 1, "tokens": len(rollout.completion.token_ids)})
            if rollout.view.pooled:  # means over a control group too would hide what the trained rollouts earn
                sums.update({f"reward/{name}": value for name, value in rollout.judged.parts.items()})
                sums.update({"pooled": 1, "reward/total": rollout.judged.total})
            if rollout.view.name == CLEAN:
                sums.update({"clean": 1, "clean_correct": correct, "clean_advantage": rollout.advantage})
            else:
                sums.update({"altered": 1, "altered_correct": correct})
    return dict(sums)
