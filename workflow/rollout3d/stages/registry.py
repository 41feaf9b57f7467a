"""Declarations of the stages: keys of the configuration, and fields of the run's row, that decide each result.

Light on purpose: the Snakefile reads it, so it imports nothing heavy. A stage receives a configuration narrowed to its
keys, so it cannot read another one; a test fails when a stage declares a key that it never reads. The code that a
stage runs is derived from its imports (`rollout3d.code`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, reduce
from typing import Any

from rollout3d import doors
from rollout3d.config import REASONED, SAMPLED, Config, Run, question_types
from rollout3d.config.evaluation import GIVEN_MAP_WORDS, map_given, official_scorer
from rollout3d.config.former import identity_name
from rollout3d.config.frames import eval_set, stored_sets, teacher_set, train_set
from rollout3d.config.keys import decides, values
from rollout3d.resources import shipped
from rollout3d.stages.data_keys import QUESTION_RULES as QUESTION_RULES  # part of this module's interface
from rollout3d.stages.data_keys import (
    import_cot_keys,
    import_questions_keys,
    ingest_keys,
    judge_keys,
    marked_frames,
    prepare_benchmark_keys,
    questions_keys,
    regions_keys,
)
from rollout3d.stages.spec import WILDCARDS, Keys, Scope, Spec, no_types

PROMPTS = shipped("resources/prompts")


def _fixed(*patterns: str) -> Keys:
    return lambda config, scope: patterns


ENCODER = ("video.image_max_pixels", "video.min_pixels", "video.time_mode")
"""Keys that decide how any model encodes pictures and video."""
TRAIN_VIDEO = ("video.train_frames", "video.train_min_pixels", "video.train_max_pixels")
"""Keys that decide which frames of a video a model in training is shown, and their size."""
_MODEL = ("seed", "torch_threads", *ENCODER)
_OPTIMISER = (
    *("weight_decay", "max_grad_norm", "dtype", "gradient_checkpointing", "deepspeed", "lora_rank"),
    *("freeze_vision", "save_every", "tracker", "lr"),
)
_DIRECT_TOKENS = "evaluation.max_new_tokens_direct"
_PROBES = ("training.probe_every", "training.probe_questions")
PROBE_INPUTS = ("probe_questions", "probe_objects", "probe_regions")
"""Inputs of training that only its probes read."""


CARD = ("rules", "wording", "per_scene", "max_value_share", "total")
"""Keys of `questions` that the data card of the training questions states."""


def _difficulty(config: Config, scope: Scope) -> tuple[str, ...]:
    reasons = scope.setting in REASONED
    style = ("difficulty.max_new_tokens_grpo", *config.prompts.keys()) if reasons else ("difficulty.max_new_tokens",)
    style += ("grpo.temperature", "grpo.top_p") if scope.setting == SAMPLED else ()
    return (*_MODEL, *TRAIN_VIDEO, "difficulty.backend", "difficulty.batch_size", *style)


def _annotate(config: Config, scope: Scope) -> tuple[str, ...]:
    return ("cot.teacher", "cot.attempts", *doors.TEACHERS.constant(config.cot.teacher, "KEYS", ()))


def _teacher_prompts(config: Config, scope: Scope) -> tuple[str, ...]:
    """Prompts that the teacher sends under this configuration."""
    prompts = doors.TEACHERS.constant(config.cot.teacher, "PROMPTS", {})
    return tuple(name for name, key in prompts.items() if key is None or any(values(config, (key,)).values()))


def _teacher_frames(config: Config, scope: Scope) -> dict[str, str]:
    shows_frames = "frames" in doors.TEACHERS.constant(config.cot.teacher, "TABLES", ())
    return {"frames": teacher_set(config.video)} if shows_frames else {}


def _train_sft(config: Config, scope: Scope) -> tuple[str, ...]:
    own = (*_OPTIMISER, "epochs", "batch_size", "label_mode", "loss", "system")
    asked = () if _direct(config, scope) else config.prompts.keys()
    return (*_MODEL, *TRAIN_VIDEO, *_PROBES, *asked, *(f"sft.{name}" for name in own))


def _chosen_keys(config: Config, run: Run) -> tuple[str, ...]:
    """Keys of `grpo` that only the run's schedule, rollout method or reward reads: their files declare them."""
    found: tuple[str, ...] = ("delta_start",) if run.schedule else ()
    for door, name in ((doors.ROLLOUTS, run.rollout), (doors.REWARDS, run.reward)):
        if name is None:
            continue
        found += door.constant(name, "KEYS", ())
        for (key, value), more in door.constant(name, "KEYS_IF", {}).items():
            found += more if reduce(getattr, key.split("."), config.grpo) == value else ()
    return found


