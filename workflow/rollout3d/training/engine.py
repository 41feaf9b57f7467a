"""The trained policy, its reference and its optimiser behind one small interface; here in plain torch.

`deepspeed_engine.py` has the same over ZeRO. Both keep float32 masters of the trained parameters, so that steps of 1e-6
are not rounded away in bfloat16, and both describe their state as plain named tensors: checkpoints of one can be
resumed by the other, on any number of processes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from rollout3d.config import Video
from rollout3d.config.training import Optimiser
from rollout3d.model import generate_hf
from rollout3d.model.encode import Prompt
from rollout3d.model.load import Policy, load_policy, read_model
from rollout3d.model.sampling import Completion, Sampling
from rollout3d.seeding import stable_hash
from rollout3d.training.objective import learning_rate
from rollout3d.training.packing import LogProbs, Packed, Row, idle_row, micro_batches, pack
from rollout3d.training.prefix import Prefix
from rollout3d.training.world import World

LORA_TARGETS = r".*language_model\.layers\.\d+\.(self_attn\.(q|k|v|o)_proj|mlp\.(gate|up|down)_proj)"
"""Linear layers of the language model; never the vision tower, whose adapters vLLM cannot load."""
MICRO_TOKENS = 8192
"""Tokens of one forward, padding included. A longer row goes alone: in pieces behind its prompt, or whole."""
MOMENTS = ("exp_avg", "exp_avg_sq")
"""Names of Adam's running means."""

Tensors = Iterator[tuple[str, torch.Tensor]]


