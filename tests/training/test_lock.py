"""One trainer at a time: a second one waits, dead holders are replaced, and nobody takes a live one for dead."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from rollout3d.training import lock
from rollout3d.training.lock import Holder, Lock, Locked, alive, holders

HELD = "import sys; from rollout3d.training.lock import Lock; from pathlib import Path\nwith Lock(Path(sys.argv[1])): "


@contextmanager
def process(path, code=HELD + "print('held', flush=True); input()"):
    """Another process that runs `code` with the path of a lock."""
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as other:
        try:
            yield other
        finally:
            other.kill()


@contextmanager
def held(path):
    """A live process that holds the lock."""
    with process(path) as other:
        assert other.stdout.readline() == b"held\n"
        yield other


def elsewhere(**more):
    """A holder on another host whose heart beats."""
    return Holder(pid=os.getpid(), host="elsewhere", beats=True, **more)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "checkpoints" / "lock.json"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lock, "POLL_S", 0.05)


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_a_second_trainer_waits_by_name_and_goes_on_when_the_first_ends(path, quick, caplog):
    with held(path) as other:
        mine = Lock(path)
        assert not mine.take() and mine.waited
        assert f"waiting for process {other.pid} on {socket.gethostname()}, which trains here" in caplog.text
        assert "delete this file" in caplog.text
        other.communicate(b"\n")
    with mine:
        assert lock.read(path).pid == os.getpid()
    assert not path.parent.exists()
    with Lock(path) as fresh:
        assert not fresh.waited


def test_a_process_that_waits_says_so_at_the_start_and_then_now_and_again(path, quick, monkeypatch, caplog):
    monkeypatch.setattr(lock, "REPORT_S", 0.5)
    with held(path) as other:
        mine, start = Lock(path), time.monotonic()
        while time.monotonic() - start < 1.25:
            assert not mine.take()
            time.sleep(0.05)
        assert len([r for r in caplog.records if "waiting for" in r.getMessage()]) == 3
        other.communicate(b"\n")


def test_a_trainer_that_dies_while_another_waits_is_followed_at_once(path, quick):
    with held(path) as other:
        mine = Lock(path)
        assert not mine.take()
        other.kill()
        other.wait()
        assert mine.take()
    mine.release()


def test_sigterm_ends_a_process_that_waits_at_once_and_changes_nothing(path):
    with held(path):
        before = (path.read_bytes(), path.stat().st_mtime_ns)
        code = "import logging; logging.basicConfig()\n" + HELD + "print('held')"
        with process(path, code) as waiting:
            assert b"waiting for" in waiting.stderr.readline()
            waiting.terminate()
            assert waiting.wait(timeout=5) == -signal.SIGTERM  # 143 for a shell
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before
        assert [p.name for p in path.parent.iterdir()] == ["lock.json"]


def test_of_many_processes_that_find_a_dead_lock_one_works_at_a_time(path):
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(asdict(replace(Holder.me(), pid=2**22 + 1))))
    code = """
        import sys, time; from pathlib import Path; from rollout3d.training import lock
        lock.POLL_S = 0.01
        for _ in range(3):
            with lock.Lock(Path(sys.argv[1])):
                with open(sys.argv[1] + ".log", "a") as log: log.write("in\\n")
                time.sleep(0.03)
                with open(sys.argv[1] + ".log", "a") as log: log.write("out\\n")
    """
    others = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(path)], stderr=subprocess.PIPE)
        for _ in range(5)
    ]
    failed = [said for other in others for said in [other.communicate(timeout=60)[1]] if other.returncode]
    assert not failed
    assert Path(f"{path}.log").read_text().split() == ["in", "out"] * 15
    assert [p.name for p in path.parent.iterdir()] == ["lock.json.log"]


# --- who is dead -----------------------------------------------------------------------------------------------------


def test_the_lock_of_a_process_that_was_killed_is_replaced(path, caplog):
    with held(path) as other:
        other.kill()
        other.wait()
        assert path.exists()
    with Lock(path):
        assert lock.read(path).pid == os.getpid()
    assert f"process {other.pid} on {socket.gethostname()} is gone; taking its place" in caplog.text


@pytest.mark.parametrize("content", ["", "\0" * 120, '{"pid": 1', "[]", "17", '{"pid": "x", "host": "y"}', "{}"])
def test_an_empty_or_garbled_lock_is_a_dead_one(path, content, caplog):
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with Lock(path):
        assert lock.read(path).pid == os.getpid()
    assert "not a complete lock, its writer died; replacing it" in caplog.text


def test_process_numbers_are_compared_with_their_start_reboot_and_container():
    mine = Holder.me()
    assert alive(mine, time.time())
    assert not alive(replace(mine, started="1"), time.time())
    assert not alive(replace(mine, pid=2**22 + 1), time.time())
    assert not alive(replace(mine, boot="another"), time.time())
    assert alive(replace(mine, pid=2**22 + 1, space="pid:[1]"), time.time())  # another container's numbers say nothing


def test_locks_of_older_versions_are_read(path):
    path.parent.mkdir(parents=True)
    mine = Holder.me()
    old = {"pid": mine.pid, "host": mine.host, "job": None, "started": mine.started, "at": 1.0}
    path.write_text(json.dumps(old))
    assert alive(lock.read(path), 0.0)
    path.write_text(json.dumps({**old, "started": "1"}))
    assert not alive(lock.read(path), 0.0)
    path.write_text(json.dumps({**old, "host": "elsewhere"}))
    assert alive(lock.read(path), 0.0)  # its heart never beat, so silence says nothing


def test_a_holder_on_another_host_is_gone_when_its_heart_has_stopped():
    now = time.time()
    assert alive(elsewhere(), now - 60)
    assert alive(elsewhere(), now - lock.STALE_S + 60)
    assert not alive(elsewhere(), now - lock.STALE_S - 60)
    assert alive(replace(elsewhere(), beats=False), now - lock.STALE_S - 60)


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Put a fake `squeue` on the path."""

    def install(script):
        fake = tmp_path / "bin" / "squeue"
        fake.parent.mkdir(exist_ok=True)
        fake.write_text(f'#!/bin/sh\n[ "$*" = "-h -j 17 -O StateCompact,RestartCnt" ] || exit 9\n{script}\n')
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")

    return install


