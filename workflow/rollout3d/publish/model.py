"""Write a trained model for the Hub: what `rollout3d export` writes, with a card of its training and scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout3d.config import Video
from rollout3d.errors import InvalidInput
from rollout3d.model.export import Asked, export_model
from rollout3d.publish import licences, model_card, study, weights
from rollout3d.publish.clean import Private
from rollout3d.publish.folder import writing

PLACES = ("_name_or_path", "name_or_path")
"""Entries of settings files in which transformers may keep the folder that a model was loaded from."""


@dataclass(frozen=True)
class Stated:
    """What a user states about a model, because the results may not hold it."""

    base: str | None = None
    licence: str | None = None
    licence_link: str | None = None
    datasets: tuple[str, ...] = ()
    """Datasets of the Hub that it was trained on."""
    title: str | None = None


def publish_model(
    results: Path,
    model_json: Path,
    target: Path,
    values: Mapping[str, Any],
    asked: Asked,
    video: Video,
    stated: Stated,
    private: Private,
    max_bytes: int = weights.MAX_BYTES,
) -> model_card.Trained:
    """Write the folder `target` from a run; return what its card says.

    `values`: the configuration that made the results, without paths; `asked`, `video`: settings of its evaluation
    (`export_model`); `max_bytes`: size of a file of weights. Raises InvalidInput for a model that was not trained here,
    for a base model of unknown licence, for scores of other weights, if `target` holds anything else, or if anything
    private would be published; ModelError for a damaged model.
    """
    found = study.chain(results, model_json, stated.base)
    if not found[0].trained:
        raise InvalidInput(f"{model_json}: a base model ({found[0].kind}), not a run that was trained here; name a run")
    licence = licences.of_base(found[-1].name, found[-1].kind, stated.licence, stated.licence_link)
    trained = model_card.describe(results, found, values, licence, stated.datasets, stated.title)
    with writing(target, "model") as folder:
        export_model(model_json, folder, asked, video)
        weights.shard(folder, max_bytes)
        for path in folder.glob("*.json"):
            _forget_places(path)
        readme = folder / "README.md"
        readme.write_text(trained.card(readme.read_text(encoding="utf-8")), encoding="utf-8")
        private.check_folder(folder)
    return trained


def _forget_places(path: Path) -> None:
    """Take out of a settings file where its model was loaded from."""
    if path.name.startswith("tokenizer.") or path.name.endswith(".index.json"):
        return
    about = json.loads(path.read_text(encoding="utf-8"))
    kept = {key: value for key, value in about.items() if key not in PLACES}
    if kept != about:
        path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
