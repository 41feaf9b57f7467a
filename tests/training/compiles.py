"""The stage `train_grpo` where DeepSpeed compiles what it compiles by itself: `python compiles.py ARGUMENTS...`."""

import sys

from rollout3d.stages.train_grpo import main
from rollout3d.training.engines import zero

if __name__ == "__main__":
    zero.leave_out_inference = lambda: None
    main(sys.argv[1:])
