"""Names and digests of the wordings of questions. Needs no torch, so that scoring can use it.

A wording is a file of `resources/prompts`: `direct`, `direct_NAME` for a benchmark with a published prompt of its own,
or `think_NAME`. One that offers a map is named with its grid size: `think_map15` is `think_map.txt` at 15 x 15 cells. A
prompt that gives a map (`evaluation.given_map`) says which behind a plus sign: `think_map10+ground_truth_map`.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Literal

from rollout3d import doors
from rollout3d.config import Prompts
from rollout3d.config.evaluation import GIVEN_MAP_WORDS, shows_scans
from rollout3d.resources import shipped

DIRECTORY = shipped("resources/prompts")

Style = Literal["direct", "think"]
DIRECT = "direct"
"""Wording of direct answers, VSI-Bench's; names of others begin with it."""

ALL = "all things"
"""What a map prompt has in place of a list of categories, where its map may have any."""

_MAP = re.compile(rf"think_({'|'.join(Prompts.GENERAL)})([1-9]\d*)")


def wording_name(style: Style, think: str | None, given_map: str = "none", benchmark: str | None = None) -> str:
    """Return the name of the wording that a style uses; `think`: of style think (`config.Prompts.wording`).

    `given_map`: the map that the prompt gives, as of `evaluation.given_map`. `benchmark`: where it is asked: its file
    may name a wording of direct answers (`PROMPT`), and one that is not about scans of rooms offers no map.
    """
    if style == "direct":
        return doors.BENCHMARKS.constant(benchmark, "PROMPT", DIRECT) if benchmark else DIRECT
    name = f"think_{think}" if shows_scans(benchmark) else general_wording(f"think_{think}")
    return name if given_map == "none" else f"{name}+{given_map}_map"


def is_direct(name: str) -> bool:
    """Return whether a wording asks for the answer alone."""
    return name.partition("_")[0] == DIRECT


def map_grid(name: str) -> int | None:
    """Return M, the grid size, of a wording that offers a cognitive map; None for the others."""
    found = _MAP.fullmatch(name)
    return int(found[2]) if found else None


def wording_file(name: str) -> str:
    """Return the name of a wording's file in `DIRECTORY`."""
    name = name.partition("+")[0]
    found = _MAP.fullmatch(name)
    return f"think_{found[1]}.txt" if found else f"{name}.txt"


@cache
def listed_categories(name: str) -> tuple[str, ...]:
    """Return the categories that the map prompt of a wording lists, the only ones that its map may have; none of a
    wording that offers no map, or asks for `ALL`."""
    if map_grid(name.partition("+")[0]) is None:
        return ()
    listed = sections(DIRECTORY / wording_file(name))["categories"]
    return () if listed == ALL else tuple(each.strip() for each in listed.split(","))


def sections(path: Path) -> dict[str, str]:
    """Return the sections of a wording's file: name -> text."""
    pieces = re.split(r"^== (\w+) ==\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {key: body.removesuffix("\n") for key, body in zip(pieces[1::2], pieces[2::2], strict=True)}


def general_wording(name: str) -> str:
    """Return the wording of questions that are not about scans, where those about scans have the wording `name`."""
    found = _MAP.fullmatch(name)
    return f"think_{Prompts.GENERAL[found[1]]}" if found else name


@cache
def wording_digest(name: str) -> str:
    """Return the first 16 hex digits of the sha256 of the wording's file, as lineages have it.

    Of the map prompt both files count: its own, and that of questions that are not about scans. So does the file of the
    words around a map that is given.
    """
    name, _, given = name.partition("+")
    files = [wording_file(name), wording_file(general_wording(name)), *([GIVEN_MAP_WORDS] if given else [])]
    return hashlib.sha256(b"".join((DIRECTORY / file).read_bytes() for file in dict.fromkeys(files))).hexdigest()[:16]
