"""Trainers that Slurm stops: time limit, scancel, requeue, on one node and on two. Each saves first and resumes.

Every run goes through Snakemake, its Slurm plugin and the shell command of rules/grpo.smk. It waits in some steps for
its next fault, and the checkpoint then takes `SLOW_S` seconds: longer than Slurm lets what is left of a job live once
its shell has ended, shorter than its grace after SIGTERM (KillWait, 30 s).
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rollout3d import tables
from slurm.cluster import DRIVER, Cluster, command, reach_time_limit, why_not

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import fault_world as fw
import training_world as tw

SLOW_S = 12
PATIENCE_S = 240
"""Longest wait for a trainer to reach its step; on two idle cores it takes 20 to 40 s."""


def cancel(job):
    command("scancel", "-s", "TERM", job)


def requeue(job):
    command("scontrol", "requeue", job)


HOLD = (1, 3)
"""Steps (from 0) at which a run's first and second fault come."""
FAULTS = {(1, "limited"): [reach_time_limit], (1, "stopped"): [cancel, requeue], (2, "stopped"): [cancel, requeue]}
"""By number of nodes and name, a run's faults in order."""


class Study:
    """A driver and its runs on `nodes` nodes."""

    def __init__(self, folder, files, nodes):
        self.folder, self.nodes = folder, nodes
        self.runs = {run: list(faults) for (n, run), faults in FAULTS.items() if n == nodes}
        self.faults = fw.build(folder, files, list(self.runs))
        self.log = folder / "driver.log"
        variables = {
            "ROLLOUT3D_NODES": str(nodes),
            "ROLLOUT3D_GPUS_PER_NODE": "0",
            "ROLLOUT3D_SLURM_STATUS": "squeue",
            "ROLLOUT3D_SLURM_POLL_S": "1",
            "ROLLOUT3D_SLOW_SAVE_S": str(SLOW_S),
        }
        for run, faults in self.runs.items():
            if len(faults) == 1:
                for rank in range(nodes):
                    (self.faults / f"{run}.{rank}.held_{HOLD[1]}").touch()
        self.process = subprocess.Popen(
            [sys.executable, DRIVER, "--profile", "slurm", "all"],
            cwd=folder,
            env=fw.environment(self.faults, ",".join(map(str, HOLD)), **variables),
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def held(self, run, step):
        return all((self.faults / f"{run}.{rank}.held_{step}").exists() for rank in range(self.nodes))

    def jobs(self, run):
        """Slurm jobs of a run's starts, in order."""
        return re.findall(r"^== .* Slurm job (\d+)$", self.text(run), re.MULTILINE)

    def text(self, run):
        path = self.folder / f"results/logs/grpo/{run}.log"
        return path.read_text() if path.exists() else ""

    def said(self, run):
        return f"{self.log.read_text()[-3000:]}\n{self.text(run)[-6000:]}"


@pytest.mark.slurm
@pytest.mark.long
@pytest.mark.timeout(900)
def test_trainers_that_slurm_stops_save_and_resume_on_one_node_and_on_two(tmp_path):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    files = tw.build(tmp_path / "world")
    with Cluster(tmp_path / "slurm"):
        studies = [Study(tmp_path / f"nodes_{nodes}", files, nodes) for nodes in (1, 2)]
        try:
            for place, step in enumerate(HOLD):
                for study in studies:
                    for run, faults in study.runs.items():
                        if place < len(faults):
                            fw.wait_for(lambda: study.held(run, step), PATIENCE_S, study.said(run))  # noqa: B023
                            faults[place](study.jobs(run)[-1])
            for study in studies:
                assert study.process.wait(timeout=PATIENCE_S) == 0, study.said("stopped")
        finally:
            for study in studies:
                study.process.kill()
    for study in studies:
        for run, faults in study.runs.items():
            said = f"{run} on {study.nodes}: {study.said(run)}"
            for rank in range(study.nodes):
                assert fw.updates(study.faults, run, rank) == list(range(fw.STEPS)), said
            for step, fault in zip(HOLD, faults):
                if fault is not requeue:  # that ends srun, which passes on what its tasks log
                    assert f"stopped by SIGTERM after step {step + 1} of {fw.STEPS}" in study.text(run), said
                assert f"resuming after step {step + 1} of {fw.STEPS}" in study.text(run), said
            out = study.folder / "results/runs" / run
            rows = tables.read(tables.METRICS, out / "metrics.parquet")
            assert [row["step"] for row in rows] == list(range(fw.STEPS))
            assert not (out / "checkpoints").exists()
            jobs = study.jobs(run)
            assert len(jobs) == 1 + len(faults) and (jobs[-1] == jobs[-2]) == (requeue in faults), said
