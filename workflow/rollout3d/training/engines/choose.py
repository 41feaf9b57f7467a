"""Put an engine together by the settings of a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from rollout3d.config import Grpo, Sft, Training, Video
from rollout3d.model.load import read_model
from rollout3d.training.engines.engine import Engine, LearningRate, Optimiser
from rollout3d.training.engines.plain import PlainOptimiser
from rollout3d.training.engines.policy import Reference, TrainedPolicy
from rollout3d.training.engines.sampler import RolloutSampler
from rollout3d.training.world import World

E = TypeVar("E", bound=Engine)
MakeOptimiser = Callable[[TrainedPolicy, World, float], Optimiser]
"""(policy, processes, peak learning rate) -> optimiser."""


def make_optimiser(trained: TrainedPolicy, world: World, peak_lr: float) -> Optimiser:
    """Return the optimiser that `training.deepspeed` names."""
    if trained.training.deepspeed == "none":
        return PlainOptimiser(trained, world, peak_lr)
    from rollout3d.training.engines.zero import ReplicatedOptimiser, ShardedOptimiser

    chosen = ReplicatedOptimiser if trained.training.deepspeed == "zero0" else ShardedOptimiser
    return chosen(trained, world, peak_lr)


def make_engine(
    init: Path | str,
    settings: Sft | Grpo,
    world: World,
    *,
    training: Training,
    video: Video,
    total: int,
    seed: int = 0,
    backend: Literal["hf", "vllm"] = "hf",
    optimiser: MakeOptimiser = make_optimiser,
    of: type[E] = Engine,
) -> E:
    """Return the engine of a run of `total` steps that starts from the model `init`.

    SFT's learning rate falls linearly, GRPO's as a cosine. Under GRPO the policy has a reference if `beta` > 0, and
    rollouts are drawn by `backend`. `optimiser`, `of`: another optimiser or class of engine, for measurements.
    """
    grpo = settings if isinstance(settings, Grpo) else None
    trained = TrainedPolicy(init, settings, training, video, world.device, seed, grpo.temperature if grpo else 1.0)
    adapted, sharded = settings.lora_rank > 0, training.deepspeed == "zero3"
    reference = None
    if grpo and grpo.beta > 0:
        # A policy that is shared out computes by collectives, which a process without rows would miss.
        reference = Reference(trained, whole=sharded or not adapted)
    own = optimiser(trained, world, settings.lr)
    vllm = None
    # vLLM reads plain weights. It has its own on the device, so the copy that it reads may stay on the CPU.
    by_vllm = grpo is not None and backend == "vllm"
    copy = trained.load("cpu" if by_vllm else None) if sharded or (by_vllm and adapted) else None
    if grpo and by_vllm:
        vllm = _start_vllm(trained, grpo.vllm_memory_share, world)
    sampler = RolloutSampler(trained.policy, own.full_weights, copy, vllm)
    schedule = LearningRate(settings.lr, "linear" if grpo is None else "cosine", total)
    return of(trained, reference, own, sampler, schedule, world)


def _start_vllm(trained: TrainedPolicy, memory_share: float, world: World) -> Any:
    """Start vLLM in this process, since weights are handed over in memory."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from rollout3d.model.generate_vllm import Engine as Vllm

    return Vllm(
        read_model(trained.init).path,
        dtype=trained.training.dtype,
        gpu_memory_utilization=memory_share,
        colocated=world.size > 1,
    )