def _train_grpo(config: Config, scope: Scope) -> tuple[str, ...]:
    grpo = config.grpo
    own = (
        *(*_OPTIMISER, "n_clean", "n_perturbed", "prompts_per_step", "beta", "kl", "updates_per_rollout", "clip_eps"),
        *("kl_of_skipped", "mra_thresholds", "ablation.grad_limit"),
        *("temperature", "top_p", "max_new_tokens", "std_eps", "std", "advantage_group", "loss", "grad_rollouts"),
        *("loss_denominator", "offpolicy_correction", "numeric", "fresh_noise", "reallocate_when_zero", "backend"),
        *("max_logprob_gap", "warn_without_update", "stop_without_update", "vllm_memory_share"),
    )
    if grpo.ablation.offpolicy_correction != "none":
        own += ("offpolicy_cap",)
    if scope.run:
        own += _chosen_keys(config, scope.run)
    asked = config.prompts.keys(rewarded=bool(scope.run and scope.run.needs_maps), rl=True)
    return (*_MODEL, *TRAIN_VIDEO, *_PROBES, *asked, *(f"grpo.{name}" for name in own))


def _settings(config: Config, scope: Scope) -> tuple[str, ...]:
    """Settings of answers that predictions hold, and that `score` compares with the configuration."""
    asked = config.prompts.keys(
        rewarded=config.evaluation.given_map != "none"
    )  # the grid of a map that is given counts
    style = {
        "direct": (_DIRECT_TOKENS,),
        "think": ("evaluation.max_new_tokens", *asked),
        None: (_DIRECT_TOKENS, "evaluation.max_new_tokens", *asked),
    }[scope.run.asked if scope.run else None]
    shown = ("video.eval_frames", "video.eval_max_pixels", "evaluation.frame_policy", "evaluation.given_map")
    return (*shown, "evaluation.backend", "evaluation.temperature", *style)


def _evaluate(config: Config, scope: Scope) -> tuple[str, ...]:
    return (*_MODEL, *_settings(config, scope), "evaluation.probes", "evaluation.probe_share", "evaluation.batch_size")


def _score(config: Config, scope: Scope) -> tuple[str, ...]:
    return (*_settings(config, scope), "evaluation.scorers")


def _paper_table(config: Config, scope: Scope) -> tuple[str, ...]:
    if scope.table is None:
        return ("preset",)
    needs, own = (doors.PAPER_TABLES.constant(scope.table, name, ()) for name in ("NEEDS", "KEYS"))
    return ("preset", *(("runs.*", "models.*", "difficulty.run") if "runs" in needs else ()), *own)


def _think(config: Config, scope: Scope) -> tuple[str, ...]:
    return tuple(f"think_{name}.txt" for name in config.prompts.files)


def _released(config: Config, scope: Scope) -> tuple[str, ...]:
    """The file with the released wording of direct prompts: the benchmark's, or VSI-Bench's."""
    own = doors.BENCHMARKS.constant(scope.benchmark, "PROMPT", "direct") if scope.benchmark else "direct"
    return (f"{own}.txt",)


def _direct(config: Config, scope: Scope) -> bool:
    """Return whether prompts have the released wording, without reasoning."""
    return scope.run.asked == "direct" if scope.run else scope.setting not in REASONED


def _trained(config: Config, scope: Scope) -> tuple[str, ...]:
    """The files that hold the wording of the prompt: as released, or with reasoning."""
    return _released(config, scope) if _direct(config, scope) else _think(config, scope)


def _wording(config: Config, scope: Scope) -> tuple[str, ...]:
    """The files of `_trained`, and that of a map which the prompt gives."""
    style = "direct" if _direct(config, scope) else "think"
    given = scope.setting is None and map_given(config.evaluation, style, scope.benchmark) != "none"
    return (*_trained(config, scope), *((GIVEN_MAP_WORDS,) if given else ()))


def _report(config: Config, scope: Scope) -> tuple[str, ...]:
    shown = ("delta_start", "fresh_noise", "grad_rollouts", "n_clean", "n_perturbed", "noise", "noise_frames")
    shown += ("object_count", "query_objects", "reallocate_when_zero", "sigma0")
    replayed = (*TRAIN_VIDEO, "video.min_pixels", *(f"grpo.{name}" for name in shown))
    return ("preset", "seed", "scenes.agreement", "difficulty.run", "runs.*", "models.*", *replayed)


def _sft_row(run: Run) -> tuple[str, ...]:
    return ("seed", *(("style",) if run.style else ()))


def _grpo_row(run: Run) -> tuple[str, ...]:
    return ("rollout", "reward", "steps", "seed", *(("schedule",) if run.schedule else ()))


def _own_frames(config: Config, scope: Scope) -> set[str]:
    return {train_set(config.video)}


