"""Object-centric 3D rollout, the paper's method: half of the group has some objects of the scene under noise.

At delta_t, m' = round(delta_t M) of the M objects that are visible in the frames are drawn without replacement
(equation 5), and Gaussian noise of deviation sigma_t = sigma_0 delta_t / delta_0 on [0, 255] is added to the union of
their projected regions in every frame. Both fall to 0 over training.

Choices that the paper leaves open, each a key of `grpo`: sigma_0; the number of objects (`object_count`); the
noise (`noise`: added, or the diffusion process of NoisyRollout inside the regions), independent for every pixel,
channel and frame unless `noise_frames` freezes it, and clipped; one noisy video serves all n rollouts (`fresh_noise`
draws one for each, over the same objects); the objects named in the question are as eligible as any (`query_objects`).
A question without regions (general data, a scene without visible objects) is clean in both halves.
"""

from __future__ import annotations

import math

import numpy as np

from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rollouts import noisy
from rollout3d.training.rollouts._view import Context, View

NEEDS = ("schedule", "regions")
OBJECTS = True
PAPER = {"schedule": "linear", "regions": "aabb_none", "reward": "ocr"}
KEYS = ("ablation.noise", "ablation.noise_frames", "ablation.object_count", "ablation.query_objects")
KEYS_IF = {("ablation.noise", "additive"): ("ablation.sigma0",)}


def views(question: QuestionRow, frames: np.ndarray | None, context: Context) -> list[View]:
    """Return the video V as it is, for n_clean rollouts, and V^ with objects under noise, for n_perturbed."""
    # Imported late: numba compiles it, and vLLM's CPU build cannot start in a process that has loaded numba.
    from rollout3d.geometry.masks import add_noise

    grpo = context.grpo
    if context.delta is None or context.regions is None:
        raise ValueError("an object_centric run needs a schedule and the objects and regions tables")
    rng = context.rng(question["question_id"])
    # Chosen before anything else is drawn, so that the objects do not depend on the size of the frames.
    chosen = (
        choose(eligible(question, context), context.delta, rng, grpo.ablation.object_count)
        if frames is not None
        else ()
    )
    keep, sigma = strength(context)
    region = None
    if chosen and frames is not None and question["scene_id"] is not None:
        region = context.regions.union(question["scene_id"], chosen, frames.shape[:3])

    def perturbed() -> np.ndarray | None:
        if region is None or frames is None:
            return frames
        return add_noise(frames, region, sigma, rng, keep, grpo.ablation.noise_frames == "frozen")

    # One V^ for all n rollouts, as Figure 2 has it, or one for each.
    copies = grpo.n_perturbed if grpo.ablation.fresh_noise else min(1, grpo.n_perturbed)
    altered = [
        View(
            "perturbed",
            perturbed(),
            grpo.n_perturbed // copies,
            contributes_gradient=context.altered_gives_gradient,
            perturbed_objects=chosen,
            sigma=sigma,
        )
        for _ in range(copies)
    ]
    return [context.clean(frames, grpo.n_clean), *altered]


def eligible(question: QuestionRow, context: Context) -> list[int]:
    """Return the ids of the objects that may be perturbed, sorted: the M of equation 5."""
    if question["scene_id"] is None or context.regions is None:
        return []
    visible = context.regions.objects(question["scene_id"])
    named = {object_id for mention in question["objects"] for object_id in mention["object_ids"]}
    if context.grpo.ablation.query_objects == "excluded":
        return [object_id for object_id in visible if object_id not in named]
    if context.grpo.ablation.query_objects == "only":
        return [object_id for object_id in visible if object_id in named]
    return visible


def choose(objects: list[int], delta: float, rng: np.random.Generator, count: str = "round") -> tuple[int, ...]:
    """Draw the m' objects of equation 5 without replacement; return them sorted.

    `count`: m' is delta M, rounded with halves up (`round`) or up (`ceil`); or each object is drawn with probability
    delta (`bernoulli`).
    """
    if count == "bernoulli":
        return tuple(object_id for object_id, draw in zip(objects, rng.random(len(objects))) if draw < delta)
    # 0.1 * 30 is a little more than 3, which is not a fourth object.
    m = math.ceil(delta * len(objects) - 1e-9) if count == "ceil" else int(delta * len(objects) + 0.5)
    return tuple(sorted(int(object_id) for object_id in rng.choice(objects, m, replace=False))) if m else ()


def strength(context: Context) -> tuple[float, float]:
    """Return the factor by which noisy pixels are scaled and the deviation sigma_t of the noise on [0, 255]."""
    if context.grpo.ablation.noise == "diffusion":
        keep, sigma = noisy.scales(noisy.diffusion_step(context))
        return keep, 255 * sigma
    return 1.0, context.grpo.ablation.sigma0 * (context.delta or 0.0) / context.grpo.delta_start
