"""Read the cognitive map that a model wrote, and score it against the ground truth, 0 to 1.

Sources: SpaceR, section 4.2 and equation 4 (`paper`); its release, as others describe it (`code`: CC BY-NC 4.0, no text
or code of it is here).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any

from rollout3d.geometry.gridmap import CognitiveMap

GRID = 10
"""M of equation 4: number of columns and rows of a map. [SpaceR, Section 5.1]"""
OPENING, CLOSING = "<map>", "</map>"
MOST_CHARACTERS = 20_000
"""Characters of a map that are read, several times what 1,024 tokens hold."""
FAR = 1_000_000
"""Coordinates beyond this count as this, which lies outside every grid."""

_Cells = Sequence[Sequence[int]]
_Accuracy = Callable[[_Cells, _Cells, float], float]
"""Predicted cells, true cells, distance that earns 0 -> accuracy of one category, 0 to 1."""

_WORD_TO_WORD = re.compile(r"\w(?:.*\w)?", re.DOTALL)
_NUMBER = r"(?<![\w.])[-+]?[0-9]{1,9}(?:\.[0-9]*)?"
_NUMBERS = re.compile(_NUMBER)
_PAIR = re.compile(rf"({_NUMBER})\s*,\s*({_NUMBER})")
_LAST_COMMA = re.compile(r",(?=\s*[\]}])")
_QUOTES_AND_BRACKETS = str.maketrans({"'": '"', "(": "[", ")": "]"})


def map_text(text: str) -> str | None:
    """Return what stands in the first `<map>` tag; None without a tag that is closed."""
    start = text.find(OPENING)
    end = text.find(CLOSING, start)
    return None if start < 0 or end < 0 else text[start + len(OPENING) : end][:MOST_CHARACTERS]


def read_map(text: str, categories: Collection[str]) -> dict[str, list[tuple[int, int]]]:
    """Return the cells that the text of a map gives to `categories`, the only ones that are read; {} if it gives none.

    A dictionary is read as one, whether written as JSON or as Python has it: keys in lower case without what is no word
    at their edges; a cell is a list, tuple or text of at least two numbers, of which the first two count, without
    decimals. A single cell may stand without a list around it (ours). In any other text each category is looked for as
    a whole word, the longest name first, and has the pairs "3,5" up to the next category. Never raises; the time grows
    with the length of the text, of which `MOST_CHARACTERS` count.
    """
    text, wanted = text[:MOST_CHARACTERS], {_name(category) for category in categories}
    written = _dictionary(text)
    if written is None:
        return _by_names(text, wanted)
    found: dict[str, list[tuple[int, int]]] = {}
    for key, value in written.items():
        name = _name(key)
        if name in wanted and (cells := _cells(value)):
            found[name] = found.get(name, []) + cells
    return found


def paper_score(predicted: CognitiveMap, truth: CognitiveMap, grid: int = GRID) -> float:
    """Return R_map of equation 4: the mean of 1 - d / (sqrt(2) M) over all objects, d in cells, M = `grid`.

    Equation 4 has one distance per category, weighted by its number of objects n_i, and leaves open which of several
    instances is compared with which. Ours: those that make the sum of distances smallest (optimal assignment). Objects
    that the map lacks earn 0. The equation counts nothing for objects that are too many, which would reward a map that
    lists every cell; here only the first n_i of a category are read, so that the others neither cost nor earn.
    """
    return _weighted(predicted, truth, grid, _assigned)


def code_score(predicted: CognitiveMap, truth: CognitiveMap, grid: int = GRID) -> float:
    """Return the score of SpaceR's release: equation 4 by instances, with a penalty for a wrong number of them.

    In each category the closest pair is matched first, then the closest of what is left. The sum of
    max(0, 1 - d / (sqrt(2) M)) over the pairs, d in cells, is divided by the number of predicted or of true instances,
    whichever is larger. Categories are weighted by the number of true ones: those that the scene lacks cost nothing.
    """
    return _weighted(predicted, truth, grid, _closest_first)


def _weighted(predicted: CognitiveMap, truth: CognitiveMap, grid: int, accuracy: _Accuracy) -> float:
    """Return the mean accuracy of the categories of the truth, weighted by their number of instances."""
    total = sum(map(len, truth.values()))
    if not total:
        return 0.0
    reach = grid * math.sqrt(2)
    named = {_name(category): cells for category, cells in predicted.items()}
    each = ((named.get(_name(category)), cells) for category, cells in truth.items())
    return sum(accuracy(cells, true, reach) * len(true) for cells, true in each if cells and true) / total


def _assigned(cells: _Cells, truth: _Cells, reach: float) -> float:
    """Return the mean accuracy over true instances under the assignment of least distance."""
    # Clipped first: what lies beyond the grid earns 0 and must not decide where the others go.
    costs = [[min(math.dist(cell, true) / reach, 1.0) for true in truth] for cell in cells[: len(truth)]]
    if len(costs) == 1:
        return (1 - min(costs[0])) / len(truth)
    # Imported late: SciPy is slow to import, and most runs score no maps.
    from scipy.optimize import linear_sum_assignment

    return sum(1 - costs[i][j] for i, j in zip(*linear_sum_assignment(costs), strict=True)) / len(truth)


def _closest_first(cells: _Cells, truth: _Cells, reach: float) -> float:
    """Return the accuracy of the pairs that are matched closest first, over the larger number of instances."""
    # Squared distances of integer cells are exact, so that ties are ties: the pair listed first wins.
    pairs = sorted(
        ((x - u) ** 2 + (y - v) ** 2, i, j) for i, (x, y) in enumerate(cells) for j, (u, v) in enumerate(truth)
    )
    free_cells, free_truth, gained = set(range(len(cells))), set(range(len(truth))), 0.0
    for squared, i, j in pairs:
        if i in free_cells and j in free_truth:
            free_cells.remove(i)
            free_truth.remove(j)
            gained += max(0.0, 1 - math.sqrt(squared) / reach)
            if not free_truth or not free_cells:
                break
    return gained / max(len(cells), len(truth))


@lru_cache(maxsize=4096)
def _name(key: str) -> str:
    """Return a category's name in lower case, without what is no letter, digit or underscore at its edges."""
    found = _WORD_TO_WORD.search(key.lower())
    return found[0] if found else ""


