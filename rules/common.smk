# What the rules share: the validated configuration, the run table, and where each table lies.
import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# The package beside these rules comes first, also where an editable install in the environment names another clone.
CODE = os.path.normpath(os.path.join(str(workflow.current_basedir), "..", "workflow"))
sys.path.insert(0, CODE)

from rollout3d import config as configuration
from rollout3d import releases
from rollout3d.config import SETTINGS, read
from rollout3d.stages import registry
from rollout3d.tables import canonical_json


def read_study():
    """The validated configuration, and the run table: what the user typed is understood or refused with a sentence."""
    try:
        study = read.read_study(workflow.config_settings.config_args, workflow.overwrite_configfiles)
        return study, configuration.read_runs(study.runs.table, study)
    except configuration.ConfigError as error:
        raise WorkflowError(str(error))


study, RUNS = read_study()


def site_of(study):
    """The machine's paths, with the synthetic scans in place of the releases where the preset makes them."""
    site = study.site.model_dump(mode="json")
    if study.synthetic:
        site["roots"] = {name: f"{study.results}/scans/{name}" for name in study.datasets}
    return site


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
