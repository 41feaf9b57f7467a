"""GRPO with object-centric 3D rollout (OCR) and the methods it is compared with: one loop, on this screen.

A step takes `prompts_per_step` questions. Each is shown in the views of its rollout method (`rollouts/`), all views of
all questions are rolled out in one call, every group is rewarded (`rewards/`) and its advantages are taken over the
pooled views (equation 4). The groups go through the policy once more, packed, and the objective of equation 6 makes one
update.

Departures from the paper, and how its gaps are filled:

- Only clean rollouts give gradient, as Figure 2 says, and the mean runs over those n; equation 6 by the letter
  averages all 2n on the clean video: `grad_rollouts: both_on_clean`, `loss_denominator: all`. The ratio of equation 6
  then leaves out that the perturbed rollouts were drawn from another video, which `offpolicy_correction` puts back,
  truncated.
- The reference is the model that training starts from. beta = 0.04, one update per batch (so the ratio is 1 and
  clipping never acts), learning rate, sampling, mean over tokens and then sequences: Video-R1, which the paper follows.
- Groups whose pooled rewards are all equal have advantage 0 and keep their KL term (equation 6, Video-R1).
  `kl_of_skipped: false`, or beta = 0, leaves them out: no forward. They count in the denominator all the same. A step
  that has no other groups then makes no update.
- A number is rewarded by its mean relative accuracy; the paper's "correct" does not say.
- Log-probabilities are those of the whole vocabulary at the sampling temperature, without the nucleus cut (Video-R1).
- What is perturbed, and how strongly: `rollouts/object_centric.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd

import torch

from rollout3d import tables
from rollout3d.config import Grpo, Run
from rollout3d.geometry.gridmap import CognitiveMap
from rollout3d.model.ahead import Ahead
from rollout3d.model.regions import Regions
from rollout3d.model.sampling import Sampling
from rollout3d.seeding import stable_hash
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.agreement import check_agreement, watch_agreement
from rollout3d.training.data import Questions
from rollout3d.training.engines.engine import Engine
from rollout3d.training.group import Group, Rollout
from rollout3d.training.loop import Loop
from rollout3d.training.metrics import Clock
from rollout3d.training.objective import advantages, clipped_ratio, kl_k3, truncated_ratio
from rollout3d.training.packing import Packed, PackedRow
from rollout3d.training.probes import Probes, take, warn
from rollout3d.training.record import metric_rows, rollout_rows
from rollout3d.training.rewards import Written, judge
from rollout3d.training.rollouts import CLEAN, Context, make_views
from rollout3d.training.standstill import watched


def train_grpo(
    grpo: Grpo,
    run: Run,
    seed: int,
    questions: Questions,
    regions: Regions | None,
    engine: Engine,
    loop: Loop,
    maps: Mapping[str, CognitiveMap] | None = None,
    map_grid: int = 10,
    probes: Probes | None = None,
) -> None:
    """Train the engine's policy for the loop's steps; metrics and rollouts go to the loop's tables.

    `maps`: the cognitive map of each scene that has one, with `map_grid` columns and rows; only some rewards need them
    (`maps.check_maps`). `probes`: questions that are answered now and then, for the metrics alone.

    Raises `Disagreement` if the back end samples from another model than the one that is trained, and `NoUpdate` if no
    step has updated the model for too long.
    """
    world = engine.world

    def prepare(step: int) -> tuple[Context, list[Group]]:
        context = Context(grpo, run, seed, step, loop.total, regions)
        rows = questions.batch(step, grpo.prompts_per_step, world.rank, world.size)
        return context, [show(row, questions, context, engine) for row in rows]

    checked = False
    # Views of the next step are made while this one is rolled out: they depend on its number and on nothing learnt.
    with Ahead(prepare, loop.total) as ahead:
        for step in watched(loop, grpo):
            clock = Clock()
            with clock("views"):
                context, groups = ahead.take(step)
            seen = take(probes, step, engine, clock)
            with clock("rollouts"):
                roll_out(groups, engine, grpo, stable_hash(seed, run.run, run.seed, step))
            if not checked:
                # Behind the first rollouts of every start, so a resumed run is checked with the weights it restored.
                check_agreement(groups, engine, grpo)
                checked = True
            with clock("rewards"):
                for group in groups:
                    reward(group, run.reward or "", grpo, (maps or {}).get(group.question["scene_id"] or ""), map_grid)
            with clock("update"):
                figures = update(groups, engine, grpo, step)
            loop.record(tables.ROLLOUTS, rollout_rows(groups, step, world.rank))
            loop.record(tables.METRICS, [row | seen for row in metric_rows(groups, context, engine, figures, clock)])
            warn(loop, seen)


def show(question: QuestionRow, questions: Questions, context: Context, engine: Engine) -> Group:
    """Make a question's group: the clean video V and its perturbed copy V^, encoded, without rollouts yet."""
    media = questions.media(question)
    views = make_views(question, media.frames, context)
    prompts = [questions.prompt(question, media.showing(view.frames), engine.policy.encoder) for view in views]
    return Group(question, views, prompts, separate=context.grpo.ablation.advantage_group == "separate")


