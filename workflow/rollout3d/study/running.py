"""The study file: configuration and code digests that a running workflow passes to its stages.

The driver writes it once, before the first job, and names it in the environment of every job. So settings reach a stage
without entering the parameters of its rule, where values that change no result would make results stale.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout3d import tables
from rollout3d.files import write_atomically

VARIABLE = "ROLLOUT3D_STUDY"
FOLDER = ".study"
KEPT = 20
"""Study files kept per results folder; jobs of older drivers have ended."""


@dataclass(frozen=True)
class Running:
    """Configuration without this machine's paths, results folder, and the digest of each stage's code."""

    values: dict[str, Any]
    results: Path
    code: Mapping[str, str]

    @classmethod
    def from_environment(cls) -> Running | None:
        """Read the study file that the environment names; None outside a workflow. Raises ValueError if it is gone."""
        path = os.environ.get(VARIABLE)
        if not path:
            return None
        try:
            about = json.loads(Path(path).read_text())
        except OSError as error:
            raise ValueError(
                f"{path}: the study file of this run cannot be read ({error.strerror}); start the workflow again, or "
                f"unset {VARIABLE} to run a stage by hand"
            ) from None
        config = about["config"]
        return cls(config, Path(config["results"]), about["code"])


def file_name(results: str, config: Mapping[str, Any], code: Mapping[str, str]) -> str:
    """Path of the study file for these settings and this code."""
    return f"{results}/{FOLDER}/{tables.digest([config, dict(code)])[:16]}.json"


def write(path: Path | str, config: Mapping[str, Any], code: Mapping[str, str]) -> None:
    """Write a study file, and drop the oldest ones beside it."""
    path = Path(path)
    if not path.exists():
        write_atomically(path, tables.canonical_json({"config": config, "code": dict(code)}))
    os.utime(path)
    for old in sorted(path.parent.glob("*.json"), key=lambda p: p.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
