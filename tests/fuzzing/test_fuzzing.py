"""The fuzz campaign: a small sample of it, what it fuzzes, and that it can tell every kind of fault."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fuzzing import allowed, campaign, kinds, media, outcomes, subjects
from fuzzing.outcomes import DROPPED, FAULT, FLAGGED, REFUSED, SAME, UNKNOWABLE, Outcome, attempt, judged
from fuzzing.subjects import Subject

CAMPAIGN = Path(campaign.__file__)


class Refusal(ValueError):
    pass


def subject(root, read):
    return Subject("one", root, lambda root, out: read(), (Refusal,))


def scene(**changes):
    values = {"scene_id": "a", "flags": [], "room_size_m2": 9.0, "n_frames": 4}
    return {"scenes": [values | changes], "scenes_dropped": []}


def test_a_sample_of_the_campaign_has_no_fault():
    """In a process of its own, as its children inherit what it has loaded."""
    run = [sys.executable, str(CAMPAIGN), "--mutations", "24", "--seed", "11"]
    done = subprocess.run(run, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "unknowable, and why" in done.stdout


def test_every_file_that_a_reader_opens_is_fuzzed_and_each_kind_in_turn(tmp_path):
    (made,) = subjects.every(tmp_path, "arkitscenes raw")
    (tmp_path / "out").mkdir()
    files, absent, rows = made.found(tmp_path / "out")
    assert len(rows["scenes"]) == 1 and len(files) > 20
    expected = {campaign._kind(path) for path in files} | {f"{campaign._kind(path)} (absent)" for path in absent}
    endless = campaign.cases(made, files, absent, 0)
    first = [next(endless) for _ in expected]
    assert {case.kind for case in first} == expected
    several = [next(endless) for _ in range(40 * len(expected))]
    mesh = {case.mutation for case in several if case.path.endswith(".ply")}
    assert mesh == {m.__name__ for m in kinds.of("a.ply")} | {
        "another scan's",
        "removed",
        "a folder",
        "a dead link",
    }


def test_a_damaged_file_is_put_back(tmp_path):
    (made,) = subjects.every(tmp_path, "published boxes")
    (tmp_path / "out").mkdir()
    files = made.found(tmp_path / "out")[0]
    before = {path: (made.root / path).read_bytes() for path in files}
    endless = campaign.cases(made, files, ["none/here.json"], 0)
    changed = set()
    for case in (next(endless) for _ in range(120)):
        with campaign.damaged(made.root, case) as really:
            changed |= {case.mutation} if really else set()
    assert {"removed", "a folder", "a dead link", "emptied", "appeared", "json_key_twice"} <= changed
    assert {path: (made.root / path).read_bytes() for path in files} == before
    assert not (made.root / "none").exists()


@pytest.mark.parametrize(
    "name", ["a.json", "a.jsonl", "a.txt", "a.zip", "a.png", "a.jpg", "a.mkv", "a.mp4", "depth.bin"]
)
def test_the_same_seed_gives_the_same_damage(tmp_path, name):
    (made,) = subjects.every(tmp_path, "questions spacer")
    samples = {".mp4": "videos/v.mp4", ".mkv": "videos/v.mp4", ".png": "pictures/a.png", ".jpg": "pictures/b.jpg"}
    data = (made.root / samples.get(Path(name).suffix, "questions.jsonl")).read_bytes()
    if name == "a.zip":
        data = media.packed([("x/1.png", (made.root / "pictures/a.png").read_bytes()), ("x/2.png", b"2")])
    unchanged = set()
    for mutation in kinds.of(name):
        first, again, other = (mutation(data, random.Random(seed)) for seed in (1, 1, 2))
        assert first == again or mutation.__name__.startswith("video"), mutation.__name__  # containers state random ids
        unchanged |= {mutation.__name__} if first == data == other else set()
    assert len(unchanged) <= 3, unchanged


OUTCOMES = [
    (SAME, scene),
    (FLAGGED, lambda: scene(flags=["odd:3"], n_frames=3)),
    (DROPPED, lambda: {"scenes": [], "scenes_dropped": [{"scene_id": "a", "file": "x", "reason": "damaged"}]}),
    (UNKNOWABLE, lambda: scene(n_frames=3)),
    (FAULT, lambda: {"scenes": [], "scenes_dropped": [{"scene_id": "a", "file": "x", "reason": ""}]}),
    (FAULT, lambda: scene(room_size_m2=float("nan"))),
    (FAULT, lambda: scene(room_size_m2=-1.0)),
    (FAULT, lambda: {"scenes": scene()["scenes"] * 2, "scenes_dropped": []}),
]


@pytest.mark.parametrize(("kind", "rows"), OUTCOMES)
def test_tables_are_judged_beside_those_of_the_whole_release(kind, rows):
    assert judged(scene(), rows()).kind == kind


def refused(text):
    raise Refusal(text)


def test_how_a_reader_ends_is_judged(tmp_path, monkeypatch):
    def outcome(read):
        return attempt(subject(tmp_path, read), scene())

    assert outcome(lambda: refused(f"{tmp_path}/a.json: damaged")).kind == REFUSED
    nameless = outcome(lambda: refused("something is damaged"))
    assert (nameless.kind, nameless.text) == (FAULT, "names no file: something is damaged")
    crash = outcome(lambda: {}["gone"])
    assert crash.kind == FAULT and "KeyError: 'gone'" in crash.text
    assert outcome(lambda: os.kill(os.getpid(), signal.SIGKILL)).text == "killed by SIGKILL"
    assert outcome(lambda: sys.exit(0)).kind == FAULT
    monkeypatch.setattr(outcomes, "CPU_S", 1)
    assert outcome(lambda: sum(0 for _ in iter(int, 1))).text == "killed by SIGXCPU"
    monkeypatch.setattr(outcomes, "MEMORY", 50 << 20)
    greedy = outcome(lambda: [scene(), np.ones(100 << 17)][0])
    assert greedy.kind == FAULT and "MB of memory" in greedy.text
    assert "MemoryError" in outcome(lambda: np.ones(1 << 32)).text
    assert outcome(scene).kind == SAME


def test_silence_is_a_fault_unless_no_check_can_know():
    def of(mutation, *changes, kind="scans/scene#_00/scene#_#_vh_clean_#.ply"):
        case = campaign.Case("scannet", kind, kind, mutation, 0, lambda file, rng: None)
        return campaign.judged(case, Outcome(UNKNOWABLE, ", ".join(changes), changes)).kind

    assert of("bit_flipped", "scenes.room_center") == UNKNOWABLE
    assert of("bit_flipped", "scenes.room_center", "objects: lost") == FAULT
    assert of("bit_flipped", "frames.pose: lost") == FAULT
    assert of("emptied", "scenes.room_center") == FAULT
    assert of("json_part_lost", "objects: lost", kind="a/a.aggregation.json") == UNKNOWABLE
    assert of("json_part_lost", "scenes: lost", kind="a/a.aggregation.json") == FAULT
    assert all(known.reason for known in allowed.KNOWN)
