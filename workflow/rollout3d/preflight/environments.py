"""Check that each environment holds the packages that its jobs import, by asking its own interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import cast

from rollout3d.cluster import GPU_JOBS
from rollout3d.config import of_run
from rollout3d.preflight import Finding, Job, Study

PACKAGES: dict[str, tuple[str, ...]] = {
    "scenes": ("numba", "scipy", "open3d", "cv2", "av"),
    "train": ("torch", "transformers", "peft"),
    "vllm": ("torch", "transformers"),
    "api": ("openai",),
    "report": ("jinja2", "matplotlib", "torch"),
}
"""Packages without which no rule of an environment runs, by their import names."""

TIMEOUT_S = 180
"""Seconds that an interpreter may take to import vLLM; a cold disk is slow."""

_ASK = """
import importlib, importlib.util, json, sys
missing = [name for name in sys.argv[1].split(",") if importlib.util.find_spec(name) is None]
failed = ""
if sys.argv[2] == "vllm":
    try:
        importlib.import_module("vllm").__version__
    except Exception as error:
        failed = f"{type(error).__name__}: {error}"
print(json.dumps({"missing": missing, "failed": failed, "python": sys.executable}))
"""


def check(study: Study, jobs: Sequence[Job]) -> list[Finding]:
    """Ask the interpreter of each environment that jobs run in, once."""
    found = []
    named: dict[tuple[str, str | None], Job] = {}
    for job in jobs:
        if job.environment in PACKAGES:
            named.setdefault((job.environment, job.prefix), job)
    for (environment, prefix), job in named.items():
        found += _ask(study, environment, prefix, job)
    return found


def _ask(study: Study, environment: str, prefix: str | None, job: Job) -> list[Finding]:
    backend = "vllm" if environment == "vllm" else "-"
    arguments = [_ASK, ",".join(PACKAGES[environment]), backend]
    interpreters = cast("Mapping[str, str]", study.config.site.python)
    given = None if prefix else interpreters.get(environment)
    run = None
    try:
        # As the rule runs it: environment.sh knows the stage by the name of its module, and selects the interpreter.
        stage = {"sft": "train_sft", "grpo": "train_grpo"}.get(job.rule, job.rule)
        script = f'. "$ROLLOUT3D_CODE/environment.sh"; python -c "$@" # rollout3d.stages.{stage}'
        command = [f"{prefix}/bin/python", "-c", *arguments] if prefix else ["bash", "-c", script, "bash", *arguments]
        run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        answer = json.loads(run.stdout.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        said = _last(run.stderr) if run else str(error)
        where = f"site.python.{environment} ({given})" if given else prefix or sys.executable
        return [
            Finding(f"environment {environment}: its Python does not answer: {where}: {said}; see config/README.md")
        ]
    found = []
    if answer["missing"]:
        found.append(
            f"environment {environment}: {answer['python']} lacks {', '.join(answer['missing'])}: "
            f"{_remedy(environment, given)}"
        )
    if answer["failed"]:
        rules = sorted({name for name in GPU_JOBS if _answers_with_vllm(study, name)})
        found.append(
            f"environment vllm: {answer['python']} cannot import vLLM ({answer['failed']}), which the configuration "
            f"names for {', '.join(rules)}: {_remedy(environment, given)}; or set generation.backend: hf"
        )
    return [Finding(text) for text in found]


ANSWERING = ("difficulty", "evaluate", "grpo")
"""Rules whose jobs generate text."""


def _answers_with_vllm(study: Study, rule: str) -> bool:
    configs = [study.config, *(of_run(study.config, run) for run in study.runs.values())]
    return rule in ANSWERING and any(config.generation.backend == "vllm" for config in configs)


def _remedy(environment: str, given: str | None) -> str:
    if given:
        return f"install envs/{environment}.yaml there, or correct site.python.{environment} (config/README.md)"
    return (
        f"install what envs/{environment}.yaml lists, use --sdm conda, or name an interpreter that has it in "
        f"site.python.{environment} (config/README.md, Environments)"
    )


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else f"no output (PATH={os.environ.get('PATH', '')})"
