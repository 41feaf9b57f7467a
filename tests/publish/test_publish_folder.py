"""Replacing a folder: only one that was written here, as a whole, or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from rollout3d.errors import InvalidInput
from rollout3d.publish.clean import Private
from rollout3d.publish.folder import MANIFEST, changes, writing

KILLED = """
import os, signal, sys
from rollout3d.publish.folder import writing
with writing(sys.argv[1], "data") as folder:
    folder.mkdir()
    (folder / "README.md").write_text("new")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def write(target, text="text"):
    with writing(target, "data") as folder:
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "a.txt").write_text(text)


def test_a_folder_that_was_written_here_is_replaced_as_a_whole(tmp_path):
    write(tmp_path / "out", "old")
    with writing(tmp_path / "out", "data") as folder:
        folder.mkdir()
        (folder / "b.txt").write_text("new")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [MANIFEST, "b.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("make", ["folder", "file", "link", "empty"])
def test_anything_else_is_never_replaced(tmp_path, make):
    out = tmp_path / "out"
    if make == "file":
        out.write_text("mine")
    elif make == "link":
        write(tmp_path / "elsewhere")
        out.symlink_to(tmp_path / "elsewhere")
    else:
        out.mkdir()
        if make == "folder":
            (out / "mine.txt").write_text("mine")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(InvalidInput, match=r"out: .*(name another folder|move this one away)"):
        write(out)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("change", ["edited", "added", "removed", "manifest"])
def test_a_folder_that_was_changed_since_is_never_replaced(tmp_path, change):
    out = tmp_path / "out"
    write(out)
    if change == "edited":
        (out / "data" / "a.txt").write_text("mine")
    elif change == "added":
        (out / "data" / "b.txt").write_text("mine")
    elif change == "removed":
        (out / "data" / "a.txt").unlink()
    else:
        (out / MANIFEST).write_text("{")
    assert changes(out)
    with pytest.raises(InvalidInput, match="was changed after"):
        write(out)


def test_a_folder_that_is_edited_meanwhile_is_kept(tmp_path):
    write(tmp_path / "out")
    with pytest.raises(InvalidInput, match=r"was changed after .*data/a.txt"), writing(tmp_path / "out", "d") as folder:
        folder.mkdir()
        (tmp_path / "out" / "data" / "a.txt").write_text("mine")
    assert (tmp_path / "out" / "data" / "a.txt").read_text() == "mine"


def test_an_error_leaves_the_old_folder_and_nothing_beside_it(tmp_path):
    write(tmp_path / "out", "old")
    with pytest.raises(RuntimeError), writing(tmp_path / "out", "data") as folder:
        folder.mkdir()
        raise RuntimeError
    assert (tmp_path / "out" / "data" / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failed_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    write(tmp_path / "out", "old")
    real, names = type(tmp_path).rename, []

    def rename(self, target):
        names.append(self.name)
        if self.name.endswith(".new"):
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(type(tmp_path), "rename", rename)
    with pytest.raises(OSError):
        write(tmp_path / "out", "new")
    assert len(names) == 3 and (tmp_path / "out" / "data" / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("before", [False, True])
def test_a_killed_process_leaves_no_folder_that_looks_complete(tmp_path, before):
    if before:
        write(tmp_path / "out", "old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "out")])
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "out").exists() == before
    assert all(path.name.startswith(".out.") and not (path / MANIFEST).exists() for path in tmp_path.glob(".*"))
    write(tmp_path / "out", "new")
    assert (tmp_path / "out" / "data" / "a.txt").read_text() == "new"


@pytest.mark.parametrize(
    ("text", "own", "found"),
    [
        ("see /home/jane/results", True, "a path of a machine"),
        ("see C:\\Users\\jane", True, "a path of a machine"),
        ("see /scratch/project/x", True, "a path of a machine"),
        ("How do I open /home/jane in a shell?", False, None),
        ("https://huggingface.co/data/home/root", True, None),
        ("docs/data/home.md and ./data/x and a/b", True, None),
        ("sk-abcdefghijklmnopqrstuvwxyz", False, "an API key"),
        ("chatcmpl-A1b2C3d4E5", False, "the id of an API request"),
        ("/lab/jane/scans/scene0001_00", False, "a path of this machine"),
        ("/lab/jane/scans-of-others", False, None),
        ("task-oriented, risk-averse-and-more-than-twenty", True, None),
    ],
)
def test_private_things_are_found_and_others_are_not(text, own, found):
    assert Private(["/lab/jane/scans/"]).find(text, own) == found


def test_the_value_of_a_secret_variable_is_found(monkeypatch):
    monkeypatch.setenv("MY_API_TOKEN", "0123456789abcdef")
    monkeypatch.setenv("SHORT_KEY", "yes")
    assert Private([]).find("x0123456789abcdefx") == "the value of the variable MY_API_TOKEN"
    assert Private([]).find("yes") is None and os.environ["SHORT_KEY"] == "yes"
