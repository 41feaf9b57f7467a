"""The configuration: pydantic models whose defaults are the paper, with the source of every value.

`config/config.yaml` is generated from these models (`python -m rollout3d.config`), and a test fails when it drifts.
Presets are overlays; `config/local.yaml` lies over them, and the command line over both (`config/read.py`). Unknown
keys are errors: a typo in a hyper-parameter is the costliest bug of a training pipeline. Everything that names a place
on this machine lives in `site`, which reaches stages through the environment and never enters a digest.

Sources: "OCR" = Video Spatial Reasoning with Object-Centric 3D Rollout; "Video-R1" = its released scripts, which OCR
follows where it says nothing; "VSI-Bench" = the benchmark's generator and metric; "assumed" = our choice.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from rollout3d.config.arms import PILOT, arms_of
from rollout3d.config.base import NotNegative
from rollout3d.config.choices import RELEASED_BENCHMARKS, DatasetName
from rollout3d.config.evaluation import Evaluation
from rollout3d.config.names import Name, ResultsPath, confused, unknown
from rollout3d.config.problems import ConfigError
from rollout3d.config.recipes import of_run
from rollout3d.config.runs import Run, read_runs
from rollout3d.config.sections import (
    PAPER_DATASETS,
    REASONED,
    SAMPLED,
    SETTINGS,
    Dataset,
    Difficulty,
    External,
    Generation,
    Model,
    Positive,
    Prompts,
    Questions,
    RegionMode,
    Runs,
    Scenes,
    Section,
    Splits,
    Video,
)
from rollout3d.config.site import Site
from rollout3d.config.teacher import Api, Cot, Judge
from rollout3d.config.training import Grpo, Optimiser, Sft, Training


class Config(Section):
    """The whole configuration."""

    preset: (
        Literal[
            "demo", "tiny", "smoke", "ablations", "seeing", "study", "tiny_qwen", "spacer", "spacer_demo", "spatial_r1"
        ]
        | None
    ) = None
    """Preset that lies under `config/local.yaml`; null = the paper. [assumed]"""
    results: ResultsPath = "results"
    """Folder where everything is written; presets use results/<preset>. [assumed]"""
    seed: NotNegative = 0
    """Seed of every random draw, together with the name of what is drawn. [assumed]"""
    torch_threads: Positive = 8
    """Number of torch's threads, which results depend on. [assumed]"""
    keep: list[str] = []
    """Rules or runs whose results are taken as they are: nothing computes them again, and every number that rests on
    them says so. [assumed]"""
    rebuild: list[str] = []
    """Costly rules (difficulty, annotate, judge, sft, grpo, evaluate) whose results are computed again when only their
    code has changed; of the others such a change is only shown. [assumed]"""
    datasets: Annotated[dict[DatasetName, Dataset], Field(min_length=1)] = {name: Dataset() for name in PAPER_DATASETS}
    """Releases that the study uses, at least one; `datasets: {scannetpp: null}` leaves one out. [VSI-Bench: its
    three]"""
    toyworld: dict[str, Any] | None = None
    """Rooms rendered in place of the releases, and the small model trained on such rooms (presets only; keys:
    workflow/toyworld/settings.py); null = the releases. [assumed]"""
    scenes: Scenes = Scenes()
    video: Video = Video()
    questions: Questions = Questions()
    external: External = External()
    api: Api = Api()
    judge: Judge = Judge()
    models: dict[Name, Model] = {
        "base": Model(name="Qwen/Qwen2.5-VL-3B-Instruct"),
        "filter_base": Model(name="Qwen/Qwen2.5-VL-7B-Instruct"),
    }
    """Models by key: the policy before training, and the filter. [OCR: 3B policy, 7B filter]"""
    prompts: Prompts = Prompts()
    generation: Generation = Generation()
    difficulty: Difficulty = Difficulty()
    cot: Cot = Cot()
    training: Training = Training()
    sft: Sft = Sft()
    grpo: Grpo = Grpo()
    evaluation: Evaluation = Evaluation()
    runs: Runs = Runs()
    site: Site = Site()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        """Check each section by itself: a stage has only the sections that it reads."""
        problems = []
        for key, model in self.models.items():
            other = self.models.get(model.same_as) if model.same_as else None
            if model.same_as and (other is None or other.same_as):
                themselves = [name for name, each in self.models.items() if not each.same_as]
                problems.append(
                    f"models.{key}.same_as must name a model that stands for itself: "
                    f"{unknown(model.same_as, themselves, 'one')}"
                )
            if model.shipped and model.tiny:
                problems.append(f"models.{key}: {model.name} is trained already: give the model with tiny another name")
        if pair := confused(self.models):
            problems.append(f"models.{pair[0]} and models.{pair[1]} are too much alike ('.' matches any character)")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def checked(self) -> Config:
        """Return itself after checks that need the whole configuration. Raises ValueError, a line per problem."""
        problems = []
        if self.results == "results" and self.toyworld is not None:
            problems.append(
                "results: synthetic scans may not be written to results/: presets have a folder of their own"
            )
        if self.difficulty.model not in self.models:
            problems.append(f"difficulty.model: {unknown(self.difficulty.model, self.models, 'one of the models')}")
        for key in self.site.models:
            if key not in self.models:
                problems.append(f"site.models.{unknown(key, self.models, 'one of the models')}")
        if self.toyworld is None:
            problems += [
                f"models.{key}.tiny: the toy world trains such a model: set toyworld, or remove this line"
                for key, model in self.models.items()
                if model.tiny
            ]
            problems += [
                f"site.roots.{name} is missing: name the folder of this release, or leave it out with "
                f"datasets: {{{name}: null}}"
                for name in self.datasets
                if name not in self.site.roots
            ]
        for name in self.evaluation.benchmarks:
            if name in RELEASED_BENCHMARKS and name not in self.site.benchmarks:
                problems.append(f"site.benchmarks.{name} is missing: evaluation.benchmarks names {name}")
            elif name not in RELEASED_BENCHMARKS and not any(d.splits.test for d in self.datasets.values()):
                problems.append(
                    f"evaluation.benchmarks: {name} asks the questions of test splits, and no dataset has one: "
                    "set datasets.<name>.splits.test"
                )
        if problems:
            raise ValueError("\n".join(problems))
        return self


def map_grid_of(config: Config) -> int | None:
    """Return M, the grid size of the maps that prompts in evaluation offer or give; None if they do neither.

    Direct prompts never do, whatever is configured.
    """
    shown = config.prompts.offers_map or config.evaluation.given_map != "none"
    return config.prompts.map_grid if shown else None


@cache
def _defaults() -> dict[str, Any]:
    return Config().model_dump(mode="json")


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return a deep merge as Snakemake makes it: dictionaries merge, everything else replaces.

    A null replaces too; validation then removes that entry of a dictionary (`config.base.Strict`).
    """
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def load(*paths: Path | str) -> Config:
    """Return the defaults with the given YAML files laid over them, in order. Raises ConfigError with every problem."""
    from rollout3d.config import read  # reads with the models above

    return read.load(*paths)
