"""The literal `snakemake --profile slurm all` on a real two-node Slurm, the preset named in config/local.yaml."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slurm.cluster import DRIVER, NODES, Cluster, why_not

ROOT = Path(__file__).parents[2]
STUDY = ("Snakefile", "rules", "workflow", "config", "envs", "resources", "slurm")

SHORT = """preset: spacer_demo
toyworld: {scans: {scans_per_dataset: 7, val_scans: 2}}
questions: {total: 60}
runs: {table: config/runs_short.tsv, select: [spacer, spacer_ocr, spatial_r1], max_steps: 2}
"""
"""spacer_demo with as little of everything as its runs need: what is tested is the way of its tables over nodes."""


def run_on_cluster(tmp_path: Path, local: str, results: str) -> tuple[Path, str]:
    """Run the command in a copy of the study with this `config/local.yaml`; return its results and what it said."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in STUDY:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, clone / name)
    (clone / "config" / "local.yaml").write_text(local)
    rows = (ROOT / "config" / "runs_spacer_demo.tsv").read_text().splitlines(keepends=True)
    # A run of two steps has no checkpoint after twelve.
    (clone / "config" / "runs_short.tsv").write_text("".join(row for row in rows if "spacer@12" not in row))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ROLLOUT3D_NODES": "2",
        "ROLLOUT3D_GPUS_PER_NODE": "0",
        "ROLLOUT3D_SLURM_STATUS": "squeue",
        "ROLLOUT3D_SLURM_POLL_S": "1",
    }
    with Cluster(tmp_path / "slurm"):
        run = subprocess.run(
            [sys.executable, DRIVER, "--profile", "slurm", "all"],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
        )
    said = run.stdout + run.stderr
    made = clone / "results" / results
    logs = "\n".join(f"== {p.relative_to(made)}\n{p.read_text()[-3000:]}" for p in sorted(made.glob("logs/**/*.log")))
    assert run.returncode == 0, f"{said[-6000:]}\n{logs[-12000:]}"
    assert (made / "report" / "index.html").stat().st_size > 0

    jobs = set(re.findall(r"SLURM jobid '?(\d+)", said))
    assert len(jobs) >= 10, said[-3000:]
    return made, said


def assert_on_both_nodes(log: Path) -> None:
    """Assert that the two ranks of a training ran on different nodes."""
    text = log.read_text()
    ranks = set(re.findall(r"rank (\d) of (\d) on (\w+)", text))
    assert ranks in ({("0", "2", a), ("1", "2", b)} for a, b in (NODES, NODES[::-1])), text[-3000:]


@pytest.mark.slurm
@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_whole_pipeline_runs_on_two_nodes(tmp_path):
    results, _ = run_on_cluster(tmp_path, "preset: tiny\n", "tiny")
    for log in ("sft/sft.log", "grpo/ocr.log"):
        assert_on_both_nodes(results / "logs" / log)


@pytest.mark.slurm
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_spacer_demo_runs_on_two_nodes(tmp_path):
    results, _ = run_on_cluster(tmp_path, SHORT, "spacer_demo")
    for run in ("spacer", "spacer_ocr", "spatial_r1"):
        assert_on_both_nodes(results / "logs" / "grpo" / f"{run}.log")
    page = (results / "report" / "index.html").read_text()
    for table in ("spacer_table1", "spacer_table2", "spatial_r1_table1"):
        assert f'id="{table}"' in page