UNREACHABLE = "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1"


@pytest.mark.parametrize(
    ("answer", "beating", "silent"),
    [
        ("echo R 1", True, True),
        ("echo S 1", True, True),
        ("echo R 2", False, False),
        ("echo PD 2", False, False),
        ("echo CG 1", True, False),
        ("true", False, False),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", False, False),
        (UNREACHABLE, True, False),
    ],
    ids=["running", "suspended", "requeued", "requeued, waits", "ending", "gone", "forgotten", "unreachable"],
)
def test_slurm_is_asked_about_a_holder_on_another_node(squeue, answer, beating, silent):
    squeue(answer)
    holder = elsewhere(job="17", restarts=1)
    assert alive(holder, time.time()) is beating
    assert alive(holder, time.time() - 2 * lock.STALE_S) is silent


def test_a_lock_says_how_often_its_job_was_requeued(squeue, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    squeue("echo R 3")
    assert (Holder.me().job, Holder.me().restarts) == ("17", 3)
    squeue(UNREACHABLE)
    assert Holder.me().restarts is None


def test_slurm_is_not_asked_at_every_look(path, squeue, tmp_path):
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(asdict(elsewhere(job="17"))))
    squeue(f"echo asked >> {tmp_path}/asked; echo R 0")
    mine = Lock(path)
    assert not any(mine.take() for _ in range(5))
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_of_two_that_find_a_dead_holder_only_one_takes_its_place(path, monkeypatch):
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(asdict(replace(Holder.me(), pid=2**22 + 1))))
    real = lock._alive_here

    def overtaken(holder):
        if real(holder):
            return True
        path.write_text(json.dumps(asdict(Holder.me())))  # while this process asks, another one replaces the lock
        return False

    monkeypatch.setattr(lock, "_alive_here", overtaken)
    assert not Lock(path).take()
    assert lock.read(path).pid == os.getpid() and list(path.parent.iterdir()) == [path]


# --- holding ---------------------------------------------------------------------------------------------------------


def test_the_heart_of_a_holder_beats_also_after_its_file_was_deleted(path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT_S", 0.05)

    def beats():
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        return path.stat().st_mtime > time.time() - 60

    with Lock(path) as mine:
        assert beats()
        path.unlink()
        time.sleep(0.2)
        mine.check()
        assert beats()


def test_a_holder_that_was_replaced_is_told_and_leaves_the_others_lock_alone(path, caplog):
    caplog.set_level(logging.WARNING)
    with Lock(path) as mine:
        mine.check()
        path.unlink()
        mine.check()
        assert "was deleted while" in caplog.text and lock.read(path).pid == os.getpid()
        theirs = json.dumps(asdict(elsewhere()))
        path.write_text(theirs)
        with pytest.raises(Locked, match="another process trains here now"):
            mine.check()
    assert path.read_text() == theirs


def test_live_trainers_below_a_results_folder_are_listed(tmp_path):
    assert holders(tmp_path / "nowhere") == []
    dead, empty, live = (tmp_path / "runs" / name / lock.LOCK for name in ("dead", "empty", "live"))
    for file, text in ((dead, json.dumps(asdict(replace(Holder.me(), started="1")))), (empty, "")):
        file.parent.mkdir(parents=True)
        file.write_text(text)
    with held(live) as other:
        assert [(found, holder.pid) for found, holder in holders(tmp_path)] == [(live, other.pid)]
        assert dead.exists() and empty.exists()


def test_looking_for_trainers_imports_nothing_heavy():
    code = "import sys, rollout3d.training.lock; print(*(m for m in ('torch', 'numpy', 'pyarrow') if m in sys.modules))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout == "\n"
