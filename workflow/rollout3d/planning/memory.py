"""Bytes that each GPU holds while a run trains, by part and by moment.

Counted from what the engines keep (`training/engines`, DeepSpeed 0.19): weights and reference
in the model's precision, masters and Adam's two means in float32, gradients in the model's precision and, where ZeRO
gathers them, in float32. An allowance covers the rest of torch and CUDA.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from rollout3d.model.generate_hf import RESERVE
from rollout3d.planning.activations import Activations, scoring, training
from rollout3d.planning.flops import RowSize
from rollout3d.planning.work import MODEL_LENGTH, Work
from rollout3d.training.engines.zero import CONFIGS

GIB = 2**30
USABLE = 0.99
"""Share of a card's named memory that a process can have. [80 GiB: 79.2]"""
MASTER, MOMENTS = 4, 8
"""Bytes per trained parameter of the float32 master and of Adam's two means."""
CONTEXT = 1.0 * GIB
"""CUDA context, libraries' workspaces and NCCL's buffers. [assumed]"""
GRAPHS = 0.7 * GIB
"""CUDA graphs of vLLM, which its share does not count. [assumed]"""
FRAGMENTATION = 0.05
"""Share of torch's memory outside vLLM that is lost to fragmentation. [assumed]"""
VLLM_WORK = 2.0 * GIB
"""Bytes that vLLM reserves for its own activations when it starts. [assumed]"""
ALLREDUCE_BUCKET = 500_000_000
"""Gradient elements per all-reduce of ZeRO-0, DeepSpeed's default."""

Parts = dict[str, float]


def memory(work: Work, gib: float) -> dict[str, Parts]:
    """Return bytes by moment of a step (rollouts, update, optimiser) and part, on each GPU of `gib` GiB."""
    always, zero = _always(work, gib), _zero(work)
    split = work.gpus if work.zero in (2, 3) else 1
    trained, size = work.trained_parameters, work.itemsize
    moments: dict[str, Parts] = {}
    if work.backend is not None:
        moments["rollouts"] = always | (_decoding(work) if work.backend == "hf" else {})
    found = activations(work)
    head = work.shape.embedding_parameters * size if work.trained != "adapters" else 0
    if work.zero in (2, 3):
        # The partition, the bucket that is reduced, and the gradients that wait for it.
        gradients = 4 * trained / split + 2 * min(zero["reduce_bucket_size"], trained) * size + head
    else:
        gradients = trained * size + (min(ALLREDUCE_BUCKET, trained) * size if work.zero == 0 else 0)
    moments["update"] = always | {
        "gradients": gradients,
        "activations": found.peak - found.mask,
        "tree mask": found.mask,
    }
    own = 4 * trained / split
    if work.zero == 3:
        own = min(own, 4 * zero["sub_group_size"]) + always["gradients"]
    elif work.zero == 2 and size == 4:
        own *= 2
    # Torch's AdamW on a GPU holds the roots of the second moments; ours runs as one kernel, which does not.
    roots = min(4 * trained / split, 4 * zero.get("sub_group_size", trained)) if work.zero in (2, 3) else 0.0
    moments["optimiser"] = always | {"gradients": own, "optimiser": always["optimiser"] + roots}
    for parts in moments.values():
        parts["overhead"] = _overhead(work, parts)
    return moments


def activations(work: Work) -> Activations:
    """Return the activations of the largest micro-batch; the reference runs while the policy's are kept."""
    settings, found = work.settings, []
    for batch in work.batches:
        policy = training(
            work.shape,
            batch,
            work.itemsize,
            trained=work.trained,
            checkpointing=work.training.gradient_checkpointing,
            chunks=work.chunks,
            lora_rank=settings.lora_rank,
        )
        if work.reference:
            second = scoring(work.shape, batch, work.itemsize, work.chunks)
            beside = max(second.vision - second.mask, max(second.working, second.logits))
            policy = Activations(policy.saved, max(policy.working, beside), policy.logits, policy.mask, policy.vision)
        found.append(policy)
    return max(found, key=lambda each: each.peak)


