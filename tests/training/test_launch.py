"""What is started for one process, one node and several; signals; the meeting point of a Slurm job."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAUNCH = Path(__file__).resolve().parents[2] / "workflow" / "launch.py"
spec = importlib.util.spec_from_file_location("launch", LAUNCH)
launch = importlib.util.module_from_spec(spec)
spec.loader.exec_module(launch)

PROGRAM = ["-m", "some.stage", "--flag", "1"]


def test_one_process_is_plain_python():
    assert launch.plan(1, 1, PROGRAM) == [sys.executable, *PROGRAM]


def test_one_node_is_torchrun_on_a_port_of_its_own():
    command = launch.plan(1, 8, PROGRAM)
    assert command[:3] == [sys.executable, str(LAUNCH), "--agent"]
    assert {"--nproc-per-node=8", "--standalone"} < set(command) and command[-4:] == PROGRAM
    assert f"--shutdown-timeout={launch.GRACE_S}" in command  # time to save after SIGTERM


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Fake `scontrol` and `srun`: the latter prints its arguments."""
    (tmp_path / "scontrol").write_text(
        '#!/bin/sh\ncase "$*" in\n'
        '  "show job 41234") echo "JobId=41234 NodeList=n[1-2] BatchHost=n1 NumNodes=2";;\n'
        '  "show node n1") echo "NodeName=n1 NodeAddr=10.0.0.7 NodeHostName=box";;\n'
        "  *) exit 1;;\nesac\n"
    )
    (tmp_path / "srun").write_text('#!/bin/sh\nfor a in "$@"; do echo "$a"; done\n')
    for name in ("scontrol", "srun"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_JOB_ID", "41234")


def test_several_nodes_meet_at_the_jobs_first_node(cluster):
    command = launch.plan(2, 8, PROGRAM)
    assert command[0] == "srun" and {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1"} < set(command)
    port = launch.FIRST_PORT + 41234 % launch.PORTS
    meeting = {"--nnodes=2", "--nproc-per-node=8", "--rdzv-backend=c10d", f"--rdzv-endpoint=10.0.0.7:{port}"}
    assert meeting < set(command) and "--rdzv-id=41234" in command
    assert command[-4:] == PROGRAM


def test_the_launcher_becomes_srun(cluster):
    """Without a GPU: one process per node."""
    made = subprocess.run(
        [sys.executable, LAUNCH, "--nodes", "2", "--gpus", "0", "--", *PROGRAM],
        capture_output=True,
        text=True,
        check=True,
    )
    printed = made.stdout.splitlines()
    assert "--nproc-per-node=1" in printed and printed[-4:] == PROGRAM


def test_several_nodes_outside_a_job_are_refused_with_the_remedy(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(SystemExit, match="need a Slurm job"):
        launch.main(["--nodes", "2", "--", *PROGRAM])


def test_a_job_that_slurm_does_not_know_is_an_error(cluster, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with pytest.raises(launch.LaunchError, match="scontrol show job 7"):
        launch.meeting_point()


def test_gpus_are_those_of_the_whole_job(cluster, capsys):
    with pytest.raises(SystemExit):
        launch.main(["--nodes", "2", "--gpus", "3", "--", *PROGRAM])
    assert "3 GPUs cannot be shared out evenly over 2 nodes" in capsys.readouterr().err


def test_asking_for_more_gpus_than_there_are_is_said_and_survived(monkeypatch, capsys):
    answers = iter([4, 0])
    monkeypatch.setattr(
        launch.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 0, f"noise\n{next(answers)}\n")
    )
    assert launch.processes_per_node(8) == 4 and "8 GPUs per node were requested, 4 found" in capsys.readouterr().err
    assert launch.processes_per_node(8) == 1
    assert launch.processes_per_node(0) == 1


def test_gpus_asked_for_by_gres_are_counted_from_the_site_settings(monkeypatch):
    """Snakemake's count is 0 then: it would become `--gpus`."""
    monkeypatch.setenv("SLURM_JOB_ID", "41234")
    assert launch.gres_per_node() == 0
    monkeypatch.setenv("ROLLOUT3D_GRES", "gpu:a100")
    assert launch.gres_per_node() == 8
    monkeypatch.setenv("ROLLOUT3D_GPUS_PER_NODE", "4")
    assert launch.gres_per_node() == 4
    monkeypatch.delenv("SLURM_JOB_ID")
    assert launch.gres_per_node() == 0, "one machine knows no gres"


def test_nothing_to_start_is_an_error(capsys):
    with pytest.raises(SystemExit):
        launch.main(["--gpus", "0", "--"])
    assert "nothing to start" in capsys.readouterr().err


def test_a_log_is_continued_also_after_it_was_deleted_while_another_process_writes(tmp_path):
    """Snakemake deletes a job's log before the job starts."""
    log = tmp_path / "logs" / "r.log"
    writer = "import sys; print(sys.argv[1], flush=True); sys.argv[2:] and input(); print('end', file=sys.stderr)"

    def start(*words):
        command = [sys.executable, LAUNCH, "--log", log, "--", "-c", writer, *words]
        return subprocess.Popen(command, stdin=subprocess.PIPE)

    first = start("first", "waits")
    deadline = time.monotonic() + 20
    while not (log.exists() and "first" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    log.unlink()
    second = start("second")
    second.communicate(timeout=20)
    first.communicate(b"\n", timeout=20)
    lines = log.read_text().splitlines()
    assert [line for line in lines if not line.startswith("== 20")] == ["first", "second", "end", "end"]
    assert len(lines) == 6


@pytest.mark.parametrize("processes", [1, 2])
def test_sigterms_reach_the_workers_which_may_end_in_their_own_time(tmp_path, processes):
    """Slurm sends several: to every process of the job, through srun, and again when the grace time ends."""
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import os, signal, sys, time, pathlib\n"
        "here = pathlib.Path(sys.argv[1]) / os.environ.get('RANK', '0')\n"
        "asked = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: asked.append(1))\n"
        "here.with_suffix('.ready').write_text('x')\n"
        "deadline = time.monotonic() + 60\n"
        "while not asked and time.monotonic() < deadline: time.sleep(0.05)\n"
        "for _ in range(60): time.sleep(0.05)\n"
        "here.with_suffix('.saved').write_text('x'); sys.exit(143)\n"
    )
    made = subprocess.Popen(
        [sys.executable, LAUNCH, "--processes", str(processes), "--", str(worker), str(tmp_path)],
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*.ready"))) < processes and time.monotonic() < deadline:
        time.sleep(0.1)
    for _ in range(4):
        made.send_signal(signal.SIGTERM)
        time.sleep(0.3)
    assert made.wait(timeout=60) != 0
    assert len(list(tmp_path.glob("*.saved"))) == processes
