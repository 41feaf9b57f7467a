"""The evidence of a question: canonical JSON of the geometry that its answer came from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rollout3d import tables


class Json(str):
    """Canonical JSON of a value that many rows share: encoded once per scene, not once per row."""


def joined(evidence: Mapping[str, Any]) -> str:
    """Return the canonical JSON of an object, of which some values are JSON already."""
    texts = {key: value if isinstance(value, Json) else tables.canonical_json(value) for key, value in evidence.items()}
    return "{" + ",".join(f'"{key}":{texts[key]}' for key in sorted(texts)) + "}"


def rounded(values: Iterable[float], digits: int = 3) -> list[float]:
    """Return plain floats rounded to `digits` decimals, never -0.0."""
    return [round(float(value), digits) + 0.0 for value in values]


def approximations(texts: Iterable[str]) -> Iterator[str]:
    """Yield the entry `approximate` of each evidence that has one: what stands in for data of a paper's rule."""
    for text in texts:
        what = json.loads(text).get("approximate")
        if what is not None:
            yield what
