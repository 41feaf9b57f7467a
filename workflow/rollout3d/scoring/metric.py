"""Metrics of answers, from 0 to 1: numbers, and the texts of general training data.

Sources: mean relative accuracy, VSI-Bench's evaluator; the others, Video-R1's rewards.
"""

from __future__ import annotations

from functools import cache

import numpy as np


@cache
def thresholds(n: int = 10) -> np.ndarray:
    """Return n confidence thresholds (n,), evenly spaced from 0.5 to 0.95.

    Ten are those of VSI-Bench, whose formula (0.95 - 0.5) / 0.05 + 2 its code truncates from 10.999... to 10. Eleven
    are the formula's own number, equation 2 of Spatial-R1.
    """
    return np.linspace(0.5, 0.95, n)


def mean_relative_accuracy(prediction: float, truth: float, n: int = 10) -> float:
    """Return the share of n thresholds t with |prediction - truth| / |truth| <= 1 - t; the benchmark's n is 10.

    The comparison is the evaluator's own `<=` in float64 (Spatial-R1's equation 1 has it too), not the `<` of the
    benchmark's equation 1, and the rounding of `1 - t` is left as it is: 80 against 100 scores 0.6, not 0.7, because
    1 - 0.8 < 0.2. A truth of 0, which the benchmark does not contain, accepts 0 only.
    """
    if truth == 0:
        return float(prediction == 0)
    error = abs(prediction - truth) / abs(truth)
    return int(np.count_nonzero(error <= 1 - thresholds(n))) / n


def relative_closeness(prediction: float, truth: float) -> float:
    """Return 1 - min(1, relative error): Video-R1's reward for regression, its 1e-9 included."""
    return 1.0 - min(1.0, (abs(prediction - truth) + 1e-9) / (abs(truth) + 1e-9))


def same_number(prediction: str, truth: str) -> float:
    """Return 1 if both numbers agree after rounding to two decimals, else 0: Video-R1's reward for numbers.

    As there, a prediction with a decimal point for a truth without one (or the reverse) is wrong, even 4.0 for 4;
    commas are thousands separators.
    """
    if any(c in prediction for c in ".,") != any(c in truth for c in ".,"):
        return 0.0
    try:
        values = [round(float(text.replace(",", "")), 2) for text in (prediction, truth)]
    except ValueError:
        return 0.0
    return float(values[0] == values[1])


def word_accuracy(prediction: str, truth: str) -> float:
    """Return max(0, 1 - word error rate), words split at white space: Video-R1's reward for OCR.

    The error rate is the edit distance over max(1, words of the truth).
    """
    words, wanted = prediction.split(), truth.split()
    row = list(range(len(wanted) + 1))
    for i, word in enumerate(words, start=1):
        above, row = row, [i]
        for j, other in enumerate(wanted, start=1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (word != other)))
    return max(0.0, 1.0 - row[-1] / max(1, len(wanted)))


def rouge(prediction: str, truth: str) -> float:
    """Return the mean F of ROUGE-1, ROUGE-2 and ROUGE-L with stemming: Video-R1's reward for free text.

    Raises ImportError naming the remedy where the optional package rouge-score is missing.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise ImportError("free-text answers are scored by ROUGE: pip install rouge-score") from error
    variants = ["rouge1", "rouge2", "rougeL"]
    scores = RougeScorer(variants, use_stemmer=True).score(truth, prediction)
    return float(np.mean([scores[name].fmeasure for name in variants]))
