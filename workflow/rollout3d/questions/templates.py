"""Lettered options, and reading the fields of a text that was written with a template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from string import Formatter

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def lettered(texts: Sequence[str]) -> list[str]:
    """Return option texts with their letters: ["left", "right"] -> ["A. left", "B. right"]."""
    return [f"{letter}. {text}" for letter, text in zip(LETTERS, texts, strict=False)]


def option_text(option: str) -> str:
    """Return the text of a lettered option: "A. left" -> "left"."""
    return option.split(". ", 1)[1]


def parse(template: str, text: str) -> dict[str, str] | None:
    """Return the fields of a question that was written with `template`, None if it was not.

    Runs of blanks count as one: released files differ in the blank before a line break.
    """
    found = _pattern(template).fullmatch(" ".join(text.split()))
    return found.groupdict() if found else None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts, known = [], set()
    for literal, name, _, _ in Formatter().parse(" ".join(template.split())):
        parts.append(re.escape(literal))
        if name is not None:
            parts.append(f"(?P={name})" if name in known else f"(?P<{name}>.+?)")
            known.add(name)
    return re.compile("".join(parts))
