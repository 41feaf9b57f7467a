"""Select the hard questions from four tables of predictions, and count right answers for Table 1. Pure.

Whether an answer is right is worked out from its text; the score stored beside it is never used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rollout3d.config import REASONED, SAMPLED, SETTINGS, Cot
from rollout3d.config.evaluation import official_scorer
from rollout3d.errors import InvalidInput
from rollout3d.scoring.scorers import score
from rollout3d.seeding import generator
from rollout3d.tables.rows import HardRow, PredictionRow, QuestionRow

TRANSITIONS = {"frames": "frames16", "bev": "frames16_bev"}
"""Transition -> the setting that turns a wrong answer of `frames2` into a right one."""


CORRECT_ABOVE = 0.5
"""A number counts as correct when its mean relative accuracy exceeds this, 0 to 1. [assumed; choices: equality]"""


@dataclass(frozen=True)
class Count:
    """Right and wrong answers of one setting: a row of Table 1."""

    setting: str
    correct: int
    wrong: int

    @property
    def percent(self) -> float:
        """Accuracy, in percent; 0 without questions."""
        return 100 * self.correct / max(1, self.correct + self.wrong)


def is_correct(score: float, correct_above: float) -> bool:
    """Return whether a score counts as a correct answer: 1 for a choice, above the threshold for a number.

    A number's score is its mean relative accuracy (assumed; OCR does not say how numbers were counted).
    """
    return score >= 1 or score > correct_above


def style_of(setting: str) -> Literal["direct", "think"]:
    """Return the prompt style of a setting: after GRPO, and where answers are drawn as rollouts are, the filter model
    reasons and writes its answer in a tag."""
    return "think" if setting in REASONED else "direct"


def scorer_of(setting: str) -> str:
    """Return the scorer of a setting's answers."""
    return official_scorer(style_of(setting))


def correctness(
    setting: str, predictions: Iterable[PredictionRow], questions: Mapping[str, QuestionRow], correct_above: float
) -> dict[str, bool]:
    """Return by question id whether the text of its first sample is right.

    `questions`: question id -> question row, of which answer_type and ground_truth are read. Raises InvalidInput for an
    answer to another question.
    """
    first = [p for p in predictions if p["sample"] == 0]
    found = _right(setting, first, questions, correct_above)
    return {p["question_id"]: right for p, right in zip(first, found, strict=True)}


def _right(
    setting: str, predictions: Sequence[PredictionRow], questions: Mapping[str, QuestionRow], correct_above: float
) -> list[bool]:
    """Return whether the text of each answer is right. Raises InvalidInput for an answer to another question."""
    strange = [p["question_id"] for p in predictions if p["question_id"] not in questions]
    if strange:
        raise InvalidInput(
            f"{setting}: {len(strange)} answers are to questions that the question table lacks, such as {strange[0]}: "
            "rerun the stage difficulty"
        )
    name = scorer_of(setting)
    return [is_correct(score(p["text"], questions[p["question_id"]], name).score, correct_above) for p in predictions]


Outcome = Literal["all right", "mixed", "all wrong"]
OUTCOMES: tuple[Outcome, ...] = ("all right", "mixed", "all wrong")
N_SAMPLED = 8
"""Number of answers per question, of which not all may be right or all wrong. [SpaceR, section 5.2, impact of data
sampling]"""


def outcomes(
    batches: Iterable[Sequence[PredictionRow]], questions: Mapping[str, QuestionRow], correct_above: float
) -> dict[str, Outcome]:
    """Return by question id how many of its `N_SAMPLED` answers are right: all, some, or none of them.

    `batches`: the answers, a part at a time.
    SpaceR leaves out questions of the first kind, of little value for learning, and of the last, possible noise. It
    does not say when a number is right; here it is above `correct_above`, as in the difficulty filter. Raises
    InvalidInput for a question with another number of answers, and for an answer to another question.
    """
    counts: dict[str, list[bool]] = {name: [] for name in questions}
    for predictions in batches:
        for p, right in zip(predictions, _right(SAMPLED, predictions, questions, correct_above), strict=True):
            counts[p["question_id"]].append(right)
    odd = [name for name, found in counts.items() if len(found) != N_SAMPLED]
    if odd:
        raise InvalidInput(
            f"{len(odd)} of {len(counts)} questions, such as {odd[0]}, have not {N_SAMPLED} answers: rerun the stage "
            f"difficulty in the setting {SAMPLED} on the same questions"
        )
    return {
        name: "all right" if all(found) else "mixed" if any(found) else "all wrong" for name, found in counts.items()
    }