class Engine:
    """Trains one policy. All methods are called by all processes together.

    `init`: the model to start from, which is also the reference. `peak_lr` falls to 0 over `total` steps by `shape`.
    `temperature`: log-probabilities are those of sampling at it. `vllm_memory_share`: share of the GPU's memory for
    vLLM.
    """

    lockstep = False
    """Whether processes must run equally many forwards and backwards."""
    cuts = True
    """Whether a row that is too long for one forward is taken to pieces."""
    max_rows: int | None = None
    """Most rows of one forward."""

    def __init__(
        self,
        init: Path | str,
        settings: Optimiser,
        world: World,
        *,
        video: Video,
        peak_lr: float,
        shape: Literal["linear", "cosine"],
        total: int,
        seed: int = 0,
        temperature: float = 1.0,
        reference: bool = False,
        backend: Literal["hf", "vllm"] = "hf",
        vllm_memory_share: float = 0.3,
    ):
        self.init, self.settings, self.world, self.video = init, settings, world, video
        self.peak_lr, self.shape, self.total = peak_lr, shape, total
        self.policy = self._load()
        core = self.policy.core
        if settings.lora_rank:
            add_adapters(core, settings.lora_rank, seed)
        if settings.freeze_vision:
            core.model.visual.requires_grad_(False)
        if settings.gradient_checkpointing:
            core.gradient_checkpointing_enable({"use_reentrant": False})
        core.train()
        self.trained = {name: p for name, p in core.named_parameters() if p.requires_grad}
        self.module = LogProbs(self.policy, temperature)
        self._reference: LogProbs | None = None
        if reference and self._reference_is_whole():
            self._reference = LogProbs(self._load(), temperature).requires_grad_(False)
        self._behind: tuple[Prompt, Prefix] | None = None
        self.updates = 0
        self._build()
        # vLLM has weights of its own on the device and only reads the copy's.
        self._copy = self._load("cpu" if backend == "vllm" else None) if self._needs_copy(backend) else None
        self._stale = True
        self._vllm = self._start_vllm(vllm_memory_share) if backend == "vllm" else None

    # --- the step ----------------------------------------------------------------------------------------------------

    def logprobs(self, packed: Packed, temperature: float | None = None, prefix: Prefix | None = None) -> torch.Tensor:
        """Log-probabilities (T,) of the scored tokens under the policy, with gradient; at the sampling temperature."""
        return self.module(packed, always_look=self.lockstep, temperature=temperature, prefix=prefix)

    @torch.no_grad()
    def score(self, rows: Sequence[Row], temperature: float | None = None) -> list[torch.Tensor]:
        """The same of each row, without gradient; processes may have different numbers of rows."""
        batches = list(micro_batches(rows, MICRO_TOKENS, self.max_rows))
        found: list[torch.Tensor] = []
        for turn in range(int(self.world.largest(len(batches)))):
            if turn < len(batches):
                found += self._score(batches[turn], temperature)
            elif self.lockstep:
                self.logprobs(pack([idle_row(self.policy)]))
        return found

    @torch.no_grad()
    def reference_logprobs(self, packed: Packed) -> torch.Tensor:
        """The same under the policy that training started from, without gradient."""
        if self._reference is not None:
            return self._reference(packed, prefix=self._reference_prefix(packed))
        with adapters_off(self.policy.core):
            return self.module(packed, prefix=self._reference_prefix(packed))

    def update(
        self, rows: Sequence[Row], loss: Callable[[torch.Tensor, Packed], torch.Tensor], step: int
    ) -> tuple[float, float]:
        """One optimiser step on this process's rows; the loss and the norm of the gradient before clipping.

        `loss` gives a batch's part of the loss, a sum, from its log-probabilities (T,). Gradients are averaged over
        processes. Without any rows on any process nothing is updated and both numbers are 0.
        """
        batches = list(micro_batches(rows, MICRO_TOKENS, self.max_rows))
        own = sum(len(self._pieces(batch)) + 1 for batch in batches)
        rounds = int(self.world.largest(own))
        total = 0.0
        for turn, (part, value) in enumerate(self._parts(batches, loss, rounds - own if self.lockstep else 0)):
            total += value
            self.backward(part, last=turn == rounds - 1)
        return total, self.step(step) if rounds else 0.0

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        """Add the gradient of a scalar; `last` marks the last backward before `step`."""
        loss.backward()

    def step(self, step: int) -> float:
        """Average gradients over processes, clip, update; return their norm before clipping.

        A gradient that is not finite updates nothing: one bad batch must not ruin a long run.
        """
        self._set_lr(step)
        self._average_gradients()
        for name, master in self._masters.items():
            if master is not self.trained[name]:
                gradient = self.trained[name].grad
                master.grad = None if gradient is None else gradient.float()
                self.trained[name].grad = None  # now, not after the update: two bytes a parameter at the peak
        norm = float(nn.utils.clip_grad_norm_(self._masters.values(), self.settings.max_grad_norm))
        if math.isfinite(norm):
            self._optimiser.step()
            self.updates += 1
        with torch.no_grad():
            for name, master in self._masters.items():
                if master is not self.trained[name]:
                    self.trained[name].copy_(master)
                    master.grad = None
                self.trained[name].grad = None
        self._stale = True
        return norm

    def lr(self, step: int) -> float:
        """Learning rate of a step."""
        return learning_rate(step, self.total, self.peak_lr, self.shape)

    # --- rollouts ----------------------------------------------------------------------------------------------------

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, keys: Sequence[str]
    ) -> list[list[Completion]]:
        """Completions by the present weights; see `model.sampling.Generate`."""
        policy = self.policy
        if self._copy is not None:
            policy = self._copy
            if self._stale:
                copy_weights(self._full_weights(), policy)
        if self._vllm is None:
            self._stale = False
            return generate_hf.generate(policy, prompts, sampling, seed, keys)
        if self._stale:
            self._vllm.load_weights(policy)
            self._stale = False
        return self._vllm.generate(policy, prompts, sampling, seed, keys)

    # --- state -------------------------------------------------------------------------------------------------------

    def state(self) -> Iterator[tuple[str, Tensors]]:
        """What a checkpoint holds, as (file, its named float32 tensors on the CPU): weights and Adam's means."""
        yield "weights", ((name, _cpu(master)) for name, master in self._masters.items())
        for moment in MOMENTS:
            state = self._optimiser.state
            yield moment, ((name, _cpu(state[m][moment])) for name, m in self._masters.items() if m in state)

    def restore(self, state: Mapping[str, Mapping[str, torch.Tensor]], updates: int) -> None:
        """Continue from what `state` gave after `updates` optimiser steps. Raises ValueError if the names differ."""
        check_names(state["weights"], self.trained)
        with torch.no_grad():
            for name, master in self._masters.items():
                master.copy_(state["weights"][name])
                self.trained[name].copy_(master)
                if updates:
                    # Where the optimiser itself keeps it: beside the weights if it is fused, else on the CPU.
                    place = master.device if self._fused else "cpu"
                    self._optimiser.state[master] = {
                        "step": torch.tensor(float(updates), device=place),
                        **{m: state[m][name].to(master.device, copy=True) for m in MOMENTS},
                    }
        self.updates, self._stale = updates, True

    def export(self) -> Policy | None:
        """The trained policy with plain weights, adapters merged: what is saved. Only on the first process."""
        if self._plain():
            return self.policy if self.world.first else None
        exported = load_policy(self.init, self.settings.dtype, "cpu", video=self.video) if self.world.first else None
        copy_weights(self._full_weights(), exported)
        return exported

    def close(self) -> None:
        """End vLLM, if it wrote the rollouts: it talks through the process group, so before that ends."""
        if self._vllm is not None:
            self._vllm.llm.llm_engine.engine_core.shutdown()

    # --- inside ------------------------------------------------------------------------------------------------------

    def _parts(
        self, batches: Sequence[Sequence[Row]], loss: Callable[[torch.Tensor, Packed], torch.Tensor], idle: int
    ) -> Iterator[tuple[torch.Tensor, float]]:
        """Yield scalars to go backward from before the next is asked for, each with its part of the loss.

        A batch makes one, or one per piece and one for their prompt; `idle` more change nothing.
        """
        for batch in batches:
            pieces = self._pieces(batch)
            prefix = Prefix(self.policy, batch[0].prompt) if pieces else None
            for rows in [[piece] for piece in pieces] or [batch]:
                packed = pack(rows, behind_prompt=prefix is not None)
                part = loss(self.logprobs(packed, prefix=prefix), packed)
                yield part, float(part.detach())
                if prefix is not None:
                    prefix.collect()
            self._behind = None
            if prefix is not None:
                yield prefix.pull(), 0.0
        for _ in range(idle):
            yield 0 * self.logprobs(pack([idle_row(self.policy)])).sum(), 0.0

    def _score(self, batch: Sequence[Row], temperature: float | None) -> Sequence[torch.Tensor]:
        """Log-probabilities of each row of one batch."""
        pieces = self._pieces(batch)
        if not pieces:
            return self.logprobs(pack(batch), temperature).split([row.n_scored for row in batch])
        prefix = Prefix(self.policy, batch[0].prompt)
        packed = [pack([piece], behind_prompt=True) for piece in pieces]
        return [torch.cat([self.logprobs(each, temperature, prefix) for each in packed])]

    def _pieces(self, batch: Sequence[Row]) -> list[Row]:
        """Pieces of a row that is too long for one forward; none if the batch goes through as it is."""
        return batch[0].pieces(MICRO_TOKENS) if self.cuts else []

    def _reference_prefix(self, packed: Packed) -> Prefix | None:
        """The reference's prefix of a batch behind its prompt, kept for the group's other pieces."""
        if not packed.behind_prompt:
            return None
        prompt = packed.rows[0].prompt
        if self._behind is None or self._behind[0] is not prompt:
            self._behind = prompt, Prefix((self._reference or self.module).policy, prompt)
        return self._behind[1]

    def _build(self) -> None:
        self._masters = {
            name: p if p.dtype == torch.float32 else nn.Parameter(p.detach().float())
            for name, p in self.trained.items()
        }
        groups = parameter_groups(self._masters.values(), self.settings.weight_decay)
        self._optimiser = torch.optim.AdamW(groups, lr=self.peak_lr, fused=self._fused or None)

    def _average_gradients(self) -> None:
        self.world.average_gradients(list(self.trained.values()))

    @property
    def _fused(self) -> bool:
        """Whether the optimiser runs as one kernel: its default on a GPU holds the roots of all second moments too,
        four bytes a parameter."""
        return self.world.device.type == "cuda"

    def _set_lr(self, step: int) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = self.lr(step)

    def _load(self, device: str | None = None) -> Policy:
        return load_policy(self.init, self.settings.dtype, device or self.world.device, video=self.video)

    def _plain(self) -> bool:
        """Whether the policy's own parameters are the full, unwrapped weights."""
        return not self.settings.lora_rank

    def _reference_is_whole(self) -> bool:
        """Whether the reference is a second model, and not the policy without its adapters."""
        return not self.settings.lora_rank

    def _needs_copy(self, backend: str) -> bool:
        """Whether rollouts need a second policy that the weights are copied to: vLLM reads plain weights."""
        return backend == "vllm" and not self._plain()

    def _full_weights(self) -> Tensors:
        """Weights under the names of the plain model: the trained ones, adapters merged."""
        return merged_weights(self.policy.core)

    def _start_vllm(self, memory_share: float) -> Any:
        # Weights are handed over in memory, so vLLM must live in this process.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        from rollout3d.model.generate_vllm import Engine as Vllm

        return Vllm(
            read_model(self.init).path,
            dtype=self.settings.dtype,
            gpu_memory_utilization=memory_share,
            colocated=self.world.size > 1,
        )


