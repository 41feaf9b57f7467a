"""Sizes of a Qwen2.5-VL that decide its cost, read from any form of its configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout3d import resources
from rollout3d.config import Config, Run
from rollout3d.errors import UserError
from rollout3d.model import directory, shapes
from rollout3d.preflight.models import hub_directory


class Unplannable(UserError, ValueError):
    """Error about a run or a setting that cannot be planned; the message says what to change."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a model. Counts are numbers of parameters."""

    width: int
    """Hidden size d of the language model."""
    inner: int
    """Width of its feed-forward layers."""
    layers: int
    shared: int
    """Width of the keys of a token: key-value heads times their size."""
    vocabulary: int
    tied: bool
    """True if the output layer is the embedding."""
    vision_width: int
    vision_inner: int
    depth: int
    """Blocks of the vision tower."""
    full_blocks: int
    """Blocks that attend to whole frames; the others attend to windows."""
    vision_out: int
    window: int
    """Side of a window, in merged patches."""
    merge: int
    """Patches per side that become one visual token."""
    patch_volume: int
    """Values of a patch: channels times frames times pixels."""
    language_parameters: int
    """Of the layers and the last norm."""
    vision_parameters: int
    largest_layer: int
    """Parameters of one layer of the language model."""

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the input embedding; the output layer has as many, or is the same."""
        return self.vocabulary * self.width

    @property
    def parameters(self) -> int:
        """All parameters, a tied output layer counted once."""
        return self.language_parameters + self.vision_parameters + self.embedding_parameters * (1 if self.tied else 2)

    @property
    def layer_matrices(self) -> int:
        """Numbers in the matrices of one layer of the language model."""
        return 2 * self.width * self.width + 2 * self.width * self.shared + 3 * self.width * self.inner

    def adapter_parameters(self, rank: int) -> int:
        """Parameters of LoRA adapters of a rank on every linear layer of the language model."""
        sides = 2 * (self.width + self.width) + 2 * (self.width + self.shared) + 3 * (self.width + self.inner)
        return self.layers * rank * sides

    def trained_parameters(self, lora_rank: int = 0, freeze_vision: bool = False) -> int:
        """Parameters that receive a gradient under these settings (`config.training.Optimiser`)."""
        if lora_rank:
            return self.adapter_parameters(lora_rank)
        return self.parameters - (self.vision_parameters if freeze_vision else 0)

    def cache_bytes(self, itemsize: int) -> int:
        """Bytes of keys and values per token in the cache of a decoder."""
        return 2 * self.layers * self.shared * itemsize

    @staticmethod
    def of(config: Mapping[str, Any]) -> Shape:
        """Read a model's `config.json`, flat as released or nested as transformers 5 writes it.

        Raises ModelError if it lacks a size.
        """
        tensors = {name: math.prod(shape) for name, shape in directory.expected_shapes(dict(config)).items()}
        text, eyes = config.get("text_config") or config, config["vision_config"]
        patch, merge, heads = (
            eyes.get("patch_size", 14),
            eyes.get("spatial_merge_size", 2),
            text["num_attention_heads"],
        )

        def count(start: str) -> int:
            return sum(n for name, n in tensors.items() if name.startswith(start))

        return Shape(
            width=text["hidden_size"],
            inner=text["intermediate_size"],
            layers=text["num_hidden_layers"],
            shared=(text.get("num_key_value_heads") or heads) * (text["hidden_size"] // heads),
            vocabulary=text["vocab_size"],
            tied=directory.is_tied(dict(config)),
            vision_width=eyes["hidden_size"],
            vision_inner=eyes.get("intermediate_size", 3420),
            depth=eyes.get("depth", 32),
            full_blocks=len(eyes.get("fullatt_block_indexes", (7, 15, 23, 31))),
            vision_out=eyes.get("out_hidden_size", 3584),
            window=eyes.get("window_size", 112) // (merge * patch),
            merge=merge,
            patch_volume=eyes.get("in_channels", 3) * eyes.get("temporal_patch_size", 2) * patch**2,
            language_parameters=count("model.language_model.layers.") + count("model.language_model.norm."),
            vision_parameters=count("model.visual."),
            largest_layer=count("model.language_model.layers.0."),
        )


def released(name: str) -> Shape:
    """Return the sizes of a release by its name on the Hugging Face Hub, with or without its owner.

    Raises Unplannable if they are not built in.
    """
    found = shapes.RELEASED.get(name.rpartition("/")[2])
    if found is None:
        raise Unplannable(
            f"{name}: its sizes are not built in ({', '.join(shapes.RELEASED)} are): download it, and name its "
            "directory in site.models"
        )
    return Shape.of(found)


def base_model(config: Config, runs: Mapping[str, Run], run: str) -> str:
    """Return the key of `models` at the start of a run's chain of `init`."""
    key = run
    while key in runs:
        key = runs[key].init
    return config.models[key].same_as or key


def model_shape(config: Config, key: str) -> tuple[Shape, str]:
    """Return the sizes of a model of the configuration, and the file that they are from.

    From `config.json` in the directory that `site.models` names or in the Hugging Face cache, else built in by the
    model's name. Raises Unplannable or ModelError if they are nowhere.
    """
    model = config.models[key]
    made = Path(config.results) / "models" / key
    if model.tiny and not (made / "model.json").exists():
        raise Unplannable(f"models.{key} is trained from scratch: its sizes are known once {made}/model.json is there")
    given = (
        made / "weights"
        if model.tiny
        else config.site.models.get(key) or (resources.shipped(model.name) if model.shipped else None)
    )
    where = Path(given).expanduser() if given and Path(given).expanduser().is_dir() else hub_directory(model.name)
    if where is None:
        return released(model.name), "built-in sizes"
    found = directory.read_config(where)
    directory.check_config(found, where)
    return Shape.of(found), str(where / "config.json")
