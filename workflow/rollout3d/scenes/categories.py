"""Raw labels to VSI-Bench categories, and which objects may be perturbed with noise.

The lists are data: resources/categories/. Names are not harmonised across datasets ("trash bin" in ScanNet, "trash
can" in ScanNet++), because VSI-Bench does not harmonise them. No question is about a label without a category. The
object stays perturbable unless it is structure (wall, floor, ceiling) or a mark of the annotators (split, remove). A
label that no list of the release explains is treated in the same way and counted in the log, because a list may have
been misread.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import NamedTuple

from rollout3d.resources import shipped

RESOURCES = shipped("resources/categories")


class Meaning(NamedTuple):
    """Meaning of a raw label. `known` is false for labels that no list of the release explains."""

    category: str | None
    perturbable: bool
    known: bool = True


Labels = Callable[[str], Meaning]
"""Function from a raw label to its meaning: each dataset has its own."""


def plain(label: str) -> str:
    """Return a label in lower case, with single blanks between its words."""
    return " ".join(label.lower().split())


def not_perturbable() -> frozenset[str]:
    """Return the raw labels, of any dataset, whose objects are structure or marks of the annotators."""
    return frozenset(row["label"] for row in resource("not_perturbable"))


def resource(name: str) -> list[dict[str, str]]:
    """Return the rows of a list in resources/categories/."""
    with open(RESOURCES / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))
