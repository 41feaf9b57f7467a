"""GRPO whose rollouts a real engine draws, inside the training process."""

import subprocess
from pathlib import Path

import pytest

from rollout3d import tables

UNPACKED = str(Path(__file__).parent / "unpacked.py")


@pytest.mark.parametrize("settings", [{}, {"lora_rank": 2}], ids=["full", "lora"])
def test_vllm_draws_the_rollouts_of_the_present_weights(tmp_path, settings):
    """It warns if the engine's log-probabilities are not the trainer's."""
    # Late: it loads numba, beside which vLLM's CPU build cannot start, and other tests start it in this process.
    import training_world as tw

    files = tw.build(tmp_path / "world", hidden=128, vision_hidden=64, head_dim=64)  # vLLM needs heads of 64
    taught = tw.teach(files, tmp_path / "taught")
    config = tw.config(max_new_tokens=24, backend="vllm", lr=2e-3, prompts_per_step=4, **settings)
    made = tw.command("train_grpo", config, tw.run(), files, taught, tmp_path / "run")
    module = made.index("rollout3d.stages.train_grpo")
    made[module - 1 : module + 1] = [UNPACKED]
    done = subprocess.run(made, timeout=400, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "disagree" not in done.stderr
    metrics = tables.read(tables.METRICS, tmp_path / "run" / "metrics.parquet")
    assert sum(row["grad_norm"] > 0 for row in metrics) >= 2
