"""The run table: one row per training run, checked against the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, ValidationError, model_validator

from rollout3d import doors
from rollout3d.config.base import NotNegative, Positive
from rollout3d.config.choices import PaperTable, Reward, Rollout
from rollout3d.config.keys import leaves
from rollout3d.config.names import Name, confused, unknown
from rollout3d.config.problems import ConfigError, explain
from rollout3d.config.recipes import of_run, read_recipe
from rollout3d.config.sections import RegionMode, Section
from rollout3d.resources import found

if TYPE_CHECKING:
    from rollout3d.config import Config

REQUIRED = ("run", "method", "init")
"""Columns that every run table has; a column that it lacks otherwise is empty in every row."""

ANSWERS_ONLY = ("ocr_rl", "sr_91k", "sr", "sr_resampled", "general_60k")
"""Training tables of questions and answers: the whole one, its questions about scans, those of them that the filter
model answers rightly at times, and its general data."""
SCANS_TABLE = {"spatial_r1": "sr"}
"""Rules (`questions.rules`) -> name of the training table of the questions about scans; sr_91k for others."""


def _run_at_step(text: str) -> str:
    """Raise ValueError unless a text names a run and a number of its steps; return it otherwise."""
    if not re.fullmatch(r"[^@]+@[1-9][0-9]*", text):
        raise ValueError(f"must be RUN@STEPS, such as spacer@1000, not '{text}'")
    return text


class Run(Section):
    """One row of the run table."""

    run: Name
    method: Literal["none", "sft", "grpo"]
    init: str
    """Model key, or another run."""
    train_table: Literal["ocr_rl", "ocr_sft", "video_r1_cot", "sr_91k", "sr", "sr_resampled", "general_60k"] | None = (
        None
    )
    rollout: Rollout | None = None
    schedule: Literal["linear", "fix", "exp", "cos"] | None = None
    regions: RegionMode | None = None
    reward: Reward | None = None
    """A file of `training/rewards`."""
    steps: Positive | None = None
    seed: NotNegative = 0
    style: Literal["direct", "think"] | None = None
    """Prompt of its answers, and of the samples of SFT: for the answer alone, or for reasoning; empty: `direct` for
    method none, `think` for others."""
    at: Annotated[str, AfterValidator(_run_at_step)] | None = None
    """Checkpoint of a GRPO run that is this row's model: RUN@STEPS, such as spacer@1000, the run after 1,000 steps.
    Method none; `init` is that run, so its cell may be empty."""
    tables: list[PaperTable] = []
    recipe: Name | None = None
    """Settings of this run: a file of recipes/ beside the run table, or of config/recipes."""
    settings: dict[str, Any] = {}
    """Values of the recipe; no column."""

    @property
    def asked(self) -> Literal["direct", "think"]:
        """Style of the prompts that its model answers; SFT trains on the same ones."""
        return self.style or ("direct" if self.method == "none" else "think")

    @property
    def checkpoint(self) -> tuple[str, int] | None:
        """The run whose checkpoint this row names, and after how many steps it was taken; None for other rows."""
        if self.at is None:
            return None
        name, steps = self.at.split("@")
        return name, int(steps)

    @property
    def trains_on_scans(self) -> bool:
        """True if its questions are about scans; others bring their own pictures and videos."""
        return self.train_table in ("ocr_rl", "ocr_sft", "sr_91k", "sr", "sr_resampled")

    @property
    def needs_maps(self) -> bool:
        """True if its reward compares answers with cognitive maps: the reward's file declares `NEEDS_MAPS = True`."""
        return self.reward is not None and bool(doors.REWARDS.constant(self.reward, "NEEDS_MAPS", False))

    @model_validator(mode="before")
    @classmethod
    def _starts_there(cls, values: Any) -> Any:
        """Let a row that names a checkpoint start from its run."""
        if isinstance(values, dict) and isinstance(values.get("at"), str):
            return {"init": values["at"].split("@")[0], **values}
        return values

    @model_validator(mode="after")
    def _complete(self) -> Run:
        needed = {"none": (), "sft": ("train_table",), "grpo": ("train_table", "rollout", "reward", "steps")}
        missing = [key for key in needed[self.method] if getattr(self, key) is None]
        if self.rollout is not None:
            missing += [key for key in doors.ROLLOUTS.constant(self.rollout, "NEEDS", ()) if getattr(self, key) is None]
        if missing:
            raise ValueError(f"run '{self.run}' ({self.method}) lacks {', '.join(missing)}")
        if self.checkpoint and self.method != "none":
            raise ValueError(
                f"run '{self.run}' ({self.method}) names a checkpoint in column at, which is for rows of method none: "
                "give the checkpoint a row of its own, and name that row under init"
            )
        if self.checkpoint and self.init != self.checkpoint[0]:
            raise ValueError(f"run '{self.run}' starts from {self.init}, and its checkpoint is {self.at}: clear init")
        if self.method == "grpo" and self.style == "direct":
            raise ValueError(
                f"run '{self.run}' (grpo) has style direct, and its rollouts reason: leave the cell empty, and ask its "
                "model directly in a row of method none that starts from it"
            )
        return self


