"""Atomic writes: a file is complete and on the disk, or absent."""

import os
import signal
import sys

import pytest

from rollout3d import files


@pytest.fixture
def calls(monkeypatch):
    """Record the calls that reach the disk, in order: ("sync", path) and ("replace", path)."""
    seen = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (seen.append(("sync", os.readlink(f"/proc/self/fd/{fd}"))), sync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append(("replace", str(b))), replace(a, b)))
    return seen


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_content_is_on_the_disk_before_its_name_and_the_name_afterwards(tmp_path, calls):
    target = tmp_path / "new" / "a.json"
    files.write_atomically(target, "ä")
    files.write_atomically(target, b"two")
    assert target.read_bytes() == b"two" and list(target.parent.iterdir()) == [target]
    aside = str(target.with_name(f".a.json.{os.getpid()}.tmp"))
    assert calls == [("sync", aside), ("replace", str(target)), ("sync", str(target.parent))] * 2


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_writer_that_is_killed_leaves_the_old_content(tmp_path, moment):
    target = tmp_path / "a.json"
    target.write_text("old")
    child = os.fork()
    if child == 0:
        setattr(os, moment, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        files.write_atomically(target, "new")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert target.read_text() == "old"
    assert files.remove_leftovers(tmp_path) == [tmp_path / f".a.json.{child}.tmp"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomically(tmp_path / "a.json", "x")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_synced_with_its_files(tmp_path, calls):
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").mkdir()
    files.sync_files(tmp_path)
    assert calls == [("sync", str(tmp_path / "a")), ("sync", str(tmp_path))]


def test_leftovers_are_files_and_folders_of_the_given_names(tmp_path):
    (tmp_path / ".weights.7.new").mkdir()
    (tmp_path / ".weights.7.new" / "model").write_text("x")
    for name in (".x.7.tmp", "kept.tmp", ".kept"):
        (tmp_path / name).write_text("x")
    files.remove_leftovers(tmp_path, (".*.tmp", ".weights.*.new"))
    assert sorted(p.name for p in tmp_path.iterdir()) == [".kept", "kept.tmp"]
    assert files.remove_leftovers(tmp_path / "nowhere") == []
