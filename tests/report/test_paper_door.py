"""The door of the paper's tables: one new file is a new table, as a target, in its rule and on the page."""

import json
import re
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


NEEDED = {"scores", "predictions", "answers", "questions", "ocr_rl", "ocr_sft", "sr_91k", "sampled", "scenes", "runs"}


def test_every_file_defines_what_the_folder_asks_for():
    for name in PAPER_TABLES.names:
        made = PAPER_TABLES.load(name)
        assert callable(made.build) and made.__doc__
        assert set(made.NEEDS) <= NEEDED, name
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


RUNS = """run\tmethod\tinit\ttrain_table\trollout\treward\tsteps\ttables
filter\tgrpo\tfilter_base\tocr_rl\tvanilla\tocr\t5\t-
qwen7b\tnone\tfilter_base\t-\t-\t-\t-\tspacer_table3,spacer_scannet
spacer\tgrpo\tfilter_base\tocr_rl\tvanilla\tocr\t5\tspacer_table3,spacer_scannet
"""


@pytest.mark.parametrize(
    ("target", "reads", "reads_not"),
    [
        ("spacer_table1", {"resources/reference/spacer.csv"}, {"predictions", "resources/reference/ocr.csv"}),
        (
            "spacer_table3",
            {"eval/spacer/synthetic/scores", "eval/qwen7b/synthetic/predictions", "resources/reference/spacer.csv"},
            {"benchmarks/synthetic/questions"},
        ),
        (
            "spacer_scannet",
            {"eval/spacer/synthetic/predictions", "benchmarks/synthetic/questions"},
            {"scores", "difficulty"},
        ),
        ("spatial_r1_table1", {"resources/reference/spatial_r1.csv"}, {"resources/reference/spacer.csv"}),
        ("table3", {"resources/reference/ocr.csv"}, {"resources/reference/spacer.csv"}),
    ],
)
def test_a_table_reads_the_numbers_of_its_paper_and_the_answers_of_its_runs(clone, target, reads, reads_not):
    (clone / "config" / "runs_rooms.tsv").write_text(RUNS)
    done = snakemake(
        *(clone, "-n", "--configfile", "config/presets/tiny.yaml"),
        *("--config", 'runs={"table": "config/runs_rooms.tsv", "select": ["spacer"]}', "--", target),
    )
    assert done.returncode == 0, done.stderr
    (job,) = re.findall(r"rule paper_table:\s*input: (.*)", done.stdout)
    assert all(path in job for path in reads) and not any(path in job for path in reads_not), job


def test_the_page_waits_for_tables_of_answers_only_where_all_their_runs_are_selected(clone):
    (clone / "config" / "runs_rooms.tsv").write_text(RUNS)
    for select, waits in (('["spacer"]', False), ('["spacer", "qwen7b"]', True)):
        done = snakemake(
            *(clone, "-n", "--configfile", "config/presets/tiny.yaml"),
            *("--config", f'runs={{"table": "config/runs_rooms.tsv", "select": {select}}}', "--"),
            "results/tiny/report/index.html",
        )
        assert done.returncode == 0, done.stderr
        assert ("report/spacer_table3.parquet" in done.stdout) == waits
