"""Open a model for answering: its policy and a back end."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from rollout3d.config import Video
from rollout3d.model.generate_hf import Batches
from rollout3d.model.load import Policy, load_policy, read_model
from rollout3d.model.sampling import BackEnd


def open_model(
    model_json: Path | str, video: Video, backend: Literal["hf", "vllm"] = "hf", threads: int | None = None
) -> tuple[Policy, BackEnd]:
    """Load the policy that `model_json` names and its back end: bfloat16 on a GPU, float32 on a CPU.

    vLLM holds the weights on the GPU itself; the policy then stays on the CPU, for its encoder. `threads` sets torch's
    thread count, on which results on a CPU depend. Raises ModelError.
    """
    if threads:
        torch.set_num_threads(threads)
    if backend == "vllm":
        from rollout3d.model.generate_vllm import Engine

        policy = load_policy(model_json, "bfloat16", "cpu", video=video)
        return policy, Engine(read_model(model_json).path)
    gpu = torch.cuda.is_available()
    return load_policy(model_json, "bfloat16" if gpu else "float32", "cuda" if gpu else "cpu", video=video), Batches()