def _train_frames(config: Config, scope: Scope) -> dict[str, str]:
    return dict.fromkeys(("frames", "regions"), train_set(config.video))


def _eval_set(config: Config, scope: Scope) -> str:
    return eval_set(config.evaluation, config.video, scope.benchmark)


STAGES: dict[str, Spec] = {
    "ingest": Spec(
        ingest_keys,
        shards=lambda config, scope: config.datasets[str(scope.dataset)].shards,
        stores=lambda config, scope: stored_sets(config),
    ),
    "ingest_meta": Spec(),
    "regions": Spec(regions_keys, stores=_own_frames),
    "cognitive_maps": Spec(_fixed("scenes.agreement")),
    "check_scan": Spec(_fixed("*")),
    "ask": Spec(_fixed("*"), question_types=None),
    "inventory": Spec(_fixed("*")),
    "questions": Spec(questions_keys, reads=marked_frames),
    "audit": Spec(_fixed("questions.distance"), question_types=None),
    "assemble": Spec(
        _fixed(
            *("seed", "scenes.agreement", "datasets.*.splits.*", "questions.compat", "questions.max_value_share"),
            *("questions.mix", "questions.sources", "questions.one_scan_per_space", "questions.strict"),
            "questions.errata",
            *("questions.text_only_margin", "questions.total", "video.train_frames"),
        )
    ),
    "train_part": Spec(_fixed("external.general", *(f"questions.{name}" for name in CARD))),
    "bias": Spec(),
    "import_cot": Spec(import_cot_keys, stores=_own_frames, question_types=no_types),
    "import_questions": Spec(
        import_questions_keys,
        stores=_own_frames,
        question_types=lambda config: question_types.asked(config.external.spatial_types),
    ),
    "judge": Spec(
        judge_keys,
        prompts=lambda config, scope: ("judge.txt",),
        reads=_train_frames,
        costly=True,
    ),
    "prepare_benchmark": Spec(
        prepare_benchmark_keys, stores=lambda config, scope: {_eval_set(config, scope)}, question_types=no_types
    ),
    "probes": Spec(
        _fixed("seed", "evaluation.probes", "evaluation.probe_share"),
        stores=lambda config, scope: {_eval_set(config, scope)},
    ),
    "describe_model": Spec(lambda config, scope: (f"models.{scope.key}.name", "site.models")),
    "difficulty": Spec(
        _difficulty,
        prompts=_wording,
        shards=lambda config, scope: config.generation.shards,
        reads=_train_frames,
        costly=True,
    ),
    "select_hard": Spec(_fixed("seed", "difficulty.correct_above", "cot.per_transition", "cot.fallback")),
    "resample": Spec(_fixed("difficulty.correct_above")),
    "annotate": Spec(
        _annotate,
        prompts=_teacher_prompts,
        reads=_teacher_frames,
        costly=True,
    ),
    "sft_table": Spec(),
    "train_sft": Spec(_train_sft, _sft_row, prompts=_trained, reads=_train_frames, costly=True, beside=PROBE_INPUTS),
    "train_grpo": Spec(_train_grpo, _grpo_row, prompts=_think, reads=_train_frames, costly=True, beside=PROBE_INPUTS),
    "checkpoint": Spec(row=lambda run: ("at",)),
    "evaluate": Spec(
        _evaluate,
        lambda run: ("method",),
        prompts=_wording,
        shards=lambda config, scope: config.generation.shards,
        reads=lambda config, scope: dict.fromkeys(("frames", "probes", "regions"), _eval_set(config, scope)),
        costly=True,
    ),
    "merge_predictions": Spec(),
    "score": Spec(_score, prompts=_wording),
    "claims": Spec(),
    "paper_table": Spec(_paper_table),
    "study_table": Spec(_fixed("evaluation.benchmarks", "runs.*", "models.*", "difficulty.run")),
    "summary": Spec(_fixed("*")),
    "compare": Spec(_fixed("*")),
    "growth": Spec(_fixed("*")),
    "show": Spec(_fixed("*")),
    "view": Spec(_fixed("*")),
    "watch": Spec(_fixed("*")),
    "export": Spec(_fixed("*")),
    "publish": Spec(_fixed("*")),
    "report": Spec(_report),
    "preflight": Spec(_fixed("*")),
    "plan": Spec(),
    "status": Spec(),
    "lineage": Spec(),
    "store": Spec(),
    "forget": Spec(),
    "adopt": Spec(),
}


def register(stages: Mapping[str, Spec]) -> None:
    """Add the stages of another package. Raises ValueError for a name that is taken."""
    if taken := sorted(set(stages) & set(STAGES)):
        raise ValueError(f"there is a stage {taken[0]} already")
    STAGES.update(stages)