def read_runs(path: Path | str, config: Config, recipes: Mapping[str, dict[str, Any]] | None = None) -> dict[str, Run]:
    """Return the run table, in file order, `runs.max_steps` applied. Raises ConfigError with a sentence per problem.

    Where there is no file at `path`, the shipped run table of that name is read. `recipes`: what the recipes hold, by
    run, where that is known; else they are read and checked against `config`.
    """
    path = found(path)
    runs, lines, problems = _read(path, config.runs.recipes, recipes)
    if problems:  # rows that could not be read would be missed below, too
        raise ConfigError(problems)
    for name, run in runs.items():
        where = f"{path}:{lines[name]}"
        if name in config.models:
            problems.append(f"{where}: run '{name}' has the name of a model: what starts from it would be unclear")
        if run.init not in runs and run.init not in config.models and run.at is None:
            problems.append(
                f"{where}: run '{name}', column init: {unknown(run.init, [*runs, *config.models], 'a run or a model')}"
            )
        if run.method == "sft" and run.asked == "think" and run.train_table in ANSWERS_ONLY:
            problems.append(
                f"{where}: run '{name}' (sft) cannot train on {run.train_table}, which has no reasoning: name ocr_sft, "
                "or set style to direct, which trains on the answers alone"
            )
        if run.checkpoint and (problem := _no_checkpoint(run.checkpoint, runs, config.runs.max_steps)):
            problems.append(f"{where}: run '{name}', column at: {run.at}: {problem}")
        chain = _chain(name, runs)
        if name in chain[1:] and name not in config.models:
            problems.append(f"{where}: run '{name}' starts from itself: {' -> '.join(chain)}")
    if pair := confused(runs):
        problems.append(
            f"{path}:{lines[pair[0]]}: runs '{pair[0]}' and '{pair[1]}' are too much alike ('.' matches any character)"
        )
    # A stage's narrowed configuration lacks what it does not read; the whole one is checked when the study is read.
    given = dict(leaves(config))
    for key in ("runs.select", "difficulty.run"):
        names = given.get(key, [])
        names = [names] if isinstance(names, str) else list(names)
        problems += [f"{key}: {unknown(name, runs, f'a run of {path}')}" for name in names if name not in runs]
    for name in _chain(config.difficulty.run, runs):
        if name in runs and runs[name].train_table == "ocr_sft":
            problems.append(
                f"difficulty.run: '{config.difficulty.run}' rests on run '{name}', which trains on ocr_sft, which "
                "is made of questions that this run leaves unsolved: name a run without ocr_sft"
            )
            break
    if recipes is None:
        for run in runs.values():
            try:
                own = of_run(config, run)
            except ConfigError as error:
                problems += error.problems
                continue
            made = scans_table(config) if run.train_table in ("sr_91k", "sr") else None
            if made != run.train_table and made is not None:
                problems.append(
                    f"{path}:{lines[run.run]}: run '{run.run}' trains on {run.train_table}, and the questions about "
                    f"scans are the table {made} with questions.rules {config.questions.rules}: name {made}"
                )
            problems += [f"{path}:{lines[run.run]}: {each}" for each in _given_map_problems(config, run, own, runs)]
            # Only then: a stage's narrowed configuration may lack the key.
            if run.needs_maps and not own.prompts.offers_map:
                problems.append(
                    f"{path}:{lines[run.run]}: run '{run.run}' has reward {run.reward}, which pays for cognitive maps, "
                    f"and its prompt (prompts.think: {own.prompts.think}) offers none: set prompts.think to map, in "
                    "its recipe or for the study, or give it a reward without maps, such as spacer_no_map"
                )
    if problems:
        raise ConfigError(problems)
    most = config.runs.max_steps
    return {
        name: run.model_copy(update={"steps": min(run.steps, most)}) if run.steps and most else run
        for name, run in runs.items()
    }


def _given_map_problems(config: Config, run: Run, own: Config, runs: Mapping[str, Run]) -> Iterator[str]:
    """Yield what keeps a run from being given the maps that its recipe names (`evaluation.given_map`)."""
    if "given_map" not in run.settings.get("evaluation", {}) or own.evaluation.given_map == "none":
        return
    name, given = run.run, own.evaluation.given_map
    if run.asked == "direct":
        yield f"run '{name}' is given maps ({given}) and is asked directly, which shows none: set style to think"
    if given != "own":
        return
    if run.init not in runs:
        yield f"run '{name}' is given own maps and starts from the model {run.init}, which answers nothing: name a run"
        return
    start = of_run(config, runs[run.init])
    if runs[run.init].asked == "direct" or not start.prompts.offers_map:
        yield f"run '{name}' is given the maps of run '{run.init}', whose prompts ask for none (prompts.think)"
    elif start.prompts.map_grid != own.prompts.map_grid:
        yield (
            f"run '{name}' is given the maps of run '{run.init}', of {start.prompts.map_grid} cells, and its own "
            f"prompts.map_grid is {own.prompts.map_grid}: set both to the same"
        )


