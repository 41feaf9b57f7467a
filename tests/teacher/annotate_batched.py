"""Run `annotate` with short pauses between looks at a batch, and few frames: `annotate_batched.py annotate ...`."""

import importlib
import sys

from teacher import batch_drive
from teacher.api_keys import fixed

FRAMES = 3
"""Frames that a model is shown with a question."""

if __name__ == "__main__":
    batch_drive.hurry()
    with fixed("cot", {"frames": FRAMES}):
        importlib.import_module(f"rollout3d.stages.{sys.argv[1]}").main(sys.argv[2:])
