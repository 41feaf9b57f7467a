"""The section of the configuration about evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rollout3d.config.base import From0, Once, Positive
from rollout3d.config.sections import Section


class Evaluation(Section):
    benchmarks: Annotated[list[Literal["vsibench", "synthetic"]], Once] = ["vsibench"]
    """Empty = no evaluation, and training questions are guarded by the splits alone. [OCR]"""
    shards: Positive = 8
    """Jobs per run and benchmark. [assumed]"""
    batch_size: Positive = 8
    max_new_tokens: Positive = 1024
    """[as GRPO]"""
    max_new_tokens_direct: Positive = 16
    """For models that were not taught to reason. [VSI-Bench]"""
    scorers: Annotated[list[str], Field(min_length=1), Once] = ["auto"]
    """Scorers of the stored texts (`rollout3d score --help`), the one of the tables first; auto: vsibench for direct
    answers, tagged for reasoned ones. [VSI-Bench; tagged assumed]"""
    temperature: From0 = 0.0
    """[VSI-Bench: greedy]"""
    black_frames: bool = False
    """Also evaluate with black frames: what the model knows without seeing. [assumed]"""
    backend: Literal["hf", "vllm"] = "vllm"
    """Who answers. [assumed]"""
