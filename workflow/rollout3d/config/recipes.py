"""Recipes: settings of one run of the run table, laid over the configuration for that run alone.

A recipe is `recipes/NAME.yaml` beside the run table, or one of the clone's own in `config/recipes`. It holds keys of
the configuration that the stages of a run read (`RECIPE_KEYS`), checked by the same models, and under `run` cells that
the table leaves empty. Runs that are compared differ in what their recipes say, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rollout3d.config.keys import leaves
from rollout3d.config.names import unknown
from rollout3d.config.problems import ConfigError, explain
from rollout3d.resources import shipped

if TYPE_CHECKING:
    from rollout3d.config import Config
    from rollout3d.config.runs import Run

SHIPPED = shipped("config/recipes")
RECIPE_KEYS = (
    *("training.*", "sft.*", "grpo.*", "prompts.*"),
    *("video.train_*", "video.eval_*", "video.min_pixels", "video.image_max_pixels", "video.time_mode"),
    *("evaluation.frame_policy", "evaluation.temperature", "evaluation.given_map"),
    *("generation.backend", "generation.batch_size", "generation.max_new_tokens*"),
)
"""Keys that a recipe may set: those that training and evaluating one run read. Others belong to the study: they decide
what all runs share (scans, questions, the hard set)."""
CELLS = ("init", "train_table", "rollout", "schedule", "regions", "reward", "steps", "seed")
"""Cells of the run's row that a recipe may fill."""


def read_recipe(name: str, table: Path | str) -> dict[str, Any]:
    """Return the values of the recipe `name` of a run table. Raises ConfigError if there is none, or if it is no
    recipe."""
    folders = list(dict.fromkeys((Path(table).resolve().parent / "recipes", SHIPPED)))
    path = next((folder / f"{name}.yaml" for folder in folders if (folder / f"{name}.yaml").is_file()), None)
    if path is None:
        known = sorted({each.stem for folder in folders for each in folder.glob("*.yaml")})
        where = " and ".join(str(folder) for folder in folders)
        raise ConfigError([f"{table}: recipe {unknown(name, known, f'a file of {where}')}"])
    return _read(path)


def _read(path: Path) -> dict[str, Any]:
    from rollout3d.config.read import read_yaml

    layer = read_yaml(path)
    problems = []
    for keys in _paths(layer.values):
        name = ".".join(keys)
        if keys[0] == "run" and keys[1:2] and keys[1] not in CELLS:
            problems.append(f"{layer.where(keys)}: run.{unknown(keys[1], CELLS, 'a cell that a recipe may fill')}")
        elif keys[0] != "run" and not any(fnmatchcase(name, pattern) for pattern in RECIPE_KEYS):
            problems.append(
                f"{layer.where(keys)}: {name} is not a run's own: a recipe sets {', '.join(RECIPE_KEYS)} and cells "
                "under run; set others in the configuration, for all runs"
            )
    if problems:
        raise ConfigError(problems)
    return layer.values


def _paths(values: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of every value; an empty section stands by its name."""
    found = []
    for key, value in values.items():
        here = (*above, str(key))
        found += _paths(value, here) if isinstance(value, dict) and value else [here]
    return found


def of_run(config: Config, run: Run | None) -> Config:
    """Return the configuration of one run: the study's with its recipe laid over it, the same object where there is
    none. Raises ConfigError naming the recipe for values that the models refuse."""
    if run is None or not run.settings:
        return config
    at = (id(config), run.run)
    if at not in _SEEN or _SEEN[at][0] is not config or _SEEN[at][1] != run.settings:
        _SEEN[at] = (config, run.settings, _laid(config, run))
    return _SEEN[at][2]


_SEEN: dict[tuple[int, str], tuple[Config, dict[str, Any], Config]] = {}


def differences(config: Config, run: Run) -> dict[str, list[Any]]:
    """Return the keys in which a run's configuration differs from the study's -> [the study's value, its own]."""
    study, own = dict(leaves(config)), dict(leaves(of_run(config, run)))
    return {key: [study[key], own[key]] for key in own if own[key] != study[key]}


def summaries(config: Config, runs: Iterable[Run]) -> dict[str, dict[str, Any]]:
    """Return what tables and pages report of runs that have a recipe, by run: its name, the cells of the row that it
    fills (`run`), and `differs`, as of `differences`."""
    return {
        run.run: {"recipe": run.recipe, "run": run.settings.get("run") or {}, "differs": differences(config, run)}
        for run in runs
        if run.settings
    }


def _laid(config: Config, run: Run) -> Config:
    from rollout3d.config import merge

    model = type(config)  # a study with more sections than rollout3d knows keeps them
    values = merge(config.model_dump(mode="json"), {key: own for key, own in run.settings.items() if key != "run"})
    where = f"recipe {run.recipe} (run {run.run})"
    try:
        own = model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, model, lambda _: where)) from None
    stored = config.video.eval_max_pixels
    if own.video.eval_max_pixels > stored:
        raise ConfigError(
            [
                f"{where}: video.eval_max_pixels: {own.video.eval_max_pixels} is more than the study's {stored}, at "
                "which frames are stored for all runs, so none would be larger: set the key in the study's "
                "configuration, or at most that value here"
            ]
        )
    return own
