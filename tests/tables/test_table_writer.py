"""Writing under faults: disks that are full, processes that die, power that fails."""

import errno
import io
import os
import signal
import socket
import subprocess
import sys

import pytest

from rollout3d import tables
from rollout3d.tables import seal

LINEAGE = tables.Lineage("test")
IMAGE = os.urandom(100_000)


def rows(n=3, image=IMAGE):
    found = []
    for k in range(n):
        row = {"scene_id": f"s{k}", "frame_index": k, "timestamp_s": 0.5, "sets": ["uniform16"], "K": [1.0] * 9}
        row |= {name: 28 for name in ("width", "height", "source_width", "source_height")}
        found.append(row | {"image": {"bytes": image, "path": "a.jpg"}, "pose": None})
    return found


class Full(io.FileIO):
    """A file on a disk with room for `room` bytes."""

    room, error = 0, errno.ENOSPC

    def write(self, data):
        if self.tell() + len(data) > self.room:
            raise OSError(self.error, os.strerror(self.error))
        return super().write(data)


@pytest.mark.parametrize(
    ("error", "says"),
    [(errno.ENOSPC, "No space left on device"), (errno.EDQUOT, "quota exceeded"), (errno.EFBIG, "File too large")],
)
@pytest.mark.parametrize("room", [0, 3, 50_000, 250_000, "last"])
def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path, monkeypatch, error, says, room):
    tables.write(tables.FRAMES, tmp_path / "f.parquet", rows(), LINEAGE)
    whole = (tmp_path / "f.parquet").read_bytes()
    (tmp_path / "f.parquet").unlink()
    monkeypatch.setattr(Full, "room", len(whole) - 1 if room == "last" else room)
    monkeypatch.setattr(Full, "error", error)
    monkeypatch.setattr(seal, "open", lambda path, _: io.BufferedWriter(Full(path, "w")), raising=False)
    with pytest.raises(
        tables.TableError, match=rf"f\.parquet: cannot be written \(.*{says}\); free some space"
    ) as caught:
        tables.write(tables.FRAMES, tmp_path / "f.parquet", rows(), LINEAGE)
    assert not isinstance(caught.value, tables.RowError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_disk_that_refuses_at_the_end_keeps_the_old_file(tmp_path, monkeypatch, where):
    tables.write(tables.FRAMES, tmp_path / "f.parquet", rows(1), LINEAGE)

    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, where, refuse)
    with pytest.raises(tables.TableError, match=r"cannot be written \(Input/output error\); check the disk"):
        tables.write(tables.FRAMES, tmp_path / "f.parquet", rows(2), LINEAGE)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["f.parquet"]
    assert len(tables.read(tables.FRAMES, tmp_path / "f.parquet")) == 1


def test_a_limit_of_the_system_is_one_error(tmp_path):
    """The kernel itself refuses: the limit of a process's file size."""
    code = f"""
import resource
from rollout3d import tables
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
rows = [{{"question_id": "%030x" % (k * 0x9E3779B97F4A7C15F39CC0605CEDC835), "transition": "x"}} for k in range(20_000)]
try:
    tables.write(tables.HARD, {str(tmp_path / "h.parquet")!r}, rows, tables.Lineage("test"))
except tables.TableError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{tmp_path}/h.parquet: cannot be written (") and "File too large" in done.stdout
    assert done.stderr == "" and list(tmp_path.iterdir()) == []


def test_a_write_after_a_failed_one_makes_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(Full, "room", 50_000)
    monkeypatch.setattr(seal, "open", lambda path, _: io.BufferedWriter(Full(path, "w")), raising=False)
    with (
        pytest.raises(tables.TableError, match="an earlier write to it failed"),
        tables.Writer(tables.FRAMES, tmp_path / "f.parquet", LINEAGE) as writer,
        pytest.raises(tables.TableError, match="No space"),
    ):
        writer.write(rows())
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_on_the_disk_before_it_has_its_name_and_the_folder_after(tmp_path, monkeypatch):
    order, fsync, replace = [], os.fsync, os.replace

    def synced(descriptor):
        order.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}"), os.fstat(descriptor).st_size))
        fsync(descriptor)

    def renamed(old, new):
        order.append(("rename", str(old), str(new)))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    target = tmp_path / "f.parquet"
    tables.write(tables.FRAMES, target, rows(), LINEAGE)
    aside = order[0][1]
    assert order[0] == ("sync", aside, target.stat().st_size) and order[1] == ("rename", aside, str(target))
    assert [step[:2] for step in order[2:]] == [("sync", str(tmp_path))]


def test_leftovers_of_dead_processes_of_this_host_go(tmp_path):
    target = tmp_path / "h.parquet"
    code = f"""
import os, signal
from rollout3d import tables
with tables.Writer(tables.HARD, {str(target)!r}, tables.Lineage("test")) as writer:
    writer.write([{{"question_id": "q", "transition": "x"}}])
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code])
    (left,) = tmp_path.iterdir()
    assert done.returncode == -signal.SIGKILL and left.name.startswith(".h.parquet.") and left.suffix == ".tmp"
    *_, host, pid, _ = left.name.split(".")
    others = [f".h.parquet.another-host.{pid}.tmp", f".h.parquet.{host}.{os.getppid()}.tmp"]
    others += [f".other.parquet.{host}.{pid}.tmp", f"h.parquet.{host}.{pid}.tmp"]
    for name in others:
        (tmp_path / name).write_bytes(b"")
    tables.write(tables.HARD, target, [], LINEAGE)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "h.parquet"])


def test_a_hosts_name_is_part_of_a_file_name(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "node1.cluster/../x y")
    with tables.Writer(tables.HARD, tmp_path / "h.parquet", LINEAGE):
        assert [path.name for path in tmp_path.iterdir()] == [f".h.parquet.node1-cluster----x-y.{os.getpid()}.tmp"]
    assert [path.name for path in tmp_path.iterdir()] == ["h.parquet"]


def test_a_folder_that_cannot_be_synced_is_passed_over(tmp_path, monkeypatch):
    """Some network file systems refuse fsync of a folder."""
    fsync = os.fsync

    def refuse(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    tables.write(tables.HARD, tmp_path / "h.parquet", [], LINEAGE)
    assert tables.verify(tmp_path / "h.parquet")
