"""Export a trained model as a directory that transformers and vLLM load, with the settings of its evaluation.

Training saves an ordinary Hugging Face directory already. `export_model` copies it and adds what another user needs:
the settings of its evaluation as defaults, the wording of the questions, the released rule of positions as a file of
its own (`rope.py`), and a README that explains them.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from transformers import AutoTokenizer

from rollout3d.config import Video as VideoConfig
from rollout3d.files import sync_files
from rollout3d.model import directory as directories
from rollout3d.model import rope, wordings
from rollout3d.model.directory import ModelError
from rollout3d.model.hub_files import GENERATION, generation_config, processor_files
from rollout3d.model.load import ModelHandle, check_weights, read_model
from rollout3d.resources import shipped

CARD = shipped("resources/export/README.md")
"""Template of the README: `$name` stands for a value."""
POSITIONS = "released_positions.py"
"""Name of the file with the released rule of positions."""
WORDING = "prompt.txt"
"""Name of the file with the wording of the questions."""


@dataclass(frozen=True)
class Asked:
    """Settings of a model's evaluation, which become the defaults of its export."""

    prompt: str
    """Wording: name of a file of `resources/prompts`, without .txt."""
    temperature: float
    max_new_tokens: int
    frames: int
    frame_policy: str
    max_pixels: int
    """Pixels per frame at most."""
    source: str
    """Where these settings come from, for the README."""


def export_model(model_json: Path | str, target: Path | str, asked: Asked, video: VideoConfig) -> ModelHandle:
    """Write the model that `model_json` names to the new directory `target`; return what `model_json` says.

    `video`: sizes of images and the meaning of time, as of the evaluation. Written aside and renamed: a killed process
    leaves no half directory of that name. Raises ModelError if `target` exists, or if the model is on the Hub, damaged
    or not the one that `model_json` describes.
    """
    target = Path(target).absolute()
    handle = read_model(model_json)
    if handle.kind == "hub":
        raise ModelError(f"{model_json}: {handle.path} is a model of the Hub: download it, there is nothing to export")
    if target.exists() or target.is_symlink():
        raise ModelError(f"{target}: exists already; name a new directory, or delete this one")
    directories.check(handle.path)
    check_weights(model_json, handle)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        aside.mkdir()
        for file in sorted(Path(handle.path).iterdir()):
            if file.is_file() and not file.name.startswith("."):
                shutil.copyfile(file, aside / file.name)
        generation = _generation(handle.path, asked)
        beside = processor_files(video.min_pixels, video.image_max_pixels, asked.max_pixels) | {GENERATION: generation}
        for name, values in beside.items():
            (aside / name).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
        shutil.copyfile(wordings.DIRECTORY / wordings.wording_file(asked.prompt), aside / WORDING)
        shutil.copyfile(rope.__file__, aside / POSITIONS)
        (aside / "README.md").write_text(_card(handle, asked, video, generation), encoding="utf-8")
        sync_files(aside)
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return handle


def _generation(weights: str, asked: Asked) -> dict[str, Any]:
    """Return the defaults of `generate` that give the evaluated answers."""
    values = generation_config(AutoTokenizer.from_pretrained(weights)) | {"max_new_tokens": asked.max_new_tokens}
    if asked.temperature > 0:
        # transformers keeps the 50 most probable tokens unless top_k is given.
        values |= {"do_sample": True, "temperature": asked.temperature, "top_k": 0, "top_p": 1.0}
    return values


def _card(handle: ModelHandle, asked: Asked, video: VideoConfig, generation: dict[str, Any]) -> str:
    unit = video.time_mode == "unit"
    sampled = f"temperature {asked.temperature:g}" if asked.temperature else "greedy"
    return Template(CARD.read_text(encoding="utf-8")).substitute(
        name=handle.name,
        kind={"sft": "supervised fine-tuning", "grpo": "GRPO"}.get(handle.kind, handle.kind),
        digest=handle.digest,
        source=asked.source,
        sampled=sampled,
        temperature=f"{asked.temperature:g}",
        max_new_tokens=asked.max_new_tokens,
        frames=asked.frames,
        frame_policy=asked.frame_policy,
        max_pixels=asked.max_pixels,
        wording=asked.prompt,
        time="each pair of frames counts as one second" if unit else "frames count by their true time",
        fps="2.0" if unit else "1 / seconds_per_frame",
        suppress=", ".join(map(str, generation["suppress_tokens"])),
        ends=", ".join(map(str, generation["eos_token_id"])),
    )
