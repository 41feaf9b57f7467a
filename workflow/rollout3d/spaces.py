"""What a physical space is: the one definition, for splits, shards, leak guard, benchmarks and intervals.

Two scans of one space show the same room, so they must not stand on both sides of a split. ScanNet's name tells the
space: scene0000_01 is the second scan of scene0000. ARKitScenes has a table of visits: all videos of a visit show one
flat. A ScanNet++ scan is a space of its own.
"""

from __future__ import annotations

import re

_TAKE = re.compile(r"_\d+$")
_WHOLE_FLOAT = re.compile(r"(\d+)\.0+")
_UNKNOWN = frozenset({"", "na", "n/a", "nan", "none", "null", "-"})


def space_of(dataset: str, scene_id: str, visit: str | None = None) -> str:
    """Return the physical space of a scan: `visit` if it names one, else what the scan's name tells.

    `visit` is ARKitScenes' visit_id as its tables have it; see `visit_of`. Without one an ARKitScenes video counts as
    a space of its own, which keeps no other video of its visit away.
    """
    if dataset == "scannet":
        return _TAKE.sub("", scene_id)
    known = visit_of(visit) if dataset == "arkitscenes" else None
    return known or scene_id


def visit_of(text: str | None) -> str | None:
    """Return a visit_id in its one spelling; None if the cell names none.

    Tables that went through a spreadsheet or pandas spell 420673 as "420673.0", and an unknown visit as "NA" or "nan".
    """
    plain = (text or "").strip()
    if plain.lower() in _UNKNOWN:
        return None
    found = _WHOLE_FLOAT.fullmatch(plain)
    return found[1] if found else plain
