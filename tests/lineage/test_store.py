"""The store of finished results: kept by identity, put back whole or not at all."""

import json
import os

import pytest

from rollout3d.tables import store as module
from rollout3d.tables.store import Store


@pytest.fixture
def results(tmp_path):
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


def run(results, text="one", name="ocr"):
    """Write what a training leaves: model.json, a table, two files of weights; return the first output."""
    folder = results / "runs" / name
    (folder / "weights").mkdir(parents=True, exist_ok=True)
    for file in ("model.json", "metrics.parquet", "weights/a.safetensors", "weights/config.json"):
        path = folder / file
        path.unlink(missing_ok=True)
        path.write_text(f"{text} {file}")
    return folder / "model.json"


NAMES = ["model.json", "metrics.parquet", "weights"]


def contents(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_result_comes_back_as_it_was_with_the_present_time(results):
    output = run(results)
    before = contents(output.parent)
    store = Store(results)
    store.put(output, "abc", NAMES)
    for path in (output, output.parent / "metrics.parquet"):
        path.unlink()
    os.utime(results, (1, 1))
    entry = store.find("runs/ocr/model.json", "abc")
    assert store.restore(entry, output) and contents(output.parent) == before
    assert output.stat().st_mtime > 1e9


def test_a_link_costs_no_space_and_a_replaced_output_leaves_the_entry_alone(results):
    output = run(results)
    store = Store(results)
    entry = store.put(output, "abc", NAMES)
    assert (entry.folder / "files" / "model.json").stat().st_ino == output.stat().st_ino
    run(results, "two")
    assert (entry.folder / "files" / "model.json").read_text() == "one model.json"


def test_files_of_another_result_do_not_stay_among_restored_weights(results):
    output = run(results)
    store = Store(results)
    store.put(output, "abc", NAMES)
    (output.parent / "weights" / "extra.safetensors").write_text("of another run")
    assert store.restore(store.find("runs/ocr/model.json", "abc"), output)
    assert not (output.parent / "weights" / "extra.safetensors").exists()


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing", "entry"])
def test_a_damaged_entry_is_never_put_in_place(results, damage):
    output = run(results)
    store = Store(results)
    entry = store.put(output, "abc", NAMES)
    file = entry.folder / "files" / "weights" / "config.json"
    copy = file.read_text()
    file.unlink()
    if damage == "truncated":
        file.write_text(copy[:-1])
    elif damage == "changed":
        file.write_text(copy[:-1] + "X")
    elif damage == "entry":
        file.write_text(copy)
        (entry.folder / "entry.json").write_text("{")
    found = store.find("runs/ocr/model.json", "abc")
    output.unlink()
    assert found is None or not store.restore(found, output)
    assert not output.exists()


def test_large_files_are_compared_by_size_and_time(results, monkeypatch):
    monkeypatch.setattr(module, "HASHED_BYTES", 4)
    output = run(results)
    store = Store(results)
    entry = store.put(output, "abc", NAMES)
    assert store.restore(store.find("runs/ocr/model.json", "abc"), output), "an untouched one is restored"
    weights = entry.folder / "files" / "weights" / "a.safetensors"
    weights.write_text("X" * len("one weights/a.safetensors"))
    assert not store.restore(store.find("runs/ocr/model.json", "abc"), output)


def test_at_most_so_many_identities_per_target_and_the_used_ones_stay(results):
    store = Store(results, keep=2)
    for number, identity in enumerate("abcd"):
        store.put(run(results, identity), identity, NAMES)
        os.utime(store.folder / "runs/ocr/model.json" / identity / "entry.json", (number, number))
    store.put(run(results, "e", "other"), "x", NAMES)
    assert [e.identity for e in store.entries() if e.target == "runs/ocr/model.json"] == ["c", "d"]
    assert store.find("runs/other/model.json", "x")


def test_without_hard_links_files_are_copied(results, monkeypatch):
    monkeypatch.setattr(module.os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    output = run(results)
    store = Store(results)
    entry = store.put(output, "abc", NAMES)
    assert (entry.folder / "files" / "model.json").stat().st_ino != output.stat().st_ino
    output.unlink()
    assert store.restore(store.find("runs/ocr/model.json", "abc"), output)
    assert output.read_text() == "one model.json"


def test_an_interrupted_put_leaves_no_entry(results, monkeypatch):
    output = run(results)
    store = Store(results)
    monkeypatch.setattr(module, "write_atomically", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.put(output, "abc", NAMES)
    assert store.find("runs/ocr/model.json", "abc") is None and not list(store.entries())


def test_a_target_outside_the_results_is_refused(results, tmp_path):
    with pytest.raises(ValueError, match="outside"):
        Store(results).target(tmp_path / "elsewhere.parquet")


def test_results_behind_a_symbolic_link_have_one_store(results, tmp_path):
    (tmp_path / "link").symlink_to(results)
    output = run(results)
    Store(tmp_path / "link").put(tmp_path / "link/runs/ocr/model.json", "abc", NAMES)
    assert Store(results).find("runs/ocr/model.json", "abc")
    assert json.loads((Store(results).folder / "runs/ocr/model.json/abc/entry.json").read_text())["identity"] == "abc"
    assert output.exists()
