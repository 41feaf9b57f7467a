"""GRPO with object-centric 3D rollout (OCR) and the methods it is compared with: one loop, on this screen.

A step takes `prompts_per_step` questions. Each is shown in the views of its rollout method (`rollouts/`), all views of
all questions are rolled out in one call, every group is rewarded (`rewards/`) and its advantages are taken over the
pooled views (equation 4). Groups that taught something go through the policy once more, packed, and the objective of
equation 6 makes one update.

Departures from the paper, and how its gaps are filled:

- Only clean rollouts give gradient, as Figure 2 says, and the mean runs over those n; equation 6 by the letter
  averages all 2n on the clean video: `grad_rollouts: both_on_clean`, `loss_denominator: all`.
- The reference is the model that training starts from. beta = 0.04, one update a batch (so the ratio is 1 and clipping
  never acts), learning rate, sampling, mean over tokens and then sequences: Video-R1, which the paper follows.
- Groups whose pooled rewards are all equal are left out: no forward, and no KL term either. They count in the
  denominator. A step that has no other groups makes no update.
- A number is rewarded by its mean relative accuracy; the paper's "correct" does not say.
- Log-probabilities are those of the whole vocabulary at the sampling temperature, without the nucleus cut (Video-R1).
- What is perturbed, and how strongly: `rollouts/object_centric.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

import torch

from rollout3d import tables
from rollout3d.config import Grpo, Run
from rollout3d.model.sampling import Sampling
from rollout3d.seeding import stable_hash
from rollout3d.training.data import Questions
from rollout3d.training.engine import Engine
from rollout3d.training.group import Group, Rollout
from rollout3d.training.loop import Loop
from rollout3d.training.metrics import Clock
from rollout3d.training.objective import advantages, clipped_ratio, kl_k3
from rollout3d.training.packing import Packed
from rollout3d.training.record import metric_rows, rollout_rows, watch_agreement
from rollout3d.training.rewards import Written, judge
from rollout3d.training.rollouts import Context, make_views
from rollout3d.training.rollouts.regions import Regions


def train_grpo(
    grpo: Grpo, run: Run, seed: int, questions: Questions, regions: Regions | None, engine: Engine, loop: Loop
) -> None:
    """Train the engine's policy for the loop's steps; metrics and rollouts go to the loop's tables."""
    world = engine.world
    for step in loop:
        clock = Clock()
        context = Context(grpo, run, seed, step, loop.total, regions)
        with clock("views"):
            rows = questions.batch(step, grpo.prompts_per_step, world.rank, world.size)
            groups = [Group(row, make_views(row, questions.frames(row), context)) for row in rows]
        with clock("rollouts"):
            roll_out(groups, questions, engine, grpo, stable_hash(seed, run.run, run.seed, step))
        with clock("rewards"):
            for group in groups:
                reward(group, run.reward, grpo)
        with clock("update"):
            taught = update(groups, engine, grpo, step)
        loop.record(tables.ROLLOUTS, rollout_rows(groups, step, world.rank))
        loop.record(tables.METRICS, metric_rows(groups, context, engine, taught, clock))


def roll_out(groups: Sequence[Group], questions: Questions, engine: Engine, grpo: Grpo, seed: int) -> None:
    """Draw the rollouts of every view of every group in one call; a view of 2n rollouts asks for n twice."""
    n = gcd(*(view.n for group in groups for view in group.views))
    asked = []
    for group in groups:
        for place, view in enumerate(group.views):
            prompt = questions.prompt(group.row, view.frames, engine.policy.encoder)
            key = f"{group.row['question_id']}/{place}"
            asked += [(group, view, prompt, f"{key}/{again}") for again in range(view.n // n)]
    sampling = Sampling(n, grpo.temperature, grpo.top_p, grpo.max_new_tokens)
    written = engine.generate([prompt for *_, prompt, _ in asked], sampling, seed, [key for *_, key in asked])
    for (group, view, prompt, _), completions in zip(asked, written):
        group.rollouts += [Rollout(view, prompt, completion) for completion in completions]


def reward(group: Group, name: str, grpo: Grpo) -> None:
    """Judge a group's rollouts (equation 3) and normalise over the pooled ones (equation 4)."""
    seen = [Written(r.completion.text, len(r.completion.token_ids), not r.view.pooled) for r in group.rollouts]
    for rollout, judged in zip(group.rollouts, judge(name, group.row, seen, grpo.numeric)):
        rollout.judged = judged
    normalised = advantages(torch.tensor(group.rewards, dtype=torch.float64), grpo.std, grpo.std_eps)
    for rollout, advantage in zip(group.pooled, normalised.tolist()):
        rollout.advantage = advantage


def update(groups: Sequence[Group], engine: Engine, grpo: Grpo, step: int) -> dict[str, float]:
    """One update by the objective of equation 6, negated, on the groups with spread; what happened, for the metrics."""
    teaching = [group for group in groups if group.teaches]
    step_tokens = engine.world.mean([sum(sum(group.counted_lengths(grpo)) for group in teaching)])[0]
    rows = [row for group in teaching for row in group.gradient_rows(grpo, len(groups), step_tokens)]
    kl_of_tokens: list[torch.Tensor] = []

    def loss(logp: torch.Tensor, packed: Packed) -> torch.Tensor:
        watch_agreement(logp, packed, grpo)
        gain = clipped_ratio(logp, logp.detach(), packed.advantage.to(logp.device), grpo.clip_eps)
        if grpo.beta:
            kl = kl_k3(logp, engine.reference_logprobs(packed))
            kl_of_tokens.append(kl.detach())
            gain = gain - grpo.beta * kl
        return -(packed.weight.to(logp.device) * gain).sum()

    total, grad_norm = engine.update(rows, loss, step)
    kl = torch.cat(kl_of_tokens) if kl_of_tokens else torch.zeros(0)
    return {"step": step, "loss": total, "grad_norm": grad_norm, "kl": float(kl.sum()), "kl_tokens": len(kl)}
