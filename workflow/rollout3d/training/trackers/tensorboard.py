"""TensorBoard: event files in `runs/RUN/tensorboard`, which `tensorboard --logdir results/runs` shows."""

from __future__ import annotations

from collections.abc import Mapping

from rollout3d.training.trackers import Tracked


def open(run: Tracked) -> _Events:
    """Write event files; steps that are written again hide those of an earlier attempt."""
    return _Events(run)


class _Events:
    def __init__(self, run: Tracked):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=run.start)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()
