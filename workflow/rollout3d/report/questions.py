"""The training questions in two tables: where they come from, and what their text gives away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rollout3d.config import question_types

Row = Mapping[str, Any]

FATES = ("train", "test", "dropped", "unusable", "refused")
SHOWN = 3
"""Reasons, and answers, that a line tells."""
ABOVE = 0.05
"""A rule this far above chance is marked."""


def source_lines(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A line a source: its questions by fate, and the most frequent reasons for leaving questions out."""
    lines = []
    for source in sorted({row["source"] for row in rows}, key=lambda name: (name != "generated", name)):
        fates: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for row in rows:
            if row["source"] == source:
                fates[row["fate"]] += row["n"]
                reasons[row["reason"]] += row["n"] if row["fate"] in ("dropped", "unusable") else 0
        told = "; ".join(f"{n:,} {reason}" for reason, n in reasons.most_common(SHOWN) if n)
        lines.append({"source": source, "fates": [fates[fate] for fate in FATES], "reasons": told})
    return lines


def guess_line(rows: Sequence[Row]) -> str:
    """What the text of training gives away, in a line: the types farthest above chance, from SOURCES rows."""
    known = {row["question_type"]: row for row in rows if row["text_only"] is not None}
    worst = sorted(known.values(), key=lambda row: (row["chance"] - row["text_only"], row["question_type"]))
    told = (f"{r['question_type']} {100 * r['text_only']:.1f} ({100 * r['chance']:.1f})" for r in worst[:SHOWN])
    return ", ".join(told)


def bias_lines(rows: Sequence[Row]) -> tuple[list[str], list[dict[str, Any]]]:
    """Rules in the order of the table, and a line a type: chance, the score of each rule, the most frequent answers."""
    rules = [name for name in dict.fromkeys(r["name"] for r in rows if r["measure"] == "score") if name != "chance"]
    kinds, names = {row["question_type"] for row in rows}, question_types.NAMES
    lines = []
    for kind in [*(name for name in names if name in kinds), *sorted(kinds - set(names))]:
        mine = [row for row in rows if row["question_type"] == kind]
        scores = {row["name"]: row for row in mine if row["measure"] == "score"}
        chance = scores["chance"]["value"]
        answers = [row for row in mine if row["measure"] == "answer"][:SHOWN]
        lines.append(
            {
                "kind": kind,
                "n": scores["chance"]["n"],
                "chance": 100 * chance,
                "scores": {name: 100 * row["value"] for name, row in scores.items()},
                "marked": {name for name, row in scores.items() if row["value"] > chance + ABOVE},
                "answers": ", ".join(f"{row['name']} ({100 * row['value']:.0f} %)" for row in answers),
            }
        )
    return rules, lines
