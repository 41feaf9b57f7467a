"""The literal `snakemake --profile slurm all` on a real two-node Slurm, the tiny preset named in config/local.yaml."""

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


@pytest.mark.slurm
@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_whole_pipeline_runs_on_two_nodes(tmp_path):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in STUDY:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, clone / name)
    (clone / "config" / "local.yaml").write_text("preset: tiny\n")
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
    results = clone / "results" / "tiny"
    logs = "\n".join(
        f"== {p.relative_to(results)}\n{p.read_text()[-3000:]}" for p in sorted(results.glob("logs/**/*.log"))
    )
    assert run.returncode == 0, f"{said[-6000:]}\n{logs[-12000:]}"
    assert (results / "report" / "index.html").stat().st_size > 0

    jobs = set(re.findall(r"SLURM jobid '?(\d+)", said))
    assert len(jobs) >= 10, said[-3000:]

    for log in ("sft/sft.log", "grpo/ocr.log"):
        text = (results / "logs" / log).read_text()
        ranks = set(re.findall(r"rank (\d) of (\d) on (\w+)", text))
        assert ranks == {("0", "2", NODES[0]), ("1", "2", NODES[1])} or ranks == {
            ("0", "2", NODES[1]),
            ("1", "2", NODES[0]),
        }, text[-3000:]
