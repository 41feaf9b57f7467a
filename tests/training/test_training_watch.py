"""What can be seen of a run while it trains, after it died, and when it is done."""

import io
import json
import os
import signal
import sys
from types import SimpleNamespace

import pytest
import training_world as tw
from rich.console import Console
from test_training_checkpoint import crash, interrupt_at, same_run, train_grpo

from rollout3d import tables
from rollout3d.doors import TRACKERS
from rollout3d.stages.watch import main
from rollout3d.training import checkpoint, loop
from rollout3d.training.data import NotTrainable
from rollout3d.training.engines.engine import Engine
from rollout3d.training.run import run_grpo
from rollout3d.training.trackers import Tracked, open_board
from rollout3d.training.watch import NoRun, Reader, sparkline, watch


def printed(run):
    text = io.StringIO()
    watch(run, once=True, console=Console(file=text, width=120))
    return text.getvalue()


def numbers(text, name):
    """The three numbers of a line of the table."""
    line = next(line for line in text.splitlines() if line.strip().startswith(name))
    return [float(word) for word in line.strip().removeprefix(name).split()[:3]]


def test_a_run_is_seen_while_it_trains_and_when_it_is_done(files, taught, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "FLUSH_SECONDS", 0)
    seen = {}
    real = Engine.update

    def update(self, rows, loss, step):
        if step in (0, 3):
            seen[step] = printed(tmp_path)
        return real(self, rows, loss, step)

    monkeypatch.setattr(Engine, "update", update)
    train_grpo(files, taught, tmp_path)
    assert f"running, process {os.getpid()}" in seen[0] and "step 0/4" in seen[0] and "no step" in seen[0]
    assert "step 3/4" in seen[3] and " left" in seen[3]
    done = printed(tmp_path)
    assert "finished" in done and "step 4/4" in done and "left" not in done
    metrics = tables.read(tables.METRICS, tmp_path / "metrics.parquet")
    clean, noisy = ([row[name] for row in metrics] for name in ("acc_clean", "acc_noisy"))
    mean = sum(clean) / 4
    assert numbers(done, "correct, clean video") == pytest.approx([clean[-1], mean, mean], rel=1e-3)
    assert numbers(done, "clean minus altered")[0] == pytest.approx(clean[-1] - noisy[-1], rel=1e-3, abs=1e-4)
    assert numbers(seen[3], "correct, clean video")[0] == pytest.approx(clean[2], rel=1e-3)
    assert all(f"{phase} " in done for phase in ("views", "rollouts", "rewards", "update"))


def test_a_run_that_died_says_so(files, taught, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, crash)
        with pytest.raises(RuntimeError):
            train_grpo(files, taught, tmp_path)
    assert "stopped; the same command resumes it" in printed(tmp_path) and "step 2/4" in printed(tmp_path)
    holder = {"pid": 4194305, "host": os.uname().nodename, "job": None, "started": "1"}
    (tmp_path / "checkpoints" / "lock.json").write_text(json.dumps(holder))
    assert "died (process 4194305" in printed(tmp_path)


def test_what_is_no_run_is_said_with_the_remedy(tmp_path, capsys):
    with pytest.raises(NoRun, match="no run trains or has trained here"):
        Reader(tmp_path).read()
    with pytest.raises(SystemExit):
        main([str(tmp_path / "nowhere"), "--once"])
    assert "results/runs/ocr" in capsys.readouterr().err


def test_sft_is_shown_without_what_only_grpo_measures(taught, capsys):
    main([str(taught.parent), "--once"])
    said = capsys.readouterr().out
    assert "loss" in said and "reward" not in said and "step 90/90" in said


def test_a_course_is_drawn_from_lowest_to_highest():
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8]) == "▁▂▃▄▅▆▇█"
    assert sparkline([0.0, 0.0, 1.0, 1.0], 2) == "▁█" and sparkline([3.0]) == "▁"
    assert len(sparkline(list(range(1000)))) == 20


