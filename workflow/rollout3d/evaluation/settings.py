"""Compare how the answers of a predictions table were made with the configuration, and put it in words. Pure.

Needs no torch, so that scoring can read it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from rollout3d import doors
from rollout3d.config import Config
from rollout3d.config.evaluation import map_given, official_scorer
from rollout3d.config.former import present_name
from rollout3d.config.frames import eval_set
from rollout3d.config.sections import Generation
from rollout3d.errors import InvalidInput
from rollout3d.geometry.frames import frame_set
from rollout3d.model.wordings import Style, is_direct, wording_digest, wording_name
from rollout3d.tables import SETTING_COLUMNS
from rollout3d.tables.rows import PredictionRow, QuestionRow, ScoreRow

UNKNOWN = "settings unknown"
"""Settings of predictions that do not state how they were made."""
AUTO = "auto"
"""Name that stands for the official scorer in `evaluation.scorers`."""
MAY_KEEP = ("evaluate", "merge_predictions")
"""Rules that make predictions: where one is kept, predictions may differ from the configuration, and are marked."""
COMPARED = tuple(name for name in SETTING_COLUMNS if name not in ("model_digest", "split"))
"""Columns that the configuration decides."""
KEYS = {
    "frames": "video.eval_frames",
    "frame_policy": "evaluation.frame_policy",
    "max_pixels": "video.eval_max_pixels",
    "prompt": "prompts.think",
    "prompt_digest": "resources/prompts",
    "temperature": "evaluation.temperature",
    "backend": "evaluation.backend",
}
"""Column -> key that decides it, by its name in identities."""
TOKENS = {"direct": "evaluation.max_new_tokens_direct", "think": "evaluation.max_new_tokens"}
"""Style -> key that decides `max_new_tokens`, by its name in identities."""


def style_of(method: str) -> Style:
    """Return the prompt style of a run whose row names none: direct without training, as VSI-Bench does; else think."""
    return "direct" if method == "none" else "think"


def most_tokens(generation: Generation, style: Style, benchmark: str | None = None) -> int:
    """Return the maximum length of an answer in a prompt style, in tokens.

    Direct answers to a benchmark that publishes a length (`TOKENS` of its file) have that one.
    """
    if style == "think":
        return generation.max_new_tokens
    own = doors.BENCHMARKS.constant(benchmark, "TOKENS", None) if benchmark else None
    return generation.max_new_tokens_direct if own is None else own


def configured(config: Config, style: Style, benchmark: str | None = None) -> dict[str, Any]:
    """Return the settings that the configuration demands of a run on a benchmark, by column of `COMPARED`."""
    evaluation, generation, video = config.evaluation, config.generation, config.video
    frames = frame_set(eval_set(evaluation, video, benchmark))
    think = None if style == "direct" else config.prompts.wording
    prompt = wording_name(style, think, map_given(evaluation, style, benchmark), benchmark)
    return {
        "frames": frames.n,
        "frame_policy": frames.policy,
        "max_pixels": video.eval_max_pixels,
        "prompt": prompt,
        "prompt_digest": wording_digest(prompt),
        "temperature": evaluation.temperature,
        "max_new_tokens": most_tokens(generation, style, benchmark),
        "backend": generation.backend,
    }


def style_in(predictions: Sequence[PredictionRow]) -> Style | None:
    """Return the prompt style of all answers; None if that is unknown or differs."""
    prompts = {row.get("prompt") for row in predictions}
    if None in prompts:
        return None
    styles: set[Style] = {"direct" if is_direct(str(prompt)) else "think" for prompt in prompts}
    return styles.pop() if len(styles) == 1 else None


def wanted(
    config: Config,
    predictions: Sequence[PredictionRow],
    method: str | None = None,
    style: Style | None = None,
    benchmark: str | None = None,
) -> dict[str, Any] | None:
    """Return the settings that the configuration demands of a run of `method`, or of answers in a prompt style.

    Without both, those that it demands in the prompt style of the predictions; None where that style is unknown, so
    that nothing can be compared.
    """
    style = style or (style_of(method) if method else style_in(predictions))
    return None if style is None else configured(config, style, benchmark)


def check_model(predictions: Sequence[PredictionRow], model_json: Path | str) -> None:
    """Raise ValueError if predictions that name their model come from other weights than `model_json` describes."""
    now = json.loads(Path(model_json).read_text(encoding="utf-8")).get("digest")
    before = {digest for row in predictions if (digest := row.get("model_digest")) is not None}
    if before - {now}:
        raise InvalidInput(
            f"the answers come from the model {', '.join(sorted(digest[:12] for digest in before))}, {model_json} "
            f"describes {str(now)[:12]}: evaluate again, or name the model.json that was evaluated"
        )


def official(scores: Iterable[ScoreRow]) -> list[ScoreRow]:
    """Return the rows of each run's first scorer on each benchmark, and the guesses: one number per run and task."""
    first: dict[tuple[str, str], str] = {}
    kept = []
    for row in scores:
        scorer = row.get("scorer")
        if scorer is None or first.setdefault((row["run"], row["benchmark"]), scorer) == scorer:
            kept.append(row)
    return kept


