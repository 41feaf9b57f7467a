"""What Slurm does to jobs, on a real two-node cluster on loopback (tests/slurm/cluster.py), through the Slurm profile.

The faults share one cluster, and each has its own study, of which one GRPO run is still to be trained.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from faults.drivers import RUN
from faults.table import Line
from faults.world import SAVE_EVERY, Driver, Expected, World, expect, meet, wait_for
from slurm.cluster import DRIVER, Cluster, command, reach_time_limit, why_not

HELD = "step_2"
"""Moment at which a fault comes: two steps are saved, the third is being trained."""
KILL_WAIT_S = 30
"""Slurm's time between SIGTERM and SIGKILL."""


class Jobs:
    """A study under the Slurm profile, held in its training. Only the training is asked for: one job, not ten."""

    def __init__(self, world: World, name: str, nodes: int = 1, moment: str = HELD):
        self.world, self.nodes, self.moment = world, nodes, moment
        self.study = world.clone(name)
        self.target = str((self.study.results / RUN).relative_to(self.study.folder))
        self.study.forget(RUN)
        self.study.variables = {
            "ROLLOUT3D_NODES": str(nodes),
            "ROLLOUT3D_GPUS_PER_NODE": "0",
            "ROLLOUT3D_SLURM_STATUS": "squeue",
            "ROLLOUT3D_SLURM_POLL_S": "1",
        }
        self.study.lay("train_grpo", moment)
        self.driver = self.start()

    def start(self, *arguments: str) -> Driver:
        asking = [sys.executable, str(DRIVER)]
        return self.study.drive("--profile", "slurm", *arguments, command=asking, targets=[self.target])

    @property
    def ids(self) -> list[str]:
        """Slurm jobs of the run's starts, in order."""
        return re.findall(r"^== .* Slurm job (\d+)$", self.study.log(), re.MULTILINE)

    def wait(self) -> str:
        """Wait until the training is held; its Slurm job."""
        self.study.wait_met("train_grpo", self.moment)
        return self.ids[-1]

    def finish(self) -> None:
        expect(self.driver.wait(900) == 0, f"the driver failed\n{self.study.said()}")

    def said(self, words: str) -> None:
        expect(words in self.study.log(), f"{words!r} is not in the log\n{self.study.log()[-2500:]}")

    def line(self, fault: str, told: str, steps: int = SAVE_EVERY) -> Line:
        return self.world.line(fault, told, self.study, Expected(steps=steps, to_train={"ocr"}))


@contextmanager
def held(world: World, name: str, **options) -> Iterator[Jobs]:
    jobs = Jobs(world, name, **options)
    try:
        yield jobs
    finally:
        cancel_all()
        jobs.study.close()


def cancel_all() -> None:
    """End the jobs of a fault that is over."""
    subprocess.run(["scancel", "--user=root"], capture_output=True)
    deadline = time.monotonic() + KILL_WAIT_S + 10
    while time.monotonic() < deadline and command("squeue", "-h").strip():
        time.sleep(0.5)


def cancelled(world: World) -> Line:
    """scancel"""
    with held(world, "cancelled") as jobs:
        command("scancel", jobs.wait())
        jobs.finish()
        jobs.said("stopped by SIGTERM after step 3 of 5")
        jobs.said("resuming after step 3 of 5")
        return jobs.line("scancel", "saved after the step in progress; the retry resumed there", 0)


def limited(world: World) -> Line:
    """time limit in mid-run"""
    with held(world, "limited") as jobs:
        reach_time_limit(jobs.wait())
        jobs.finish()
        jobs.said("resuming after step 3 of 5")
        return jobs.line(
            "time limit in mid-run", "warned, saved after the step in progress; the retry resumed there", 0
        )


def limited_in_import(world: World) -> Line:
    """time limit in mid-import"""
    with held(world, "limited_import", moment="import") as jobs:
        reach_time_limit(jobs.wait())
        jobs.finish()
        expect(len(jobs.ids) == 2, f"{len(jobs.ids)} jobs instead of two")
        return jobs.line("time limit in mid-import", "ended while torch was being loaded; the retry trained", 0)


def requeued(world: World) -> Line:
    """requeue"""
    with held(world, "requeued") as jobs:
        job = jobs.wait()
        command("scontrol", "requeue", job)
        jobs.finish()
        jobs.said("resuming after step 3 of 5")
        expect(jobs.ids == [job, job], f"jobs {jobs.ids}")
        return jobs.line("requeue", "saved after the step in progress; the same job resumed there", 0)


def terminated(world: World, nodes: int) -> Line:
    with held(world, f"terminated_{nodes}", nodes=nodes) as jobs:
        command("scancel", "-s", "TERM", jobs.wait())
        jobs.finish()
        jobs.said("resuming after step 3 of 5")
        words = "one node" if nodes == 1 else f"{nodes} nodes"
        return jobs.line(f"TERM, {words}", "saved after the step in progress; the retry resumed there", 0)


def terminated_on_one(world: World) -> Line:
    """TERM, one node"""
    return terminated(world, 1)


def terminated_on_two(world: World) -> Line:
    """TERM, two nodes"""
    return terminated(world, 2)


def node_down(cluster: Cluster) -> Callable[[World], Line]:
    """A fault that needs the cluster itself."""

    def fault(world: World) -> Line:
        """node down"""
        with held(world, "node_down") as jobs:
            job = jobs.wait()
            node = command("squeue", "-hj", job, "-o%N").strip()
            cluster.lose(node)
            try:
                jobs.finish()
            finally:
                cluster.bring_back(node)
            jobs.said("resuming after step 2 of 5")
            again = "the job was requeued" if jobs.ids[-1] == job else "the retry came as another job"
            return jobs.line("node down", f"{node} died with the trainer (kill -9); {again} and resumed")

    return fault


def driver_restarted(world: World) -> Line:
    """driver killed, --unlock, its Slurm job alive"""
    with held(world, "driver_restarted") as jobs:
        job = jobs.wait()
        jobs.driver.kill()
        jobs.study.all("--unlock")
        jobs.driver = jobs.start()
        wait_for(lambda: "waiting for process" in jobs.study.log(), f"the second job to wait\n{jobs.study.said()}")
        jobs.study.go("train_grpo")
        jobs.finish()
        jobs.said("finished already; nothing to train")
        expect(jobs.ids[0] == job and len(jobs.ids) == 2, f"jobs {jobs.ids}")
        told = "the second driver's job waited for the first one's and found the run finished"
        return jobs.line("driver killed, --unlock, its Slurm job alive", told, 0)


FAULTS = (cancelled, limited, limited_in_import, requeued, terminated_on_one, terminated_on_two, driver_restarted)


def on_a_cluster(world: World) -> Iterator[Line]:
    """scancel, time limits, requeue, node down, TERM on one and two nodes, a driver restarted: under Slurm"""
    reason = why_not()
    if reason:
        yield Line("Slurm's faults", reason, left_out=True)
        return
    with Cluster(world.folder / f"slurm.{int(time.time())}") as cluster:
        for fault in (*FAULTS, node_down(cluster)):
            yield from meet(fault, world)


QUICK = ()
ALL = (on_a_cluster,)