def roll_out(groups: Sequence[Group], engine: Engine, grpo: Grpo, seed: int) -> None:
    """Draw o_1 .. o_n from pi(V) and o^_1 .. o^_n from pi(V^) for all groups in one call; set which enter the loss."""
    n = request_size(grpo)
    requests = []
    for group in groups:
        for place, (view, prompt) in enumerate(zip(group.views, group.prompts, strict=True)):
            # The key names the draws. It has the view's place and not its content: at the end of a schedule the altered
            # video equals the clean one, and under one key both halves would be the same completions.
            key = f"{group.question['question_id']}/{place}"
            requests += [(group, view, prompt, f"{key}/{again}") for again in range(view.n // n)]
    sampling = Sampling(n, grpo.temperature, grpo.top_p, grpo.max_new_tokens)
    prompts, keys = [prompt for *_, prompt, _ in requests], [key for *_, key in requests]
    for (group, view, prompt, _), completions in zip(requests, engine.generate(prompts, sampling, seed, keys)):
        group.rollouts += [Rollout(view, prompt, completion) for completion in completions]
    for group in groups:
        group.limit(grpo.ablation.grad_limit)


def request_size(grpo: Grpo) -> int:
    """Return the number of rollouts per request; a large view makes several requests.

    It divides the size of any view of any method under these settings, so that a question's draws never depend on the
    questions beside it.
    """
    n, m = grpo.n_clean, grpo.n_perturbed
    return 1 if grpo.ablation.fresh_noise else gcd(n, m, max(1, (n + m) // 2))


def reward(group: Group, name: str, grpo: Grpo, truth: CognitiveMap | None = None, grid: int = 10) -> None:
    """Reward a group's rollouts (r, equation 3) and normalise over the pooled 2n (A, equation 4).

    `truth`: the cognitive map of the question's scene, with `grid` columns and rows; None if it has none.
    """
    texts = [Written(r.completion.text, len(r.completion.token_ids), not r.view.pooled) for r in group.rollouts]
    for rollout, judged in zip(group.rollouts, judge(name, group.question, texts, grpo, truth, grid)):
        rollout.judged = judged
    for pool in group.pools:
        rewards = torch.tensor([rollout.judged.total for rollout in pool], dtype=torch.float64)
        for rollout, advantage in zip(pool, advantages(rewards, grpo.ablation.std, grpo.std_eps).tolist()):
            rollout.advantage = advantage


def update(groups: Sequence[Group], engine: Engine, grpo: Grpo, step: int) -> dict[str, float]:
    """Update the policy by the objective J of equation 6, negated; return the step's figures for the metrics.

    Groups without spread take part by their KL alone, if at all (`grpo.ablation.kl_of_skipped`). Loss and KL are those
    before the update. Further updates (`grpo.updates_per_rollout`) keep the old and the reference policy's
    log-probabilities of the first; the largest gradient norm is reported.
    """
    teaching = [group for group in groups if group.teaches]
    scored = list(groups) if grpo.ablation.kl_of_skipped and grpo.beta else teaching
    # Over all groups, skipped ones too: what a step divides by must not depend on how many of its groups teach.
    step_tokens = engine.world.mean([sum(sum(group.counted_lengths(grpo)) for group in groups)])[0]
    if grpo.ablation.offpolicy_correction != "none":
        score_behaviour(teaching, engine)
    rows = [row for group in scored for row in group.gradient_rows(grpo, len(groups), step_tokens)]
    # log pi_old and log pi_ref of each batch. All updates of a step see the same rows in the same batches, so the rows
    # of a batch are its name, and holding them here keeps them apart.
    before: dict[tuple[PackedRow, ...], tuple[torch.Tensor, torch.Tensor | None]] = {}
    kl_of_tokens: list[torch.Tensor] = []

    def loss(logp: torch.Tensor, packed: Packed) -> torch.Tensor:
        if packed.rows not in before:
            # The first update: the policy has not moved since the rollouts, so its own log-probabilities are pi_old's.
            watch_agreement(logp, packed, grpo)
            old, reference = logp.detach(), engine.reference_logprobs(packed) if grpo.beta else None
            before[packed.rows] = old, reference
            kl_of_tokens.extend([] if reference is None else [kl_k3(old, reference)])
        old, reference = before[packed.rows]
        gain = clipped_ratio(logp, old, packed.advantage.to(logp.device), grpo.clip_eps)
        if packed.behaviour is not None:
            gain = gain * truncated_ratio(old, packed.behaviour.to(logp.device), grpo.offpolicy_cap)
        # Weights carry the means over tokens, sequences and groups, so that parts of a step simply add up.
        objective = (packed.weight.to(logp.device) * gain).sum()
        if reference is not None:
            objective = objective - grpo.beta * (packed.kl_weight.to(logp.device) * kl_k3(logp, reference)).sum()
        return -objective

    made = [engine.update(rows, loss, step) for _ in range(grpo.updates_per_rollout)]
    kl = torch.cat(kl_of_tokens) if kl_of_tokens else torch.zeros(0)
    norm = max((norm for _, norm in made), key=lambda norm: (norm != norm, norm))  # nan counts as the largest
    return {"step": step, "loss": made[0][0], "grad_norm": norm, "kl": float(kl.sum()), "kl_tokens": len(kl)}


def score_behaviour(groups: Sequence[Group], engine: Engine) -> None:
    """Set log pi_old(o^ | V^) of rollouts that were drawn from an altered video V^ and give gradient on V."""
    drawn = [
        [r for r in group.rollouts if r.view is view and r.gives_gradient]
        for group in groups
        for view in group.views
        if view.contributes_gradient and view.name != CLEAN
    ]
    drawn = [rollouts for rollouts in drawn if rollouts]
    rows = [PackedRow(rollouts[0].prompt, [r.completion.token_ids for r in rollouts]) for rollouts in drawn]
    for rollouts, logp in zip(drawn, engine.score(rows)):
        for rollout, piece in zip(rollouts, logp.cpu().split([len(r.completion.token_ids) for r in rollouts])):
            rollout.behaviour = piece