def part_of(benchmark: str, questions: Sequence[QuestionRow]) -> str | None:
    """Name the part of a benchmark that `questions` are, such as "scannet, 2071 of 5130"; None for the whole.

    A benchmark whose file states no `SIZE` is whole whatever it holds.
    """
    size = doors.BENCHMARKS.constant(benchmark, "SIZE", None)
    if size is None or len(questions) == size:
        return None
    datasets = sorted({str(row["dataset"]) for row in questions})
    return f"{' and '.join(datasets) or 'nothing'}, {len(questions)} of {size}"


def filled(predictions: Sequence[PredictionRow], about: Mapping[str, Any]) -> list[PredictionRow]:
    """Return predictions of version 1 with the settings that their table's lineage `about` states; others unchanged.

    Version 1 had one frame policy. Settings stay unknown of what another stage wrote, and of answers in another prompt
    style than the lineage states (an option of `evaluate`).
    """
    values = about.get("values", {})
    prompts = {
        key.removeprefix("prompts/").removesuffix(".txt"): digest
        for key, digest in values.items()
        if key.startswith("prompts/")
    }
    if about.get("version") != 1 or about.get("stage") != "evaluate" or len(prompts) != 1:
        return list(predictions)
    ((prompt, digest),) = prompts.items()
    style: Style = "direct" if prompt == "direct" else "think"
    stated = {column: values.get(key) for column, key in KEYS.items()}
    stated |= {"frame_policy": "uniform", "prompt": prompt, "prompt_digest": digest}
    stated["max_new_tokens"] = values.get(TOKENS[style])
    scorer = official_scorer(style)
    return [cast(PredictionRow, {**row, **stated}) if row["scorer"] == scorer else row for row in predictions]


def line(
    predictions: Sequence[PredictionRow], wanted: Mapping[str, Any] | None = None, kept: Collection[str] = ()
) -> str:
    """Describe in one line how the answers of one view were made.

    `wanted`: settings that the configuration demands (`configured`); `kept`: rules that the user keeps. Raises
    ValueError if the answers were made under several settings or under others than `wanted`, naming both values; where
    the rules that make predictions are kept, both stand in the line instead. Unknown settings are named as such and not
    compared.
    """
    unknown = [row for row in predictions if all(row.get(name) is None for name in COMPARED)]
    if len(unknown) == len(predictions):
        return UNKNOWN
    found: dict[str, list[Any]] = {}
    for name in COMPARED:
        values = dict.fromkeys(row.get(name) for row in predictions)
        found[name] = [value for value in values if value is not None]
    may_differ = bool(set(kept) & set(MAY_KEEP))
    problems, marked = [], {}
    for name, values in found.items():
        if name == "prompt_digest" and "prompt" in marked:
            continue  # another file has another digest
        if len(values) > 1:
            problems.append(f"{_plain(name)} is {' and '.join(map(str, values))} in different answers")
        demanded = (wanted or {}).get(name)
        if demanded is not None and any(value != demanded for value in values):
            marked[name] = demanded
            tokens = TOKENS["direct" if is_direct(str((wanted or {}).get("prompt"))) else "think"]
            key = tokens if name == "max_new_tokens" else KEYS.get(name)
            problems.append(
                f"{_plain(name)} is {' and '.join(map(str, values))} in the predictions, {demanded} in the "
                + (f"configuration ({present_name(key)})" if key else "configuration")
            )
    if problems and not may_differ:
        raise InvalidInput(
            f"{'; '.join(problems)}. Evaluate again, or give the configuration that the predictions were made with, or "
            "keep them as they are, `keep: [evaluate]` (by hand: --kept evaluate), and every score says so"
        )
    parts = [_words(name, values, found, marked) for name, values in found.items() if values]
    parts += [f"{UNKNOWN} for {len(unknown)} of {len(predictions)} answers"] if unknown else []
    return ", ".join(part for part in parts if part)


def _words(name: str, values: Sequence[Any], found: Mapping[str, Sequence[Any]], marked: Mapping[str, Any]) -> str:
    """Put one setting in words; a different value of the configuration stands behind it, in brackets."""
    shown = " or ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
    if name == "frame_policy" and found["frames"] and name not in marked:
        return ""  # stands with the frames
    if name == "prompt_digest":
        return "in another wording [configured: the present file]" if name in marked else ""
    policy = " or ".join(found["frame_policy"])
    sentence = {
        "frames": f"{shown} frames {policy}".rstrip(),
        "frame_policy": f"frames {shown}",
        "max_pixels": f"at most {shown} px",
        "temperature": f"temperature {shown}",
        "max_new_tokens": f"{shown} tokens",
    }.get(name, shown)
    return f"{sentence} [configured: {marked[name]}]" if name in marked else sentence


def _plain(name: str) -> str:
    return name.replace("_", " ")
