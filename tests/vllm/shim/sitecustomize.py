"""Two operators that torchvision asks for when it is imported, run by every Python process that has this on its path.

vLLM's processors need torchvision, whose build on PyPI loads its operators only beside a torch for CUDA, and otherwise
cannot even be imported. vLLM looks at models in processes of its own, so that a repair in this one is not enough.
The operators, suppression of overlapping boxes, are named and never called.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import library

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

found = find_spec("torchvision")
try:
    for built in Path(found.origin).parent.glob("_C*.so") if found else ():
        torch.ops.load_library(built)
except OSError:
    _defined = library.Library("torchvision", "DEF")  # kept: operators go with it
    for operator in OPERATORS:
        _defined.define(operator)
