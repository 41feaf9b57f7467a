"""How the answers of a predictions table were made, beside what the configuration asks for. Pure, without torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout3d import doors
from rollout3d.config import Config
from rollout3d.config.evaluation import official_scorer
from rollout3d.config.frames import eval_set
from rollout3d.errors import InvalidInput
from rollout3d.geometry.frames import frame_set
from rollout3d.model.wordings import Style, wording_digest, wording_name
from rollout3d.tables import SETTING_COLUMNS

Row = Mapping[str, Any]

UNKNOWN = "settings unknown"
"""Settings of predictions that do not say how they were made."""
AUTO = "auto"
"""Name that stands for the official scorer in `evaluation.scorers`."""
MAY_KEEP = ("evaluate", "merge_predictions")
"""Rules that make predictions: where one is kept, predictions may differ from the configuration, with a mark."""
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
"""Column -> key of the configuration that decides it."""
TOKENS = {"direct": "evaluation.max_new_tokens_direct", "think": "evaluation.max_new_tokens"}
"""Style -> key of the configuration that decides `max_new_tokens`."""


def style_of(method: str) -> Style:
    """A model as released is asked directly, as VSI-Bench does; a trained run was taught to reason and is asked to."""
    return "direct" if method == "none" else "think"


def configured(config: Config, style: Style) -> dict[str, Any]:
    """Return what the configuration asks a run for, by column of `COMPARED`."""
    evaluation, video = config.evaluation, config.video
    frames = frame_set(eval_set(evaluation, video))
    prompt = wording_name(style, None if style == "direct" else config.prompts.think)
    return {
        "frames": frames.n,
        "frame_policy": frames.policy,
        "max_pixels": video.eval_max_pixels,
        "prompt": prompt,
        "prompt_digest": wording_digest(prompt),
        "temperature": evaluation.temperature,
        "max_new_tokens": evaluation.max_new_tokens_direct if style == "direct" else evaluation.max_new_tokens,
        "backend": evaluation.backend,
    }


def style_in(predictions: Sequence[Row]) -> Style | None:
    """Return the style in which all answers were asked for; None if that is unknown or differs."""
    prompts = {row.get("prompt") for row in predictions}
    if None in prompts:
        return None
    styles: set[Style] = {"direct" if prompt == "direct" else "think" for prompt in prompts}
    return styles.pop() if len(styles) == 1 else None


def wanted(config: Config, predictions: Sequence[Row], method: str | None = None) -> dict[str, Any] | None:
    """Return what the configuration asks a run of `method` for; without a method, what it asks for in the style that
    the predictions were made in. None where that style is unknown, so that nothing can be compared."""
    style = style_of(method) if method else style_in(predictions)
    return None if style is None else configured(config, style)


def check_model(predictions: Sequence[Row], model_json: Path | str) -> None:
    """Raise ValueError if predictions that name their model come from other weights than `model_json` describes."""
    now = json.loads(Path(model_json).read_text(encoding="utf-8")).get("digest")
    before = {row.get("model_digest") for row in predictions} - {None}
    if before - {now}:
        raise InvalidInput(
            f"the answers come from the model {', '.join(sorted(digest[:12] for digest in before))}, {model_json} "
            f"describes {str(now)[:12]}: evaluate again, or name the model.json that was evaluated"
        )


def official(scores: Iterable[Row]) -> list[Row]:
    """The SCORES rows of each run's first scorer on each benchmark, and the guesses: one number per run and task."""
    first: dict[tuple[str, str], str] = {}
    kept = []
    for row in scores:
        scorer = row.get("scorer")
        if scorer is None or first.setdefault((row["run"], row["benchmark"]), scorer) == scorer:
            kept.append(row)
    return kept


def part_of(benchmark: str, questions: Sequence[Row]) -> str | None:
    """Name the part of a benchmark that `questions` are, such as "scannet, 2071 of 5130"; None for the whole.

    A benchmark whose file states no `SIZE` is whole whatever it holds.
    """
    size = doors.BENCHMARKS.constant(benchmark, "SIZE", None)
    if size is None or len(questions) == size:
        return None
    datasets = sorted({str(row["dataset"]) for row in questions})
    return f"{' and '.join(datasets) or 'nothing'}, {len(questions)} of {size}"


def filled(predictions: Sequence[Row], about: Row) -> list[Row]:
    """Predictions of version 1 with the settings that their table's lineage `about` tells; others as they are.

    Version 1 knew one frame policy. What another stage wrote, or was asked in another style than its lineage says (an
    option of `evaluate`), stays unknown.
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
    told = {column: values.get(key) for column, key in KEYS.items()}
    told |= {"frame_policy": "uniform", "prompt": prompt, "prompt_digest": digest}
    told["max_new_tokens"] = values.get(TOKENS[style])
    return [row | told if row["scorer"] == official_scorer(style) else row for row in predictions]


def line(predictions: Sequence[Row], wanted: Row | None = None, kept: Collection[str] = ()) -> str:
    """Say in one line how the answers of one view were made.

    `wanted`: what the configuration asks for (`configured`); `kept`: rules that the user keeps. Raises ValueError if
    the answers were made under several settings or under others than `wanted`, naming both values; where the rules
    that make predictions are kept, both stand in the line instead. What is unknown is said and not compared.
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
        asked = None if wanted is None else wanted.get(name)
        if asked is not None and any(value != asked for value in values):
            marked[name] = asked
            tokens = TOKENS["direct" if wanted.get("prompt") == "direct" else "think"]
            key = tokens if name == "max_new_tokens" else KEYS.get(name)
            problems.append(
                f"{_plain(name)} is {' and '.join(map(str, values))} in the predictions, {asked} in the configuration"
                + (f" ({key})" if key else "")
            )
    if problems and not may_differ:
        raise InvalidInput(
            f"{'; '.join(problems)}. Evaluate again, or give the configuration that the predictions were made with, or "
            "keep them as they are, `keep: [evaluate]` (by hand: --kept evaluate), and every score says so"
        )
    parts = [_words(name, values, found, marked) for name, values in found.items() if values]
    parts += [f"{UNKNOWN} for {len(unknown)} of {len(predictions)} answers"] if unknown else []
    return ", ".join(part for part in parts if part)


def _words(name: str, values: Sequence[Any], found: Mapping[str, Sequence[Any]], marked: Row) -> str:
    """One setting in words; another value of the configuration stands behind it, in brackets."""
    told = " or ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
    if name == "frame_policy" and found["frames"] and name not in marked:
        return ""  # stands with the frames
    if name == "prompt_digest":
        return "in another wording [configured: the present file]" if name in marked else ""
    policy = " or ".join(found["frame_policy"])
    sentence = {
        "frames": f"{told} frames {policy}".rstrip(),
        "frame_policy": f"frames {told}",
        "max_pixels": f"at most {told} px",
        "temperature": f"temperature {told}",
        "max_new_tokens": f"{told} tokens",
    }.get(name, told)
    return f"{sentence} [configured: {marked[name]}]" if name in marked else sentence


def _plain(name: str) -> str:
    return name.replace("_", " ")
