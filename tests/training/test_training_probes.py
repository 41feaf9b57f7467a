"""Probes during training: what they measure, when they warn, and that they leave no trace in what is trained."""

import logging
import subprocess
from typing import Any

import pytest
import torch
import training_world as tw
from test_training_checkpoint import crash, interrupt_at, rows
from training_world import quick_command as command

from rollout3d import tables
from rollout3d.config.training import Training
from rollout3d.tables.results import PROBE_COLUMNS
from rollout3d.training.blindness import figures, interval, warnings
from rollout3d.training.probes import Probes
from rollout3d.training.run import Inputs, run_grpo, run_sft
from rollout3d.training.watch import State, render

ROOMS = {"a1": "a", "a2": "a", "a3": "a", "b1": "b"}


# --- figures and the rule of the warning -----------------------------------------------------------------------------


def test_a_probe_has_its_means_and_differences_on_the_same_questions():
    """By hand: video 3/4, black 1/4; with its objects under noise only b1 is asked, 1 on the video and 0.5 then."""
    scores = {
        "video": {"a1": 1.0, "a2": 1.0, "a3": 0.0, "b1": 1.0},
        "black": {"a1": 0.0, "a2": 1.0, "a3": 0.0, "b1": 0.0},
        "drowned": {"b1": 0.5},
    }
    found = figures(scores, ROOMS)
    assert found["probe_n"] == 4 and found["probe_video"] == 0.75
    assert found["probe_black"] == 0.25 and found["probe_seen"] == 0.5
    assert found["probe_drowned"] == 0.5 and found["probe_seen_drowned"] == 0.5
    assert found["probe_seen_drowned_low"] is None  # one room has no interval
    assert not any("other_room" in name for name in found)
    assert found.keys() <= set(PROBE_COLUMNS)


def test_the_interval_draws_rooms_not_questions():
    """By hand: of two rooms a draw takes the first twice, the second twice or both, with probabilities 1/4, 1/4, 1/2.
    So the quantiles are the two rooms' own means, however many questions they have."""
    assert interval({"a1": 1.0, "a2": 1.0, "a3": 1.0, "b1": 0.0}, ROOMS) == (0.0, 1.0)
    assert interval({"a1": 0.5, "a2": 0.0, "a3": 1.0, "b1": 0.25}, ROOMS) == (0.25, 0.5)
    assert interval({"a1": 0.25, "b1": 0.25}, ROOMS) == (0.25, 0.25)
    assert interval({"a1": 1.0, "a2": 0.0}, ROOMS) == (None, None)


def probe(step, low, other=0.2):
    return {
        "step": step,
        "probe_n": 64,
        **{"probe_seen": low + 0.1, "probe_seen_low": low, "probe_seen_high": low + 0.2},
        **{"probe_seen_other_room": other + 0.1, "probe_seen_other_room_low": other},
        "probe_seen_other_room_high": other + 0.2,
    }


def between(*steps):
    return [dict.fromkeys(PROBE_COLUMNS) | {"step": step} for step in steps]


@pytest.mark.parametrize(
    ("lows", "wanted", "new"),
    [
        ([], 0, 0),
        ([-0.1], 0, 0),
        ([-0.1, 0.05], 0, 0),
        ([-0.1, 0.05, -0.1], 0, 0),
        ([0.1, -0.1, -0.1], 2, 2),
        ([0.1, 0.0, 0.0], 2, 2),
        ([-0.1, -0.2, -0.1], 3, 0),
        ([-0.1, -0.1, 0.01], 0, 0),
        ([-0.1, -0.1, 0.01, -0.1, -0.1], 2, 2),
    ],
)
def test_two_probes_in_a_row_whose_interval_reaches_zero_are_a_warning(lows, wanted, new):
    """An end at zero reaches it. A log says it once: at the second of the probes in a row."""
    found = [row for i, low in enumerate(lows) for row in (probe(10 * i, low), *between(10 * i + 5))]
    told = warnings(found)
    assert len(told) == bool(wanted) and len(warnings(found, new=True)) == bool(new)
    if wanted:
        first = 10 * (len(lows) - wanted)
        assert (
            f"black frames at the last {wanted} probes, from step {first} on" in told[0] and "64 questions" in told[0]
        )


