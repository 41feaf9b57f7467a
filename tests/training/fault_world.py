"""A study of one rule, whose shell command is that of rules/grpo.smk, on the tables of `training_world`."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import time
from pathlib import Path

import training_world as tw

ROOT = Path(__file__).resolve().parents[2]
HOOKS = Path(__file__).parent / "hooks"
STEPS = 5
"""Steps of a run."""

SNAKEFILE = """
from rollout3d import cluster as sites

ROWS = {rows!r}
SITE = sites.from_environment()


def job(kind):
    return lambda wildcards, attempt: sites.gpu_resource(
        SITE, "grpo", kind, small=True, attempt=attempt, restorable=False
    )


rule all:
    input:
        expand("results/runs/{{run}}/model.json", run=ROWS),


rule grpo:
    input:
        init={init!r},
        train={train!r},
        frames={frames!r},
        maps=[],
        objects={objects!r},
        regions={regions!r},
        cognitive_maps=[],
        probe_questions=[],
        probe_objects=[],
        probe_regions=[],
    output:
        model="results/runs/{{run}}/model.json",
        metrics="results/runs/{{run}}/metrics.parquet",
        rollouts="results/runs/{{run}}/rollouts.parquet",
    log:
        "results/logs/grpo/{{run}}.log",
    resources:
        **{{kind: job(kind) for kind in sites.RESOURCES}},
    params:
        recipe={config!r},
        row=lambda wildcards: ROWS[wildcards.run],
        out=subpath(output.model, parent=True),
        keep_steps=[],
    shell:
        {shell!r}
"""


def shell_of(rule: str) -> str:
    """The shell command of a rule of this repository, as Snakemake has it before the wildcards are filled in."""
    text = (ROOT / "rules" / f"{rule}.smk").read_text()
    lines = re.search(r"\n    shell:\n((?: +[\"'].*[\"']\n)+)", text).group(1)
    return ast.literal_eval(f"({lines})")


def build(folder: Path, files: dict[str, Path], runs: list[str]) -> Path:
    """Write the study into `folder`, one GRPO run of `STEPS` steps for each name; return the folder of its faults."""
    (folder / "faults").mkdir(parents=True)
    (folder / "workflow").symlink_to(ROOT / "workflow")
    (folder / "slurm").symlink_to(ROOT / "slurm")
    config = tw.config(save_every=1000).model_dump(mode="json", include={*tw.SECTIONS, "grpo"})
    rows = {name: tw.run("vanilla", steps=STEPS, run=name).model_dump_json(exclude={"tables"}) for name in runs}
    paths = {name: str(path) for name, path in files.items()}
    text = SNAKEFILE.format(
        rows=rows,
        init=paths["init"],
        train=paths["ocr_rl"],
        frames=paths["frames"],
        objects=paths["objects"],
        regions=paths["regions"],
        config=json.dumps(config),
        # In the place of a recipe: without the file of a whole study (ROLLOUT3D_STUDY), as by hand.
        shell=shell_of("grpo"),
    )
    (folder / "Snakefile").write_text(text)
    return folder / "faults"


def environment(faults: Path, hold: str = "2", **more: str) -> dict[str, str]:
    """Variables under which Snakemake and the trainers meet the faults of `hooks/sitecustomize.py`.

    `hold`: steps (from 0) at which a run waits for its fault.
    """
    path = [str(HOOKS), str(ROOT / "workflow"), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "ROLLOUT3D_CODE": str(ROOT / "workflow"),
        "ROLLOUT3D_FAULTS": str(faults),
        "ROLLOUT3D_HOLD_STEPS": hold,
        **more,
    }


def wait_for(condition, seconds: float = 90, what: str = "") -> None:
    """Wait until `condition()` is true; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.1)


def updates(faults: Path, run: str, rank: int = 0) -> list[int]:
    """The steps that a process of a run has begun, in order, over all attempts."""
    lines = map(str.split, (faults / "events.log").read_text().splitlines())
    return [int(line[3]) for line in lines if line[:3] == ["step", run, str(rank)]]
