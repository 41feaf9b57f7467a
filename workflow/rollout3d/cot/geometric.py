"""Step-by-step reasoning written from the geometry that an answer came from: what the geometric teacher writes.

Each question type works its answer out of the question's `evidence` (`QuestionType.reason`: boxes, distances, first
appearances), in sentences that also name objects which the question does not mention, as the paper wants reasoning to
do. It stands in for GPT-4o where no money may be spent (presets); the paper has no such teacher. Positions are seen
from a place inside the room, never in world coordinates, which no video shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rollout3d.questions import types
from rollout3d.questions.reasoning import Facts, NoEvidence, Step, Voice
from rollout3d.questions.templates import LETTERS, option_text
from rollout3d.seeding import generator

SHORT = 3
"""Sentences up to which the last one of a thought names its option in words, too: what decides may be left out, and a
very small model finds the letter of what it has just said."""


def capped(steps: Sequence[Step], most: int | None) -> list[str]:
    """Return texts of the `most` steps of lowest rank (the earlier of equals) in their order; None: of all steps."""
    kept = sorted(range(len(steps)), key=lambda k: steps[k].rank)[:most]
    return [steps[k].text for k in sorted(kept)]


def write(row: Mapping[str, Any], seed: int, attempt: int = 0, most: int | None = None) -> str:
    """Return reasoning and answer for a generated question; the wording depends on seed, question and attempt.

    With `most`, at most that many sentences, since a very small model loses a long thought: what the question is
    about, what decides it, and the conclusion stay, and the rest goes.

    Raises NoEvidence if the question was not generated here, if its evidence leads to another answer than its ground
    truth, or if numbers differ by too little to be said: such a question is not taught.
    """
    name = row["question_type"]
    of_type = types.known(name)
    if of_type is None or of_type.reason is None:
        raise NoEvidence(f"no geometry is known for questions of type {name}")
    named = frozenset(mention["category"] for mention in row["objects"])
    voice = Voice(generator(seed, "cot", row["question_id"], attempt), of_type.sentences)
    try:
        steps, answer = of_type.reason(Facts(json.loads(row["evidence"]), named, voice, most))
    except NoEvidence:
        raise
    except (AttributeError, KeyError, TypeError, ZeroDivisionError, ValueError, ArithmeticError) as error:
        raise NoEvidence(f"the evidence of this {name} question is of another kind ({error!r})") from error
    truth = row["ground_truth"]
    expected = option_text(row["options"][LETTERS.index(truth)]) if row["options"] else truth
    if answer != expected:
        raise NoEvidence(f"the geometry leads to '{answer}', the ground truth is '{expected}'")
    if not row["options"]:
        end = voice.say("answer", answer=truth)
    elif most is not None and most <= SHORT:
        end = voice.say("named option", text=expected, letter=truth)
    else:
        end = voice.say("option", letter=truth)
    return f"<think>{' '.join(capped([*steps, Step(-1, end)], most))}</think>\n<answer>{truth}</answer>"


def reasoning(row: Mapping[str, Any], seed: int, most: int | None = None) -> str | None:
    """Return what `write` writes at its first attempt, None where it raises NoEvidence."""
    try:
        return write(row, seed, most=most)
    except NoEvidence:
        return None