def table1(
    predictions: Mapping[str, Iterable[PredictionRow]], questions: Mapping[str, QuestionRow], correct_above: float
) -> list[Count]:
    """Count right and wrong answers of each setting that was run, in the paper's order.

    `predictions`: setting -> its rows; `questions`: question id -> question row. Raises InvalidInput for an answer to
    another question.
    """
    counts = []
    for setting in SETTINGS:
        if setting in predictions:
            right = correctness(setting, predictions[setting], questions, correct_above)
            counts.append(Count(setting, sum(right.values()), len(right) - sum(right.values())))
    return counts


@dataclass(frozen=True)
class Selection:
    """Rows of the table hard, candidates of each transition before the draw (`sizes`), warnings (`notes`)."""

    rows: list[HardRow]
    sizes: dict[str, int]
    notes: list[str]


def select_hard(
    predictions: Mapping[str, Sequence[PredictionRow]],
    questions: Mapping[str, QuestionRow],
    cot: Cot,
    correct_above: float,
    seed: int,
) -> Selection:
    """Select the hard questions, at most `cot.per_transition` of each transition.

    A question is hard if it is wrong with 2 frames, right with 16 frames or with the BEV picture (the two transitions),
    and wrong again after GRPO (OCR, "Cold Start Data Construction"). A question of both transitions counts once, as
    "frames". Where the candidates outnumber the limit, they are drawn at random by `seed`. `questions`: question id ->
    question row.

    Departure, for presets whose filter model is too weak to show a transition: a transition with fewer than
    `cot.fallback` questions is topped up to that many with questions that are wrong after GRPO and not chosen yet,
    marked "fallback".

    Raises InvalidInput if a setting is missing or the settings did not answer the same questions.
    """
    missing = [setting for setting in SETTINGS if setting not in predictions]
    if missing:
        raise InvalidInput(f"the hard set needs predictions of all four settings; missing: {', '.join(missing)}")
    right = {s: correctness(s, predictions[s], questions, correct_above) for s in SETTINGS}
    answered = set(right["frames2"])
    for setting in SETTINGS:
        if set(right[setting]) != answered:
            odd = sorted(answered ^ set(right[setting]))
            raise InvalidInput(
                f"{len(odd)} questions were answered in one of frames2 and {setting} but not in the other, "
                f"such as {', '.join(odd[:3])}: run both on the same ocr_rl.parquet"
            )
    still_wrong = {q for q in answered if not right["frames16_grpo"][q]}
    chosen: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for transition, setting in TRANSITIONS.items():
        candidates = [q for q in sorted(still_wrong) if not right["frames2"][q] and right[setting][q]]
        sizes[transition] = len(candidates)
        drawn = _draw([q for q in candidates if q not in chosen], cot.per_transition, seed, transition)
        chosen |= dict.fromkeys(drawn, transition)
    notes = []
    for transition in TRANSITIONS:
        short = cot.fallback - sizes[transition]
        if short > 0:
            candidates = sorted(still_wrong - set(chosen))
            drawn = _draw(candidates, short, seed, f"fallback for {transition}")
            chosen |= dict.fromkeys(drawn, "fallback")
            notes.append(
                f"{sizes[transition] or 'no'} questions show the transition '{transition}': {len(drawn)} that are "
                "wrong after GRPO are added (cot.fallback)"
            )
    rows: list[HardRow] = [{"question_id": q, "transition": chosen[q]} for q in sorted(chosen)]
    return Selection(rows, sizes, notes)


def _draw(candidates: list[str], limit: int, seed: int, *names: str) -> list[str]:
    if len(candidates) <= limit:
        return candidates
    picked = generator(seed, "difficulty", *names).choice(len(candidates), size=limit, replace=False)
    return [candidates[i] for i in sorted(picked)]
