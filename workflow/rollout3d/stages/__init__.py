"""The command line: one thin file a rule. `rollout3d NAME ...` is `python -m rollout3d.stages.NAME ...`."""

from __future__ import annotations

import importlib
import sys

from rollout3d.stages import registry


def main() -> None:
    """Entry point of the console script `rollout3d`."""
    names = sorted(registry.STAGES)
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        print("usage: rollout3d STAGE [arguments]\nstages: " + " ".join(names), file=sys.stderr)
        raise SystemExit(2 if sys.argv[1:2] not in (["-h"], ["--help"]) else 0)
    importlib.import_module(f"rollout3d.stages.{sys.argv[1]}").main(sys.argv[2:])
