"""The training sections of the configuration; `sections` says what the sources in brackets mean."""

from __future__ import annotations

from math import ceil
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from rollout3d.config.base import Above0, From0, NotNegative, Positive, Text
from rollout3d.config.choices import Tracker
from rollout3d.config.sections import Section

SFT_WEIGHT_DECAY = 0.0
"""[Video-R1: not set, its trainer's default]"""
GRPO_WEIGHT_DECAY = 0.01
"""[Video-R1]"""
MAX_GRAD_NORM = 5.0
"""Norm to which gradients are clipped. [Video-R1]"""
STD_EPS = 1e-4
"""Added to the deviation of a group's rewards. [Video-R1]"""
TOP_P = 0.95
"""Probability mass of the tokens that rollouts are sampled from. [Video-R1]"""
OFFPOLICY_CAP = 2.0
"""Where the weight of a perturbed rollout's token is cut off. [assumed]"""
CLIP_EPS = 0.2
"""epsilon of equation 2: the ratio of probabilities counts from 1 - epsilon to 1 + epsilon. [assumed]"""
WARN_WITHOUT_UPDATE = 20
"""Number of steps from the start without any update (no group with spread) before a warning. [assumed]"""
MAX_LOGPROB_GAP = 0.05
"""Training does not start if sampler and trainer differ by more in their mean log-probability, nats. [assumed]"""


LEAST_PROBES, MOST_PROBES = 4, 20
"""Fewest and most probes of a run where `probe_every` is null."""
STEPS_PER_PROBE = 100
"""Number of steps per probe between those limits. [assumed: a probe then takes a few percent of a fine-tuning]"""
UNPROBED_STEPS = 20
"""A run of fewer steps has no probes where `probe_every` is null: it shows no course."""


