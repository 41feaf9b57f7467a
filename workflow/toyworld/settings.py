"""The toy world's own settings: the key `toyworld` of a study's configuration.

The paper's configuration has `toyworld: null`, and `rollout3d` reads no more of the key than whether it is null. The
rules and this package's stages read the whole configuration as a `StudyConfig`, so a misspelt key below `toyworld` is
refused with its file, its line and the nearest known name, like every other key.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from rollout3d.config import Config, Section
from rollout3d.config.base import Above0, NotNegative, Positive
from rollout3d.errors import UserError

MAP_WORDING = "plain_map"
"""Wording (`prompts.think`) with which the small model is taught to draw cognitive maps."""


class Scans(Section):
    """Procedural scans in the releases' own formats, which take the place of the releases."""

    scans_per_dataset: Positive = 8
    """Scans per format, training and validation together."""
    val_scans: Positive = 2
    """Number of scans per format that are held out."""
    seconds: Above0 = 8.0
    """Length of each recording, seconds."""
    fps: Positive = 10
    """Frames per second of the recording; ScanNet++'s 60 fps video repeats each frame that often."""
    width: Positive = 160
    """Width of the frames, pixels."""
    height: Positive = 120
    """Height of the frames, pixels."""
    n_objects: tuple[Positive, Positive] = (15, 40)
    """Smallest and largest number of things per room; also of the rooms that the small model is trained on."""

    @model_validator(mode="after")
    def _ordered(self) -> Scans:
        if self.n_objects[0] > self.n_objects[1]:
            raise ValueError(f"n_objects: {list(self.n_objects)} must be the fewest, then the most: swap them")
        if self.val_scans >= self.scans_per_dataset:
            raise ValueError(
                f"val_scans: {self.val_scans} of {self.scans_per_dataset} scans_per_dataset leaves no scan to train on"
            )
        return self


class SmallModel(Section):
    """The small Qwen2.5-VL, trained from scratch for every model with `tiny: true`."""

    steps: Positive = 600
    """Optimiser steps."""
    batch_size: Positive = 4
    """Rooms per step, no one of which comes twice."""
    second: NotNegative = 0
    """Number of further steps, which teach answers with reasoning beside direct ones, and the places of things."""
    third: NotNegative = 0
    """Number of steps after these, which teach short reasoning, of three sentences, and maps."""
    clips: NotNegative = 0
    """Number of steps, the first ones, that show clips of 2 or 4 frames with a description only."""
    blind: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of rooms whose frames are black, so that the model learns to answer from prior knowledge. Without them its
    answers to black frames are those of a model that has never seen such input, which inflates the difference between
    video and black frames."""
    lr: Above0 = 3e-3
    """Peak learning rate of embeddings, norms and biases (AdamW)."""
    matrix_lr: Above0 = 0.04
    """Peak learning rate of all other weights (Muon)."""
    hidden: Positive = 128
    """Width of the language model."""
    layers: Positive = 3
    """Layers of the language model."""
    vision_depth: Positive = 2
    """Blocks of the vision tower."""
    vision_hidden: Positive = 128
    """Width of the vision tower."""
    vocabulary: Positive = 1500
    """Size of the tokeniser's vocabulary, special tokens included."""
    processes: Positive = 2
    """Processes of one thread that share a step; the result depends on their number."""

    @property
    def courses(self) -> tuple[int, int, int]:
        """Number of steps of each course."""
        return self.steps, self.second, self.third


class ToyWorld(Section):
    """All settings of the toy world."""

    scans: Scans = Scans()
    model: SmallModel = SmallModel()


class StudyConfig(Config):
    """The study's configuration with the settings of the toy world read and checked."""

    toyworld: ToyWorld | None = None  # pyright: ignore[reportIncompatibleVariableOverride]  # narrower on purpose
    """Rooms rendered in place of the releases, and the small model trained on such rooms; null = the releases."""


class NoToyWorld(UserError, ValueError):
    """The configuration has no section `toyworld`, so there is nothing to render or to train."""


def settings_of(config: Config) -> ToyWorld:
    """Return the section `toyworld` of a StudyConfig. Raises NoToyWorld where it is null."""
    if not isinstance(config, StudyConfig):
        raise TypeError(f"toyworld.settings.StudyConfig is needed, not {type(config).__name__}")
    if config.toyworld is None:
        raise NoToyWorld("the configuration has no section `toyworld`: scans and small models are made in presets only")
    return config.toyworld
