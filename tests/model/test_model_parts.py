"""Answers kept beside a table in the making: none is lost, none is taken for another's, damage is recognised."""

import errno
import os
from dataclasses import replace

import pytest

from rollout3d import tables
from rollout3d.model.parts import Parts

LINEAGE = tables.Lineage("difficulty", {"seed": 1}, {}, "code", (("model", "m1"),))
FIRST = {("frames2", "a"): [("left", 3)], ("frames2", "b"): [("Größe \ud800\n", 5), ("", 0)]}
SECOND = {("frames2", "c"): [("B", 2)]}


@pytest.fixture
def parts(tmp_path):
    def make(lineage=LINEAGE, *details, name="0.parquet"):
        return Parts(tmp_path / name, lineage, *details)

    return make


@pytest.fixture
def kept(parts):
    """The file that a process has left which added two batches."""
    first = parts()
    first.add(FIRST)
    first.add(SECOND)
    return next(first.folder.iterdir())


def test_answers_of_earlier_processes_are_found(parts, kept):
    assert parts().read() == FIRST | SECOND
    third = parts()
    third.add({("frames2", "a"): [("right", 4)], ("frames16", "a"): [("up", 1)]})
    found = parts().read()
    assert len(list(kept.parent.iterdir())) == 2
    assert found == FIRST | SECOND | {("frames2", "a"): [("right", 4)], ("frames16", "a"): [("up", 1)]}


def test_nothing_is_written_before_the_first_answer(parts, tmp_path):
    empty = parts()
    assert empty.read() == {}
    empty.clear()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "other",
    [
        replace(LINEAGE, values={"seed": 2}),
        replace(LINEAGE, parents=(("model", "m2"),)),
        replace(LINEAGE, stage="evaluate"),
    ],
    ids=["config", "parent", "stage"],
)
def test_answers_of_another_identity_are_not_used_and_leave_with_the_others(parts, kept, other, tmp_path):
    mine = parts(other)
    assert mine.read() == {}
    mine.add(SECOND)
    assert parts().read() == FIRST | SECOND, "they stay as long as the table is not written"
    mine.clear()
    assert list(tmp_path.iterdir()) == []


def test_arguments_tell_answers_apart_and_tables_do_not_share_them(parts, kept):
    assert parts(LINEAGE, "think").read() == {} and parts(name="1.parquet").read() == {}
    beside = parts(name="1.parquet")
    beside.add(SECOND)
    parts().clear()
    assert beside.read() == SECOND and not kept.exists()


def test_a_record_moved_to_another_identity_proves_nothing(parts, kept, caplog):
    other = parts(replace(LINEAGE, values={"seed": 2}))
    other.folder.mkdir()
    (other.folder / kept.name).write_bytes(kept.read_bytes())
    assert other.read() == {} and "line 1: damaged" in caplog.text


def test_whatever_length_a_kill_leaves_only_the_last_record_is_lost(parts, kept):
    whole = kept.read_bytes()
    border = whole.index(b"\n") + 1
    for length in range(len(whole)):
        kept.write_bytes(whole[:length])
        assert parts().read() == (FIRST if length >= border else {})
    # A new process writes behind nobody's torn record.
    new = parts()
    new.add(SECOND)
    assert parts().read() == FIRST | SECOND


def test_every_flipped_bit_is_recognised_and_named(parts, kept, caplog):
    whole = kept.read_bytes()
    border = whole.index(b"\n") + 1
    for place in range(len(whole)):
        for bit in (0, 7):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            kept.write_bytes(bytes(damaged))
            rest = SECOND if place < border else FIRST
            assert parts().read() == ({} if place == border - 1 else rest), place
    assert f"{kept}, line 1: damaged; its questions are answered again" in caplog.text


def test_answers_of_other_code_count_and_are_named(parts, kept, caplog):
    changed = parts(replace(LINEAGE, code="new"))
    assert changed.read() == FIRST | SECOND
    assert f"3 answers kept in {kept.parent} were written by another version of the code" in caplog.text
    caplog.clear()
    changed.add(FIRST | SECOND)
    assert changed.read() == FIRST | SECOND and not caplog.text


def test_a_full_disk_is_one_error_and_costs_the_record_in_flight(parts, monkeypatch):
    def full(file, data, write=os.write):
        if calls:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        calls.append(write(file, data[:20]))
        return calls[0]

    first, calls = parts(), []
    first.add(SECOND)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(tables.TableError, match=r"00000.jsonl: .* cannot be kept there \(No space left"):
            first.add(FIRST)
    assert parts().read() == SECOND


def test_two_processes_at_once_share_no_file(parts):
    one, two = parts(), parts()
    for key in "abcdef":
        one.add({("s", key): [(key, 1)]})
        two.add({("s", key): [(key, 1)], ("s", key + key): [("", 0)]})
    assert len(parts().read()) == 12
    two.clear()
    one.add(SECOND)  # its file is gone, as its job's work is
