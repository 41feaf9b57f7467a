"""The wheel away from the clone: tools on real files, and the workflow as a module of another one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evaluation.foreign_files import questions, right, write_questions, write_rows
from package.installed import ROOT, install, run
from questions.test_audit import META, RIGHT, row
from rollout3d import code, tables
from toyworld.settings import Scans
from toyworld.writers import release

SCANS = Scans(scans_per_dataset=2, val_scans=1, seconds=4.0, fps=5, width=128, height=96, n_objects=(8, 10))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return install(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    root = tmp_path_factory.mktemp("scannet")
    release.write_release("scannet", root, SCANS, 3)
    plan = next(plan for plan in release.plan("scannet", SCANS, 3) if not plan.aside)
    return root / "scans" / plan.scene_id


def rollout3d(site: Path, folder: Path, *arguments: str | Path) -> str:
    """Run a command of the installed package; return what it prints."""
    done = run(site, folder, "-m", "rollout3d.stages", *arguments)
    assert done.returncode == 0, done.stderr
    assert str(ROOT) not in done.stderr
    return done.stdout


def test_the_package_that_runs_is_the_installed_one(site, tmp_path):
    where = run(site, tmp_path, "-c", "import rollout3d.resources as r; print(r.PACKAGE); print(r.clone())").stdout
    assert where.split() == [str(site / "rollout3d"), "None"]
    held = {
        path.relative_to(site / "rollout3d" / "shipped").as_posix()
        for path in (site / "rollout3d").rglob("*.*")
        if "shipped" in path.parts
    }
    tracked = subprocess.run(
        ["git", "ls-files", "config", "resources", "rules", "envs", "slurm"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    assert {name for name in tracked if not name.endswith(".md")} <= held
    assert "config/local.yaml" not in held, "it names the folders of one machine"


def test_a_scan_is_checked_and_asked(site, scan, tmp_path):
    said = rollout3d(site, tmp_path, "check-scan", "scannet", scan, "--out", "look.png")
    assert (tmp_path / "look.png").stat().st_size > 10_000
    assert "FAIL" not in said
    said = rollout3d(site, tmp_path, "ask", "scannet", scan, "--out", "asked")
    rows = tables.read(tables.QUESTIONS, tmp_path / "asked" / "questions.parquet")
    assert len(rows) > 10 and len({row["question_type"] for row in rows}) > 4, said


def test_boxes_are_audited(site, tmp_path):
    (tmp_path / "meta.json").write_text(json.dumps(META))
    write_questions(tmp_path / "test.jsonl", [row(k, *given) for k, given in enumerate(RIGHT)])
    rollout3d(site, tmp_path, "audit", "--meta", "meta.json", "--answers", "test.jsonl", "--out", "audit.parquet")
    assert all(each["agrees"] for each in tables.read(tables.AUDIT, tmp_path / "audit.parquet"))


def test_predictions_are_scored(site, tmp_path):
    rows = questions()
    write_questions(tmp_path / "test.jsonl", rows)
    write_rows(tmp_path / "p.jsonl", [{"id": int(name), "text": text} for name, text in right(rows).items()])
    said = rollout3d(
        site, tmp_path, "score", "--predictions", "p.jsonl", "--answers", "test.jsonl", "--scorer", "vsibench"
    )
    (overall,) = (line.split() for line in said.splitlines() if line.startswith("overall"))
    assert "100.0" in overall


def test_the_papers_table_is_made(site, tmp_path):
    rollout3d(site, tmp_path, "paper-table", "--table", "table3", "--out", "table3.parquet")
    cells = tables.read(tables.REPORT, tmp_path / "table3.parquet")
    assert any(cell["paper"] for cell in cells)


def test_the_code_has_the_digests_of_the_clone(site, tmp_path):
    stages = ("ingest", "train_grpo", "annotate", "report", "paper_table", "render_scans")
    ask = f"import json; from rollout3d import code; print(json.dumps([code.closure(s).digest for s in {stages}]))"
    found = json.loads(run(site, tmp_path, "-c", ask).stdout)
    assert found == [code.Package(ROOT / "workflow" / "rollout3d").closure(stage).digest for stage in stages]


def snakemake(site: Path, folder: Path, *arguments: str) -> str:
    done = run(site, folder, "-m", "snakemake", "--cores", "1", "--quiet", "rules", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


IMPORTING = """
from rollout3d.resources import shipped

module study:
    snakefile: shipped("Snakefile")
    config: {{"preset": "tiny", "results": "study", "toyworld": {{"scans": {scans}}}}}

use rule * from study

rule mine:
    input: "study/report/index.html"
    output: "mine.txt"
    shell: "cp {{input}} {{output}}"
"""


def test_another_workflow_uses_the_installed_one_as_a_module(site, tmp_path):
    (tmp_path / "Snakefile").write_text(IMPORTING.format(scans=SCANS.model_dump(mode="json")))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("key: of the importing workflow\n")
    said = snakemake(site, tmp_path, "-n", "mine.txt")
    assert all(f"{rule} " in said for rule in ("render_scans", "difficulty", "grpo", "report", "mine"))
    # A job runs with the code of the installed package.
    snakemake(site, tmp_path, "--", "study/scans/scannet.parquet")
    assert tables.read(tables.SCANS, tmp_path / "study" / "scans" / "scannet.parquet")
    assert (tmp_path / ".snakemake/rollout3d/code/rollout3d").resolve() == (site / "rollout3d").resolve()


def test_names_and_paths_of_the_module_must_stay(site, tmp_path):
    text = IMPORTING.format(scans="{}").replace("from study\n", "from study as other_*\n")
    (tmp_path / "Snakefile").write_text(text)
    done = run(site, tmp_path, "-m", "snakemake", "-n", "mine.txt")
    assert done.returncode and "without `as`" in done.stdout + done.stderr


def test_the_layout_of_the_catalog_holds_the_same_rules():
    for snakefile in ("Snakefile", "workflow/Snakefile"):
        asked = [sys.executable, "-m", "snakemake", "-s", snakefile, "--list-rules", "--config", "preset=tiny"]
        done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
        assert {"ingest", "grpo", "report"} <= {*done.stdout.split()}, done.stderr
