"""The stage `train_grpo` where no group fits into one row: `python in_pieces.py ARGUMENTS...`."""

import sys

from rollout3d.stages.train_grpo import main
from rollout3d.training.engines import engine

if __name__ == "__main__":
    engine.MICRO_TOKENS = 1
    main(sys.argv[1:])
