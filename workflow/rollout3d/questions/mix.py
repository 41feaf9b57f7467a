"""The mix of question types in training: what its names mean, and what comes out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

from rollout3d.questions.counts import BENCHMARK
from rollout3d.questions.select import shares_of
from rollout3d.tables.rows import QuestionRow

Row = QuestionRow
Guess = tuple[float, str, float]
"""Score of random guessing, the rule that guesses best from the text alone, and its score, each 0 to 1."""


def shares(mix: str | Mapping[Any, float]) -> dict[str, Any]:
    """Return the shares that `questions.mix` asks for, by question type; none are named by "paper"."""
    if isinstance(mix, str):
        whole = sum(BENCHMARK.values())
        return {"paper": {}, "benchmark": {kind: Fraction(n, whole) for kind, n in BENCHMARK.items()}}[mix]
    return dict(mix)


def problems(rows: Sequence[Row], total: int | None, mix: str | Mapping[Any, float]) -> list[str]:
    """Sentences on why a mix cannot be had of `rows`: types without a row, and the type that binds below `total`."""
    asked, counts = shares(mix), Counter(row["question_type"] for row in rows)
    name = f"questions.mix ({mix if isinstance(mix, str) else 'shares'})"
    missing = [kind for kind in asked if not counts[kind]]
    said = []
    if missing:
        said.append(
            f"{name}: no question of {', '.join(missing)} is left to train on, so the other types share its part"
        )
    exact = {kind: share for kind, share in shares_of(counts, asked).items() if kind in asked}
    reach = {kind: floor(counts[kind] / share) for kind, share in exact.items()}
    if not reach or (total is not None and min(reach.values()) >= total):
        return said
    most = min(reach.values())
    for kind in sorted((k for k in reach if reach[k] < (total or most + 1)), key=lambda k: (reach[k], k)):
        scans = Counter(row["scene_id"] for row in rows if row["question_type"] == kind)
        binds = "binds" if reach[kind] == most else "is short, too"
        wanted = f", {ceil(exact[kind] * total):,} are wanted of {total:,}" if total else ""
        said.append(
            f"{name}: {kind} {binds}: {counts[kind]:,} questions are left ({len(scans):,} scans with at most "
            f"{max(scans.values()):,}), and its share is {100 * float(exact[kind]):.1f} %{wanted}"
        )
    if total is None:
        said.append(f"{name}: {most:,} questions remain at these shares")
    else:
        said.append(
            f"{name}: {most:,} questions remain at exactly these shares (questions.total: null keeps them); "
            f"now the other types fill up to questions.total = {total:,}"
        )
    return said


def too_few_general(found: int, wanted: int, total: int) -> str:
    """Return a line that training has fewer general questions than `external.general` asks for, with the remedy."""
    return (
        f"general data: {found:,} questions of {wanted:,} (external.general), so the training table is smaller: "
        f"{total:,} questions. Name the released file in site.external, such as video_r1: Video-R1-260k.json, with its "
        "pictures and videos beside it"
    )


def lines(train: Sequence[Row], guesses: Mapping[str, Guess], title: str) -> list[str]:
    """Return a table in text of what trains: per question type its share, scans, and what the text alone gives away."""
    of_type: dict[str, Counter[Any]] = {}
    for row in train:
        of_type.setdefault(row["question_type"], Counter())[row["scene_id"]] += 1
    per_scan = Counter(row["scene_id"] for row in train if row["scene_id"] is not None).values()
    spread = f" of {len(per_scan):,} scans, {min(per_scan)} to {max(per_scan)} per scan" if per_scan else ""
    found = [f"{title}: {len(train):,} questions{spread}"]
    found.append(f"  {'type':<28}{'n':>8}{'share %':>9}{'scans':>8}{'per scan':>10}   text alone %, chance %")
    for kind, scans in sorted(of_type.items(), key=lambda item: (-item[1].total(), item[0])):
        n, guess = scans.total(), ""
        if kind in guesses:
            chance, rule, score = guesses[kind]
            guess = f"{100 * score:.1f} ({rule}), {100 * chance:.1f}"
        known = [k for scan, k in scans.items() if scan is not None]
        spread = f"{min(known)}-{max(known)}" if known else "-"
        found.append(f"  {kind:<28}{n:>8,}{100 * n / len(train):>9.1f}{len(known):>8,}{spread:>10}   {guess}")
    return found
