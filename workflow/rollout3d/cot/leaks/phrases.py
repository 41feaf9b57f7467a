"""Phrases of the leak rules: patterns with the reason for them, and the words that both kinds of rules share."""

from __future__ import annotations

import re
from dataclasses import dataclass

MASK = " _ "
"""Stands for an innocent phrase that was taken out of a sentence."""

LETTER = r"(?-i:[A-F])\b(?!')"
"""Letter of an option."""
NUMBER = r"\d+(?:[.,]\d+)?"
QUOTED = r"[\"'][\w -]+[\"']"
WORD = r"(?:[\w'/-]+\s+)"
"""One word with the space after it."""


@dataclass(frozen=True)
class Phrase:
    """A compiled pattern, and `why` it is a rule.

    `last_only`: it counts only in the last of several sentences, where conclusions stand. `introduces`: things that
    later sentences may name without suspicion once this phrase was found.
    """

    why: str
    pattern: re.Pattern[str]
    last_only: bool = False
    introduces: re.Pattern[str] | None = None


def phrase(why: str, *patterns: str, last_only: bool = False, introduces: str | None = None) -> Phrase:
    """Return a phrase that matches any of `patterns`, whatever the case of letters."""
    again = re.compile(introduces, re.IGNORECASE) if introduces else None
    return Phrase(why, re.compile(any_of(*patterns), re.IGNORECASE), last_only, again)


def any_of(*patterns: str) -> str:
    """Return a group that matches any of `patterns`."""
    return "(?:" + "|".join(patterns) + ")"
