"""SpaceR's reward (SG-RLVR, equation 5): format + task + length, and the map's accuracy if the task reward is 1.

`grpo.variant` has two readings, which differ in this:

| | paper | code |
|---|---|---|
| number | first number of the answer (`scoring.numbers`) | the release's reader, with its faults |
| map of a category | optimal assignment, no penalty for a wrong number | closest first, over max(predicted, true) |
| the map counts | where R_task is 1 (equation 5) | right choice, or a number above 0.5 |
| a map of score 0 | earns nothing | takes the whole task reward away |
| length reward | 360 to 512 tokens, any right answer | 320 to 512, if two rollouts are right |
| right, for length and temporal bonus | task reward above 0.1 | task and map reward together above 0.1 |

The release also runs T-GRPO, which the paper does not mention: that is the rollout method `temporal` of the run, whose
bonus is added. General data has no true map, and no part for one. A map is compared with the map of the true scene
whatever the rollout saw, so that noisy rollouts of any method earn it, too.
"""

from __future__ import annotations

from rollout3d.config import Grpo
from rollout3d.scoring.match import Score
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rewards._answers import Answers, Parts
from rollout3d.training.rewards._spacer import exact_correctness, length_part, map_parts
from rollout3d.training.rewards._temporal import temporal_bonus

KEYS = ("variant",)
NEEDS_MAPS = True


def correctness(text: str, question: QuestionRow, grpo: Grpo) -> Score:
    """Return answer and R_task; N of equation 3 is `grpo.ablation.mra_thresholds`, 10 as in section 5.1."""
    return exact_correctness(text, question, grpo, grpo.ablation.mra_thresholds)


def parts(answers: Answers) -> dict[str, list[float]]:
    """Return map and length reward; in variant `code` also what worthless maps take away."""
    found = map_parts(answers)
    if answers.grpo.variant == "paper":
        return found | {"length": length_part(answers, list(answers.correct))}
    each = zip(answers.correct, found["map"], found["map_penalty"], strict=True)
    accuracy = [correct + drawn - taken for correct, drawn, taken in each]
    shuffled = [rollout.shuffled for rollout in answers.rollouts]
    # The release's bonuses read its accuracy reward, in which the map is included.
    temporal = {"temporal": temporal_bonus(accuracy, shuffled)} if any(shuffled) else {}
    return found | {"length": length_part(answers, accuracy)} | temporal


def total(parts: Parts) -> float:
    """Return R_m of equation 5: the sum of all parts, the penalty subtracted."""
    return sum(parts.values()) - 2 * parts.get("map_penalty", 0.0)
