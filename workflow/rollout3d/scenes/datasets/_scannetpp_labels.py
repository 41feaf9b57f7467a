"""VSI-Bench's categories of ScanNet++'s raw labels, by the renaming of ScanNet++'s semantic benchmark."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from rollout3d.scenes.categories import Labels, Meaning, not_perturbable, plain, resource
from rollout3d.scenes.lists import read_table


@cache
def meanings(benchmark_map: Path | None) -> Labels:
    """Return the meanings of ScanNet++'s raw labels.

    The renaming of ScanNet++'s semantic benchmark, if its file is there, applies before VSI-Bench's list.

    `benchmark_map`: metadata/semantic_benchmark/map_benchmark.csv (class, instance_map_to: empty = keep, None = drop).
    It lists every raw label; without it, all labels outside of VSI-Bench's list are unknown. Raises `MissingData` for a
    file without these columns or without rows.
    """
    categories = {row["label"]: row["category"] for row in resource("scannetpp")}
    renamed: dict[str, str] = {}
    known = {*categories, *not_perturbable()}
    if benchmark_map is not None:
        for row in read_table(benchmark_map, ("class", "instance_map_to")):
            known.add(plain(row["class"]))
            target = row["instance_map_to"]
            if target:
                renamed[plain(row["class"])] = "" if target == "None" else plain(target)
    structure = not_perturbable()

    def meaning(label: str) -> Meaning:
        name = plain(label)
        return Meaning(categories.get(renamed.get(name, name)) or None, name not in structure, name in known)

    return meaning
