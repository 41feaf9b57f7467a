"""The door of the paper's tables: one new file is a new table, as a target, in its rule and on the page."""

import json
import subprocess
import sys

import pytest

from dag.clones import copy_repository, snakemake
from report.page_study import build as build_study
from rollout3d import code, tables
from rollout3d.doors import PAPER_TABLES

NEW = '''
"""Table 6: answer types of the training questions."""

from collections import Counter

from rollout3d.report.paper import Given
from rollout3d.report.tables import cell

TITLE = "Table 6. Answer types"
NEEDS = ("ocr_rl",)


def build(given: Given):
    counts = Counter(row["answer_type"] for row in given.rl)
    return [cell(given.table, name, "Questions", "", (float(n), n), given.marks) for name, n in sorted(counts.items())]
'''


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = copy_repository(tmp_path_factory.mktemp("door") / "clone")
    (folder / "workflow/rollout3d/report/paper/table6.py").write_text(NEW)
    return folder


def test_every_file_defines_what_the_folder_asks_for():
    for name in PAPER_TABLES.names:
        made = PAPER_TABLES.load(name)
        assert callable(made.build) and made.__doc__
        assert set(made.NEEDS) <= {"scores", "predictions", "ocr_rl", "ocr_sft", "runs"}, name
        assert PAPER_TABLES.constant(name, "TITLE", "") == made.TITLE


def test_a_new_file_is_a_target_that_reads_what_it_needs(clone):
    done = snakemake(clone, "-n", "--configfile", "config/presets/tiny.yaml", "--", "table6")
    assert done.returncode == 0, done.stderr
    (job,) = (part for part in done.stdout.split("\n\n") if "rule paper_table" in part)
    assert "results/tiny/report/table6.parquet" in job and "results/tiny/train/ocr_rl.parquet" in job
    assert "ocr_sft" not in job and "scores" not in job


def test_a_new_file_makes_its_cells_and_stands_on_the_page(clone, tmp_path):
    files = build_study(tmp_path / "study")
    out, page = tmp_path / "table6.parquet", tmp_path / "index.html"

    def stage(name, *arguments):
        command = [sys.executable, "-m", f"rollout3d.stages.{name}", *map(str, arguments)]
        environment = {"PYTHONPATH": str(clone / "workflow"), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    stage("paper_table", "--table", "table6", "--questions", files["train"], "--out", out)
    cells = tables.read(tables.REPORT, out)
    assert {cell["table"] for cell in cells} == {"table6"} and sum(cell["n"] for cell in cells) == 6
    # The small study holds runs that the run table lacks; a page of one table needs none of them.
    stage("report", "--tables", out, "--train", files["train"], "--out", page)
    assert "Table 6. Answer types" in page.read_text()


def test_a_new_file_leaves_the_other_tables_current(clone):
    digest = {"table": "table2"}
    before = code.closure("paper_table", digest)
    after = code.Package(clone / "workflow" / "rollout3d").closure("paper_table", digest)
    assert json.dumps(dict(before.parts), sort_keys=True) == json.dumps(dict(after.parts), sort_keys=True)
    assert "workflow/rollout3d/report/paper/table1.py" not in before.files
