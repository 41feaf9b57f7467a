"""Run `annotate` or `judge` with short pauses between looks at a batch: `annotate_batched.py STAGE ARGUMENTS...`."""

import importlib
import sys

from teacher import batch_drive

if __name__ == "__main__":
    batch_drive.hurry()
    importlib.import_module(f"rollout3d.stages.{sys.argv[1]}").main(sys.argv[2:])
