"""Rewards: what a group of rollouts earns. One file a part, one registry of the ways to combine them.

Every part is a number from 0 up for each rollout; `Judgement.total` is what the advantage uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout3d.scoring.scorers import Numeric
from rollout3d.training.rewards.correctness import correctness
from rollout3d.training.rewards.format_ import well_formedness
from rollout3d.training.rewards.length import length_bonus
from rollout3d.training.rewards.temporal import temporal_bonus

Parts = dict[str, float]


@dataclass(frozen=True)
class Written:
    """What a reward sees of a rollout. `shuffled`: it saw the frames out of order, to be compared with (T-GRPO)."""

    text: str
    n_tokens: int
    shuffled: bool = False


@dataclass(frozen=True)
class Judgement:
    """`answer`: as extracted, None if there is none; `parts`: named reward parts; `total`: their combination."""

    answer: str | None
    parts: Parts
    total: float


def _ocr(parts: Parts) -> float:
    """1 if correct and well-formed, else 0; a number earns its mean relative accuracy (OCR, preliminary). Bonuses count
    in a well-formed answer only."""
    return parts["format"] * (parts["correctness"] + parts.get("temporal", 0.0) + parts.get("length", 0.0))


def _sum(parts: Parts) -> float:
    """The sum of the parts (Video-R1)."""
    return sum(parts.values())


COMBINE: dict[str, Callable[[Parts], float]] = {
    "ocr": _ocr,
    "ocr_length": _ocr,
    "video_r1": _sum,
    "video_r1_length": _sum,
}
"""Reward name of the run table -> how its parts become one number. Those named `_length` have the length bonus."""


def judge(
    reward: str, row: Mapping[str, Any], rollouts: Sequence[Written], numeric: Numeric = "mra", thresholds: int = 10
) -> list[Judgement]:
    """Score all rollouts of one question together, since bonuses look at the group.

    `numeric`, `thresholds`: how right a number is, see `correctness`. Raises ValueError for an unknown name.
    """
    if reward not in COMBINE:
        raise ValueError(f"unknown reward '{reward}': one of {sorted(COMBINE)}")
    scores = [correctness(rollout.text, row, numeric, thresholds) for rollout in rollouts]
    parts: list[Parts] = [
        {"correctness": score.score, "format": well_formedness(rollout.text)}
        for score, rollout in zip(scores, rollouts)
    ]
    correct = [score.score for score in scores]
    if any(rollout.shuffled for rollout in rollouts):
        for part, bonus in zip(parts, temporal_bonus(correct, [rollout.shuffled for rollout in rollouts])):
            part["temporal"] = bonus
    if reward.endswith("_length"):
        # The control group sets the temporal bonus and nothing else: its right answers are none of this group.
        within = [0.0 if rollout.shuffled else score for score, rollout in zip(correct, rollouts)]
        for part, bonus in zip(parts, length_bonus(within, [rollout.n_tokens for rollout in rollouts])):
            part["length"] = bonus
    return [Judgement(score.answer, part, COMBINE[reward](part)) for score, part in zip(scores, parts)]
