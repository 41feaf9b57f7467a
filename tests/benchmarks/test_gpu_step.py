"""The benchmark of a whole step runs, in a small shape on the CPU, and says so where there is no GPU."""

import math
import re

import pytest
import torch

import bench_gpu_step
import devices
from bench_gpu_step import measure
from gpu_step import PHASES, SHAPES, TRAINING
from measure import NotMeasured, table_row
from rollout3d.config import Grpo
from rollout3d.config.training import MAX_LOGPROB_GAP


def test_every_phase_of_a_small_step_is_measured(capsys):
    figure = measure(SHAPES["tiny"], "hf", torch.device("cpu"))
    assert figure.measured > 0 and figure.target == 40 and figure.at_least
    seconds = {phase: float(re.search(rf"^{phase} +([\d.e+-]+) s", figure.note, re.M)[1]) for phase in PHASES}
    assert all(math.isfinite(spent) and spent > 0 for spent in seconds.values()), seconds
    # No bound: the peak is measured in the same run, and on a busy CPU the step may beat it. Operations over seconds
    # over the peak instead, each printed to three digits.
    peak, needed = (float(re.search(rf"([\d.e+-]+) {unit}", figure.note)[1]) for unit in ("TFLOP/s", "TFLOP,"))
    spent = sum(seconds[phase] for phase in TRAINING)
    assert figure.measured == pytest.approx(100 * needed / spent / peak, rel=0.03)
    floors = [float(text) for text in re.findall(r"floor ([\d.e+-]+) s", figure.note)]
    assert len(floors) == 6 and sum(floors[:5]) == pytest.approx(floors[5], rel=0.01) and min(floors) > 0
    assert "4 rollouts of 6 tokens; trained on 12 of them" in figure.note
    gap = float(re.search(r"differ by ([\d.e+-]+) nats", figure.note)[1])
    assert 0 <= gap < 0.05  # bfloat16 rounds
    assert re.search(r"peak memory [\d.]+ GiB", figure.note) and re.search(r"generated \d+ tokens/s", figure.note)
    assert Grpo.max_logprob_gap == MAX_LOGPROB_GAP, "the benchmark changed the limit of every other training"


def test_without_a_gpu_one_line_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (line,) = bench_gpu_step.figures()
    assert isinstance(line, NotMeasured)
    assert table_row(line).endswith("not measured: no CUDA device here")
    with pytest.raises(SystemExit):
        bench_gpu_step.main(["--shape", "3b"])


@pytest.mark.parametrize(
    ("name", "tflops", "bandwidth"),
    [
        ("NVIDIA H200", 989, 4.8),
        ("NVIDIA H100 80GB HBM3", 989, 3.35),
        ("NVIDIA H100 PCIe", 756, 2.0),
        ("NVIDIA A100-SXM4-80GB", 312, 2.039),
        ("NVIDIA A100-SXM4-40GB", 312, 1.555),
        ("NVIDIA A100 80GB PCIe", 312, 1.935),
    ],
)
def test_peaks_of_known_devices(monkeypatch, name, tflops, bandwidth):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    found = devices.peak(torch.device("cuda", 0), torch.bfloat16)
    assert found.flops == pytest.approx(tflops * 1e12) and found.bandwidth == pytest.approx(bandwidth * 1e12)
