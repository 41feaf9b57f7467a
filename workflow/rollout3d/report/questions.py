"""Two tables on the training questions: their sources, and scores of guessing from their text alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rollout3d.config import question_types

Row = Mapping[str, Any]

FATES = ("train", "test", "dropped", "unusable", "refused")
SHOWN = 3
"""Number of the most frequent reasons, or answers, that a line lists."""
ABOVE = 0.05
"""Score above random guessing, 0 to 1, from which a guessing rule is marked. [assumed]"""


def source_lines(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a line per source: its questions by fate, and the most frequent reasons for leaving questions out."""
    lines = []
    for source in sorted({row["source"] for row in rows}, key=lambda name: (name != "generated", name)):
        fates: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for row in rows:
            if row["source"] == source:
                fates[row["fate"]] += row["n"]
                reasons[row["reason"]] += row["n"] if row["fate"] in ("dropped", "unusable") else 0
        listing = "; ".join(f"{n:,} {reason}" for reason, n in reasons.most_common(SHOWN) if n)
        lines.append({"source": source, "fates": [fates[fate] for fate in FATES], "reasons": listing})
    return lines


def guess_line(rows: Sequence[Row]) -> str:
    """Return one line on guessing from the text alone: the question types whose rules score farthest above random
    guessing."""
    known = {row["question_type"]: row for row in rows if row["text_only"] is not None}
    worst = sorted(known.values(), key=lambda row: (row["chance"] - row["text_only"], row["question_type"]))
    listing = (f"{r['question_type']} {100 * r['text_only']:.1f} ({100 * r['chance']:.1f})" for r in worst[:SHOWN])
    return ", ".join(listing)


def bias_lines(rows: Sequence[Row]) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the guessing rules, and per question type the scores of random guessing and of each rule, in percent."""
    rules = [name for name in dict.fromkeys(r["name"] for r in rows if r["measure"] == "score") if name != "chance"]
    found, names = {row["question_type"] for row in rows}, question_types.NAMES
    lines = []
    for of_type in [*(name for name in names if name in found), *sorted(found - set(names))]:
        mine = [row for row in rows if row["question_type"] == of_type]
        scores = {row["name"]: row for row in mine if row["measure"] == "score"}
        chance = scores["chance"]["value"]
        answers = [row for row in mine if row["measure"] == "answer"][:SHOWN]
        lines.append(
            {
                "type": of_type,
                "n": scores["chance"]["n"],
                "chance": 100 * chance,
                "scores": {name: 100 * row["value"] for name, row in scores.items()},
                "marked": {name for name, row in scores.items() if row["value"] > chance + ABOVE},
                "answers": ", ".join(f"{row['name']} ({100 * row['value']:.0f} %)" for row in answers),
            }
        )
    return rules, lines
