"""Run a stage with an engine that starts quickly on a CPU: `small_engine.py STAGE ARGUMENTS...`.

vLLM tries out the largest prompt and compiles graphs before it begins, which takes minutes on a CPU.
"""

import importlib
import sys
from functools import partialmethod

from rollout3d.model.generate_vllm import Engine

if __name__ == "__main__":
    Engine.__init__ = partialmethod(Engine.__init__, max_model_len=1024, enforce_eager=True)
    importlib.import_module(f"rollout3d.stages.{sys.argv[1]}").main(sys.argv[2:])
