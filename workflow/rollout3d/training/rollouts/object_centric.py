"""Object-centric 3D rollout, the paper's method: half of the group sees some objects of the scene drowned in noise.

At delta_t, m' = round(delta_t M) of the M objects that are visible in the frames are drawn without replacement
(equation 5), and Gaussian noise of deviation sigma_t = sigma_0 delta_t / delta_0 on [0, 255] is added to the union of
their projected regions in every frame. Both fall to nothing over training.

Choices that the paper leaves open, each a key of `grpo`: sigma_0; the number of objects (`object_count`); the kind of
noise (`noise`: added, or the diffusion process of NoisyRollout inside the regions), independent for every pixel,
channel and frame unless `noise_frames` freezes it, and clipped; one noisy video serves all n rollouts (`fresh_noise`
draws one for each, over the same objects); the objects named in the question are as eligible as any (`query_objects`).
A question without regions (general data, a scene without visible objects) is shown clean in both halves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rollout3d.training.rollouts import noisy
from rollout3d.training.rollouts._view import Context, View

NEEDS = ("schedule", "regions")
KEYS = ("noise", "noise_frames", "object_count", "query_objects")
KEYS_IF = {("noise", "additive"): ("sigma0",)}


def views(row: Mapping[str, Any], frames: np.ndarray | None, context: Context) -> list[View]:
    """The video as it is, n_clean times; and with objects drowned in noise, n_perturbed times."""
    # Late: it compiles by numba, and vLLM's CPU build cannot start in a process that has loaded that.
    from rollout3d.geometry.masks import add_noise

    grpo = context.grpo
    if context.delta is None or context.regions is None:
        raise ValueError("an object_centric run needs a schedule and the objects and regions tables")
    rng = context.rng(row["question_id"])
    chosen = choose(eligible(row, context), context.delta, rng, grpo.object_count) if frames is not None else ()
    keep, sigma = strength(context)
    region = context.regions.union(row["scene_id"], chosen, frames.shape[:3]) if chosen else None
    copies = grpo.n_perturbed if grpo.fresh_noise else min(1, grpo.n_perturbed)
    altered = [
        View(
            "perturbed",
            frames if region is None else add_noise(frames, region, sigma, rng, keep, grpo.noise_frames == "frozen"),
            grpo.n_perturbed // copies,
            contributes_gradient=context.altered_gives_gradient,
            perturbed_objects=chosen,
            sigma=sigma,
        )
        for _ in range(copies)
    ]
    return [context.clean(frames, grpo.n_clean), *altered]


def eligible(row: Mapping[str, Any], context: Context) -> list[int]:
    """Ids of the objects that may be perturbed, sorted: the M of equation 5."""
    if row["scene_id"] is None:
        return []
    visible = context.regions.objects(row["scene_id"])
    named = {object_id for mention in row["objects"] for object_id in mention["object_ids"]}
    if context.grpo.query_objects == "excluded":
        return [object_id for object_id in visible if object_id not in named]
    if context.grpo.query_objects == "only":
        return [object_id for object_id in visible if object_id in named]
    return visible


def choose(objects: list[int], delta: float, rng: np.random.Generator, count: str = "round") -> tuple[int, ...]:
    """The m' objects of equation 5, sorted, drawn without replacement: delta M, rounded with halves up (`round`) or up
    (`ceil`); or each object with probability delta (`bernoulli`)."""
    if count == "bernoulli":
        return tuple(object_id for object_id, draw in zip(objects, rng.random(len(objects))) if draw < delta)
    # 0.1 * 30 is a little more than 3, which is not a fourth object.
    m = math.ceil(delta * len(objects) - 1e-9) if count == "ceil" else int(delta * len(objects) + 0.5)
    return tuple(sorted(int(object_id) for object_id in rng.choice(objects, m, replace=False))) if m else ()


def strength(context: Context) -> tuple[float, float]:
    """What the noise leaves of a pixel, and its deviation on [0, 255], at this step."""
    if context.grpo.noise == "diffusion":
        keep, sigma = noisy.scales(noisy.diffusion_step(context))
        return keep, 255 * sigma
    return 1.0, context.grpo.sigma0 * context.delta / context.grpo.delta_start
