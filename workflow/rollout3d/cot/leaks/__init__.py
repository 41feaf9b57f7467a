"""Find leaks in a text that the student will learn: traces of the map or the answer that only the teacher was given.

The teacher sees a plan of the room beside the video, and the correct answer; the student sees the video alone. A text
that reads from the plan, or reasons from the answer, teaches the student to invent both. Talk about the room must pass,
even in the same words: a map on the wall, a view from the top of the stairs, "so the correct option is B".

Each sentence first loses its innocent phrases (`INNOCENT` of `maps` and `answers`), then is searched for phrases that
betray something (`LEAKS`). The rules are ours, written for how GPT-4o reasons; they were measured on labelled sentences
that somebody wrote without them (tests/cot/leaks_heldout.tsv). English only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rollout3d.cot.leaks import answers, maps
from rollout3d.cot.leaks.phrases import MASK, Phrase
from rollout3d.tables.rows import QuestionRow

_RULES = (
    ("speaks of a given answer", answers),
    ("speaks of the map, which the student does not see", maps),
)
"""Name of each kind of leak, as users read it, and its rules."""

_PLAIN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "‑": "-", "–": "-", "—": "-"} | dict.fromkeys("*_`"))
_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][)\"']))\s+(?=[A-Z\"'(])|\n+")


@dataclass(frozen=True)
class Leak:
    """A leak in a text: its `kind`, and the `words` that show it."""

    kind: str
    words: str

    def __str__(self) -> str:
        return f'{self.kind}: "{self.words}"'


def find_leak(text: str) -> Leak | None:
    """Return the first leak of `text`, answers before maps; None if no rule finds one."""
    for kind, rules in _RULES:
        for sentence in _masked(text, rules.INNOCENT):
            for phrase in rules.LEAKS:
                found = phrase.pattern.search(sentence)
                if found:
                    return Leak(kind, " ".join(found.group(0).split()))
    return None


def undecided(text: str, row: QuestionRow) -> str | None:
    """Return the words of `text` that may be a leak although no rule finds one; None if there are none.

    Beside words from both vocabularies, the answer of a number question in the first of several sentences counts: an
    estimate comes at the end. None, too, for a text with a leak, which is decided.
    """
    if find_leak(text):
        return None
    words = []
    for _, rules in _RULES:
        for sentence in _masked(text, rules.INNOCENT):
            words += rules.DOUBTFUL.findall(sentence)
    first, *rest = sentences(text)
    truth = row["ground_truth"]
    if rest and row["answer_type"] == "number" and re.search(rf"(?<![\d.]){re.escape(truth)}(?!\.?\d)", first):
        words.append(truth)
    return ", ".join(dict.fromkeys(words)) or None


def sentences(text: str) -> list[str]:
    """Split a text into sentences, with plain quotes, dashes and no emphasis; at least one."""
    found = [part.strip() for part in _END.split(text.translate(_PLAIN)) if part and part.strip()]
    return found or [""]


def _masked(text: str, innocent: tuple[Phrase, ...]) -> list[str]:
    """Return the sentences of `text` without their innocent phrases.

    Something introduced as a thing of the room ("a map of the world hangs here") may be named again in later sentences.
    """
    masked, known = [], []
    parts = sentences(text)
    for n, sentence in enumerate(parts):
        for phrase in innocent:
            if phrase.last_only and (n == 0 or n + 1 < len(parts)):
                continue
            sentence, n_found = phrase.pattern.subn(MASK, sentence)
            if n_found and phrase.introduces:
                known.append(phrase.introduces)
        for again in known:
            sentence = again.sub(MASK, sentence)
        masked.append(sentence)
    return masked
