"""Names and digests of the wordings that a model may be asked with. Needs no torch, so that scoring can read it."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Literal

from rollout3d.resources import shipped

DIRECTORY = shipped("resources/prompts")

Style = Literal["direct", "think"]


def wording_name(style: Style, think: str | None) -> str:
    """Name of the file of `resources/prompts` that a style uses, without .txt; `think` names the wording of think."""
    return "direct" if style == "direct" else f"think_{think}"


@cache
def wording_digest(name: str) -> str:
    """First 16 hex digits of the sha256 of `resources/prompts/NAME.txt`, as the lineage of results has it."""
    return hashlib.sha256((DIRECTORY / f"{name}.txt").read_bytes()).hexdigest()[:16]
