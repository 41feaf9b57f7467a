"""Files outside the workflow: the record of those that were read, its digest, and the comparison with the disk."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from rollout3d import config, tables
from rollout3d.fingerprint import Recorder, compare, note, roots_of

OWN = tables.Lineage("ingest", parents=(("scans", "e"), ("zoo", "f")))


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "release"
    (folder / "scans").mkdir(parents=True)
    for name, text in (("split.txt", "a b"), ("scans/a.ply", "mesh"), ("scans/b.ply", "another"), ("unread.txt", "")):
        (folder / name).write_text(text)
    return folder


def read(root):
    """Read files as a stage does; return the record."""
    with Recorder({"roots.scannet": root}) as raw:
        (root / "split.txt").read_text()
        for path in sorted((root / "scans").iterdir()):
            with open(path, "rb") as file:
                file.read()
        note(root / "optional.zip")
    return raw


def paths(raw, kind):
    return [row["path"] for row in raw.rows() if row["kind"] == kind]


def test_opened_files_listed_folders_and_absent_files_are_recorded(root):
    raw = read(root)
    assert paths(raw, "file") == ["scans/a.ply", "scans/b.ply", "split.txt"]
    assert paths(raw, "folder") == ["scans"]
    assert paths(raw, "absent") == ["optional.zip"]
    row = next(row for row in raw.rows() if row["path"] == "split.txt")
    about = (root / "split.txt").stat()
    assert (row["root"], row["n_bytes"], row["mtime_ns"]) == ("roots.scannet", about.st_size, about.st_mtime_ns)


def test_nothing_is_recorded_before_after_or_outside(root, tmp_path):
    (root / "unread.txt").read_text()
    with Recorder({"roots.scannet": root / "scans"}) as raw:
        (root / "split.txt").read_text()
        (tmp_path / "release" / "scansother").write_text("")
        (tmp_path / "release" / "scansother").read_text()
    (root / "scans" / "a.ply").read_text()
    note(root / "scans" / "b.ply")
    assert raw.rows() == []


def test_writing_is_not_reading(root):
    with Recorder({"roots.scannet": root}) as raw:
        (root / "new.txt").write_text("x")
        with open(root / "new.txt", "a") as file:
            file.write("y")
        os.close(os.open(root / "other", os.O_CREAT | os.O_WRONLY))
    assert raw.rows() == []


def test_every_way_of_naming_a_file_counts(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(root)
    with Recorder({"roots.scannet": "release"}) as raw:
        open("release/split.txt").close()
        open(os.fsencode(root / "scans" / "a.ply")).close()
        os.close(os.open(root / "scans" / "b.ply", os.O_RDONLY))
        list(os.scandir(root / "scans"))
        thread = threading.Thread(target=(root / "unread.txt").read_text)
        thread.start()
        thread.join()
    assert paths(raw, "file") == ["scans/a.ply", "scans/b.ply", "split.txt", "unread.txt"]
    assert paths(raw, "folder") == ["scans"]
    with Recorder({"roots.scannet": link}) as raw:
        (link / "split.txt").read_text()
        (link / "scans" / "a.ply").resolve().read_text()
    assert paths(raw, "file") == ["scans/a.ply", "split.txt"]


def test_the_state_is_that_of_the_first_opening(root):
    with Recorder({"roots.scannet": root}) as raw:
        (root / "split.txt").read_text()
        (root / "split.txt").write_text("grown meanwhile")
        (root / "split.txt").read_text()
    assert [row["n_bytes"] for row in raw.rows()] == [3]


def test_the_digest_follows_the_data_and_not_place_or_time(root, tmp_path):
    first = read(root)
    copy = tmp_path / "elsewhere" / "x"
    shutil.copytree(root, copy)
    os.utime(copy / "split.txt", ns=(1, 1))
    assert read(copy).digest() == first.digest()
    assert read(copy).rows() != first.rows()
    (copy / "other.txt").write_text("nobody opens it")
    assert read(copy).digest() == first.digest()
    (copy / "split.txt").write_text("a b c")
    assert read(copy).digest() != first.digest()
    (root / "scans" / "a.ply").rename(root / "scans" / "c.ply")
    assert read(root).digest() != first.digest()


def test_the_lineage_gets_one_more_parent_in_order(root):
    raw = read(root)
    assert raw.lineage(OWN).parents == (("raw", raw.digest()), ("scans", "e"), ("zoo", "f"))
    assert raw.lineage(OWN).identity != OWN.identity


def test_a_lineage_may_be_known_when_the_table_is_complete(root, tmp_path):
    rows = [{"question_id": "q", "transition": "frames"}]
    with Recorder({"roots.scannet": root}) as raw:

        def made():
            (root / "split.txt").read_text()
            yield from rows

        tables.write(tables.HARD, tmp_path / "late.parquet", made(), lambda: raw.lineage(OWN))
    tables.write(tables.HARD, tmp_path / "early.parquet", rows, raw.lineage(OWN))
    assert tables.lineage(tmp_path / "late.parquet")["parents"]["raw"] == raw.digest()
    assert (tmp_path / "late.parquet").read_bytes() == (tmp_path / "early.parquet").read_bytes()


CHANGES = {
    "nothing": (lambda root: None, []),
    "other size": (lambda root: (root / "split.txt").write_text("a"), ["changed roots.scannet: split.txt"]),
    "other time": (lambda root: os.utime(root / "split.txt", ns=(1, 1)), ["touched roots.scannet: split.txt"]),
    "gone": (lambda root: (root / "split.txt").unlink(), ["missing roots.scannet: split.txt"]),
    "gone from a listed folder": (
        lambda root: (root / "scans" / "a.ply").unlink(),
        ["entries roots.scannet: scans", "missing roots.scannet: scans/a.ply"],
    ),
    "new in a listed folder": (
        lambda root: (root / "scans" / "c.ply").write_text(""),
        ["entries roots.scannet: scans"],
    ),
    "new where it was looked for": (
        lambda root: (root / "optional.zip").write_text(""),
        ["new roots.scannet: optional.zip"],
    ),
    "new where nobody looks": (lambda root: (root / "readme").write_text(""), []),
    "hidden in a listed folder": (lambda root: (root / "scans" / ".x").write_text(""), []),
    "a folder in a file's place": (
        lambda root: ((root / "split.txt").unlink(), (root / "split.txt").mkdir()),
        ["changed roots.scannet: split.txt"],
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_compare_finds_what_changed(root, tmp_path, what):
    change, expected = CHANGES[what]
    read(root).write(tmp_path / "raw_files.parquet", OWN)
    rows = tables.read(tables.RAW_FILES, tmp_path / "raw_files.parquet")
    change(root)
    found = [str(each).split(" (")[0] for each in compare(rows, {"roots.scannet": root})]
    assert found == expected


def test_a_root_that_moved_is_compared_where_it_is_now(root, tmp_path):
    rows = read(root).rows()
    root.rename(tmp_path / "moved")
    assert compare(rows, {"roots.scannet": tmp_path / "moved"}) == []
    assert {each.what for each in compare(rows, {"roots.scannet": root})} == {"missing"}
    assert {each.what for each in compare(rows, {})} == {"missing"}


def test_the_keys_of_roots_are_those_of_the_configuration():
    site = {"external": {"spacer": "x/spacer.json"}, "models": {"qwen": "~/m"}, "roots": {"scannet": "s"}}
    found = roots_of(config.Config.model_validate({"site": site}).site)
    assert found["external.spacer"] == "x" and found["models.qwen"] == str(Path("~/m").expanduser())
    assert found["roots.scannet"] == "s" and "benchmarks.vsibench" in found