def test_another_room_is_a_control_as_well():
    (told,) = warnings([probe(0, 0.1, -0.1), probe(6, 0.1, -0.05)])
    assert "another room's video at the last 2 probes, from step 0 on: +0.050 at step 6, 95 % interval -0.050" in told


@pytest.mark.parametrize(
    ("total", "spacing", "probes"),
    [(2, 0, 0), (19, 0, 0), (20, 5, 4), (21, 6, 4), (24, 6, 4), (400, 100, 4), (1000, 100, 10), (20_000, 1000, 20)],
)
def test_a_run_has_four_to_twenty_probes_by_default(total, spacing, probes):
    assert Training().probe_spacing(total) == spacing
    assert len(range(0, total, spacing or total + 1)) == (probes or 1)
    assert Training(probe_every=7).probe_spacing(total) == 7 and Training(probe_every=0).probe_spacing(total) == 0


# --- no trace --------------------------------------------------------------------------------------------------------


def probed(files, init=None, train="ocr_rl"):
    own = tw.inputs(files, init, train)
    return Inputs(**{**vars(own), "probe_objects": [files["objects"]], "probe_regions": [files["regions"]]})


def without(found):
    return [{name: value for name, value in row.items() if name not in PROBE_COLUMNS} for row in found]


def same_but_for_probes(plain, with_probes, rollouts=True) -> list[dict[str, Any]]:
    first, second = (rows(tables.METRICS, out / "metrics.parquet") for out in (plain, with_probes))
    assert without(first) == without(second)
    if rollouts:
        one, two = (tables.read(tables.ROLLOUTS, out / "rollouts.parquet") for out in (plain, with_probes))
        assert one == two
    weights = [out / "weights" / "model.safetensors" for out in (plain, with_probes)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert all(row["probe_n"] is None for row in first)
    return second


@pytest.mark.parametrize(
    "settings",
    [{}, {"lora_rank": 2}, {"dtype": "bfloat16", "gradient_checkpointing": True}],
    ids=["full", "lora", "bf16"],
)
def test_grpo_with_probes_trains_byte_for_byte_as_without(files, taught, tmp_path, settings):
    states = []
    for every in (0, 2):
        torch.manual_seed(5)
        config = tw.config(max_new_tokens=24, probe_every=every, **settings)
        run_grpo(config, tw.run(), probed(files, taught), tmp_path / str(every), tw.lineage)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
    found = same_but_for_probes(tmp_path / "0", tmp_path / "2")
    assert [row["probe_n"] for row in found] == [6, None, 6, None]
    assert sum(row["grad_norm"] > 0 for row in found) >= 2
    for row in found[::2]:
        for view in ("video", "black", "other_room", "drowned"):
            assert 0 <= row[f"probe_{view}"] <= 1
        assert row["probe_seen"] == pytest.approx(row["probe_video"] - row["probe_black"])
        assert row["probe_seen_low"] <= row["probe_seen"] <= row["probe_seen_high"]


def test_sft_with_probes_trains_byte_for_byte_as_without(files, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    states = []
    for every in (0, 1):
        torch.manual_seed(5)
        config = tw.with_sft(probe_every=every)
        inputs = probed(files, train="ocr_sft")
        run_sft(config, tw.run(method="sft"), inputs, tmp_path / str(every), tw.lineage)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
    found = same_but_for_probes(tmp_path / "0", tmp_path / "1", rollouts=False)
    assert [row["probe_n"] for row in found] == [6, 6, 6]
    assert "probes: 6 training questions every 1 of 3 steps" in caplog.text
    # A model that answers nothing does not use its video: said once, at the second probe.
    assert found[1]["probe_video"] == found[1]["probe_black"] == 0
    assert caplog.text.count("not above that on black frames") == 1


def test_a_resumed_run_takes_no_probe_twice_and_has_the_same_rows(files, taught, tmp_path, monkeypatch):
    taken = []
    real = Probes.take
    monkeypatch.setattr(Probes, "take", lambda self, engine: taken.append(engine.updates) or real(self, engine))

    def train(out):
        config = tw.config(max_new_tokens=24, probe_every=1, save_every=1)
        run_grpo(config, tw.run(), probed(files, taught), out, tw.lineage)

    train(tmp_path / "whole")
    taken.clear()
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2, crash)
        with pytest.raises(RuntimeError, match="power cut"):
            train(tmp_path / "died")
    assert len(taken) == 3
    train(tmp_path / "died")
    assert len(taken) == 5  # the step that died begins anew, with its probe
    one, two = (rows(tables.METRICS, tmp_path / name / "metrics.parquet") for name in ("whole", "died"))
    assert one == two and [row["probe_n"] for row in one] == [6] * 4
    assert tw.weights(tmp_path / "whole" / "model.json").keys()
    for name, tensor in tw.weights(tmp_path / "whole" / "model.json").items():
        assert torch.equal(tensor, tw.weights(tmp_path / "died" / "model.json")[name])


@pytest.mark.pipeline
@pytest.mark.parametrize("stage", ["train_grpo", "train_sft"])
def test_zero2_on_two_processes_trains_byte_for_byte_as_without_probes(files, taught, tmp_path, stage):
    """One question in all: a process that has none takes part all the same."""
    grpo = stage == "train_grpo"
    shared = {"deepspeed": "zero2", "probe_questions": 1}
    for every in (0, 1):
        if grpo:
            config = tw.config(max_new_tokens=24, prompts_per_step=4, probe_every=every, **shared)
        else:
            config = tw.with_sft(probe_every=every, **shared)
        run = tw.run(steps=3) if grpo else tw.run(method="sft", train_table="ocr_sft")
        train = "ocr_rl" if grpo else "ocr_sft"
        made = command(stage, config, run, files, taught, tmp_path / str(every), 2, train=train)
        made += ["--probe-objects", str(files["objects"]), "--probe-regions", str(files["regions"])]
        subprocess.run(made, check=True, timeout=400)
    found = same_but_for_probes(tmp_path / "0", tmp_path / "1", rollouts=grpo)
    assert [row["probe_n"] for row in found] == [1, 1, 1]


# --- what is asked, and where it is shown ----------------------------------------------------------------------------


def test_held_out_questions_are_asked_where_there_are_any(files, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    held_out = [tw.question_row(20 + i) for i in range(5)]
    held_out += [tw.question_row(30, scene="elsewhere")]  # of no scan whose frames are there
    tables.write(tables.QUESTIONS, tmp_path / "test.parquet", held_out, tw.NOWHERE)
    inputs = Inputs(**{**vars(probed(files, train="ocr_sft")), "probe_questions": tmp_path / "test.parquet"})
    run_sft(tw.with_sft(probe_every=2), tw.run(method="sft"), inputs, tmp_path / "run", tw.lineage)
    assert "probes: 5 test questions every 2 of 3 steps" in caplog.text
    assert "probe_questions" not in inputs.parents() and "frames" in inputs.parents()


def test_probes_and_their_warning_are_watched(tmp_path):
    from rich.console import Console

    console = Console(record=True, width=200)
    found = [{"seconds/update": 1.0, **probe(0, -0.1)}, {"seconds/update": 1.0, "seconds/probe": 3.0, **probe(1, -0.1)}]
    found[0] |= {"probe_video": 0.5, "probe_black": 0.5}
    console.print(render(State(tmp_path, "running", 24, [*found, {"step": 2.0, "seconds/update": 1.0}])))
    text = console.export_text()
    assert "not above that on black frames at the last 2 probes" in text and "probes: black frames" in text
    assert "probe 1.00 s" in text
