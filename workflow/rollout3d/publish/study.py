"""What a results folder says about itself: its configuration, the chain of models behind a run, its training tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.config.former import present_name
from rollout3d.config.keys import leaves
from rollout3d.errors import InvalidInput

STUDIES = ".study"
"""Folder of a results folder that holds the configurations of its workflows, the newest last (`study.running`)."""


@dataclass(frozen=True)
class Model:
    """A `model.json` of the results, with what made it."""

    path: Path
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the run or of the model."""
        return str(self.about["name"])

    @property
    def kind(self) -> str:
        """Stage that trained it (sft, grpo), or where it comes from (hub, directory, shipped, tiny)."""
        return str(self.about["kind"])

    @property
    def trained(self) -> bool:
        """True of a run's model, false of the model that training started from."""
        return self.kind in ("sft", "grpo")

    @property
    def lineage(self) -> Mapping[str, Any]:
        """What made it: `values`, `settings` and `parents`, by digest."""
        return self.about.get("lineage") or {}


def studied(results: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration that made a results folder: every key with its value, without this machine's paths.

    It is that of the newest study file of the workflow; where there is none (stages by hand), `given`. What the
    training table states about its own making counts before both.
    """
    found = sorted((results / STUDIES).glob("*.json"), key=lambda path: path.stat().st_mtime)
    values = json.loads(found[-1].read_text(encoding="utf-8"))["config"] if found else dict(given)
    made = [results / "train" / "ocr_rl.parquet", *sorted((results / "questions").glob("*/*.parquet"))[:1]]
    stated: dict[str, Any] = {}
    for path in reversed([path for path in made if path.is_file()]):
        held = tables.lineage(path)
        stated |= {**held.get("settings", {}), **held.get("values", {})}
    return _laid(values, {key: value for key, value in stated.items() if key.split(".")[0] in ("questions", "seed")})


def _laid(values: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with stated keys laid over it; keys that the configuration no longer has are left out."""
    laid = json.loads(json.dumps(values))
    known = {key for key, _ in leaves(Config())}
    for key, value in stated.items():
        *parts, last = present_name(key).split(".")
        if ".".join([*parts, last]) in known:
            at = laid
            for part in parts:
                at = at.setdefault(part, {})
            at[last] = value
    return laid


def chain(results: Path, model_json: Path, base: str | None = None) -> list[Model]:
    """Return a run's model and the models that it was trained from, the run first and the base model last.

    Each names the one before it by digest. `base`: name of the base model, where the results do not hold its
    `model.json`. Raises InvalidInput if a link is missing and no name is given.
    """
    known = {tables.digest([tables.content_digest(path)]): path for path in sorted(results.glob("*/*/model.json"))}
    found = [_model(model_json)]
    while found[-1].trained:
        parents = dict(found[-1].lineage.get("parents") or {})
        path = known.get(str(parents.get("init") or parents.get("model")))  # the second: of a checkpoint of a run
        if path is None or path in (model.path for model in found):
            if base is None:
                raise InvalidInput(
                    f"{found[-1].path}: the model that it was trained from is not in {results}, so its licence is "
                    "unknown; name the base model and its licence: --base NAME --license ID"
                )
            return [*found, Model(found[-1].path, {"name": base, "kind": "hub"})]
        found.append(_model(path))
    if base is not None and base != found[-1].name:
        raise InvalidInput(f"{found[-1].path}: the base model is {found[-1].name}, not {base}; leave out --base")
    return found


def _model(path: Path) -> Model:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        return Model(path, {**about, "name": about["name"], "kind": about["kind"]})
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror}); name a run of the results folder") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path}: is no model.json ({error!r}); train the run again") from None


def trained_on(results: Path, model: Model) -> Path | None:
    """Return the training table of a run, found by its digest; None if the results no longer hold it."""
    wanted = dict(model.lineage.get("parents") or {}).get("train")
    for path in sorted((results / "train").glob("*.parquet")):
        if tables.digest([tables.content_digest(path)]) == wanted:
            return path
    return None


def first_parent_is(path: Path, name: str, files: Sequence[Path]) -> bool:
    """Return whether the parent `name` of a table is `files` as they are now."""
    held = dict(tables.lineage(path).get("parents") or {}).get(name)
    return held == tables.digest([tables.content_digest(file) for file in files])


def paths_of(values: Any) -> Iterable[str]:
    """Yield every absolute path among the values of a configuration."""
    if isinstance(values, str) and values.startswith("/"):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from paths_of(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from paths_of(value)


def text(value: Any) -> str:
    """Return a value of the configuration as a card shows it."""
    return value if isinstance(value, str) else tables.canonical_json(value)
