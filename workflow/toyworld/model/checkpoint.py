"""The unfinished training of a small model, in one file that is complete or absent: it resumes to the same bytes.

Everything that is not here follows from the number of the step: rooms, learning rates, and no draw is made besides.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from rollout3d.files import sync

log = logging.getLogger(__name__)

Optimizers = Sequence[torch.optim.Optimizer]


def save(
    path: Path, about: Mapping[str, Any], modules: Mapping[str, nn.Module], optimizers: Optimizers, metrics: list[dict]
) -> None:
    """Write weights, the optimisers' states and the rows of the metrics so far.

    `about`: what a training must agree with to go on from here.
    """
    tensors = {}
    for name, module in modules.items():
        # Tied weights are one parameter, which is named once.
        tensors |= {f"{name}/{key}": value.detach() for key, value in module.named_parameters()}
    for k, optimizer in enumerate(optimizers):
        for place, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer {k}/{place}/{key}": torch.as_tensor(value) for key, value in state.items()}
    aside = path.with_suffix(".tmp")
    save_file(tensors, aside, {"about": json.dumps(about), "metrics": json.dumps(metrics)})
    sync(aside)
    os.replace(aside, path)
    sync(path.parent)


def resume(
    path: Path, about: Mapping[str, Any], modules: Mapping[str, nn.Module], optimizers: Optimizers
) -> list[dict]:
    """Load what `save` wrote, if it is there and `about` the same training; return the metrics, one row per step done.

    A file that is damaged or about another training is passed over with a warning: training begins anew.
    """
    if not path.exists():
        return []
    try:
        with safe_open(path, "pt") as file:
            stored = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no dictionary
        there, metrics = json.loads(stored["about"]), json.loads(stored["metrics"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        log.warning("%s cannot be read (%s): training begins anew", path, error)
        return []
    other = sorted(key for key in {*there, *about} if there.get(key) != about.get(key))
    if other:
        log.warning("%s is of another training (other %s): training begins anew", path, ", ".join(other))
        return []
    with torch.no_grad():
        for name, module in modules.items():
            for key, value in module.named_parameters():
                value.copy_(tensors[f"{name}/{key}"])
    for k, optimizer in enumerate(optimizers):
        states: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            of, _, rest = key.partition("/")
            if of == f"optimizer {k}":
                place, _, what = rest.partition("/")
                states.setdefault(int(place), {})[what] = value
        optimizer.load_state_dict(optimizer.state_dict() | {"state": states})
    log.info("%s: %d steps are done", path, len(metrics))
    return metrics
