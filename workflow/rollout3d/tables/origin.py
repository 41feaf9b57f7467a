"""Lineage of a file, digests of values, and the errors of tables."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from rollout3d.errors import UserError

LINEAGE_KEY = b"rollout3d"
"""Key of the file metadata entry that holds the lineage as canonical JSON."""


class TableError(UserError, ValueError):
    """A file that is not what its table declares, or cannot be written; the message names the file and the remedy."""


class RowError(ValueError):
    """A row that is not what its table declares: a fault of the code that made it, so not a UserError."""


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
    """The origin of a result: its stage, what decided it, and the digests of its inputs."""

    stage: str
    values: Mapping[str, Any] = field(default_factory=dict)
    """What decided it, its parents excluded: keys of the configuration, fields of the run's row (`run.steps`), digests
    of prompts (`prompts/direct.txt`), as JSON values."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Keys that change it by rounding at most (`config.keys.NO_EFFECT`), or record what older code did."""
    code: str = ""
    """Digest of the code that was run."""
    parents: tuple[tuple[str, str], ...] = ()
    """Name of each input -> digest of its content, sorted."""

    @property
    def identity(self) -> str:
        """Digest of what decides the result: stage, values, parents' contents. Settings and code are not part of it."""
        return digest([self.stage, dict(self.values), [list(parent) for parent in self.parents]])[:32]

    def as_dict(self) -> dict[str, Any]:
        """The lineage as JSON values, as files hold it."""
        return {
            "stage": self.stage,
            "values": dict(self.values),
            "settings": dict(self.settings),
            "code": self.code,
            "parents": dict(self.parents),
        }

    @classmethod
    def from_dict(cls, about: Mapping[str, Any]) -> Lineage:
        """The lineage from a result of `as_dict`; other keys are ignored, missing ones are empty."""
        parents = tuple(sorted(about.get("parents", {}).items()))
        return cls(
            about.get("stage", ""), about.get("values", {}), about.get("settings", {}), about.get("code", ""), parents
        )


_PAGE = re.compile(r'<meta name="rollout3d" content="([^"]*)">')


def with_lineage(page: str, lineage: Lineage) -> str:
    """A page (HTML) that holds its lineage in its head, where `lineage_of_page` finds it."""
    tag = f'<meta name="rollout3d" content="{html.escape(canonical_json(lineage.as_dict()))}">'
    return page.replace("<head>", f"<head>\n{tag}", 1)


def lineage_of_page(text: str) -> dict[str, Any]:
    """The lineage that a page holds; empty if it holds none."""
    found = _PAGE.search(text)
    return json.loads(html.unescape(found.group(1))) if found else {}
