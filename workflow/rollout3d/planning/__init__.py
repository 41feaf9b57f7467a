"""Predict what a training run needs: memory per GPU, seconds per phase, hours, disk.

`shape` reads the sizes of a model. `work` is one step, `flops` its operations and bytes, `memory` the bytes that a GPU
holds, `seconds` the duration of the phases on a card of `cards`, and `report` the text. The benchmarks on GPUs
use the same functions.
"""
