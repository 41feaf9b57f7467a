"""Predict what a training run needs: memory per GPU, seconds per phase, hours, disk.

`shape` reads the sizes of a model, `work` what one step computes, `flops` its operations and bytes, `memory` what a GPU
holds, `seconds` how long the phases take on a card of `cards`, and `report` puts it into words. The benchmarks on GPUs
use the same functions.
"""
