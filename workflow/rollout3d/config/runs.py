"""The run table: one row a training run, checked against the configuration."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from rollout3d.config.sections import Positive, RegionMode, Section

if TYPE_CHECKING:
    from rollout3d.config import Config


class Run(Section):
    """One row of the run table."""

    run: str
    method: Literal["none", "sft", "grpo"]
    init: str
    """Model key, or another run."""
    train_table: str | None = None
    """ocr_rl, ocr_sft or video_r1_cot."""
    rollout: Literal["vanilla", "temporal", "noisy", "downsample", "object_centric"] | None = None
    schedule: Literal["linear", "fix", "exp", "cos"] | None = None
    regions: RegionMode | None = None
    reward: Literal["ocr", "ocr_length", "video_r1", "video_r1_length"] | None = None
    """`training/rewards`: OCR's product of correctness and format, or Video-R1's sum; either with the length bonus."""
    steps: Positive | None = None
    seed: int = 0
    tables: list[str] = []

    @model_validator(mode="after")
    def _complete(self) -> Run:
        needed = {"none": (), "sft": ("train_table",), "grpo": ("train_table", "rollout", "reward", "steps")}
        missing = [key for key in needed[self.method] if getattr(self, key) is None]
        if self.rollout == "object_centric":
            missing += [key for key in ("schedule", "regions") if getattr(self, key) is None]
        if missing:
            raise ValueError(f"run '{self.run}' ({self.method}) lacks {', '.join(missing)}")
        return self


def read_runs(path: Path | str, config: Config) -> dict[str, Run]:
    """The run table, in file order, `runs.max_steps` applied. Raises ValueError naming the row at fault."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t"))
    runs: dict[str, Run] = {}
    for row in rows:
        values: dict[str, Any] = {key: value for key, value in row.items() if value not in ("", "-", None)}
        values["tables"] = [t for t in (values.get("tables") or "").split(",") if t]
        run = Run.model_validate(values)
        if run.run in runs:
            raise ValueError(f"{path}: run '{run.run}' appears twice")
        if run.run in config.models:
            raise ValueError(f"{path}: run '{run.run}' has the name of a model: what starts from it would be unclear")
        if run.steps and config.runs.max_steps:
            run = run.model_copy(update={"steps": min(run.steps, config.runs.max_steps)})
        runs[run.run] = run
    for run in runs.values():
        if run.init not in runs and run.init not in config.models:
            raise ValueError(f"{path}: run '{run.run}' starts from '{run.init}', which is neither a run nor a model")
    for name in (*config.runs.select, config.difficulty.run):
        if name not in runs:
            raise ValueError(f"{path}: run '{name}' is named in the configuration but has no row")
    return runs
