# What the rules share: the validated configuration, the run table, and where each table lies.
import json
import os
import shlex
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from rollout3d import config as configuration
from rollout3d import releases
from rollout3d.config import SETTINGS
from rollout3d.stages import registry
from rollout3d.tables import canonical_json


def read_study(values):
    """The validated configuration: config.yaml, then the preset, then config/local.yaml.

    A preset is given on the command line (--configfile) or named in local.yaml, so that the literal
    `snakemake --profile slurm all` needs no option.
    """
    local_file = Path("config/local.yaml")
    local = (yaml.safe_load(local_file.read_text()) or {}) if local_file.exists() else {}
    preset = local.pop("preset", None)
    try:
        if preset and not values.get("preset"):
            values = configuration.merge(values, yaml.safe_load(Path(f"config/presets/{preset}.yaml").read_text()))
        return configuration.Config.model_validate(configuration.merge(values, local)).checked()
    except FileNotFoundError:
        raise WorkflowError(f"config/local.yaml names preset '{preset}', but config/presets has no such file")
    except ValueError as error:
        raise WorkflowError(f"configuration: {error}")


study = read_study(config)
try:
    RUNS = configuration.read_runs(study.runs.table, study)
except ValueError as error:
    raise WorkflowError(f"{study.runs.table}: {error}")


def site_of(study):
    """The machine's paths, with the synthetic scans in place of the releases where the preset makes them."""
    site = study.site.model_dump(mode="json")
    if study.synthetic:
        site["roots"] = {name: f"{study.results}/scans/{name}" for name in study.datasets}
    return site


# Paths of this machine travel in the environment: they enter no parameter and no digest. The interpreter's folder goes
# first, so that stages run in the environment that runs Snakemake, also when it was not activated. Braces are doubled
# because Snakemake formats the prefix.
shell.prefix(
    "set -euo pipefail; export PATH={}:$PATH; ".format(
        shlex.quote(os.path.dirname(sys.executable)),
    )
    .replace("{", "{{")
    .replace("}", "}}")
)


def model_env(backend):
    """Environment in which a model writes answers, with vLLM where that is asked for."""
    return f"../envs/{'vllm' if backend == 'vllm' else 'train'}.yaml"


def stop_without_data():
    """Before a real run: one message that names every release that is needed and absent."""
    needed = {job.rule.name: set() for job in workflow.dag.needrun_jobs()}
    for job in workflow.dag.needrun_jobs():
        needed[job.rule.name].add(job.wildcards.get("dataset") or job.wildcards.get("benchmark") or "")
    messages = []
    if not study.synthetic:
        for dataset in sorted(needed.get("ingest", ())):
            messages.append(releases.missing(dataset, study.site.roots[dataset]))
    for benchmark in sorted(needed.get("prepare_benchmark", ())):
        if benchmark in study.site.benchmarks:
            messages.append(releases.missing(benchmark, study.site.benchmarks[benchmark]))
    if "import_cot" in needed:
        messages.append(releases.missing_file("video_r1_cot", study.site.external.get("video_r1_cot")))
    for job in workflow.dag.needrun_jobs():
        if job.rule.name == "import_questions":
            source = job.wildcards["source"]
            messages.append(releases.missing_file(source, study.site.external.get(source)))
    messages = [message for message in messages if message]
    if messages:
        raise WorkflowError("Data are missing; nothing was run.\n" + "\n".join(f"  {message}" for message in messages))
