"""Names and digests of the wordings of questions. Needs no torch, so that scoring can use it."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Literal

from rollout3d.resources import shipped

DIRECTORY = shipped("resources/prompts")

Style = Literal["direct", "think"]


def wording_name(style: Style, think: str | None) -> str:
    """Return the name, without .txt, of the file of `resources/prompts` that a style uses; `think`: of style think."""
    return "direct" if style == "direct" else f"think_{think}"


@cache
def wording_digest(name: str) -> str:
    """Return the first 16 hex digits of the sha256 of `resources/prompts/NAME.txt`, as lineages have it."""
    return hashlib.sha256((DIRECTORY / f"{name}.txt").read_bytes()).hexdigest()[:16]