def make_engine(init: Path | str, settings: Optimiser, world: World, **options: Any) -> Engine:
    """The engine that `settings.deepspeed` asks for; `options` as of `Engine`."""
    if settings.deepspeed == "none":
        return Engine(init, settings, world, **options)
    from rollout3d.training.deepspeed_engine import ReplicatedEngine, ShardedEngine

    chosen = ReplicatedEngine if settings.deepspeed == "zero0" else ShardedEngine
    return chosen(init, settings, world, **options)


def parameter_groups(parameters: Iterator[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """AdamW's groups: matrices decay, biases and norms do not (as in the trainer that Video-R1 uses)."""
    listed = list(parameters)
    groups = [
        {"params": [p for p in listed if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in listed if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def check_names(saved: Mapping[str, Any], trained: Mapping[str, Any]) -> None:
    """Raise ValueError unless a checkpoint's parameters are the trained ones."""
    if set(saved) != set(trained):
        odd = sorted(set(saved) ^ set(trained))
        raise ValueError(f"the checkpoint is of another model ({odd[:3]} ...): delete the run's checkpoints directory")


def add_adapters(core: nn.Module, rank: int, seed: int) -> None:
    """Put LoRA layers into the model, in place, and freeze everything else; alpha = 2 rank."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=LORA_TARGETS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_hash(seed, "lora") >> 1)
        inject_adapter_in_model(config, core)


def _adapters(core: nn.Module) -> Iterator[tuple[str, Any]]:
    return ((name, module) for name, module in core.named_modules() if hasattr(module, "get_delta_weight"))


@contextmanager
def adapters_off(core: nn.Module) -> Iterator[None]:
    """The model without its adapters: the reference."""
    for _, module in _adapters(core):
        module.enable_adapters(False)
    try:
        yield
    finally:
        for _, module in _adapters(core):
            module.enable_adapters(True)


@torch.no_grad()
def merged_weights(core: nn.Module) -> Tensors:
    """Trained weights under the plain model's names; an adapted layer gives base weight plus adapter."""
    found = False
    for name, module in _adapters(core):
        found = True
        base = module.base_layer.weight
        yield f"{name}.weight", (base.float() + module.get_delta_weight("default").float()).to(base.dtype)
    if not found:
        yield from ((name, p) for name, p in core.named_parameters() if p.requires_grad)


@torch.no_grad()
def copy_weights(weights: Tensors, policy: Policy | None) -> None:
    """Put weights into a plain policy; with None they are only read, since reading may be collective."""
    own = {} if policy is None else dict(policy.core.named_parameters())
    for name, tensor in weights:
        if own:
            own[name].copy_(tensor)


def _cpu(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()