def sets_read(stage: str, config: Config, scope: Scope) -> dict[str, tuple[str, ...]]:
    """Return, for each input whose rows belong to frame sets, the sets that a job reads (`Spec.reads`)."""
    found = STAGES[stage].reads(config, scope)
    return {name: (read,) if isinstance(read, str) else tuple(read) for name, read in found.items()}


def job_values(stage: str, config: Config, scope: Scope) -> dict[str, Any]:
    """Return every key that a job reads with its value, keys without effect included, and `run.FIELD` of its
    run's row, `job.NAME` of its wildcards, and `prompts/FILE` with a digest of the text.

    Raises ValueError for a dataset or a model that the configuration lacks.
    """
    spec = STAGES[stage]
    for what, name, known in (("dataset", scope.dataset, config.datasets), ("model", scope.key, config.models)):
        if name is not None and name not in known:
            raise ValueError(f"{what} '{name}' is not one of {', '.join(known)}")
    found = dict(_values(config, stage, replace(scope, shard=None, n_shards=None)))
    if stage == "describe_model":  # where one model lies: the only place that a result holds
        found["site.models"] = found["site.models"].get(scope.key)
    # The place of a job among those of its rule: a file in another job's place is then another result.
    found |= {f"job.{name}": getattr(scope, name) for name in WILDCARDS if getattr(scope, name) is not None}
    if scope.run_name:
        found["job.run"] = scope.run_name
    if spec.shards and scope.shard is not None:
        found["job.shard"] = [scope.shard, scope.n_shards or spec.shards(config, scope)]
    for name in spec.prompts(config, scope):
        found[f"prompts/{name}"] = _text_digest(name)
    tokens = doors.BENCHMARKS.constant(scope.benchmark, "TOKENS", None) if scope.benchmark else None
    if tokens is not None and _DIRECT_TOKENS in found:  # the released length stands in place of the configuration's
        found[_DIRECT_TOKENS] = tokens
    if scope.run:
        row = scope.run.model_dump(mode="json")
        found |= {f"run.{name}": row[name] for name in spec.row(scope.run)}
    return found


_SEEN: dict[tuple[int, str, Scope], tuple[Config, dict[str, Any]]] = {}


def _values(config: Config, stage: str, scope: Scope) -> dict[str, Any]:
    """The configuration keys of a job, worked out once for all its shards."""
    at = (id(config), stage, replace(scope, run=None))
    if at not in _SEEN or _SEEN[at][0] is not config:
        _SEEN[at] = (config, values(config, STAGES[stage].keys(config, scope)))
    return _SEEN[at][1]


@cache
def _text_digest(name: str) -> str:
    return hashlib.sha256((PROMPTS / name).read_bytes()).hexdigest()[:16]


def chosen(stage: str, config: Config, scope: Scope) -> dict[str, Any]:
    """Return which entries of the registries (`rollout3d.code.KEYS`) a job uses: no other code of theirs counts."""
    found: dict[str, Any] = {"think": config.prompts.files, "dataset": scope.dataset or tuple(config.datasets)}
    if scope.benchmark:
        found["benchmark"] = scope.benchmark
    if scope.run and stage in ("train_sft", "train_grpo"):
        run, shared = scope.run, config.training
        found |= {"method": run.method, "deepspeed": shared.deepspeed, "tracker": shared.tracker or ()}
        found |= {name: getattr(run, name) or () for name in ("rollout", "reward", "schedule")}
    if stage in ("train_grpo", "difficulty", "evaluate"):
        found["backend"] = config.generation.backend
    if stage == "report":  # its gallery shows again only views that perturb objects
        found["rollout"] = tuple(doors.ROLLOUTS.declaring("OBJECTS"))
    of_types = STAGES[stage].question_types
    if of_types is not None:
        found["question_type"] = of_types(config)
    if stage == "annotate":
        found["teacher"] = config.cot.teacher
    if stage == "annotate":  # it reads the answer in the tag
        found["scorer"] = "tagged"
    if stage in ("train_sft", "train_grpo"):  # answers to probes; GRPO also reads the answer in the tag
        found["scorer"] = sorted({official_scorer("direct"), *(("tagged",) if stage == "train_grpo" else ())})
    if stage in ("paper_table", "report"):
        found |= doors.table_entries(scope.table)
    if stage in ("select_hard", "resample", "paper_table", "study_table"):
        found["scorer"] = sorted({official_scorer("direct"), official_scorer("think")})
    if stage in ("difficulty", "evaluate"):
        found["scorer"] = official_scorer("direct" if _direct(config, scope) else "think", scope.benchmark)
    return found


def split(found: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a job's values into those that decide its result and those that do not (`config.keys.decides`).

    The former have their names of the identity (`config.former.RENAMED`).
    """
    own = {identity_name(key): value for key, value in found.items() if decides(key, value)}
    return own, {key: value for key, value in found.items() if not decides(key, value)}