def _dictionary(text: str) -> dict[str, Any] | None:
    """Return the dictionary that a text is, as JSON or in Python's form; None for any other text.

    JSON's parser does it: it is bounded in depth and linear in time, which Python's own is not.
    """
    text = text.strip().removeprefix("str").strip()
    if '"' not in text:
        text = text.translate(_QUOTES_AND_BRACKETS)
    elif "(" in text:
        text = text.replace("(", "[").replace(")", "]")
    try:
        found = json.loads(_LAST_COMMA.sub("", text))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _cells(value: object) -> list[tuple[int, int]]:
    """Return the cells of a value: a list of cells, or one cell."""
    if (cell := _cell(value)) is not None:
        return [cell]
    return [cell for item in value if (cell := _cell(item)) is not None] if isinstance(value, list) else []


def _cell(value: object) -> tuple[int, int] | None:
    """Return the first two numbers of a list or text; None if there are fewer."""
    numbers = _NUMBERS.findall(value) if isinstance(value, str) else value
    if not isinstance(numbers, list) or len(numbers) < 2:
        return None
    column, row = map(_coordinate, numbers[:2])
    return None if column is None or row is None else (column, row)


def _coordinate(value: object) -> int | None:
    """Return a number without its decimals, within `FAR`; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else int(min(max(number, -FAR), FAR))


def _by_names(text: str, names: Collection[str]) -> dict[str, list[tuple[int, int]]]:
    """Return the pairs of numbers that stand behind each name, up to the next one."""
    pattern = _any_of(tuple(sorted(filter(None, names))))
    found: dict[str, list[tuple[int, int]]] = {}
    if pattern is None:
        return found
    places = list(pattern.finditer(text))
    for place, end in zip(places, [*(after.start() for after in places[1:]), len(text)], strict=False):
        cells = [cell for pair in _PAIR.findall(text, place.end(), end) if (cell := _cell(list(pair))) is not None]
        if cells:
            name = _name(place[0])
            found[name] = found.get(name, []) + cells
    return found


@lru_cache(maxsize=256)
def _any_of(names: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return the pattern of any of the names as a whole word, the longest first; None without names."""
    each = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.compile(rf"(?<!\w)(?:{each})(?!\w)", re.IGNORECASE) if each else None
