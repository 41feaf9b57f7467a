"""The command `rollout3d`: what it lists, and what it says to names that it does not know."""

import re
import subprocess
import sys

import pytest

from package.installed import ROOT
from rollout3d import stages
from rollout3d.stages import TOOLS, registry


def said(capsys, *argv):
    """Output, error output and exit status of the command."""
    status = 0
    try:
        stages.main(list(argv))
    except SystemExit as ended:
        status = ended.code
    return *capsys.readouterr(), status


def listed(text):
    """Commands of the overview with their lines, in order."""
    return re.findall(r"^  ([a-z-]+) +(.*)$", text, re.M)


def test_help_lists_every_command_once_with_a_line(capsys):
    out, _, status = said(capsys, "--help")
    assert status == 0
    found = listed(out)
    assert sorted(name.replace("-", "_") for name, _ in found) == sorted(stages.commands())
    assert all(len(line) > 20 for _, line in found), found
    assert max(map(len, out.splitlines())) <= 140


def test_stages_come_in_the_order_of_the_pipeline(capsys):
    out, _, _ = said(capsys, "-h")
    names = [name.replace("-", "_") for name, _ in listed(out)]
    order = ["ingest", "questions", "assemble", "difficulty", "select_hard", "annotate", "train_sft", "train_grpo"]
    order += ["evaluate", "score", "paper_table", "report", "inventory", "watch", "status"]
    assert [name for name in names if name in order] == order
    assert {name for tools in TOOLS.values() for name in tools} <= set(registry.STAGES)


def test_the_overview_imports_no_stage():
    ask = "import sys; from rollout3d import stages; stages.overview(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "rollout3d.stages.ingest" not in loaded and not loaded & {"torch", "open3d", "cv2", "scipy", "pandas"}


@pytest.mark.parametrize(("name", "meant"), [("ingst", "ingest"), ("check_scans", "check-scan"), ("sumary", "summary")])
def test_an_unknown_name_is_answered_with_the_nearest(capsys, name, meant):
    _, error, status = said(capsys, name)
    assert status == 2 and f"did you mean {meant}" in error


def test_the_version_is_that_of_the_project(capsys):
    out, _, status = said(capsys, "--version")
    number = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert status == 0 and out.startswith(f"rollout3d {number}")
    for file in ("CITATION.cff", "CHANGELOG.md"):
        assert number in (ROOT / file).read_text(), file
