"""The engine without what its CPU build adds: run as a program, the stage `train_grpo` with such an engine.

Linear weights packed for oneDNN: of a tied output layer the packed copy stays the old one when new weights come. The
tiny models tie it, as the 3B model does; on GPUs nothing is packed. In training also compiled graphs, which take
minutes to make.
"""

from functools import partialmethod


def keep_weights_plain():
    """Call before an engine is built."""
    from vllm.platforms import current_platform

    from vllm import _custom_ops

    if current_platform.is_cpu():
        _custom_ops._supports_onednn = False


if __name__ == "__main__":
    import sys

    from rollout3d.model.generate_vllm import Engine
    from rollout3d.stages.train_grpo import main

    keep_weights_plain()
    Engine.__init__ = partialmethod(Engine.__init__, enforce_eager=True)
    main(sys.argv[1:])
