"""Lineage of a file, digests of values, and the errors of tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

LINEAGE_KEY = b"rollout3d"
"""Key of the file metadata entry that holds the lineage as canonical JSON."""


class TableError(ValueError):
    """A file that is not what its table declares, or cannot be written; the message names the file and the remedy."""


class RowError(TableError):
    """A row that is not what its table declares: a fault of the code that made it, which no user can mend."""


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text (NaN is refused)."""
    if type(value) is float and isfinite(value):
        return repr(value)  # what the encoder writes, without setting one up
    return _CANONICAL.encode(value)


def digest(value: Any) -> str:
    """sha256 (hex) of bytes, or of the canonical JSON of anything else."""
    data = value if isinstance(value, bytes) else canonical_json(value).encode()
    return hashlib.sha256(data).hexdigest()


def question_id(row: Mapping[str, Any]) -> str:
    """Content hash of a question: 16 hex digits of what makes it a different question."""
    keys = ("dataset", "scene_id", "question_type", "question", "options", "ground_truth")
    return digest([row[k] for k in keys])[:16]


@dataclass(frozen=True)
class Lineage:
    """Where a file came from: stage, digest of its own configuration, digest of its code, parents' contents."""

    stage: str
    config: str = ""
    code: str = ""
    parents: tuple[tuple[str, str], ...] = ()

    @property
    def identity(self) -> str:
        """Digest of what decides the result: stage, configuration and parents' contents. Code stands beside it."""
        return digest([self.stage, self.config, list(self.parents)])[:32]

    def as_dict(self) -> dict[str, Any]:
        return {"stage": self.stage, "config": self.config, "code": self.code, "parents": dict(self.parents)}
