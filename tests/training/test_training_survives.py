"""The end of a run and its second start: nothing finished is lost or trained twice, and two never train at once."""

import os
import signal
import subprocess
import sys
import time

import fault_world as fw
import pytest
import training_world as tw
from test_training_checkpoint import crash, interrupt_at, same_run, terminate, train_grpo

from rollout3d import tables
from rollout3d.model.load import read_model
from rollout3d.training import checkpoint, loop
from rollout3d.training.engines.choose import make_engine
from rollout3d.training.engines.engine import Engine
from rollout3d.training.lock import LOCK
from rollout3d.training.run import _complete, run_grpo, run_sft
from rollout3d.training.world import World

BOTH = [tables.METRICS, tables.ROLLOUTS]
OUTPUTS = ["model.json", "metrics.parquet", "rollouts.parquet"]


@pytest.fixture(scope="module")
def whole(files, taught, tmp_path_factory):
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole")
    train_grpo(files, taught, out, save_every=100)
    return out


def train(files, init, out, **hooks):
    settings = tw.config(max_new_tokens=24, save_every=100)
    run_grpo(settings, tw.run(), tw.inputs(files, init), out, tw.lineage, **hooks)


def must_not_train(patch):
    def update(self, batch, loss, at):
        raise AssertionError(f"step {at} is trained again")

    patch.setattr(Engine, "update", update)


# --- the end of a run ------------------------------------------------------------------------------------------------


def test_outputs_are_offered_when_they_are_on_the_disk_and_before_the_checkpoints_go(
    files, taught, whole, tmp_path, monkeypatch
):
    synced, offered = set(), []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.add(os.path.realpath(f"/proc/self/fd/{fd}")), real(fd)))

    def keep():
        kept = [tmp_path / name for name in OUTPUTS]
        weights = list((tmp_path / "weights").iterdir())
        assert all(path.exists() for path in kept) and weights
        # Under their names or those that they were written as: both are the same file.
        names = {os.path.basename(path) for path in synced}
        assert {path.name for path in weights} <= names and str(tmp_path) in synced
        assert all(any(name.startswith(f".{output}.") for name in names) for output in OUTPUTS)
        assert list(tmp_path.glob("checkpoints/*/step_00000004/manifest.json"))
        offered.append(True)

    train(files, taught, tmp_path, keep=keep)
    assert offered == [True] and not (tmp_path / "checkpoints").exists()
    same_run(whole, tmp_path, BOTH)


def test_if_keeping_fails_the_next_start_only_exports(files, taught, whole, tmp_path, monkeypatch):
    def full():
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        train(files, taught, tmp_path, keep=full)
    for name in OUTPUTS:
        (tmp_path / name).unlink()  # as Snakemake deletes those of a failed job
    must_not_train(monkeypatch)
    train(files, taught, tmp_path)
    same_run(whole, tmp_path, BOTH)
    assert not (tmp_path / "checkpoints").exists()


def test_sft_keeps_too(files, tmp_path, monkeypatch):
    arguments = tw.with_sft(save_every=1000), tw.run(method="sft"), tw.inputs(files, train="ocr_sft"), tmp_path
    with pytest.raises(RuntimeError, match="power cut"):
        run_sft(*arguments, tw.lineage, keep=crash)
    must_not_train(monkeypatch)
    run_sft(*arguments, tw.lineage)
    metrics = tables.read(tables.METRICS, tmp_path / "metrics.parquet")
    assert [row["step"] for row in metrics] == [0, 1, 2]
    run_sft(*arguments, tw.lineage, restore=lambda: True)


@pytest.mark.parametrize("moment", ["the export", "the model's file"])
def test_a_run_that_is_killed_after_its_last_step_is_not_trained_again(files, taught, whole, tmp_path, moment):
    child = os.fork()
    if child == 0:
        die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        if moment == "the export":
            Engine.export = die
        else:
            loop.save_policy.__globals__["write_model"] = die
        train(files, taught, tmp_path)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert (tmp_path / LOCK).exists() and not (tmp_path / "model.json").exists()
    (tmp_path / ".weights.1.new").mkdir()
    (tmp_path / ".model.json.1.tmp").write_text("{")
    with pytest.MonkeyPatch.context() as patch:
        must_not_train(patch)
        train(files, taught, tmp_path)
    same_run(whole, tmp_path, BOTH)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*OUTPUTS, "weights"])


def test_outputs_that_a_second_driver_deletes_meanwhile_are_exported_again(
    files, taught, whole, tmp_path, caplog, monkeypatch
):
    train(files, taught, tmp_path, keep=lambda: (tmp_path / "rollouts.parquet").unlink())
    assert "rollouts.parquet: deleted while the run ended; the checkpoints stay" in caplog.text
    assert not _complete(tmp_path, tw.NOWHERE)
    must_not_train(monkeypatch)
    train(files, taught, tmp_path)
    assert _complete(tmp_path, tw.NOWHERE) and not _complete(tmp_path, tables.Lineage("another"))
    same_run(whole, tmp_path, BOTH)


def test_checkpoints_that_cannot_be_deleted_fail_no_finished_run(files, taught, whole, tmp_path, monkeypatch, caplog):
    def busy(path, ignore_errors=False):
        if not ignore_errors:
            raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(loop.shutil, "rmtree", busy)
    train(files, taught, tmp_path)
    assert "cannot be deleted; nothing needs it any more" in caplog.text
    same_run(whole, tmp_path, BOTH)


def test_sigterm_does_not_interrupt_the_export(files, taught, whole, tmp_path):
    train(files, taught, tmp_path, keep=terminate)
    same_run(whole, tmp_path, BOTH)


