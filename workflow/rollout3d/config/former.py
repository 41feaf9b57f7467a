"""Keys that the configuration once had: those that are constants of the code now, and those that have another place.

The identity of a result holds a former key as it did before, a constant with its present value, so that results
which were computed then stay current. A configuration that sets a former key is refused with a sentence that names
the new place.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rollout3d.doors import PACKAGE, literal


class Constant(NamedTuple):
    """Constant in the code that a former key has become."""

    module: str
    """Module of the constant, below the package `rollout3d`."""
    name: str

    @property
    def value(self) -> Any:
        """Value of the constant as it stands in the code now, so that whoever edits it changes identities, too."""
        return literal(PACKAGE / f"{self.module.replace('.', '/')}.py", self.name)

    @property
    def place(self) -> str:
        """File and name of the constant, as messages show them."""
        return f"{self.name} in workflow/rollout3d/{self.module.replace('.', '/')}.py"


_TYPES = "questions.types"

CONSTANTS: dict[str, Constant] = {
    "store.keep": Constant("tables.store", "KEEP"),
    "scenes.jpeg_quality": Constant("resize", "JPEG_QUALITY"),
    "scenes.room_points": Constant("geometry.room", "POINTS"),
    "scenes.room_alpha": Constant("geometry.room", "ALPHA"),
    "scenes.appearance_min_points": Constant("geometry.visibility", "MIN_POINTS"),
    "scenes.appearance_min_share": Constant("geometry.visibility", "MIN_SHARE"),
    "scenes.depth_tolerance": Constant("geometry.visibility", "DEPTH_TOLERANCE"),
    "scenes.clear_share": Constant("geometry.sightings", "CLEAR_SHARE"),
    "scenes.faint_share": Constant("geometry.sightings", "FAINT_SHARE"),
    "scenes.bev_size": Constant("geometry.topdown", "BEV_SIZE"),
    "scenes.walkable_cell_m": Constant("geometry.topdown", "WALKABLE_CELL_M"),
    "scenes.view_points": Constant("scenes.rows", "VIEW_POINTS"),
    "regions.depth_margin_m": Constant("scenes.regions", "DEPTH_MARGIN_M"),
    "regions.depth_margin_share": Constant("scenes.regions", "DEPTH_MARGIN_SHARE"),
    "regions.min_pixels": Constant("scenes.regions", "MIN_PIXELS"),
    "questions.min_room_share": Constant(f"{_TYPES}.room_size_estimation", "MIN_ROOM_SHARE"),
    "questions.rel_distance_margin_m": Constant(f"{_TYPES}.object_rel_distance", "MARGIN_M"),
    "questions.rel_distance_margin_large_m": Constant(f"{_TYPES}.object_rel_distance", "MARGIN_LARGE_ROOM_M"),
    "questions.body_radius_m": Constant(f"{_TYPES}._routes", "BODY_RADIUS_M"),
    "judge.max_tokens": Constant("questions.judge", "MAX_TOKENS"),
    "judge.temperature": Constant("questions.judge", "TEMPERATURE"),
    "difficulty.correct_above": Constant("difficulty.select", "CORRECT_ABOVE"),
    "sft.weight_decay": Constant("config.training", "SFT_WEIGHT_DECAY"),
    "sft.max_grad_norm": Constant("config.training", "MAX_GRAD_NORM"),
    "grpo.weight_decay": Constant("config.training", "GRPO_WEIGHT_DECAY"),
    "grpo.max_grad_norm": Constant("config.training", "MAX_GRAD_NORM"),
    "grpo.std_eps": Constant("config.training", "STD_EPS"),
    "grpo.top_p": Constant("config.training", "TOP_P"),
    "grpo.offpolicy_cap": Constant("config.training", "OFFPOLICY_CAP"),
    "grpo.clip_eps": Constant("config.training", "CLIP_EPS"),
    "grpo.warn_without_update": Constant("config.training", "WARN_WITHOUT_UPDATE"),
    "external.max_share_dropped": Constant("config.sections", "MAX_SHARE_DROPPED"),
    "grpo.max_logprob_gap": Constant("config.training", "MAX_LOGPROB_GAP"),
    "api.timeout_s": Constant("config.teacher", "TIMEOUT_S"),
    "api.request_attempts": Constant("config.teacher", "REQUEST_ATTEMPTS"),
    "api.max_share_failed": Constant("config.teacher", "MAX_SHARE_FAILED"),
    "judge.frames": Constant("config.teacher", "JUDGE_FRAMES"),
    "cot.frames": Constant("config.teacher", "COT_FRAMES"),
    "cot.attempts": Constant("config.teacher", "COT_ATTEMPTS"),
    "cot.max_tokens": Constant("config.teacher", "COT_MAX_TOKENS"),
    "cot.temperature": Constant("cot.teachers._openai_client", "TEMPERATURE"),
}
"""Former key -> its constant."""


HELD: dict[str, Any] = {"video.stored_max_pixels": None, "questions.rel_distance_per_primary": None}
"""Former key that is gone -> the value that identities hold, under which the code did what it does now."""

MOVED: dict[str, str] = {
    "synthetic": "toyworld.scans",
    "base_model": "toyworld.model",
    **{f"{section}.usd_per_million_{way}": "api.prices" for section in ("cot", "judge") for way in ("in", "out")},
    **{f"{section}.{name}": f"api.{name}" for section in ("cot", "judge") for name in ("batch", "concurrency")},
}
"""Former key or section -> where its values are set now."""

_TRAINING = ("dtype", "gradient_checkpointing", "deepspeed", "freeze_vision", "save_every", "tracker")

SHARED: dict[str, tuple[str, ...]] = {
    "generation.backend": ("difficulty.backend", "grpo.backend", "evaluation.backend"),
    "generation.shards": ("difficulty.shards", "evaluation.shards"),
    "generation.batch_size": ("difficulty.batch_size", "evaluation.batch_size"),
    "generation.max_new_tokens": ("difficulty.max_new_tokens_grpo", "evaluation.max_new_tokens"),
    "generation.max_new_tokens_direct": ("difficulty.max_new_tokens", "evaluation.max_new_tokens_direct"),
    "api.model": ("judge.model", "cot.model"),
    **{f"training.{name}": (f"sft.{name}", f"grpo.{name}") for name in _TRAINING},
}
"""Key that several former keys have become -> their names. A stage declares the name that is its own, under which the
value stands in identities."""
ONE_OF: dict[str, str] = {name: key for key, names in SHARED.items() for name in names}
"""Former key -> the key of `SHARED` that it has become."""
MOVED |= ONE_OF

_INSTEAD = {
    "nodes": "the number of nodes is the profile's (ROLLOUT3D_NODES); remove the line",
    "tensorboard": "write `training:`, `tracker: tensorboard` indented below it",
}
GONE: dict[str, str] = {f"{section}.{key}": do for section in ("sft", "grpo") for key, do in _INSTEAD.items()}
GONE |= {
    "video.stored_max_pixels": "frames are stored at video.eval_max_pixels; remove the line",
    "questions.rel_distance_per_primary": "questions.per_scene limits relative distance; remove the line",
}
GONE |= {
    f"{section}.{name}": f"it is a constant, {CONSTANTS[f'api.{name}'].place}; remove the line"
    for section in ("cot", "judge")
    for name in ("timeout_s", "request_attempts", "max_share_failed")
}
"""Former key that has no successor of the same values -> what to do instead."""

ABLATION = (
    *("kl", "kl_of_skipped", "std", "advantage_group", "loss", "grad_rollouts", "loss_denominator", "numeric"),
    *("offpolicy_correction", "mra_thresholds", "object_count", "noise", "sigma0", "noise_frames", "query_objects"),
    *("downsample", "fresh_noise", "reallocate_when_zero"),
)
"""Keys of `grpo.ablation` that stood in `grpo`."""
MOVED |= {f"grpo.{name}": f"grpo.ablation.{name}" for name in ABLATION}

RENAMED: dict[str, str] = {
    "toyworld.scans.": "synthetic.",
    "toyworld.model.": "base_model.",
    **{f"grpo.ablation.{name}": f"grpo.{name}" for name in ABLATION},
}
"""Key, or prefix of keys, that has moved -> name under which it stands in identities. Keys without effect need none."""


def of_section(section: str) -> tuple[str, ...]:
    """Return the former keys of a section that are constants now."""
    return tuple(key for key in CONSTANTS if key.startswith(f"{section}."))


def identity_name(key: str) -> str:
    """Return the name under which a key stands in a result's identity."""
    prefix = next((each for each in RENAMED if _below(key, each)), "")
    return RENAMED[prefix] + key.removeprefix(prefix) if prefix else key


def present_name(name: str) -> str:
    """Return the key that stands in an identity as `name`."""
    if name in ONE_OF:
        return ONE_OF[name]
    prefix = next((each for each in RENAMED if _below(name, RENAMED[each])), "")
    return prefix + name.removeprefix(RENAMED[prefix]) if prefix else name


def _below(key: str, name: str) -> bool:
    return key.startswith(name) if name.endswith(".") else key == name


def whereabouts(key: str) -> list[str]:
    """Return what became of a former key, or of the keys of a former section: a sentence each; none of other keys."""
    if key in CONSTANTS:
        value, place = CONSTANTS[key].value, CONSTANTS[key].place
        return [f"{key} is no key any more, but a constant: {value} ({place}); remove the line"]
    if key in GONE:
        return [f"{key} is no key any more: {GONE[key]}"]
    if key in MOVED:
        section, *inner = MOVED[key].split(".")
        below = ", ".join(f"`{name}:` indented below it" for name in inner)
        below += "" if "." in key else ", and the keys below that"
        return [f"{key} is now {MOVED[key]}: write `{section}:`, {below}"]
    return []
