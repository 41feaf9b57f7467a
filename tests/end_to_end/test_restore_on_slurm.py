"""A stored result is put in place on a cluster whose GPUs are all taken: such a job asks for none."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slurm.cluster import DRIVER, Cluster, why_not

MODEL = "results/tiny/runs/ocr/model.json"


@pytest.mark.slurm
@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_finished_run_comes_back_while_every_gpu_is_busy(study, tmp_path):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    (study.folder / "config" / "local.yaml").write_text("preset: tiny\n")
    python = Path(sys.executable)
    environment = study.environment() | {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "ROLLOUT3D_SLURM_STATUS": "squeue",
        "ROLLOUT3D_SLURM_POLL_S": "1",
        "ROLLOUT3D_GPUS_PER_NODE": "2",
    }
    with Cluster(tmp_path / "slurm", gpus=2):
        busy = ["sbatch", "--partition=gpu", "--nodes=2", "--gpus-per-node=2", "--mem=1000", "--wrap", "sleep 600"]
        subprocess.run(busy, check=True, capture_output=True, cwd=tmp_path)
        for nodes in ("1", "2"):
            shutil.rmtree(study.results / "runs" / "ocr")
            started = time.monotonic()
            run = subprocess.run(
                [str(python), str(DRIVER), "--profile", "slurm", MODEL],
                cwd=study.folder,
                env=environment | {"ROLLOUT3D_NODES": nodes},
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
            assert MODEL in study.restored() and (study.folder / MODEL).exists()
            assert time.monotonic() - started < 240
        # The GPUs were taken all the while.
        assert "R" in subprocess.run(["squeue", "-h", "-o", "%t"], capture_output=True, text=True).stdout