def test_a_finished_result_that_is_found_is_not_trained(files, taught, tmp_path, monkeypatch):
    must_not_train(monkeypatch)
    seen = []
    train(files, taught, tmp_path, restore=lambda: seen.append((tmp_path / LOCK).exists()) or True)
    assert seen == [True] and list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name_and_before_older_ones_go(files, tmp_path, monkeypatch):
    config = tw.config()
    engine = make_engine(files["init"], config.grpo, World(), training=config.training, video=config.video, total=9)
    for step in (1, 2):
        checkpoint.save(tmp_path, step, engine, World())
    calls = []
    sync, rename, remove = os.fsync, type(tmp_path).rename, checkpoint.shutil.rmtree
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(os.readlink(f"/proc/self/fd/{fd}")), sync(fd)))
    monkeypatch.setattr(type(tmp_path), "rename", lambda a, b: (calls.append("rename"), rename(a, b)))
    monkeypatch.setattr(checkpoint.shutil, "rmtree", lambda p, **k: (calls.append(f"remove {p.name}"), remove(p, **k)))
    checkpoint.save(tmp_path, 3, engine, World())
    aside = tmp_path / ".step_00000003.tmp"
    files_of = {str(aside / path.name) for path in (tmp_path / "step_00000003").iterdir()} | {str(aside)}
    before, after = calls[: calls.index("rename")], calls[calls.index("rename") + 1 :]
    assert files_of <= set(before) and len(files_of) > 3
    assert after == [str(tmp_path), "remove step_00000001"]


# --- two at once -----------------------------------------------------------------------------------------------------


def start(files, taught, out, faults, processes=1, **variables):
    """A trainer of its own, as a workflow engine starts it."""
    settings = tw.config(max_new_tokens=24, save_every=1)
    command = tw.command("train_grpo", settings, tw.run(), files, taught, out, processes)
    return subprocess.Popen(
        command, env=fw.environment(faults, **variables), stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.fixture
def faults(tmp_path):
    (tmp_path / "faults").mkdir()
    return tmp_path / "faults"


def until(process, words):
    """What a process logs until it has logged `words`."""
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(f"{words!r} is not in\n{said}")


@pytest.fixture
def started():
    processes = []
    yield processes.append
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_second_trainer_resumes_after_the_first_was_killed(files, taught, whole, tmp_path, faults, started):
    out = tmp_path / "r"
    first = start(files, taught, out, faults)
    started(first)
    fw.wait_for((faults / "r.0.held_2").exists)
    second = start(files, taught, out, faults)
    started(second)
    until(second, f"waiting for process {first.pid} on ")
    first.kill()
    said = second.communicate(timeout=60)[1]
    assert second.returncode == 0 and "resuming after step 2 of 4" in said
    assert fw.updates(faults, "r") == [0, 1, 2, 2, 3]
    same_run(whole, out, BOTH)


def test_sigterm_at_a_trainer_that_waits_ends_it_at_once_and_touches_nothing(files, taught, tmp_path, faults, started):
    """Two processes wait together; a single one is in test_lock.py."""
    out = tmp_path / "r"
    first = start(files, taught, out, faults)
    started(first)
    fw.wait_for((faults / "r.0.held_2").exists)
    before = sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*"))
    second = start(files, taught, out, faults, processes=2)
    started(second)
    until(second, "waiting for process")
    asked = time.monotonic()
    second.terminate()
    second.communicate(timeout=30)
    assert second.returncode != 0 and time.monotonic() - asked < 10
    assert sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*")) == before
    (faults / "r.go").touch()
    assert first.communicate(timeout=60) and first.returncode == 0
    assert read_model(out / "model.json").kind == "grpo"


@pytest.mark.skipif(sys.platform != "linux", reason="needs process groups")
def test_a_driver_that_is_killed_and_started_again_waits_for_its_trainer(files, tmp_path, started):
    """Through Snakemake: outputs, log and checkpoints of the first trainer survive the second driver."""
    faults = fw.build(tmp_path / "study", files, ["r"])
    out, log = tmp_path / "study/results/runs/r", tmp_path / "study/results/logs/grpo/r.log"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--rerun-incomplete", "all"]

    def drive(*more):
        return subprocess.Popen(
            [*command, *more],
            cwd=tmp_path / "study",
            env=fw.environment(faults),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    first = drive()
    started(first)
    fw.wait_for((faults / "r.0.held_2").exists)
    first.kill()  # the driver alone: its trainer lives on, as on a cluster
    first.wait()
    assert drive("--unlock").wait(60) == 0
    second = drive()
    started(second)
    fw.wait_for(lambda: log.exists() and "waiting for process" in log.read_text(), what="the second trainer")
    (faults / "r.go").touch()
    said = second.communicate(timeout=90)[1]
    assert second.returncode == 0, said[-3000:]
    assert fw.updates(faults, "r") == [0, 1, 2, 3, 4]
    text = log.read_text()
    assert "trains here since" in text[: text.index("waiting for process")] and text.count("trains here since") == 2
    assert "finished already; nothing to train" in text
    assert {path.name for path in out.iterdir()} == {*OUTPUTS, "weights"}


@pytest.mark.parametrize("rule", ["sft", "grpo"])
def test_the_trainers_process_replaces_the_jobs_shell_and_its_log_is_continued(rule):
    shell = fw.shell_of(rule)
    assert shell.startswith('exec python "$ROLLOUT3D_CODE/launch.py" --log {log:q} ') and ">" not in shell


def test_a_run_that_is_asked_to_stop_during_its_last_step_ends_it(files, taught, whole, tmp_path, monkeypatch):
    interrupt_at(monkeypatch, 3, terminate)
    train(files, taught, tmp_path)
    same_run(whole, tmp_path, BOTH)
