"""The cache of code digests: it saves parsing, sees every edit, and garbage in it costs nothing but time."""

import json

import pytest

from rollout3d import code
from test_code import copied, edit, read


@pytest.fixture
def clone(tmp_path):
    return copied(tmp_path)


def cached(clone, path, monkeypatch=None):
    return code.Package(clone / "workflow" / "rollout3d", path)


def test_the_cache_gives_the_same_digests_without_parsing_and_sees_every_edit(clone, tmp_path, monkeypatch):
    monkeypatch.setattr("rollout3d.code.disk.SETTLED_NS", -1)
    path = tmp_path / "cache" / "code.json"
    before = {stage: cached(clone, path).closure(stage) for stage in ("train_grpo", "report")}
    assert path.is_file() and not list(path.parent.glob("*.tmp"))
    with monkeypatch.context() as patched:
        patched.setattr(code, "read", None)
        assert {stage: cached(clone, path).closure(stage) for stage in before} == before
    edit(clone, "training/run.py", "VIDEOS_KEPT = 64", "VIDEOS_KEPT = 65")  # of the same size
    assert code.compare(before["train_grpo"].parts, cached(clone, path).closure("train_grpo").parts) == [
        "changed workflow/rollout3d/training/run.py"
    ]


def test_a_file_that_changed_a_moment_ago_is_not_cached(clone, tmp_path):
    path = tmp_path / "code.json"
    edit(clone, "training/run.py", "VIDEOS_KEPT = 64", "VIDEOS_KEPT = 65")
    cached(clone, path).closure("train_sft")
    stored = json.loads(path.read_text())["entries"] if path.exists() else {}
    assert not any(key.startswith("training/run.py?") for key in stored)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": "x", "entries": 3}', "\0\0"])
def test_a_cache_of_garbage_is_ignored_and_replaced(clone, tmp_path, monkeypatch, text):
    monkeypatch.setattr("rollout3d.code.disk.SETTLED_NS", -1)
    path = tmp_path / "code.json"
    path.write_text(text)
    assert cached(clone, path).closure("sft_table") == read(clone, "sft_table")
    assert json.loads(path.read_text())["entries"]


def test_entries_of_garbage_are_read_again(clone, tmp_path, monkeypatch):
    monkeypatch.setattr("rollout3d.code.disk.SETTLED_NS", -1)
    wanted = cached(clone, path := tmp_path / "code.json").closure("sft_table")
    stored = json.loads(path.read_text())
    for n, entry in enumerate(stored["entries"].values()):
        entry[1] = [None, 3, ["x"], {}][n % 4]
    path.write_text(json.dumps(stored))
    assert cached(clone, path).closure("sft_table") == wanted


def test_a_place_that_cannot_be_written_to_costs_no_more_than_the_cache(clone, tmp_path):
    (tmp_path / "file").write_text("")
    assert cached(clone, tmp_path / "file" / "code.json").closure("sft_table") == read(clone, "sft_table")