class Training(Section):
    """Settings that SFT and GRPO share: precision, memory, checkpoints, probes."""

    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Precision of weights and activations while training. [Video-R1]"""
    gradient_checkpointing: bool = True
    """Compute activations a second time in the backward pass instead of storing them, which saves memory. [Video-R1]"""
    deepspeed: Literal["none", "zero0", "zero2", "zero3"] = "zero2"
    """ZeRO stage by its file of config/deepspeed; none: plain torch, with everything on every GPU as under ZeRO-0.
    [Video-R1: its fine-tuning; its GRPO of 7B: ZeRO-3]"""
    freeze_vision: bool = False
    """Leave the vision tower's weights as they are. [Video-R1 trains them]"""
    save_every: Positive = 100
    """Number of steps between checkpoints. [Video-R1: its GRPO; its fine-tuning: 1000, more than OCR-SFT has]"""
    tracker: Tracker | None = None
    """Program that draws the metrics while a run trains, a file of training/trackers; null = the run's tables alone.
    [assumed]"""
    probe_every: NotNegative | None = None
    """Number of steps between two probes: a fixed set of questions is answered with its video, with black frames, with
    another room's video and with the queried objects under noise, which shows whether the model still uses the video.
    null = a probe per 100 steps, at least 4 and at most 20 per run, none in a run of fewer than 20 steps; 0 = none.
    [assumed]"""
    probe_questions: Positive = 64
    """Number of questions of a probe, as many of each question type, as far as it has questions. [assumed]"""

    def probe_spacing(self, total: int) -> int:
        """Return the number of steps between two probes of a run of `total` steps; 0: it has none."""
        if self.probe_every is not None:
            return self.probe_every
        if total < UNPROBED_STEPS:
            return 0
        return ceil(total / min(MOST_PROBES, max(LEAST_PROBES, total // STEPS_PER_PROBE)))


class Optimiser(Section):
    """Settings that SFT and GRPO each have."""

    weight_decay: ClassVar[float] = SFT_WEIGHT_DECAY
    max_grad_norm: ClassVar[float] = MAX_GRAD_NORM
    lora_rank: NotNegative = 0
    """Rank of the LoRA adapters that are trained instead of the weights; 0 = full fine-tuning. [Video-R1]"""


class Sft(Optimiser):
    epochs: Positive = 2
    """Number of passes over the training table. [OCR, implementation details]"""
    lr: Above0 = 1e-6
    """Learning rate of the first step; it falls linearly to 0, without warm-up. [Video-R1]"""
    batch_size: Positive = 16
    """Number of samples per optimiser step, over all processes. [Video-R1: 1 per GPU, accumulated twice; OCR: 8
    GPUs]"""
    label_mode: Literal["completion", "all_text", "video_r1"] = "completion"
    """Tokens that carry loss: the completion, all text, or those of Video-R1's release. [assumed; Video-R1's mode is a
    bug]"""
    loss: Literal["token_mean", "sample_mean"] = "token_mean"
    """Mean of the loss: over the labelled tokens of the whole batch (token_mean), or within each sample and then over
    samples (sample_mean). [assumed; Video-R1: sample_mean, one sample per forward]"""
    system: Text | None = None
    """Text of the system turn while fine-tuning; null = the chat template's own, as in GRPO and evaluation. [assumed;
    Video-R1's script writes it without the final full stop]"""


class Ablation(Section):
    """Open choices of OCR's equations and of its rollout: what a study of the method varies."""

    kl: Literal["token", "sequence"] = "token"
    """Weight of a token's KL: as that of its advantage (token), or summed over its sequence, some hundred times more
    (sequence). [Video-R1]"""
    kl_of_skipped: bool = True
    """Keep the KL term of groups whose rewards are all equal, which have no advantage; false leaves them out of the
    update. [Video-R1; OCR, equation 6: the KL term stands beside the advantage]"""
    std: Literal["unbiased", "biased", "none"] = "unbiased"
    """Standard deviation by which advantages are divided; none: they are not divided. [Video-R1]"""
    advantage_group: Literal["pooled", "separate"] = "pooled"
    """Rollouts that share mean and deviation: all 2n (pooled), or those of either video (separate). [OCR, equation
    4]"""
    loss: Literal["grpo", "dapo", "dr_grpo", "token_mean"] = "grpo"
    """Mean of the loss; grpo: over the tokens of a sequence, then over sequences. [Video-R1]"""
    grad_rollouts: Literal["clean", "both_on_clean", "both_on_own"] = "clean"
    """Rollouts that give gradient: the clean ones, or both, scored on the clean or on their own video. [OCR, Figure
    2]"""
    grad_limit: Positive | None = None
    """Maximum number of rollouts per question that enter the loss, taken in turn from the views that give gradient;
    null = all of them. Methods that differ in that number are compared at equal cost by it. [assumed]"""
    loss_denominator: Literal["contributing", "all"] = "contributing"
    """Number that the loss is divided by: rollouts with gradient, or the 2n of equation 6. [assumed: a mean over the
    former]"""
    offpolicy_correction: Literal["none", "truncated"] = "none"
    """Weight of a perturbed rollout's tokens under both_on_clean: 1, or pi(o|V) / pi(o|V^), truncated. [NoisyRollout:
    none]"""
    numeric: Literal["mra", "regression", "exact"] = "mra"
    """Correctness of a number: mean relative accuracy, Video-R1's regression, or equality. [assumed; OCR does not
    say]"""
    mra_thresholds: Annotated[int, Field(ge=10, le=11)] = 10
    """Number of confidence thresholds of the mean relative accuracy; the reward spatial_r1 has its own. [SpaceR;
    VSI-Bench; 11: Spatial-R1, equation 2]"""
    object_count: Literal["round", "ceil", "bernoulli"] = "round"
    """Number m' of perturbed objects: delta M, rounded or rounded up; or each by itself with probability delta.
    [assumed]"""
    noise: Literal["additive", "diffusion"] = "additive"
    """Noise inside the regions: Gaussian, or NoisyRollout's forward process from its step 500. [OCR: Gaussian]"""
    sigma0: From0 = 128.0
    """Standard deviation of additive noise at delta_start, in steps of 0 to 255. [assumed, near NoisyRollout's step
    500]"""
    noise_frames: Literal["independent", "frozen"] = "independent"
    """Noise of a pixel: drawn for every frame (independent), or the same in all of them (frozen). [assumed]"""
    query_objects: Literal["eligible", "excluded", "only"] = "eligible"
    """Treatment of the objects that the question names: they may be perturbed, may not, or are the only ones that may.
    [OCR: random over the scene]"""
    downsample: Literal["random", "even"] = "random"
    """Frames that the rollout method downsample removes: drawn at random, or such that evenly spaced ones stay. [OCR,
    ablation analysis]"""
    fresh_noise: bool = False
    """Perturb the video for each rollout, instead of once for all. [assumed]"""
    reallocate_when_zero: bool = False
    """Count all 2n rollouts as clean ones where nothing is altered (no object drawn, general data). [assumed]"""

    @model_validator(mode="after")
    def _corrects_something(self) -> Ablation:
        if self.offpolicy_correction != "none" and self.grad_rollouts != "both_on_clean":
            raise ValueError(
                "offpolicy_correction corrects perturbed rollouts scored on the clean video: it needs "
                "grad_rollouts: both_on_clean"
            )
        return self


class Grpo(Optimiser):
    weight_decay: ClassVar[float] = GRPO_WEIGHT_DECAY
    std_eps: ClassVar[float] = STD_EPS
    top_p: ClassVar[float] = TOP_P
    offpolicy_cap: ClassVar[float] = OFFPOLICY_CAP
    max_logprob_gap: ClassVar[float] = MAX_LOGPROB_GAP
    clip_eps: ClassVar[float] = CLIP_EPS
    warn_without_update: ClassVar[int | None] = WARN_WITHOUT_UPDATE
    n_clean: Positive = 4
    """Number n of rollouts of the video. [OCR, implementation details]"""
    n_perturbed: NotNegative = 4
    """Number of rollouts of the altered video. [OCR, implementation details]"""
    prompts_per_step: Positive = 8
    """Number of questions per step, over all processes. [Video-R1: 1 per GPU; OCR: 8 GPUs]"""
    lr: Above0 = 1e-6
    """Learning rate of the first step; it falls to 0 by a cosine, without warm-up. [Video-R1]"""
    beta: From0 = 0.04
    """Weight beta of the KL term; 0 leaves the term and the reference out. [Video-R1]"""
    updates_per_rollout: Positive = 1
    """Number of optimiser steps per set of rollouts; with one the ratio is 1 and clipping never acts. [Video-R1]"""
    temperature: Above0 = 1.0
    """Temperature at which rollouts are sampled. [Video-R1]"""
    max_new_tokens: Positive = 768
    """Maximum length of a rollout, in tokens. [Video-R1; SpaceR: 1024]"""
    delta_start: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share delta of the objects that are perturbed at the first step. [OCR, annealed object selector]"""
    stop_without_update: NotNegative | None = 100
    """Number of steps from the start without any update (no group with spread) after which training ends with an error,
    as it does at its end if there was no update at all; null or 0: never. [assumed]"""
    variant: Literal["paper", "code"] = "paper"
    """Rule of the rewards spacer and spatial_r1 where paper and release differ; their files list the differences.
    [SpaceR, Section 4; code: what its release does]"""
    vllm_memory_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of each GPU's memory that vLLM takes beside the training, its weights included. [assumed]"""
    ablation: Ablation = Ablation()

    @model_validator(mode="after")
    def _compares_something(self) -> Grpo:
        if self.n_clean + self.n_perturbed < 2:
            raise ValueError(
                "n_clean: 1 with n_perturbed: 0 is one rollout per question, whose advantage is always 0, so that "
                "nothing would be learnt: raise one of them"
            )
        alone = [name for name in ("n_clean", "n_perturbed") if getattr(self, name) == 1]
        if self.ablation.advantage_group == "separate" and alone:
            raise ValueError(
                f"ablation.advantage_group: separate with {alone[0]}: 1 gives that rollout statistics of its own, "
                "so that its advantage is always 0; raise it to 2, or set ablation.advantage_group: pooled"
            )
        return self
