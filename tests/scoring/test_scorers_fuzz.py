"""Scorers of VSI-Bench against second implementations, on 20,000 random and adversarial predictions."""

from __future__ import annotations

import random

import pytest

from rollout3d.doors import SCORERS
from rollout3d.scoring.scorers import score
from scoring import naive_scorers
from scoring.adversarial import predictions

TRUTHS = {True: ("A", "B", "C", "D"), False: ("4", "1", "3", "2.9", "173", "30.2", "0.1", "21", "100")}


@pytest.mark.parametrize("scorer", ("vsibench", "lmms", "tagged", "video_r1", "spacer"))
def test_twenty_thousand_predictions_score_as_a_second_implementation_scores_them(scorer):
    if scorer == "video_r1":
        pytest.importorskip("torch")
    second = {"vsibench": naive_scorers.official}.get(scorer) or getattr(naive_scorers, scorer)
    draw = random.Random(1)
    texts = predictions(20_000)
    assert len(texts) == 20_000
    differ, right = [], {True: 0, False: 0}
    for text in texts:
        for choice in (True, False):
            likely = [letter for letter in TRUTHS[True] if letter in text] if choice else []
            truth = draw.choice(likely or TRUTHS[choice])
            row = {"answer_type": "choice" if choice else "number", "ground_truth": truth}
            ours, theirs = score(text, row, scorer).score, second(text, choice, truth)
            if abs(ours - theirs) > 1e-6:
                differ.append((text[:80], truth, ours, theirs))
            right[choice] += theirs > 0
    assert not differ, f"{len(differ)} differ, such as {differ[:5]!r}"
    assert min(right.values()) > 100, f"the texts must be answers too: {right}"


def test_an_answer_is_reported_wherever_a_text_scores():
    for scorer in SCORERS.names:
        for text in predictions(3_000, seed=2):
            for row in (
                {"answer_type": "choice", "ground_truth": "A"},
                {"answer_type": "number", "ground_truth": "3"},
            ):
                found = score(text, row, scorer)
                assert 0 <= found.score <= 1
                assert found.answer is None or (found.answer and isinstance(found.answer, str)), (scorer, text)
                assert found.answer is not None or found.score == 0, (scorer, text)
