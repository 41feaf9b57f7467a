"""What the text alone gives away: answers guessed from question and options, by somebody who sees no video.

A model trained on questions that a rule of thumb can answer learns the rule of thumb. Each guesser here is such a rule;
the report sets its score beside that of random guessing, and `debias` prunes until none is more than a margin above.
After the stress test of VSI-Bench by its authors (iterative bias pruning, arXiv 2511.04655); departure: their guessers
are random forests, ours are a few rules that a reader can check, and one table of what was true in other rooms.
"""

from __future__ import annotations

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from math import log
from typing import Any

import numpy as np

from rollout3d.questions.templates import LETTERS, option_text
from rollout3d.scoring.scorers import match
from rollout3d.seeding import stable_hash
from rollout3d.tables.rows import QuestionRow

_log = logging.getLogger(__name__)

Row = QuestionRow

FOLDS = 5
"""Parts of the rooms: the learned guesser answers each from what it saw in the others."""
SHOWN = 10
"""Most frequent answers of a type that the table holds."""
MIN_ROWS = 50
"""Types with fewer questions are not pruned: their scores are noise."""
ROUND = 0.05
"""Share of a type's questions that one round of pruning may take, before the guessers learn anew."""
MAX_ROUNDS = 60

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)\s*")


def bias_table(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return BIAS rows by type: the scores of random guessing and of every guesser, and the most frequent answers."""
    table = []
    for kind, group in sorted(_by_type(rows).items()):
        chance, scores = measured(group)
        named = {"chance": chance} | {name: float(values.mean()) for name, values in scores.items()}
        table += [_line(kind, "score", name, value, len(group)) for name, value in named.items()]
        if group[0]["answer_type"] == "choice":
            letters = Counter(row["ground_truth"] for row in group)
            table += [_line(kind, "letter", name, n / len(group), n) for name, n in sorted(letters.items())]
        answers = Counter(_truth(row) for row in group)
        ranked = sorted(answers.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
        table += [_line(kind, "answer", name, n / len(group), n) for name, n in ranked]
    return table


def _line(kind: str, what: str, name: str, value: float, n: int) -> dict[str, Any]:
    return {"question_type": kind, "measure": what, "name": name, "value": value, "n": n}


def measured(rows: Sequence[Row]) -> tuple[float, dict[str, np.ndarray]]:
    """Return the score of random guessing, and of each guesser on each question (N,), 0 to 1, of one question type.

    Where a guesser cannot decide between options it scores its expectation. Random guessing scores one in as
    many as there are options; of numbers it stands for the best that one constant answer can score.
    """
    if rows[0]["answer_type"] == "choice":
        chance = float(np.mean([1 / len(_options(row)) for row in rows]))
        return chance, {name: guess(rows) for name, guess in CHOICE_GUESSERS.items()}
    scores = {name: guess(rows) for name, guess in NUMBER_GUESSERS.items()}
    return float(scores.pop("constant").mean()), scores


def best_guesses(rows: Iterable[Row]) -> dict[str, tuple[float, str, float]]:
    """Return, by question type, the score of random guessing, the best rule on the text alone and its score, 0 to 1."""
    found = {}
    for kind, group in sorted(_by_type(rows).items()):
        chance, scores = measured(group)
        rule = max(sorted(scores), key=lambda name: float(scores[name].mean()))
        found[kind] = (chance, rule, float(scores[rule].mean()))
    return found


def debias(rows: Sequence[Row], margin: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Return rows kept and left out: on those kept no guesser is more than `margin` above random guessing, by type.

    In rounds: the best guesser loses questions that it answers, first those that the others answer too, equal ones
    by seeded hash; then all guess again. Letters are left to `letters.balance_letters`. Types with fewer than
    `MIN_ROWS` questions are left alone, and a type that would fall below stops there with a warning.
    """
    out: set[str] = set()
    for kind, group in sorted(_by_type(rows).items()):
        if len(group) >= MIN_ROWS:
            out |= {row["question_id"] for row in _pruned(kind, group, margin, seed)}
    return [r for r in rows if r["question_id"] not in out], [r for r in rows if r["question_id"] in out]


def _pruned(kind: str, group: list[Row], margin: float, seed: int) -> list[Row]:
    left = sorted(group, key=lambda row: stable_hash(seed, "debias", row["question_id"]))
    pruned: list[Row] = []
    name, mean, chance = "", 0.0, 0.0
    for _ in range(MAX_ROUNDS):
        chance, scores = measured(left)
        scores.pop("letter", None)
        name = max(scores, key=lambda name: scores[name].mean())
        mean = float(scores[name].mean())
        if mean <= chance + margin + 1e-9:
            return pruned
        # Without k questions that it answers fully, the mean is (mean n - k) / (n - k).
        goal = min(chance + margin, 1 - 1e-9)
        k = int(np.ceil((mean - goal) * len(left) / (1 - goal)))
        k = max(1, min(k, int(ROUND * len(left))))
        if len(left) - k < MIN_ROWS:
            break
        total = np.sum(list(scores.values()), axis=0)
        order = np.lexsort((-total, -scores[name]))
        goes = set(order[:k].tolist())
        pruned += [row for i, row in enumerate(left) if i in goes]
        left = [row for i, row in enumerate(left) if i not in goes]
    _log.warning("%s: '%s' still scores %.3f where chance is %.3f, after pruning", kind, name, mean, chance)
    return pruned


def _by_type(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Questions that can be guessed by rule: choices with options, and numbers."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        lettered = _options(row) and all(option[1:3] == ". " for option in _options(row))
        in_range = lettered and row["ground_truth"] in LETTERS[: len(_options(row))]
        is_number = row["answer_type"] == "number" and _NUMBER.fullmatch(row["ground_truth"])
        if is_number or (row["answer_type"] == "choice" and in_range):
            groups[row["question_type"]].append(row)
    return groups


def _truth(row: Row) -> str:
    """Return the answer in words: the text of the right option, or the number."""
    if row["answer_type"] != "choice":
        return row["ground_truth"]
    return option_text(_options(row)[LETTERS.index(row["ground_truth"])])


def _options(row: Row) -> list[str]:
    return row["options"] or []


def _fold(row: Row) -> int:
    return stable_hash("fold", row["space_id"] or row["question_id"]) % FOLDS


# --- choices ---------------------------------------------------------------------------------------------------------

Guesser = Callable[[Sequence[Row]], np.ndarray]


def _picking(rank: Callable[[Row, list[str]], Sequence[float]]) -> Guesser:
    """Picks the option of highest rank; equal ones are drawn from."""

    def guess(rows: Sequence[Row]) -> np.ndarray:
        return np.array([_share(rank(row, list(map(option_text, _options(row)))), row) for row in rows])

    return guess


def _share(ranks: Sequence[float], row: Row) -> float:
    """Return the probability of picking the right one among the options of highest rank."""
    best = max(ranks)
    ties = [k for k, rank in enumerate(ranks) if rank >= best - 1e-9]
    return (LETTERS.index(row["ground_truth"]) in ties) / len(ties)


def _alphabetical(row: Row, texts: list[str]) -> list[float]:
    return [-sorted(texts).index(text) for text in texts]


def _agreement(row: Row, texts: list[str]) -> list[float]:
    """Of options that are lists: pairs of their parts that stand in the order in which the question names them."""
    lists = [text.split(", ") for text in texts]
    if min(map(len, lists)) < 2:
        return [0.0] * len(texts)
    names = {part for parts in lists for part in parts} | {named["category"] for named in row["objects"]}
    named = _places(row["question"], names)
    ranks = []
    for parts in lists:
        places = [named[part] for part in parts]
        if min(places) < 0:
            return [0.0] * len(texts)
        ranks.append(sum(a < b for a, b in combinations(places, 2)) / len(places))
    return ranks


def _places(text: str, names: set[str]) -> dict[str, int]:
    """Return where each name first stands as a whole, -1 if nowhere: the "table" of a "coffee table" is none."""
    places = {}
    for name in sorted(names, key=lambda name: (-len(name), name)):
        at = text.find(name)
        while at >= 0 and (text[at - 1 : at].isalnum() or text[at + len(name) : at + len(name) + 1].isalnum()):
            at = text.find(name, at + 1)
        places[name] = at
        text = text.replace(name, "\0" * len(name))  # taken: shorter names are not in it
    return places


def _not_the_listing(row: Row, texts: list[str]) -> list[float]:
    """Anything but the option that repeats a list in the question word by word: VSI-Bench's is never right."""
    return [-float(", " in text and f" {text}" in row["question"]) for text in texts]


def _negative(rank: Callable[[Row, list[str]], list[float]]) -> Callable[[Row, list[str]], list[float]]:
    return lambda row, texts: [-value for value in rank(row, texts)]


def _frequent_letter(rows: Sequence[Row]) -> np.ndarray:
    count = Counter((len(_options(row)), row["ground_truth"]) for row in rows)
    return _picking(lambda row, texts: [count[len(texts), letter] for letter in LETTERS[: len(texts)]])(rows)


def _frequent_text(rows: Sequence[Row]) -> np.ndarray:
    """The option that is right most often in other rooms: in its own, every answer that occurs once would win."""
    count = Counter((_fold(row), _truth(row)) for row in rows)
    total = Counter(map(_truth, rows))
    return _picking(lambda row, texts: [total[text] - count[_fold(row), text] for text in texts])(rows)


def _learned_choice(rows: Sequence[Row]) -> np.ndarray:
    """Return how often each option was right in other rooms, and how often beside each object that the question names.

    Naive Bayes of the option's text and of (place in the question, object), with one vote of prior.
    """
    folds = [_fold(row) for row in rows]
    seen: list[Counter[tuple]] = [Counter() for _ in range(FOLDS)]
    right: list[Counter[tuple]] = [Counter() for _ in range(FOLDS)]
    features = [[_features(row, text) for text in map(option_text, _options(row))] for row in rows]
    for row, fold, of in zip(rows, folds, features):
        for k, keys in enumerate(of):
            seen[fold].update(keys)
            if k == LETTERS.index(row["ground_truth"]):
                right[fold].update(keys)
    all_seen, all_right = sum(seen, Counter()), sum(right, Counter())
    chance = len(rows) / sum(len(_options(row)) for row in rows)

    def odds(key: tuple, fold: int) -> float:
        n, wins = all_seen[key] - seen[fold][key], all_right[key] - right[fold][key]
        share = (wins + chance) / (n + 1)
        return log(share / (1 - share))

    scores = []
    for row, fold, of in zip(rows, folds, features):
        ranks = []
        for first, *more in of:
            alone = odds(first, fold)
            ranks.append(alone + sum(odds(key, fold) - alone for key in more))
        scores.append(_share(ranks, row))
    return np.array(scores)


def _features(row: Row, text: str) -> list[tuple]:
    return [(text,), *((text, k, named["category"]) for k, named in enumerate(row["objects"][:3]))]


CHOICE_GUESSERS: dict[str, Guesser] = {
    "letter": _frequent_letter,
    "frequent": _frequent_text,
    "longest": _picking(lambda row, texts: [len(text) for text in texts]),
    "shortest": _picking(lambda row, texts: [-len(text) for text in texts]),
    "alphabetical": _picking(_alphabetical),
    "reversed": _picking(_negative(_alphabetical)),
    "listing": _picking(_agreement),
    "unlike listing": _picking(_negative(_agreement)),
    "not the listing": _picking(_not_the_listing),
    "learned": _learned_choice,
}
"""Guesser of choices -> its score on each question. letter: the most frequent letter of the table; frequent: the option
that is right most often in other rooms; alphabetical and reversed: first and last in the alphabet; listing: the option
most like the order in which the question names things; learned: what was right in other rooms."""

# --- numbers ---------------------------------------------------------------------------------------------------------


def _against(answers: Sequence[str], rows: Sequence[Row]) -> np.ndarray:
    """Score of the n-th answer to the n-th question."""
    known: dict[tuple[str, str], float] = {}
    scores = []
    for answer, row in zip(answers, rows):
        key = (answer, row["ground_truth"])
        if key not in known:
            known[key] = match(answer, "number", row["ground_truth"])
        scores.append(known[key])
    return np.array(scores)


def _constant(rows: Sequence[Row]) -> np.ndarray:
    """Always the number that scores best over all of them."""
    truths = Counter(row["ground_truth"] for row in rows)
    # Beyond a few hundred different numbers neighbours do as well.
    tried = sorted(truths, key=float)[:: max(1, len(truths) // 300)]
    best = max(tried, key=lambda answer: sum(n * match(answer, "number", truth) for truth, n in truths.items()))
    return _against([best] * len(rows), rows)


def _frequent_number(rows: Sequence[Row]) -> np.ndarray:
    count = Counter(row["ground_truth"] for row in rows)
    best = min(count, key=lambda answer: (-count[answer], answer))
    return _against([best] * len(rows), rows)


def _learned_number(rows: Sequence[Row]) -> np.ndarray:
    """Return the median answer about the same objects in other rooms; about all objects where these are new."""
    folds = [_fold(row) for row in rows]
    keys = [tuple(sorted(named["category"] for named in row["objects"])) for row in rows]
    of_key: dict[tuple, list[tuple[int, float, str]]] = defaultdict(list)
    for row, fold, key in zip(rows, folds, keys):
        entry = (fold, float(row["ground_truth"]), row["ground_truth"])
        of_key[key].append(entry)
        if key:
            of_key[()].append(entry)

    medians: dict[tuple[tuple, int], str | None] = {}

    def median(key: tuple, fold: int) -> str | None:
        if (key, fold) not in medians:
            others = sorted((value, text) for other, value, text in of_key[key] if other != fold)
            medians[key, fold] = others[len(others) // 2][1] if others else None
        return medians[key, fold]

    answers = [median(key, fold) or median((), fold) or "0" for key, fold in zip(keys, folds)]
    return _against(answers, rows)


NUMBER_GUESSERS: dict[str, Guesser] = {
    "constant": _constant,
    "frequent": _frequent_number,
    "learned": _learned_number,
}
"""Guesser of numbers -> its score on each question; the constant's stands for random guessing in `measured`."""
