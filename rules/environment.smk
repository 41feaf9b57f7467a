# Where the rules' commands run: this clone's code, the interpreter of the environment that each rule names, and the
# machine's paths, which travel in the environment so that they enter no parameter and no digest.
import logging
import re

from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod

from rollout3d import failures

# Without a deployment method, stages run in the environment that runs Snakemake, also when it was not activated. With
# one, the activated environment's folder comes before this one.
os.environ.update(
    PATH=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
    ROLLOUT3D_CODE=CODE,
    ROLLOUT3D_SITE=canonical_json(site_of(study)),
)
if SITE.offline:
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")

# Short on purpose: a failed job prints it. The script reads the variables above.
shell.prefix('set -euo pipefail; . "$ROLLOUT3D_CODE/environment.sh"; ')

failures.install(logger)


def uses_conda():
    """Return whether rules run in conda environments (`--sdm conda`)."""
    return DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


def environment_of(each):
    """Name of the environment that a rule runs in (a file of envs/); None if it names none."""
    return Path(str(each.conda_env)).stem if each.conda_env else None


def choose_interpreters(rules):
    """Tell environment.sh the interpreter of each stage whose environment has one in `site.python`."""
    for each in rules:
        stage = re.search(r"-m \w+\.stages\.(\w+)", each.shellcmd or "")
        if stage:
            python = None if uses_conda() else study.site.python.get(environment_of(each))
            os.environ.pop(f"ROLLOUT3D_PYTHON_{stage[1]}", None)
            if python:
                os.environ.update({f"ROLLOUT3D_PYTHON_{stage[1]}": os.path.abspath(os.path.expanduser(python))})
