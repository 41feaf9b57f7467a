"""Keys of the configuration that decide scene tables, questions and benchmarks: declarations for `registry.STAGES`."""

from __future__ import annotations

from rollout3d import doors
from rollout3d.config import Config
from rollout3d.config.former import of_section
from rollout3d.config.frames import WHOLE_VIDEO, evaluated_sets, stored_sets
from rollout3d.stages.spec import Scope

SAMPLES = ("scenes.jpeg_quality", "video.image_max_pixels", "video.min_pixels", "external.max_share_dropped")
"""Keys that decide the pictures and videos of imported rows."""
STORED_SIZE = ("video.stored_max_pixels", "video.eval_max_pixels")
"""Keys that decide the size of stored frames, the former one of them included."""


def ingest_keys(config: Config, scope: Scope) -> tuple[str, ...]:
    """Return the keys of scene tables."""
    # Figures are stored for every value of scenes.agreement; `questions` and `assemble` apply it.
    return ("seed", f"datasets.{scope.dataset}.*", *of_section("scenes"), *STORED_SIZE, "questions.rules")


def regions_keys(config: Config, scope: Scope) -> tuple[str, ...]:
    """Return the keys of region tables."""
    depth = ("regions.depth_margin_*",) if scope.mode and scope.mode.endswith("_depth") else ()
    return ("regions.min_pixels", *depth)


QUESTION_RULES = tuple(
    f"questions.{name}"
    for name in (
        *("appearance_gap_s", "compat", "rules", "wording", "rel_distance_margin_m"),
        *("rel_distance_margin_large_m", "rel_distance_per_primary"),
    )
)
"""Keys that decide which questions are generated about a scene, whatever the dataset."""


def questions_keys(config: Config, scope: Scope) -> tuple[str, ...]:
    """Return the keys of the questions that are generated about scenes."""
    splits = (f"datasets.{scope.dataset}.splits.*",) if scope.dataset else ("datasets.*.splits.*",)
    own = ("distance", "per_scene", "body_radius_m", "strict")
    own += ("errata",) if scope.dataset is None else ()  # of published boxes; those of scans are corrected at assembly
    gate: tuple[str, ...] = ()
    if config.questions.gated:
        own += ("budget_answers", "min_room_share")
        gate = ("video.train_frames", "video.eval_frames", "evaluation.benchmarks")
        gate += ("evaluation.frame_policy",) if evaluated_sets(config) else ()
    return ("seed", "scenes.agreement", *splits, *QUESTION_RULES, *(f"questions.{name}" for name in own), *gate)


def marked_frames(config: Config, scope: Scope) -> dict[str, tuple[str, ...]]:
    """Return the frame sets whose visibility the questions read, by input."""
    if config.questions.gated:
        return {"visibility": (WHOLE_VIDEO, *sorted(stored_sets(config)))}
    return {"visibility": (WHOLE_VIDEO,)} if config.questions.rules != "ocr" else {}


def prepare_benchmark_keys(config: Config, scope: Scope) -> tuple[str, ...]:
    """Return the keys of a benchmark's tables; those that its file declares (`KEYS`) among them."""
    declared = doors.BENCHMARKS.constant(scope.benchmark, "KEYS", ()) if scope.benchmark else ()
    if scope.benchmark and not doors.BENCHMARKS.constant(scope.benchmark, "RELEASED", True):
        return declared
    return ("scenes.jpeg_quality", *STORED_SIZE, *declared)


def import_cot_keys(config: Config, scope: Scope) -> tuple[str, ...]:
    """Return the keys of imported samples with reasoning."""
    return (*SAMPLES, *STORED_SIZE)


def import_questions_keys(config: Config, scope: Scope) -> tuple[str, ...]:
    """Return the keys of imported questions."""
    return ("seed", *import_cot_keys(config, scope), "external.spatial_types", "external.general")


def judge_keys(config: Config, scope: Scope) -> tuple[str, ...]:
    """Return the keys of the judge's verdicts."""
    own = (f"judge.{name}" for name in type(config.judge).model_fields if name != "generated_sample")
    drawn = ("judge.generated_sample", "seed", "datasets.*.splits.train") if scope.source == "generated" else ()
    return ("video.train_frames", "judge.model", *own, *of_section("judge"), "api.*", *drawn)
