"""The lock of a training directory: at most one trainer at a time. Imports nothing heavy.

The file names its holder: process, host, Slurm job. Its modification time is the holder's heartbeat. A holder is dead
if its process has ended (same host), if its Slurm job has ended or was started again (any other host), or if there was
no heartbeat for `STALE_S`. Snakemake, killed and started again, does not know that its old job still runs, and starts a
second one, which waits here.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rollout3d.errors import UserError
from rollout3d.files import sync

log = logging.getLogger(__name__)

LOCK = "checkpoints/lock.json"
"""Path of the lock in a run's directory."""
POLL_S = 2.0
"""Seconds between two attempts of a process that waits."""
REPORT_S = 60.0
"""Seconds between two log lines of a process that waits, and minimum between two requests to Slurm."""
BEAT_S = 60.0
"""Seconds between two heartbeats."""
STALE_S = 1800.0
"""Seconds without a heartbeat after which a holder counts as dead, where neither its host nor Slurm can be asked. Long,
because clocks of two hosts differ and a library may hold Python's lock while it writes a checkpoint."""
RUNNING = {"R", "S", "ST"}
"""States of a Slurm job (`squeue`'s short names) whose processes exist: running, suspended, stopped."""


class Locked(UserError, RuntimeError):
    """This process has lost the right to write into its directory; the message says to whom, and the remedy."""


@dataclass(frozen=True)
class Holder:
    """The process that a lock file names."""

    pid: int
    host: str
    job: str | None = None
    """Slurm job, if any."""
    started: str | None = None
    """Start of the process in the kernel's ticks; shows whether its number was used again."""
    boot: str | None = None
    """The kernel's random name of this run of the machine; shows whether it was rebooted."""
    space: str | None = None
    """Namespace of process numbers; distinguishes two containers with one host name."""
    restarts: int | None = None
    """How often Slurm had requeued the job when the lock was taken; None if Slurm did not answer."""
    at: float = 0.0
    """When the lock was taken, seconds since 1970."""
    beats: bool = False
    """True if the holder renews the file's modification time every `BEAT_S`."""

    @staticmethod
    def me() -> Holder:
        """Return this process."""
        pid, job = os.getpid(), os.environ.get("SLURM_JOB_ID")
        state = _slurm(job) if job else None
        return Holder(
            pid=pid,
            host=socket.gethostname(),
            job=job,
            started=_started(pid),
            boot=_read("/proc/sys/kernel/random/boot_id"),
            space=_link("/proc/self/ns/pid"),
            restarts=state[1] if state else None,
            at=time.time(),
            beats=True,
        )

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" + (f", Slurm job {self.job}" if self.job else "")


def read(path: Path) -> Holder | None:
    """Return the holder that a lock file names; None if the file is no lock (empty or garbled: its writer died).

    Raises FileNotFoundError.
    """
    try:
        values = json.loads(path.read_text())
        known = {name: value for name, value in values.items() if name in Holder.__dataclass_fields__}
        return Holder(**{**known, "pid": int(values["pid"]), "host": str(values["host"])})
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def alive(holder: Holder, beat: float | None = None) -> bool:
    """Return whether the holder of a lock may still run; True also where that cannot be known.

    `beat`: the lock file's modification time, seconds since 1970.
    """
    known = _alive_here(holder)
    return _alive_elsewhere(holder, beat) if known is None else known


def _alive_here(holder: Holder) -> bool | None:
    """Return whether a holder on this host runs; None if it is not on this host, or in another container."""
    if holder.host != socket.gethostname():
        return None
    if holder.boot is not None and holder.boot != _read("/proc/sys/kernel/random/boot_id"):
        return False  # the machine was started again
    if holder.space not in (None, _link("/proc/self/ns/pid")):
        return None
    started = _started(holder.pid)
    return started is not None and started == holder.started


def _alive_elsewhere(holder: Holder, beat: float | None) -> bool:
    if holder.job:
        answer = _slurm(holder.job)
        if answer is not None:
            state, restarts = answer
            if state is None or (holder.restarts is not None and restarts > holder.restarts):
                return False
            if state in RUNNING:
                return True
    return not (holder.beats and beat is not None and time.time() - beat > STALE_S)


def holders(results: Path) -> list[tuple[Path, Holder]]:
    """Return the lock files of live trainers below a results folder, with their holders."""
    found = []
    for path in sorted(results.glob(f"runs/*/{LOCK}")):
        with suppress(FileNotFoundError):
            holder, beat = read(path), path.stat().st_mtime
            if holder is not None and alive(holder, beat):
                found.append((path, holder))
    return found


