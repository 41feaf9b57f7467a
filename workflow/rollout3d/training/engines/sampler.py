"""Rollouts by the present weights: by the policy itself, by a plain copy of it, or by vLLM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rollout3d.model import generate_hf
from rollout3d.model.encode import Prompt
from rollout3d.model.load import Policy
from rollout3d.model.sampling import Completion, Sampling
from rollout3d.training.engines.policy import Tensors, copy_weights


class RolloutSampler:
    """Draws completions; takes new weights over before the first draw after an update (`stale`).

    `copy`: a plain policy to draw from, where the trained one has adapters or is shared out; `full_weights` gives it
    the present weights. `vllm`: a `generate_vllm.Engine`, which reads the copy's weights, or else the policy's own.
    """

    def __init__(
        self,
        policy: Policy,
        full_weights: Callable[[], Tensors],
        copy: Policy | None = None,
        vllm: Any = None,
    ):
        self._policy, self._full_weights, self._copy, self.vllm = policy, full_weights, copy, vllm
        self.stale = True
        """True if the weights have changed since they were last taken over."""

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, keys: Sequence[str]
    ) -> list[list[Completion]]:
        """Return `sampling.n` completions for each prompt; `keys` name the draws (`model.sampling.Generate`)."""
        policy = self.take_over()
        write = generate_hf.generate if self.vllm is None else self.vllm.generate
        return write(policy, prompts, sampling, seed, keys)

    def take_over(self) -> Policy:
        """Return the policy to draw from, with the present weights; all processes call it together.

        `generate` does it by itself, on a process that has prompts.
        """
        policy = self._policy if self._copy is None else self._copy
        if self.stale and self._copy is not None:
            copy_weights(self._full_weights(), policy)
        if self.stale and self.vllm is not None:
            self.vllm.load_weights(policy)
        self.stale = False
        return policy

    def close(self) -> None:
        """End vLLM, if it draws: it communicates through the process group, so before that ends."""
        if self.vllm is not None:
            self.vllm.llm.llm_engine.engine_core.shutdown()
