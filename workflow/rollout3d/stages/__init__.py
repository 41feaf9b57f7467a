"""The command line: one thin file a rule. `rollout3d NAME ...` is `python -m rollout3d.stages.NAME ...`.

A name's underscores may be hyphens: `rollout3d ingest-meta`.
"""

from __future__ import annotations

import importlib
import sys

from rollout3d.stages import registry


def main() -> None:
    """Entry point of the console script `rollout3d`."""
    names = sorted(name for name, spec in registry.STAGES.items() if spec.package == "rollout3d")
    name = sys.argv[1].replace("-", "_") if len(sys.argv) > 1 else ""
    if name not in names:
        print("usage: rollout3d STAGE [arguments]\nstages: " + " ".join(names), file=sys.stderr)
        raise SystemExit(2 if sys.argv[1:2] not in (["-h"], ["--help"]) else 0)
    importlib.import_module(f"rollout3d.stages.{name}").main(sys.argv[2:])