def scans_table(config: Config) -> str:
    """Return the name of the training table that holds a study's questions about scans."""
    return SCANS_TABLE.get(config.questions.rules, "sr_91k")


COLUMNS = [name for name in Run.model_fields if name != "settings"]
"""Columns of the run table."""


def _no_checkpoint(checkpoint: tuple[str, int], runs: Mapping[str, Run], most: int | None) -> str | None:
    """Return why training never reaches a checkpoint; None if it does."""
    name, steps = checkpoint
    of = runs.get(name)
    if of is None or of.method != "grpo" or of.steps is None:
        return f"{name} is not a GRPO run of the run table, whose checkpoints can be named"
    last = min(of.steps, most or of.steps)
    if steps < last:
        return None
    capped = f" (runs.max_steps: {most})" if last < of.steps else ""
    return f"run '{name}' has {last} steps{capped}: name fewer, or the run itself under init"


def _chain(name: str, runs: Mapping[str, Run]) -> list[str]:
    """Return a run, what it starts from, and so on, up to a model or to a run that stands in the chain already."""
    chain = [name]
    while name in runs:
        name = runs[name].init
        chain.append(name)
        if name in chain[:-1]:
            break
    return chain


def _read(
    path: Path | str, use_recipes: bool, recipes: Mapping[str, dict[str, Any]] | None
) -> tuple[dict[str, Run], dict[str, int], list[str]]:
    """Return the rows that could be read by name, their lines, and the problems of the others."""
    runs: dict[str, Run] = {}
    lines: dict[str, int] = {}
    problems: list[str] = []
    columns: list[str] = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        where, line = f"{path}:{number}", line.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        cells = [_cell(cell) for cell in line.split("\t")]
        if not columns:
            columns = cells
            _check_columns(cells, where)
            continue
        if len(cells) != len(columns):
            hint = "they stand between spaces, not tabs" if len(cells) == 1 else "cells are separated by tabs"
            count = f"{len(cells)} cell{'s' * (len(cells) > 1)}"
            problems.append(f"{where}: {count} where the header has {len(columns)}; {hint}, an empty one is -")
            continue
        values: dict[str, Any] = {key: cell for key, cell in zip(columns, cells, strict=True) if cell not in ("", "-")}
        values["tables"] = [name for name in values.get("tables", "").replace(" ", "").split(",") if name]
        if not use_recipes:
            values.pop("recipe", None)
        elif "recipe" in values:
            try:
                known = (recipes or {}).get(str(values.get("run")))
                _fill(values, read_recipe(values["recipe"], path) if known is None else known, where)
            except ConfigError as error:
                problems += error.problems
                continue
        try:
            run = Run.model_validate(values)
        except ValidationError as error:
            problems += explain(error, Run, lambda _, where=where: where, prefix="column ")
            continue
        if run.run in runs:
            problems.append(f"{where}: run '{run.run}' appears twice, first on line {lines[run.run]}; rename one")
            continue
        runs[run.run], lines[run.run] = run, number
    if not columns:
        raise ConfigError([f"{path}: holds no run; its first line names the columns: {', '.join(COLUMNS)}"])
    return runs, lines, problems


def _fill(values: dict[str, Any], recipe: dict[str, Any], where: str) -> None:
    """Add a recipe to a row. Raises ConfigError if it has another value for a cell than the row."""
    own = recipe.get("run") or {}
    for cell, value in own.items():
        if cell in values and str(values[cell]) != str(value):
            raise ConfigError(
                [
                    f"{where}: run '{values.get('run')}' has {cell} {values[cell]}, its recipe {values['recipe']} "
                    f"{value}: leave the cell empty (-), or take run.{cell} out of the recipe"
                ]
            )
    values |= own | {"settings": recipe}


def _text(path: Path | str) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([f"{path}:{line}: this line is not UTF-8 text; save the file as UTF-8"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: the run table cannot be read: {error.strerror}; correct runs.table"]) from None


def _cell(text: str) -> str:
    """Return a cell without spaces around it, and without the quotes that spreadsheets put around a comma."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def _check_columns(names: list[str], where: str) -> None:
    """Raise ConfigError if the header lacks a column, has one twice, or one that does not exist."""
    known = COLUMNS
    if len(names) == 1 and len(names[0].split()) > 1:
        raise ConfigError([f"{where}: the columns are separated by spaces; separate them by tabs"])
    problems = [
        f"{where}: column {unknown(name, known, 'one of the run table')}" for name in names if name not in known
    ]
    problems += [f"{where}: column {name} stands twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    problems += [f"{where}: column {name} is missing" for name in REQUIRED if name not in names]
    if problems:
        raise ConfigError(problems)
