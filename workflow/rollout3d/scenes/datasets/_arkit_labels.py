"""VSI-Bench's categories of ARKitScenes' raw labels."""

from __future__ import annotations

import re
from functools import cache

from rollout3d.scenes.categories import Labels, Meaning, not_perturbable, resource


@cache
def meanings() -> Labels:
    """Return the meanings of ARKitScenes' 17 labels; blanks, hyphens and slashes in them count as underscores."""
    categories = {row["label"]: row["category"] for row in resource("arkitscenes")}
    structure = not_perturbable()

    def meaning(label: str) -> Meaning:
        name = re.sub(r"[ \-/]", "_", label.strip().lower())
        return Meaning(categories.get(name) or None, name not in structure, name in categories or name in structure)

    return meaning
