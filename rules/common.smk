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
from rollout3d.config import SETTINGS, read
from rollout3d.config.frames import eval_set, evaluated_sets, stored_sets, train_set
from rollout3d.config.recipes import summaries
from rollout3d.stages import registry
from rollout3d.tables import canonical_json


def read_study():
    """The validated configuration, the run table, and the layers that the configuration came from: what the user typed
    is understood or refused with a sentence."""
    layers = []
    try:
        layers = read.study_layers(workflow.config_settings.config_args, workflow.overwrite_configfiles)
        study = read.validate(layers)
        return study, configuration.read_runs(study.runs.table, study), layers
    except configuration.ConfigError as error:
        raise WorkflowError(str(configuration.ConfigError(read.placed(error.problems, layers))))


study, RUNS, LAYERS = read_study()


def refused(sentence):
    """An error about a key of the configuration, with which the sentence begins: file and line come before it."""
    return WorkflowError(*read.placed([sentence], LAYERS))


def study_of(run):
    """The configuration of one run: the study's, with its recipe laid over it."""
    return configuration.of_run(study, RUNS.get(run))


OF_RUNS = [study, *map(study_of, RUNS)]
"""The configurations that jobs work with."""


def site_of(study):
    """The machine's paths, with the synthetic scans in place of the releases where the preset makes them."""
    site = study.site.model_dump(mode="json")
    if study.synthetic:
        site["roots"] = {name: f"{study.results}/scans/{name}" for name in study.datasets}
    return site


def model_env(section):
    """Environment in which models write answers under a section of the configuration: with vLLM, which has all else too,
    where the study or a recipe asks for it."""
    backends = {getattr(each, section).backend for each in OF_RUNS}
    return f"../envs/{'vllm' if 'vllm' in backends else 'train'}.yaml"
