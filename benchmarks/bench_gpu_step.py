"""One GRPO step on a GPU: random weights in the shape of Qwen2.5-VL-3B, 16 frames, 4 + 4 rollouts of 512 tokens.

The step is the trainer's own, phase by phase: views, generation, reward, reference, policy forward and backward,
optimiser (plain torch engine, bfloat16 with float32 masters, gradient checkpointing, everything trained). Rewards of
random words are all 0 and have no gradient: alternating ones replace them after they are computed. No answer ends
before its last token. Views are timed by themselves; in training they are made during the step before.

Model FLOP utilisation is the reference's forward, the policy's forward and its backward, by `planning/flops.py`, over
seconds and the device's peak. The second number includes the operations that gradient checkpointing repeats. Beside
every phase stands its floor: operations over the peak or bytes over the bandwidth, recomputation included.

Without a CUDA device nothing is measured. In one process the step takes about 70 GiB, and vLLM its share besides.
By hand, on any machine:
`python benchmarks/bench_gpu_step.py --shape tiny [--tokens 64 --rollouts 4 --frames 16 --backend vllm]`.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from gpu_step import PHASES, SHAPES, Backend, Case, Measured, Step
from measure import Figure, NotMeasured, table_row


def figures() -> Iterator[Figure | NotMeasured]:
    what = "GRPO step in the shape of Qwen2.5-VL-3B"
    if not torch.cuda.is_available():
        yield NotMeasured(what, "no CUDA device here")
        return
    backends: list[Backend] = ["hf", "vllm"] if importlib.util.find_spec("vllm") else ["hf"]
    for backend in backends:
        try:
            yield measure(SHAPES["3b"], backend, torch.device("cuda", 0))
        except (torch.OutOfMemoryError, ValueError) as error:  # vLLM raises the latter where memory is short
            yield NotMeasured(f"{what}, {backend}", str(error).strip().splitlines()[0])


def measure(shape: Case, backend: Backend, device: torch.device) -> Figure:
    """Measure a step; return its utilisation, with everything else in the note."""
    step = Step(shape, backend, device)
    try:
        return _figure(step.measure())
    finally:
        step.close()


def _figure(found: Measured) -> Figure:
    seconds, floors, limit = found.seconds, found.floors, found.limit
    again = (found.needed + found.again) / found.needed * found.utilisation
    lines = [
        f"{limit.name}: {limit.flops / 1e12:.3g} TFLOP/s, {limit.bandwidth / 1e12:.3g} TB/s ({limit.source})",
        f"prompt of {found.prompt} tokens, {found.visual} visual; "
        f"{len(found.lengths)} rollouts of {max(found.lengths)} tokens; trained on {found.scored} of them",
        f"with recomputation {again:.1%}; {found.needed / 1e12:.3g} TFLOP, "
        f"{found.again / 1e12:.3g} again; generated {sum(found.lengths) / seconds['generation']:.0f} tokens/s",
        f"peak memory {found.peak_gib:.1f} GiB; log-probabilities of sampler and trainer differ by "
        f"{found.gap:.2g} nats",
    ]
    for phase in PHASES:
        floor = f", floor {floors[phase]:.3g} s" if phase in floors else ""
        lines.append(f"{phase:<16} {seconds[phase]:.3g} s{floor}")
    lines.append(f"{'step':<16} {sum(seconds[phase] for phase in PHASES):.3g} s, floor {sum(floors.values()):.3g} s")
    return Figure(
        f"Model FLOP utilisation of training, {found.name}",
        100 * found.utilisation,
        40,
        "%",
        at_least=True,
        note="\n".join(lines),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="3b")
    parser.add_argument("--backend", choices=("hf", "vllm"), default="hf")
    for name in ("frames", "rollouts", "tokens", "repeats"):
        parser.add_argument(f"--{name}", type=int, help="instead of the shape's own")
    given = vars(parser.parse_args(arguments))
    shape, backend = SHAPES[given.pop("shape")], given.pop("backend")
    shape = replace(shape, **{name: value for name, value in given.items() if value})
    if shape.name == "3b" and not torch.cuda.is_available():
        parser.error("the shape of 3B needs a CUDA device; try --shape tiny")
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    print(table_row(measure(shape, backend, device)))


if __name__ == "__main__":
    main()