def peak(moments: Mapping[str, Parts]) -> tuple[str, float]:
    """Return the moment that needs most memory, and its bytes."""
    return max(((name, sum(parts.values())) for name, parts in moments.items()), key=lambda pair: pair[1])


def least_share(work: Work, gib: float) -> float:
    """Return the smallest share of a GPU that holds vLLM's weights, activations and one request of full length."""
    cache = MODEL_LENGTH * work.shape.cache_bytes(work.itemsize)
    return (work.shape.parameters * work.itemsize + VLLM_WORK + cache) / (USABLE * gib * GIB)


def host_bytes(work: Work) -> float:
    """Bytes of main memory per process for a copy of the weights that vLLM reads; 0 if it reads the policy's own."""
    return work.shape.parameters * work.itemsize if work.copied and work.backend == "vllm" else 0.0


def checkpoint_bytes(work: Work) -> float:
    """Bytes of one checkpoint: weights and Adam's means of the trained parameters, in float32."""
    return (MASTER + MOMENTS) * work.trained_parameters


def _always(work: Work, gib: float) -> Parts:
    """Return the parts that are held in every moment."""
    size, trained = work.itemsize, work.trained_parameters
    adapters = trained if work.settings.lora_rank else 0
    weights, split = (work.shape.parameters + adapters) * size, work.gpus if work.zero in (2, 3) else 1
    parts: Parts = {"weights": weights / split if work.zero == 3 else weights}
    if work.zero == 3:
        zero = _zero(work)
        live = zero["stage3_max_live_parameters"] + zero["stage3_prefetch_bucket_size"]
        parts["gathered weights"] = min(weights, live * size)
    if work.whole_reference:
        parts["reference"] = work.shape.parameters * size
    # Without DeepSpeed weights in float32 are their own masters.
    masters = 0 if work.zero in (None, 0) and size == 4 else MASTER
    parts["optimiser"] = (masters + MOMENTS) * trained / split
    if work.zero == 3:
        bucket = min(_zero(work)["reduce_bucket_size"], trained) * size
        parts["gradients"] = 4 * trained / split + bucket
    if work.copied and work.backend == "hf":
        parts["rollout copy"] = work.shape.parameters * size
    if work.backend == "vllm":
        own = work.shape.parameters * size
        parts["vLLM weights"] = own
        parts["vLLM cache"] = max(0.0, work.share * USABLE * gib * GIB - own)
    return parts


def _decoding(work: Work) -> Parts:
    """The cache of transformers' decoding, in which every completion has its prompt, and the prefill's activations."""
    per_token = work.shape.cache_bytes(work.itemsize)
    prompts = [prompt for prompt, _ in work.views]
    rows = sum(n for _, n in work.views)
    longest = max(prompt.prompt for prompt in prompts) + work.longest
    cache = rows * (1.25 * longest + RESERVE) + len(prompts) * max(prompt.prompt for prompt in prompts)
    prefill = scoring(work.shape, [RowSize(p.prompt, (), p.grids) for p in prompts], work.itemsize, 1)
    logits = 3 * 4 * rows * work.shape.vocabulary
    return {"rollout cache": cache * per_token, "activations": max(prefill.peak, logits)}


def _overhead(work: Work, parts: Parts) -> float:
    vllm = work.backend == "vllm"
    ours = sum(size for name, size in parts.items() if not name.startswith("vLLM"))
    return CONTEXT + (GRAPHS if vllm else 0.0) + FRAGMENTATION * ours


def _zero(work: Work) -> dict[str, float]:
    """Return the sizes in DeepSpeed's settings."""
    if work.zero is None:
        return {}
    return json.loads((CONFIGS / f"{work.training.deepspeed}.json").read_text())["zero_optimization"]
