"""The configuration: pydantic models whose defaults are the paper, with the source of every value.

`config/config.yaml` is generated from these models (`python -m rollout3d.config`), and a test fails when it drifts.
Presets are overlays, `config/local.yaml` is merged last. Unknown keys are errors: a typo in a hyper-parameter is the
costliest bug of a training pipeline. Everything that names a place on this machine lives in `site`, which reaches
stages through the environment and never enters a digest.

Sources: "OCR" = Video Spatial Reasoning with Object-Centric 3D Rollout; "Video-R1" = its released scripts, which OCR
follows where it says nothing; "VSI-Bench" = the benchmark's generator and metric; "assumed" = our choice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import model_validator

from rollout3d.config.runs import Run, read_runs
from rollout3d.config.sections import (
    CATEGORIES,
    DATASETS,
    SETTINGS,
    BaseModelTraining,
    Cot,
    Dataset,
    DatasetName,
    Difficulty,
    Evaluation,
    External,
    Judge,
    Model,
    Positive,
    Prompts,
    Questions,
    RegionMode,
    Regions,
    Runs,
    Scenes,
    Section,
    Site,
    Splits,
    Store,
    Synthetic,
    Video,
)
from rollout3d.config.training import Grpo, Optimiser, Sft


class Config(Section):
    """The whole configuration."""

    preset: Literal["demo", "tiny", "smoke", "ablations", "seeing"] | None = None
    """A preset to lay under `config/local.yaml`; null = the paper."""
    results: str = "results"
    """Where everything is written; presets use results/<preset>."""
    seed: int = 0
    torch_threads: Positive = 8
    """Threads of torch: part of the configuration, because results depend on it."""
    keep: list[str] = []
    """Rules or runs whose results are taken as they are: nothing makes them anew, and every number that rests on them
    says so."""
    rebuild: list[str] = []
    """Costly rules (difficulty, annotate, judge, sft, grpo, evaluate) whose results are computed anew when only their
    code has changed; without, such a change is shown."""
    store: Store = Store()
    datasets: dict[DatasetName, Dataset] = {"scannet": Dataset(), "scannetpp": Dataset(), "arkitscenes": Dataset()}
    synthetic: Synthetic | None = None
    """Synthetic scans instead of the releases; null = the releases."""
    scenes: Scenes = Scenes()
    video: Video = Video()
    regions: Regions = Regions()
    questions: Questions = Questions()
    external: External = External()
    judge: Judge = Judge()
    models: dict[str, Model] = {
        "base": Model(name="Qwen/Qwen2.5-VL-3B-Instruct"),
        "filter_base": Model(name="Qwen/Qwen2.5-VL-7B-Instruct"),
    }
    """[OCR: 3B policy, 7B filter]"""
    base_model: BaseModelTraining = BaseModelTraining()
    prompts: Prompts = Prompts()
    difficulty: Difficulty = Difficulty()
    cot: Cot = Cot()
    sft: Sft = Sft()
    grpo: Grpo = Grpo()
    evaluation: Evaluation = Evaluation()
    runs: Runs = Runs()
    site: Site = Site()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if self.difficulty.model not in self.models:
            raise ValueError(f"difficulty.model '{self.difficulty.model}' is not one of models {sorted(self.models)}")
        for key, model in self.models.items():
            other = self.models.get(model.same_as) if model.same_as else None
            if model.same_as and (other is None or other.same_as):
                raise ValueError(
                    f"models.{key}.same_as must name a model that stands for itself, not '{model.same_as}'"
                )
        if self.video.train_max_pixels > self.video.eval_max_pixels:
            raise ValueError("frames are stored at video.eval_max_pixels, which training cannot exceed")
        if self.synthetic and self.synthetic.val_scans >= self.synthetic.scans_per_dataset:
            raise ValueError("synthetic.val_scans leaves no scan to train on")
        return self

    def checked(self) -> Config:
        """Itself, after checks that need the whole configuration (a stage has only its own sections)."""
        if self.results == "results" and self.synthetic:
            raise ValueError("synthetic scans may not be written to results/: presets have a directory of their own")
        return self

    def part(self, *keys: str) -> dict[str, Any]:
        """Some sections as plain values: what one stage is given, and all that its digest covers."""
        return {key: self.model_dump(mode="json", include={key})[key] for key in keys}


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Deep merge as Snakemake does it: dictionaries merge, everything else replaces."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def load(*paths: Path | str) -> Config:
    """The defaults with the given YAML files laid over them, in order."""
    values: dict[str, Any] = {}
    for path in paths:
        values = merge(values, yaml.safe_load(Path(path).read_text()) or {})
    return Config.model_validate(merge(Config().model_dump(mode="json"), values)).checked()