def test_tables_do_not_depend_on_when_they_were_flushed(files, taught, tmp_path, monkeypatch):
    for name, seconds in (("often", 0), ("seldom", 1e9)):
        monkeypatch.setattr(loop, "FLUSH_SECONDS", seconds)
        train_grpo(files, taught, tmp_path / name, save_every=100)
    often, seldom = ((tmp_path / name / "rollouts.parquet").read_bytes() for name in ("often", "seldom"))
    assert often == seldom


# --- trackers --------------------------------------------------------------------------------------------------------


def test_metrics_reach_tensorboard(files, taught, tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_grpo(tw.config(tracker="tensorboard"), tw.run(steps=2), tw.inputs(files, taught), tmp_path, tw.lineage)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    metrics = tables.read(tables.METRICS, tmp_path / "metrics.parquet")
    for name in ("grad_norm", "completion_len_mean", "delta"):
        told = [(event.step, event.value) for event in events.Scalars(name)]
        assert told == [(row["step"], pytest.approx(row[name], rel=1e-6)) for row in metrics]
    assert {"rewards/total", "seconds/rollouts"} <= set(events.Tags()["scalars"])


@pytest.mark.parametrize("name", TRACKERS.names)
def test_a_tracker_that_is_not_installed_is_reported_at_the_start(files, taught, tmp_path, monkeypatch, name):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NotTrainable, match=rf"training.tracker: {name} needs .* pip install 'rollout3d\[{name}\]'"):
        run_grpo(tw.config(tracker=name), tw.run(), tw.inputs(files, taught), tmp_path, tw.lineage)


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_an_online_tracker_is_given_every_step_and_the_same_run_after_a_resume(tmp_path, monkeypatch, name):
    """By the calls alone, as the packages document them: neither is installed here."""
    calls = []
    run = SimpleNamespace(log=lambda values, step: calls.append((step, values)), finish=lambda: calls.append("end"))
    package = SimpleNamespace(init=lambda **how: calls.append(how) or run)
    monkeypatch.setitem(sys.modules, name, package)
    for start in (0, 1):
        board = open_board(name, Tracked(tmp_path / "ocr", "abcdef0123456789", start))
        board.add(start, {"loss": 0.5, "rewards/total": 1.0})
        board.close()
    first, again = calls[:3], calls[3:]
    assert first[0] == again[0] and first[0]["resume"] == "allow" and first[0]["project"] == "rollout3d"
    assert "ocr-abcdef012345" in first[0].values()
    assert first[1:] == [(0, {"loss": 0.5, "rewards/total": 1.0}), "end"] and again[1][0] == 1


# --- kill -9 ---------------------------------------------------------------------------------------------------------


def killed(work):
    """Run `work` in a child process that ends by SIGKILL, as its own hand or nobody's would: no handler, no cleanup."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
@pytest.mark.parametrize("moment", ["an update", "a checkpoint", "a flush", "the last table"])
def test_a_run_that_is_killed_at_any_moment_resumes_to_the_same_end(files, taught, tmp_path, moment):
    patch = pytest.MonkeyPatch()

    def work():
        patch.setattr(loop, "FLUSH_SECONDS", 0)
        if moment == "an update":
            interrupt_at(patch, 3, die)
        elif moment == "a checkpoint":
            digests = iter([checkpoint._sha256] * 5)
            patch.setattr(checkpoint, "_sha256", lambda path: next(digests, die)(path))  # of the second checkpoint
        elif moment == "a flush":
            writes = iter([os.replace] * 5)
            patch.setattr(os, "replace", lambda *names: next(writes, die)(*names))
        else:
            patch.setattr("rollout3d.training.loop.save_policy", die)
        train_grpo(files, taught, tmp_path / "killed")

    killed(work)
    left = tmp_path / "killed" / "checkpoints"
    assert (left / "lock.json").exists() and not (tmp_path / "killed" / "model.json").exists()
    train_grpo(files, taught, tmp_path / "killed")
    train_grpo(files, taught, tmp_path / "whole")
    same_run(tmp_path / "whole", tmp_path / "killed", [tables.METRICS, tables.ROLLOUTS])
