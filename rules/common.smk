# What the rules share: the validated configuration, the run table, and where each table lies.
import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(os.path.normpath(os.path.join(str(workflow.current_basedir), "..")))
"""The clone, or the folder `shipped` of an installed package."""


def folder_of_code():
    """Return the folder that jobs have first on PYTHONPATH: the packages, the launcher and environment.sh.

    In a clone it is workflow/. Of an installed package it is a folder of links, since the packages lie among those of
    the environment that Snakemake runs in, which other environments must not import.
    """
    here = ROOT / "workflow"
    if (here / "rollout3d").is_dir():
        return str(here)
    links = Path(".snakemake/rollout3d/code").absolute()
    links.mkdir(parents=True, exist_ok=True)
    packages = ROOT.parents[1]
    for target in (packages / "rollout3d", packages / "toyworld", here / "launch.py", here / "environment.sh"):
        link = links / target.name
        if not (link.is_symlink() and link.readlink() == target):
            link.unlink(missing_ok=True)
            link.symlink_to(target)
    return str(links)


# The package beside these rules comes first, also where an editable install in the environment names another clone.
CODE = folder_of_code()
sys.path.insert(0, CODE)

from rollout3d import config as configuration
from rollout3d import doors, resources
from rollout3d.config import SAMPLED, SETTINGS, read
from rollout3d.config.choices import PROBES_OF_OBJECTS
from rollout3d.config.evaluation import map_given, shows_scans
from rollout3d.config.frames import eval_set, evaluated_sets, stored_sets, train_set
from rollout3d.config.recipes import summaries
from rollout3d.config.runs import scans_table
from rollout3d.stages import registry
from rollout3d.tables import canonical_json
from toyworld import stages as _toy_stages  # makes the two stages of the toy world known to `registry`
from toyworld.settings import StudyConfig
from toyworld.rooms.vocabulary import FORMATS

MODULE = None if workflow.modifier.is_main_snakefile() else workflow.modifier
"""Of a workflow that another one imports by `module`: what Snakemake knows about the import."""
if MODULE and (MODULE.modify_rulename("all") != "all" or MODULE.modify_path("x") != "x"):
    raise WorkflowError(
        "the module rollout3d is imported under its own names: write `use rule * from ...` without `as`, and set "
        "`results` in its config instead of `prefix`"
    )


def own_rules():
    """Return the rules of this workflow, without those of a workflow that imports it."""
    return [each for each in workflow.rules if each in workflow.modifier.rules]


def run_at_start(task):
    """Call `task(log)` before the first job of a real run; in a module after what the importing workflow does then."""
    before = workflow._onstart

    def start(log):
        before(log)
        task(log)

    workflow._onstart = start


def shipped(name):
    """Return the path of a file of the clone, such as "resources/errata.csv": relative where Snakemake runs in the clone."""
    return name if ROOT == Path.cwd() else str(ROOT / name)


def read_study():
    """The validated configuration, the run table, and the layers that the configuration came from: what the user typed
    is understood or refused with a sentence."""
    layers = []
    try:
        if MODULE:  # its config is what the importing workflow says, --config included
            layers = read.study_layers(folder=ROOT, values=config)
        else:
            layers = read.study_layers(workflow.config_settings.config_args, workflow.overwrite_configfiles)
        study = read.validate(layers, StudyConfig)
        return study, configuration.read_runs(resources.found(study.runs.table), study), layers
    except configuration.ConfigError as error:
        raise WorkflowError(str(configuration.ConfigError(read.placed(error.problems, layers, StudyConfig))))


study, RUNS, LAYERS = read_study()
RUN_TABLE = str(resources.found(study.runs.table))


def refused(sentence):
    """An error about a key of the configuration, with which the sentence begins: file and line come before it."""
    return WorkflowError(*read.placed([sentence], LAYERS, StudyConfig))


def study_of(run):
    """The configuration of one run: the study's, with its recipe laid over it."""
    return configuration.of_run(study, RUNS.get(run))


OF_RUNS = [study, *map(study_of, RUNS)]
"""The configurations that jobs work with."""


def site_of(study):
    """The machine's paths, with the synthetic scans in place of the releases where the preset makes them."""
    site = study.site.model_dump(mode="json")
    if study.toyworld:
        others = {name: root for name, root in site["roots"].items() if name in study.datasets}
        site["roots"] = others | {name: f"{study.results}/scans/{name}" for name in study.datasets if name in FORMATS}
    return site


def model_env():
    """Environment in which models write answers: with vLLM, which has all else too, where the study or a recipe asks for
    it."""
    backends = {each.generation.backend for each in OF_RUNS}
    return f"../envs/{'vllm' if 'vllm' in backends else 'train'}.yaml"
