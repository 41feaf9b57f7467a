"""Order of the options of choice questions: where it may change, and right answers spread evenly over the letters."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import cast

from rollout3d import tables
from rollout3d.questions import types
from rollout3d.questions.templates import LETTERS, lettered, option_text
from rollout3d.seeding import generator
from rollout3d.tables.rows import QuestionRow

Row = QuestionRow

_LETTERED = re.compile(r"([A-Z])\. .*\S", re.DOTALL)
_REFERS_TO_LETTERS = re.compile(
    r"\b(?:[Oo]ptions?|[Cc]hoices?|[Aa]nswers?)\s*\(?[A-H]\b|\b[A-H]\)?\s*(?:and|or|&|,)\s*\(?[A-H]\b"
    r"|\b(?i:(?:all|none|both|neither|any|either) of (?:the )?(?:above|these|those|options|choices)"
    r"|the above|above options?|former|latter)\b"
)


def movable(row: Row) -> bool:
    """Return whether a choice question may have its options in another order without changing what it says.

    Not if an option lacks its letter or is itself a letter, or if question or options speak of letters or of places
    in the list ("both A and C", "none of the above"); and not for general data, whose pictures may show the letters.
    """
    options = row["options"]
    if not options or row["scene_id"] is None or row["ground_truth"] not in LETTERS[: len(options)]:
        return False
    if any(not (found := _LETTERED.fullmatch(o)) or found[1] != letter for o, letter in zip(options, LETTERS)):
        return False
    texts = [option_text(option) for option in options]
    if len(set(texts)) < len(texts) or any(len(text) == 1 and text.isalpha() for text in texts):
        return False
    return not any(_REFERS_TO_LETTERS.search(text) for text in (row["question"], *texts))


def reordered(row: Row, order: Sequence[int]) -> Row:
    """Return a choice question with its options in a new order: `order[k]` is the old index of the option at letter k.

    A text that lists the options (`QuestionType.lists_options`) lists them in the new order, as the benchmark does.
    Ground truth and question_id follow.
    """
    old = [option_text(option) for option in row["options"] or ()]
    new = [old[k] for k in order]
    truth = old[LETTERS.index(row["ground_truth"])]
    moved = cast(Row, row | {"options": lettered(new), "ground_truth": LETTERS[new.index(truth)]})
    of_type = types.known(row["question_type"])
    if of_type is not None and of_type.lists_options:
        moved["question"] = row["question"].replace(f"({', '.join(old)})", f"({', '.join(new)})", 1)
    moved["question_id"] = tables.question_id(moved)
    return moved


def balance_letters(rows: Sequence[Row], seed: int) -> list[Row]:
    """Return the same rows in the same order, with the right options spread evenly over the letters.

    Questions are visited by content hash; each puts its answer at the letter least used so far by its question type
    and number of options, ties broken by least used over all types, then by a seeded draw; the other options are
    shuffled. Questions that cannot be reordered (`movable`) are counted first, so that the others make up
    for them.
    """
    by_type: dict[tuple[str, int], Counter[int]] = defaultdict(Counter)
    by_number: dict[int, Counter[int]] = defaultdict(Counter)
    balanced = list(rows)
    free = []
    for k in sorted(range(len(rows)), key=lambda k: rows[k]["question_id"]):
        row = rows[k]
        if row["options"] is None:
            continue
        if movable(row):
            free.append(k)
        elif row["scene_id"] is not None:
            letter, n = LETTERS.find(row["ground_truth"]), len(row["options"])
            by_type[row["question_type"], n][letter] += 1
            by_number[n][letter] += 1
    for k in free:
        row, n = rows[k], len(rows[k]["options"] or ())
        rng = generator(seed, "letters", row["question_id"])
        mine, all_types = by_type[row["question_type"], n], by_number[n]
        tie = rng.permutation(n)
        letter = min(range(n), key=lambda place: (mine[place], all_types[place], tie[place]))
        mine[letter] += 1
        all_types[letter] += 1
        truth = LETTERS.index(row["ground_truth"])
        order = [int(other) for other in rng.permutation(n) if other != truth]
        order.insert(letter, truth)
        balanced[k] = reordered(row, order)
    return balanced
