"""Rewards: what the rollouts of a question earn. One file per reward, found by its name; parts that several of them use
begin with an underscore.

Every part is a number from 0 up for each rollout. Three parts belong to every reward: `correctness` and `format`, which
the metrics report, and `temporal` where the rollout method draws a shuffled control group. A reward adds its own parts
and says how they become one number, the one that the advantage uses. So any reward goes with any rollout method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from rollout3d import doors
from rollout3d.config import Grpo
from rollout3d.geometry.gridmap import CognitiveMap
from rollout3d.scoring.match import Score
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rewards._answers import Answers, Judgement, Parts, Written
from rollout3d.training.rewards._correctness import correctness
from rollout3d.training.rewards._format import well_formedness
from rollout3d.training.rewards._temporal import temporal_bonus

__all__ = ["Answers", "Judgement", "Parts", "Reward", "Written", "judge"]


class Reward(Protocol):
    """What a file of this folder defines.

    A file may also assign literals (`doors.Door.constant`): `KEYS`, a tuple of the keys of `grpo` that not every reward
    reads; `NEEDS_MAPS = True` if the reward compares maps, so that its runs need those of their scenes. And it may
    define `correctness(text, question, grpo) -> Score`, where its rule of a right answer is not that of `_correctness`.
    """

    def parts(self, answers: Answers, /) -> Mapping[str, Sequence[float]]:
        """Return the reward's own parts by name, each with one number per rollout; a usual part's name replaces it."""
        ...

    def total(self, parts: Parts, /) -> float:
        """Return what a rollout with these parts earns."""
        ...


class _OwnRule(Protocol):
    """The optional function of a reward's file by which an answer is right."""

    def correctness(self, text: str, question: QuestionRow, grpo: Grpo, /) -> Score: ...


def judge(
    name: str,
    question: QuestionRow,
    rollouts: Sequence[Written],
    grpo: Grpo,
    truth: CognitiveMap | None = None,
    grid: int = 10,
) -> list[Judgement]:
    """Score all rollouts of one question together, since bonuses compare the rollouts of a group.

    `name`: of the reward; `numeric` and `mra_thresholds` of `grpo.ablation` decide how right a number is
    (`_correctness`); `truth`: the cognitive map of the question's scene, with `grid` columns and rows, None where there
    is none. Raises ValueError for an unknown name.
    """
    reward = cast(Reward, doors.REWARDS.load(name))
    scores = [_score(reward, rollout.text, question, grpo) for rollout in rollouts]
    answers = Answers(question, rollouts, [score.score for score in scores], grpo, truth, grid)
    named: dict[str, Sequence[float]] = {
        "correctness": answers.correct,
        "format": [well_formedness(rollout.text) for rollout in rollouts],
    }
    shuffled = [rollout.shuffled for rollout in rollouts]
    if any(shuffled):
        named["temporal"] = temporal_bonus(answers.correct, shuffled)
    named |= reward.parts(answers)
    each: list[Parts] = [{part: values[i] for part, values in named.items()} for i in range(len(rollouts))]
    return [Judgement(score.answer, parts, reward.total(parts)) for score, parts in zip(scores, each, strict=True)]


def _score(reward: Reward, text: str, question: QuestionRow, grpo: Grpo) -> Score:
    """Return answer and correctness of a completion, by the reward's own rule if it has one."""
    if hasattr(reward, "correctness"):
        return cast(_OwnRule, reward).correctness(text, question, grpo)
    return correctness(text, question, grpo.ablation.numeric, grpo.ablation.mra_thresholds)
