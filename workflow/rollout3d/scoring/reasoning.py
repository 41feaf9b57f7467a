"""Measures of a written thought: its length in tokens, and how often it names a place or a direction. Pure.

Source: SpaceR, Tables 3 and 4 (Appendix C.1 and C.2), which report "average token count of thinking process" and
"spatial word frequency (per sample)". Neither rule was released.
"""

from __future__ import annotations

import re

_THOUGHT = re.compile(r"<think>(.*?)(?:</think>|\Z)", re.DOTALL)
_WORD = re.compile(r"[a-z]+")

SPATIAL_WORDS = frozenset(
    _WORD.findall(
        """
        above across adjacent ahead along alongside around away back backward behind below beneath beside between beyond
        bottom center centre close closer closest corner distance distant facing far farther farthest forward front
        further furthest inside left leftmost middle near nearby nearer nearest opposite outside right rightmost top
        toward towards under underneath
        """
    )
)
"""Words that count as spatial. SpaceR (Appendix C.2) names near, behind and far, "and other spatial related terms". The
others are ours: words for a place or a direction that need no second word. Words that mostly say something else (in,
on, at, over, next, up, down) do not count. Left and right count in any sense."""


def thought(text: str) -> str | None:
    """Return what stands in the first `<think>` tag, without its tags; None without one.

    An open tag goes to the end: the answer was cut at the maximum length.
    """
    found = _THOUGHT.search(text)
    return found.group(1) if found else None


def thought_tokens(text: str, n_tokens: int) -> float:
    """Return the number of tokens of the thought in a completion of `n_tokens` tokens; 0 without a thought.

    Predictions hold no tokens, so this is the thought's share of the characters, without tags, times `n_tokens`. What
    surrounds a thought of hundreds of tokens is about twenty. SpaceR leaves open whether tags count.
    """
    found = thought(text)
    return n_tokens * len(found) / len(text) if found else 0.0


def spatial_words(text: str) -> int:
    """Count the words of `SPATIAL_WORDS` in a completion, thought and answer alike; case does not matter."""
    return sum(word in SPATIAL_WORDS for word in _WORD.findall(text.lower()))