class Lock:
    """An exclusive right to train into a directory.

    `take` tries once; as a context manager, entering waits for a live holder. The lock is released at the end of the
    block; after a kill, other processes find its holder dead.
    """

    def __init__(self, path: Path):
        self.path = path
        self._mine: str | None = None
        self._ended = threading.Event()
        self._reported: str | None = None
        self._next_report = 0.0
        self.waited = False
        """True if another process held the lock when this one first asked."""

    def __enter__(self) -> Lock:
        while not self.take():
            time.sleep(POLL_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self) -> bool:
        """Try to get the lock; return whether this process has it now. A dead holder is replaced, a live one logged."""
        if self.path.exists() and not self._remove_dead():
            self.waited = True
            return False
        me = Holder.me()
        text = json.dumps(asdict(me))
        if not self._place(text):
            return False
        self._mine = text
        self._ended.clear()
        threading.Thread(target=self._renew, name="lock", daemon=True).start()
        log.info("%s: %s trains here since %s", self.path.parent.parent, me, time.strftime("%Y-%m-%d %H:%M:%S"))
        return True

    def release(self) -> None:
        """Remove the lock, if it is still this process's, and its folder if nothing else is in it."""
        self._ended.set()
        if self._mine is not None and self._text() == self._mine:
            self.path.unlink(missing_ok=True)
            with suppress(OSError):
                self.path.parent.rmdir()
        self._mine = None

    def check(self) -> None:
        """Raise `Locked` unless the lock is still this process's. Call it before files are written or deleted.

        A process that was stopped for longer than `STALE_S` may have been replaced. A file that was deleted, without
        anybody in its place, is put back.
        """
        if self._mine is None:
            raise Locked(f"{self.path}: this process does not hold the lock")
        found = self._text()
        if found is None and self._place(self._mine):
            log.warning("%s: was deleted while %s trains here; put back", self.path, Holder.me())
        elif found != self._mine:
            raise Locked(
                f"{self.path}: another process trains here now, because this one gave no sign of life for long or its "
                "lock was deleted; this one ends without writing anything more"
            )

    def _place(self, text: str) -> bool:
        """Create the lock file with its whole content in one step; return False if another process has created one."""
        aside = self._aside("tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(aside, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.link(aside, self.path)
        except (FileExistsError, FileNotFoundError):  # the latter: a holder that ends removes the folder
            return False
        finally:
            aside.unlink(missing_ok=True)
        sync(self.path.parent)
        return True

    def _remove_dead(self) -> bool:
        """Remove the lock of a dead holder; return False if the holder may be alive."""
        try:
            found, beat = self.path.read_text(errors="replace"), self.path.stat().st_mtime
            holder = read(self.path)
        except FileNotFoundError:
            return True
        if holder is None:
            log.warning("%s: not a complete lock, its writer died; replacing it", self.path)
        elif self._alive(holder, found, beat):
            return False
        else:
            log.warning("%s: %s is gone; taking its place", self.path, holder)
        # Renamed and read again: whoever else found the holder dead may have taken its place by now.
        removed = self._aside("dead")
        try:
            self.path.rename(removed)
        except FileNotFoundError:
            return True
        if removed.read_text(errors="replace") != found:
            with suppress(FileExistsError):
                os.link(removed, self.path)
        removed.unlink()
        return True

    def _alive(self, holder: Holder, text: str, beat: float) -> bool:
        """Return `alive` of a holder, logged every `REPORT_S`; Slurm and the heartbeat are checked as often."""
        here = _alive_here(holder)
        if here is False:
            return False
        now = time.monotonic()
        if self._reported == text and now < self._next_report:
            return True
        if here is None and not _alive_elsewhere(holder, beat):
            return False
        self._reported, self._next_report = text, now + REPORT_S
        log.warning(
            "%s: waiting for %s, which trains here (last sign of life %d s ago); if it is gone for certain, delete"
            " this file",
            self.path,
            holder,
            max(0, time.time() - beat),
        )
        return True

    def _renew(self) -> None:
        while not self._ended.wait(BEAT_S):
            if self._text() == self._mine:
                with suppress(OSError):
                    os.utime(self.path)

    def _text(self) -> str | None:
        try:
            return self.path.read_text(errors="replace")
        except OSError:
            return None

    def _aside(self, what: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{socket.gethostname()}.{os.getpid()}.{what}")


def _slurm(job: str) -> tuple[str | None, int] | None:
    """Return a Slurm job's state (None if it has ended) and number of requeues; None if Slurm does not answer."""
    try:
        answer = subprocess.run(
            ["squeue", "-h", "-j", job, "-O", "StateCompact,RestartCnt"], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode != 0:
        return (None, 0) if "invalid job id" in answer.stderr.lower() else None
    words = answer.stdout.split()
    if not words:
        return None, 0
    return words[0], int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def _started(pid: int) -> str | None:
    """Return when a process of this host started, in the kernel's ticks; None if it has ended."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if after_name[0] == "Z" else after_name[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:  # no /proc on this system: the process number alone decides
        os.kill(pid, 0)
        return "running"
    except ProcessLookupError:
        return None
    except PermissionError:
        return "running"


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None
