"""Start a training stage on one process, one node or several: `python workflow/launch.py --gpus 8 -- -m MODULE ...`.

One process is plain Python. One node with several GPUs is torchrun. Several nodes are srun with one torchrun each,
inside a Slurm job whose rule uses `mpi: srun`; Snakemake's job step removes Slurm's variables except the job's id, so
the meeting point comes from `scontrol`. Without a GPU there is one process per node, which communicates by gloo. This
program replaces itself by what it starts, so signals reach that directly: start it with `exec` in a job's shell.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

GRACE_S = 270
"""Seconds that torchrun gives its workers to save after SIGTERM; Slurm warns 300 seconds before the time limit."""
FIRST_PORT, PORTS = 15_000, 15_000
"""First port and number of ports of meeting points: below the ports that systems assign automatically."""


AGENT = "--agent"
"""First argument with which this program runs torchrun, on each node."""


def main(argv: list[str] | None = None) -> None:
    """Replace this process by the trainer, or by what starts it on several processes or nodes."""
    if (sys.argv[1:] if argv is None else argv)[:1] == [AGENT]:
        return run_agent((sys.argv[1:] if argv is None else argv)[1:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1, help="nodes of the job")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs of the job, over all nodes")
    parser.add_argument("--processes", type=int, help="processes per node, instead of one for each GPU")
    parser.add_argument("--log", type=Path, help="append all output to this file, after that of earlier starts")
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="-- -m MODULE ...", help="arguments for Python")
    args = parser.parse_args(argv)
    program = args.program[1:] if args.program[:1] == ["--"] else args.program
    if not program:
        parser.error("nothing to start: give it after --")
    if args.nodes < 1 or args.gpus % args.nodes:
        parser.error(f"{args.gpus} GPUs cannot be shared out evenly over {args.nodes} nodes")
    if args.log:
        append_output(args.log)
    gpus = args.gpus // args.nodes or gres_per_node()
    try:
        command = plan(args.nodes, args.processes or processes_per_node(gpus), program)
    except LaunchError as error:
        raise SystemExit(f"error: {error}") from None
    sys.stderr.flush()
    os.execvp(command[0], command)


def append_output(log: Path) -> None:
    """Append the output of this process, and of the program that replaces it, to a log that outlives the job.

    Snakemake deletes the log of a job that it starts, also while an earlier trainer still writes into it. So the file
    has a second, hidden name beside it, from which the first is restored.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    hidden = log.with_name(f".{log.name}")
    opened = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    if not (log.exists() and log.samefile(hidden)):
        log.unlink(missing_ok=True)
        with suppress(FileExistsError):  # another start was faster
            try:
                os.link(hidden, log)
            except PermissionError:  # a file system without hard links
                log.symlink_to(hidden.name)
    for stream in (1, 2):
        os.dup2(opened, stream)
    job = os.environ.get("SLURM_JOB_ID")
    where = socket.gethostname() + (f", Slurm job {job}" if job else "")
    print(f"== {time.strftime('%Y-%m-%d %H:%M:%S')} on {where}", file=sys.stderr, flush=True)


class LaunchError(RuntimeError):
    """The job does not allow the launch; the message says what to change."""


def plan(nodes: int, processes: int, program: list[str]) -> list[str]:
    """Return the command line that starts `processes` processes on each of `nodes` nodes."""
    if nodes == 1 and processes == 1:
        return [sys.executable, *program]
    torchrun = [
        sys.executable,
        os.path.abspath(__file__),
        AGENT,
        f"--nproc-per-node={processes}",
        f"--shutdown-timeout={GRACE_S}",
    ]
    if nodes == 1:
        return [*torchrun, "--standalone", *program]
    job, address, port = meeting_point()
    srun = [
        "srun",
        f"--nodes={nodes}",
        f"--ntasks={nodes}",
        "--ntasks-per-node=1",
        "--cpu-bind=none",
        "--kill-on-bad-exit=1",
    ]
    meeting = [f"--nnodes={nodes}", f"--rdzv-id={job}", "--rdzv-backend=c10d", f"--rdzv-endpoint={address}:{port}"]
    return [*srun, *torchrun, *meeting, *program]


def run_agent(arguments: list[str]) -> None:
    """Run torchrun, and ignore SIGTERMs after the first one, so that its workers have their time to save.

    Slurm sends more than one: to all processes of a job, and through srun; at preemption and at the end of the grace
    time. At the third torchrun would exit and its workers be killed while they save.
    """
    from torch.distributed.elastic.multiprocessing import api
    from torch.distributed.run import main as torchrun

    shut_down = api._terminate_process_handler

    def once(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        shut_down(number, frame)

    api._terminate_process_handler = once
    torchrun(arguments)


def gres_per_node() -> int:
    """Return the GPUs per node of a Slurm job with `--gres`, which Snakemake's GPU count leaves out; else 0."""
    if os.environ.get("ROLLOUT3D_GRES") and os.environ.get("SLURM_JOB_ID"):
        return int(os.environ.get("ROLLOUT3D_GPUS_PER_NODE") or 8)
    return 0


def processes_per_node(gpus: int) -> int:
    """Return one process for each requested GPU that this node has; 1 without any."""
    if gpus < 1:
        return 1
    count = [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"]
    found = int(subprocess.run(count, capture_output=True, text=True, check=True).stdout.split()[-1])
    if found < gpus:
        print(f"warning: {gpus} GPUs per node were requested, {found} found", file=sys.stderr)
    return max(1, min(gpus, found))


def meeting_point() -> tuple[str, str, int]:
    """Return job id, address and port at which the nodes of this Slurm job meet: its first node, a port of its own."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        raise LaunchError("several nodes need a Slurm job: run `snakemake --profile slurm`, or set nodes to 1")
    host = _field("BatchHost", "job", job)
    if host is None:
        raise LaunchError(f"`scontrol show job {job}` names no BatchHost")
    return job, _field("NodeAddr", "node", host) or host, FIRST_PORT + int(job) % PORTS


def _field(name: str, entity: str, key: str) -> str | None:
    """Return one field of what `scontrol show` prints about a job or node; None if it is missing."""
    try:
        shown = subprocess.run(["scontrol", "show", entity, key], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise LaunchError(f"`scontrol show {entity} {key}` failed ({error})") from None
    found = re.search(rf"\b{name}=(\S+)", shown)
    return found.group(1) if found else None


if __name__ == "__main__":
    main()
