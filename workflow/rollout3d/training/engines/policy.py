"""The policy that is trained: its weights, LoRA adapters, log-probabilities, and the reference it is held near."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rollout3d.config import Video
from rollout3d.config.training import Optimiser, Training
from rollout3d.model.encode import Prompt
from rollout3d.model.load import Policy, load_policy
from rollout3d.seeding import stable_hash
from rollout3d.training.packing import LogProbs, Packed
from rollout3d.training.prefix import Prefix

LORA_TARGETS = r".*language_model\.layers\.\d+\.(self_attn\.(q|k|v|o)_proj|mlp\.(gate|up|down)_proj)"
"""Linear layers of the language model; never the vision tower, whose adapters vLLM cannot load."""

Tensors = Iterator[tuple[str, torch.Tensor]]
"""Named tensors, one after the other: no more than one of them need be whole in memory."""


class TrainedPolicy:
    """The policy of a run as it is trained, prepared by the run's settings.

    `init`: the model to start from. `temperature`: log-probabilities are those of sampling at it. `seed` draws the
    adapters.
    """

    def __init__(
        self,
        init: Path | str,
        settings: Optimiser,
        training: Training,
        video: Video,
        device: torch.device,
        seed: int = 0,
        temperature: float = 1.0,
    ):
        self.init, self.settings, self.training = init, settings, training
        self.video, self.device = video, device
        self.policy = self.load()
        core = self.policy.core
        if settings.lora_rank:
            add_adapters(core, settings.lora_rank, seed)
        if training.freeze_vision:
            core.model.visual.requires_grad_(False)
        if training.gradient_checkpointing:
            core.gradient_checkpointing_enable({"use_reentrant": False})
        core.train()
        self.parameters = {name: p for name, p in core.named_parameters() if p.requires_grad}
        """Name -> trained parameter."""
        self.module = LogProbs(self.policy, temperature)

    def load(self, device: str | torch.device | None = None) -> Policy:
        """Return another copy of the model that training starts from, on `device` or on the policy's own."""
        return load_policy(self.init, self.training.dtype, device or self.device, video=self.video)


class Reference:
    """The policy that training started from: a second model, or the trained one without its adapters.

    `whole`: True for a second model, which full fine-tuning needs.
    """

    def __init__(self, trained: TrainedPolicy, whole: bool):
        self._core = trained.policy.core
        self._whole = whole
        self.module = trained.module
        """The log-probabilities, to be taken inside `adapters_off` unless the reference is a second model."""
        if whole:
            self.module = LogProbs(trained.load(), trained.module.temperature).requires_grad_(False)
        self._prefix: tuple[Prompt, Prefix] | None = None

    @torch.no_grad()
    def logprobs(self, packed: Packed) -> torch.Tensor:
        """Return log-probabilities (T,) of the scored tokens, in nats, without gradient."""
        if self._whole:
            return self.module(packed, prefix=self._prefix_of(packed))
        with adapters_off(self._core):
            return self.module(packed, prefix=self._prefix_of(packed))

    def forget(self) -> None:
        """Free the prefix that the pieces of one group shared."""
        self._prefix = None

    def _prefix_of(self, packed: Packed) -> Prefix | None:
        """Return the prefix of a batch behind its prompt, kept for the group's other pieces."""
        if not packed.behind_prompt:
            return None
        prompt = packed.rows[0].prompt
        if self._prefix is None or self._prefix[0] is not prompt:
            self._prefix = prompt, Prefix(self.module.policy, prompt)
        return self._prefix[1]


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
    """Switch the model's adapters off inside the block: what is left is the reference."""
    for _, module in _adapters(core):
        module.enable_adapters(False)
    try:
        yield
    finally:
        for _, module in _adapters(core):
            module.enable_adapters(True)


@torch.no_grad()
def merged_weights(core: nn.Module) -> Tensors:
    """Yield trained weights under the plain model's names; an adapted layer gives base weight plus adapter."""
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
