"""A rollout method and a reward, as somebody would add them: one new file each."""

MIRRORED = '''"""Mirrored rollout: half of the group sees every frame mirrored."""

from __future__ import annotations

from rollout3d.training.rollouts._view import Context, View

NEEDS = ("schedule",)
KEYS = ("ablation.downsample",)
KEYS_IF = {("ablation.downsample", "even"): ("ablation.sigma0",)}


def views(row, frames, context: Context) -> list[View]:
    """The video as it is, n_clean times; and mirrored, n_perturbed times."""
    grpo = context.grpo
    assert grpo.ablation.downsample == "random"
    mirrored = None if frames is None else frames[:, :, ::-1].copy()
    return [
        context.clean(frames, grpo.n_clean),
        View("mirrored", mirrored, grpo.n_perturbed, contributes_gradient=context.altered_gives_gradient),
    ]
'''
BREVITY = '''"""Brevity: a short answer earns more."""

from __future__ import annotations

from rollout3d.training.rewards._answers import Answers, Parts


def parts(answers: Answers) -> dict[str, list[float]]:
    """Return the share of the allowed tokens that each rollout leaves unused."""
    most = answers.grpo.max_new_tokens
    return {"brevity": [1 - rollout.n_tokens / most for rollout in answers.rollouts]}


def total(parts: Parts) -> float:
    """Return correctness plus half of the brevity."""
    return parts["correctness"] + 0.5 * parts["brevity"]
'''
