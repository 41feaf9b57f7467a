"""The section of the configuration about evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rollout3d import doors
from rollout3d.config.base import From0, Once
from rollout3d.config.choices import BenchmarkName, DatasetName, Probe, Scorer
from rollout3d.config.frames import RATE, WHOLE
from rollout3d.config.sections import Section

FramePolicy = Annotated[str, Field(pattern=rf"^(uniform|official|{WHOLE}|{RATE})$")]
"""How frames are chosen from a benchmark's video; `geometry/frames.py` reads it."""

GivenMap = Literal["none", "ground_truth", "random", "own"]
"""Cognitive map that a prompt gives in evaluation."""

USUAL_SCORERS = {"direct": "vsibench", "think": "tagged"}
"""Prompt style -> official scorer: VSI-Bench's rule, applied to the whole text, or to the `<answer>` tag."""


GIVEN_MAP_WORDS = "given_map.txt"
"""File of resources/prompts with the words around a map that a prompt gives."""


def official_scorer(style: Literal["direct", "think"], benchmark: str | None = None) -> str:
    """Return the scorer whose number tables report, for answers in a prompt style.

    A benchmark may name its own (`SCORERS` of its file). Raises ValueError for an unknown benchmark.
    """
    own = doors.BENCHMARKS.constant(benchmark, "SCORERS", USUAL_SCORERS) if benchmark else USUAL_SCORERS
    return own[style]


def shows_scans(benchmark: str | None) -> bool:
    """Return whether a benchmark asks about scans of rooms alone, of which cognitive maps can be drawn and given."""
    return benchmark is None or doors.BENCHMARKS.constant(benchmark, "SCANS", True)


def map_given(evaluation: Evaluation, style: Literal["direct", "think"], benchmark: str | None = None) -> GivenMap:
    """Return the cognitive map that prompts of a style give on a benchmark: none in direct ones, and none where the
    benchmark asks about other videos than scans of rooms."""
    return "none" if style == "direct" or not shows_scans(benchmark) else evaluation.given_map


class Evaluation(Section):
    benchmarks: Annotated[list[BenchmarkName], Once] = ["vsibench"]
    """Benchmarks that runs answer; empty = none, and training questions are guarded by the splits alone. [OCR]"""
    datasets: Annotated[list[DatasetName], Once] = []
    """Parts of VSI-Bench whose questions are asked, where not every video is at hand, which every score then says;
    empty = the whole benchmark. [assumed]"""
    frame_policy: FramePolicy = "uniform"
    """Choice of the frames of a benchmark's video. uniform: video.eval_frames at positions rounded to whole
    frames; official: as many, positions truncated; fps1max64: one per second of the video, 64 at most; all: every
    frame, for ReVSI. A benchmark with a rule of its own (docs/benchmarks.md) keeps it. [assumed; official: VSI-Bench;
    fps: Qwen2.5-VL's own processing]"""
    scorers: Annotated[list[Scorer], Field(min_length=1), Once] = ["auto"]
    """Scorers of the stored texts (`rollout3d score --help`), the one of the tables first; auto: the benchmark's own,
    and those beside it; for VSI-Bench vsibench for direct answers, tagged for reasoned ones. [VSI-Bench; tagged
    assumed]"""
    temperature: From0 = 0.0
    """Temperature at which answers are sampled; 0 = greedy. [VSI-Bench: greedy]"""
    probes: Annotated[list[Probe], Once] = []
    """Altered videos with which the questions are asked once more. black: black frames; shuffled: the frames in another
    order; other_room: another room's video; drowned: every object that the question names under noise; removed: only
    frames without them; drowned_context: as many other objects under noise; drowned_all: all objects under noise. The
    last four need scans. [assumed; removed: ReVSI]"""
    probe_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of a benchmark's questions that are asked with probes, as many of each task, as far as it has questions.
    [assumed]"""
    given_map: GivenMap = "none"
    """Cognitive map that a prompt which asks for reasoning about a scan gives (SpaceR, Table 5). none;
    ground_truth: the scene's own; random: its categories and numbers of objects, in cells drawn by seed; own: the one
    that the run which this one starts from drew in its answer. [assumed]"""
