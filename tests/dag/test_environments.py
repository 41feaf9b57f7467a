"""Rules run in the environment that they name, with this clone's code, and a failed job shows its log."""

import json
import re
import stat
import sys

import pytest

from dag.clones import copy_repository, facts, marked_python, snakemake, spy_on

TINY = ("--cores", "1", "--configfile", "config/presets/tiny.yaml")
TARGET = "results/tiny/scans/scannet.parquet"


@pytest.fixture
def clone(tmp_path):
    folder = copy_repository(tmp_path / "clone")
    spy_on(folder, "render_scans")
    return folder


def run(clone, *arguments, **environment):
    done = snakemake(clone, *TINY, *arguments, "--", TARGET, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return facts(clone / TARGET)


def test_rules_run_the_code_of_their_own_clone(tmp_path, clone):
    """This interpreter holds an editable install of another clone, and PYTHONPATH names a third."""
    third = copy_repository(tmp_path / "third")
    found = run(clone, PYTHONPATH=str(third / "workflow"))
    assert found["package"] == str(clone / "workflow" / "rollout3d" / "__init__.py")


def test_the_snakefile_uses_the_package_of_its_own_clone(clone):
    sections = clone / "workflow" / "rollout3d" / "config" / "sections.py"
    sections.write_text(sections.read_text().replace("    agreement:", "    only_here: int = 3\n    agreement:"))
    done = snakemake(clone, *TINY, "-n", "--config", 'scenes={"only_here": 4}', "--", TARGET)
    assert done.returncode == 0, done.stderr


def test_an_environment_may_have_an_interpreter_of_its_own(tmp_path, clone):
    python = marked_python(tmp_path / "a venv", "scenes-environment")
    site = json.dumps({"python": {"scenes": str(python)}})
    assert run(clone, "--config", f"site={site}")["python"] == "scenes-environment"


def test_other_environments_keep_the_interpreter_that_runs_snakemake(tmp_path, clone):
    site = json.dumps({"python": {"vllm": str(marked_python(tmp_path / "venv", "vllm-environment"))}})
    assert run(clone, "--config", f"site={site}")["python"] == "driver"


def test_a_command_too_long_for_an_argument_runs_in_its_environment_too(tmp_path, clone):
    """Snakemake writes such a command to a script."""
    site = json.dumps({"python": {"scenes": str(marked_python(tmp_path / "venv", "scenes-environment"))}})
    rules = clone / "rules" / "toyworld.smk"
    many = " ".join(["x" * 99] * 1500)
    rules.write_text(rules.read_text().replace("--out {output.scans}", f"--out {{output.scans}} {many}"))
    assert run(clone, "--config", f"site={site}")["python"] == "scenes-environment"


def test_a_missing_interpreter_is_one_sentence(tmp_path, clone):
    site = json.dumps({"python": {"scenes": str(tmp_path / "nowhere" / "bin" / "python")}})
    done = snakemake(clone, *TINY, "--config", f"site={site}", "--", TARGET)
    assert done.returncode != 0 and "site.python" in done.stdout + done.stderr


CONDA = """#!/bin/sh
# Stands in for conda: an environment is a folder whose python says that it is the environment's.
case "$*" in
  *"env create"*)
    while [ "$1" != --prefix ]; do shift; done
    mkdir -p "$2/bin" "$2/conda-meta"
    printf '#!/bin/sh\\nMARK=conda-environment exec "{python}" "$@"\\n' > "$2/bin/python"
    chmod 755 "$2/bin/python" ;;
  *info*) echo '{{"conda_version": "25.9.0", "platform": "linux-64", "conda_prefix": "{prefix}"}}' ;;
  *--version*) echo "conda 25.9.0" ;;
  *config*) echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
esac
"""


def test_with_conda_rules_run_in_the_environment_that_conda_made(tmp_path, clone, monkeypatch):
    prefix = tmp_path / "conda"
    (prefix / "bin").mkdir(parents=True)
    for name, text in {
        "conda": CONDA.format(python=sys.executable, prefix=prefix),
        "activate": 'export PATH="$1/bin:$PATH"\n',
    }.items():
        (prefix / "bin" / name).write_text(text)
        (prefix / "bin" / name).chmod(0o755 | stat.S_IXUSR)
    # `site.python` is for sites without conda: conda's environment wins.
    site = json.dumps({"python": {"scenes": str(marked_python(tmp_path / "venv", "venv"))}})
    path = f"{prefix / 'bin'}:/usr/bin:/bin"
    found = run(clone, "--sdm", "conda", "--config", f"site={site}", PATH=path)
    assert found["python"] == "conda-environment"
    assert found["package"].startswith(str(clone)), "conda drops PYTHONPATH, this clone's code must come all the same"


def test_modules_are_loaded_and_keep_the_rules_interpreter(tmp_path, clone):
    """`module` is a shell function; a module may bring a python that is not ours."""
    other = marked_python(tmp_path / "module", "python-of-a-module")
    function = f'() {{ echo "$@" >> "{tmp_path}/loaded"; export PATH="{other.parent}:$PATH"; }}'
    found = run(clone, ROLLOUT3D_MODULES="cuda/13.0 gcc", **{"BASH_FUNC_module%%": function})
    # Once for the preflight, which asks the environment what it holds, and once for the rule.
    assert (tmp_path / "loaded").read_text() == 2 * "load cuda/13.0 gcc\n"
    assert found["python"] == "driver"


def test_a_module_that_does_not_load_stops_the_job(clone):
    done = snakemake(clone, *TINY, "--", TARGET, ROLLOUT3D_MODULES="none", **{"BASH_FUNC_module%%": "() { return 1; }"})
    assert done.returncode != 0 and "ROLLOUT3D_MODULES" in done.stdout + done.stderr


def test_offline_mode_reaches_the_stages(clone):
    assert run(clone, ROLLOUT3D_OFFLINE="1", HF_HUB_OFFLINE="0")["offline"] == "1"


def test_a_failed_job_shows_the_end_of_its_log_and_not_its_command(clone):
    done = snakemake(clone, *TINY, "--", TARGET, FAIL="1")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert said.count("the disk is on fire") == 1
    assert "line 99" in said and "line 40" not in said
    assert "toyworld.stages.render_scans" not in said, said[-3000:]
    assert "ROLLOUT3D_SITE" not in said
    assert re.search(r"log: .*render_scans/scannet\.log", said)


def test_a_job_that_dies_before_its_log_shows_its_command(clone):
    """There is nothing else to see then."""
    rules = clone / "rules" / "toyworld.smk"
    rules.write_text(rules.read_text().replace('"python -m toyworld', '"false; python -m toyworld'))
    done = snakemake(clone, *TINY, "--", TARGET)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and said.count("-m toyworld.stages.render_scans") == 1
