"""A two-node Slurm on loopback: one controller and two slurmds on this host, with no daemon of the system involved.

The job step of Snakemake's Slurm plugin strips SLURM_CONF, so the configuration must lie in /etc/slurm. An existing one
that this module did not write is left alone, and the cluster is refused. There is one cluster at a time: a second one
waits until the first is gone.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

MARK = "# rollout3d: two-node test cluster on loopback\n"
CONF = Path("/etc/slurm/slurm.conf")
GRES = Path("/etc/slurm/gres.conf")
NODES = ("n1", "n2")
DRIVER = Path(__file__).with_name("driver.py")
"""Snakemake that does not wait ever longer between two looks at its jobs."""


def why_not() -> str | None:
    """Why a cluster cannot be booted here; None if it can."""
    missing = [name for name in ("slurmctld", "slurmd", "sbatch", "srun") if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)} not installed: apt-get install slurmctld slurmd slurm-client"
    if os.geteuid() != 0:
        return "the daemons need root"
    if CONF.exists() and not CONF.read_text().startswith(MARK):
        return f"{CONF} belongs to another cluster"
    return None


def command(*words: str) -> str:
    """What a command of Slurm prints."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def reach_time_limit(job: str) -> None:
    """Let a job's time limit come: Slurm warns 300 s before it (slurm/profile.yaml), and looks every 30 s."""
    elapsed = command("squeue", "-hj", job, "-o%M")
    days, hours, minutes, _ = re.match(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", elapsed).groups()
    assert not days and not hours
    command("scontrol", "update", f"JobId={job}", f"TimeLimit={int(minutes) + 5}")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


class Cluster:
    """Context manager: the cluster runs inside, and is stopped and removed outside.

    `gpus`: per node, invented ones: Slurm gives them to jobs like real ones, and no job can use them.
    """

    def __init__(self, folder: Path, gpus: int = 0):
        self.folder, self.gpus = folder, gpus
        self.processes: list[subprocess.Popen] = []
        self.nodes: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> Cluster:
        self._turn = open("/tmp/rollout3d-slurm.lock", "w")
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        host = socket.gethostname()
        controller, first, second = free_ports(3)
        for name in ("state", "spool-n1", "spool-n2", "log"):
            (self.folder / name).mkdir(parents=True)
        nodes = "".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=64 RealMemory=2000000"
            + (f" Gres=gpu:{self.gpus}\n" if self.gpus else "\n")
            for name, port in zip(NODES, (first, second), strict=True)
        )
        CONF.parent.mkdir(exist_ok=True)
        for number in range(self.gpus):
            (self.folder / f"gpu{number}").touch()
        files = f"{self.folder}/gpu[0-{self.gpus - 1}]" if self.gpus > 1 else f"{self.folder}/gpu0"
        GRES.write_text("".join(f"NodeName={name} Name=gpu File={files}\n" for name in NODES if self.gpus))
        CONF.write_text(
            MARK
            + f"""ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool-%n
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd-%n.pid
SlurmctldLogFile={self.folder}/log/slurmctld.log
SlurmdLogFile={self.folder}/log/slurmd-%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
MinJobAge=300
{"GresTypes=gpu" if self.gpus else "# no GPUs"}
{nodes}PartitionName=cpu Nodes=ALL Default=YES State=UP
PartitionName=gpu Nodes=ALL State=UP
"""
        )
        self._start("slurmctld", "-D", "-i")
        for name in NODES:
            self._boot(name)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            states = subprocess.run(["sinfo", "-h", "-N", "-o", "%N %t"], capture_output=True, text=True).stdout.split(
                "\n"
            )
            if {f"{name} idle" for name in NODES} <= set(states):
                return self
            time.sleep(0.3)
        logs = "\n".join(path.read_text()[-2000:] for path in sorted((self.folder / "log").iterdir()))
        self.__exit__()
        raise RuntimeError(f"the cluster did not come up in 30 s\n{logs}")

    def lose(self, node: str) -> None:
        """Let a node die as by a power cut: its daemon and all processes of its jobs end, and Slurm gets a message."""
        self.nodes[node].kill()
        for process in _processes_on(node):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        subprocess.run(["scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=died"], check=True)

    def bring_back(self, node: str) -> None:
        """Boot a node that was lost."""
        self._boot(node)
        subprocess.run(["scontrol", "update", f"NodeName={node}", "State=RESUME"], capture_output=True)

    def _boot(self, node: str) -> None:
        self.nodes[node] = self._start("slurmd", "-D", "-N", node)

    def _start(self, *command: str) -> subprocess.Popen:
        started = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.processes.append(started)
        return started

    def __exit__(self, *_: object) -> None:
        subprocess.run(["scancel", "--signal=KILL", "--full", "--user=root"], capture_output=True)
        subprocess.run(["scancel", "--user=root"], capture_output=True)
        deadline = time.monotonic() + 20  # nothing may outlive the daemons
        while time.monotonic() < deadline and subprocess.run(["squeue", "-h"], capture_output=True).stdout.strip():
            time.sleep(0.5)
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
        CONF.unlink(missing_ok=True)
        GRES.unlink(missing_ok=True)
        self._turn.close()


def _processes_on(node: str) -> set[int]:
    """Processes of a node's jobs, and the step daemons above them."""
    found = set()
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if f"SLURMD_NODENAME={node}\0".encode() in (place / "environ").read_bytes():
                found.add(int(place.name))
                parent = (place / "stat").read_text().rpartition(")")[2].split()[1]
                if Path(f"/proc/{parent}/cmdline").read_bytes().startswith(b"slurmstepd"):
                    found.add(int(parent))
    return found
