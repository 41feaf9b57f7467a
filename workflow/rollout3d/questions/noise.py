"""Noise objects: names that stand for no single thing (SpaceR, Appendix A, Data Filtering)."""

from __future__ import annotations

import re

NOISE = frozenset(
    [
        "wall",
        "floor",
        "ceiling",
        "object",
        "otherfurniture",
        "otherprop",
        "otherstructure",
        "doorframe",
        "unknown",
        "split",
        "remove",
    ]
)
"""Names, without blanks and signs, that stand for no single thing. [SpaceR, data filtering; its early rows]"""


def is_noise(name: str) -> bool:
    """Return whether a name stands for no single thing: "wall", "the walls", "Door frame", "object(s)"."""
    plain = plain_name(name)
    return plain in NOISE or plain.removesuffix("s") in NOISE


def plain_name(name: str) -> str:
    """Return a name without article, plural sign, blanks and other signs: "the Door frame(s)" -> "doorframe"."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^(?:the|an?)\s+", "", name.lower().replace("(s)", "").strip()))
