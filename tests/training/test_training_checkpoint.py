"""Interrupted and resumed runs equal uninterrupted ones; damaged checkpoints are passed over."""

import os
import signal

import pytest
import torch
import training_world as tw

from rollout3d import tables
from rollout3d.training import checkpoint, loop
from rollout3d.training.engines.choose import make_engine
from rollout3d.training.engines.engine import Engine
from rollout3d.training.metrics import GrowingTable
from rollout3d.training.run import run_grpo, run_sft
from rollout3d.training.world import World

TIMED = ("seconds", "peak_memory_mb")


def rows(table, path):
    return [{k: v for k, v in row.items() if k not in TIMED} for row in tables.read(table, path)]


def same_run(one, other, names):
    for table in names:
        assert rows(table, one / f"{table.name}.parquet") == rows(table, other / f"{table.name}.parquet")
    first, second = tw.weights(one / "model.json"), tw.weights(other / "model.json")
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def train_grpo(files, init, out, **settings):
    def lineage(_parents):
        return tables.Lineage("test", settings)

    run_grpo(tw.config(max_new_tokens=24, **settings), tw.run(), tw.inputs(files, init), out, lineage)


def interrupt_at(monkeypatch, step, how):
    """Do `how` in the middle of the update of one step."""
    real = Engine.update

    def update(self, batch, loss, at):
        if at == step:
            how()
        return real(self, batch, loss, at)

    monkeypatch.setattr(Engine, "update", update)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def crash():
    raise RuntimeError("power cut")


@pytest.mark.parametrize(
    "settings",
    [{}, {"lora_rank": 2}, {"dtype": "bfloat16", "gradient_checkpointing": True}],
    ids=["full", "lora", "bf16"],
)
def test_two_steps_a_sigterm_another_and_a_third_equal_four(files, taught, tmp_path, monkeypatch, settings):
    train_grpo(files, taught, tmp_path / "whole", **settings)
    for step in (1, 2):
        with monkeypatch.context() as patch:
            interrupt_at(patch, step, terminate)
            with pytest.raises(SystemExit) as stopped:
                train_grpo(files, taught, tmp_path / "halves", save_every=100, **settings)
        assert stopped.value.code == 143
        assert not (tmp_path / "halves" / "model.json").exists()
    train_grpo(files, taught, tmp_path / "halves", save_every=100, **settings)
    same_run(tmp_path / "whole", tmp_path / "halves", [tables.METRICS, tables.ROLLOUTS])
    metrics = rows(tables.METRICS, tmp_path / "whole" / "metrics.parquet")
    assert sum(row["grad_norm"] > 0 for row in metrics) >= 2


def test_a_run_that_died_resumes_from_its_last_checkpoint_and_its_tables_continue(files, taught, tmp_path, monkeypatch):
    train_grpo(files, taught, tmp_path / "whole")
    monkeypatch.setattr(loop, "FLUSH_SECONDS", 0)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, crash)
        with pytest.raises(RuntimeError, match="power cut"):
            train_grpo(files, taught, tmp_path / "died")
    parts = sorted(p.name for p in (tmp_path / "died" / "checkpoints").glob("*/metrics-*"))
    assert parts == [f"metrics-{step:08d}.parquet" for step in range(3)]
    train_grpo(files, taught, tmp_path / "died")
    same_run(tmp_path / "whole", tmp_path / "died", [tables.METRICS, tables.ROLLOUTS])


def test_a_run_that_died_before_its_first_checkpoint_starts_over(files, taught, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(loop, "FLUSH_SECONDS", 0)
        interrupt_at(patch, 3, crash)
        with pytest.raises(RuntimeError):
            train_grpo(files, taught, tmp_path, save_every=100)
    train_grpo(files, taught, tmp_path, save_every=100)
    metrics = rows(tables.METRICS, tmp_path / "metrics.parquet")
    assert [row["step"] for row in metrics] == [0, 1, 2, 3]


def test_sft_resumes_too(files, tmp_path, monkeypatch):
    def train(out):
        run_sft(tw.with_sft(save_every=1), tw.run(method="sft"), tw.inputs(files, train="ocr_sft"), out, tw.lineage)

    train(tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2, crash)
        with pytest.raises(RuntimeError):
            train(tmp_path / "died")
    train(tmp_path / "died")
    same_run(tmp_path / "whole", tmp_path / "died", [tables.METRICS])


def test_checkpoints_of_another_configuration_are_not_resumed(files, taught, tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2, crash)
        with pytest.raises(RuntimeError):
            train_grpo(files, taught, tmp_path / "changed")
    train_grpo(files, taught, tmp_path / "changed", lr=2e-3)
    assert "checkpoints of other settings or inputs; starting at step 0" in caplog.text
    metrics = rows(tables.METRICS, tmp_path / "changed" / "metrics.parquet")
    assert [row["step"] for row in metrics] == [0, 1, 2, 3] and metrics[0]["lr"] == 2e-3


# --- checkpoints on disk ---------------------------------------------------------------------------------------------


@pytest.fixture
def engine(files):
    config = tw.config()
    return make_engine(files["init"], config.grpo, World(), training=config.training, video=config.video, total=9)


def test_the_newest_undamaged_checkpoint_is_found_and_old_ones_go(tmp_path, engine):
    assert checkpoint.newest(tmp_path) is None
    for step in (2, 4, 6):
        checkpoint.save(tmp_path, step, engine, World())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_00000004", "step_00000006"]
    assert checkpoint.newest(tmp_path).step == 6
    with open(tmp_path / "step_00000006" / "weights.safetensors", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x07")
    assert checkpoint.newest(tmp_path).step == 4
    (tmp_path / "step_00000004" / "random.safetensors").unlink()
    assert checkpoint.newest(tmp_path) is None


def test_a_checkpoint_that_was_being_written_is_no_checkpoint(tmp_path, engine, monkeypatch):
    monkeypatch.setattr(checkpoint, "_sha256", lambda path: crash())
    with pytest.raises(RuntimeError):
        checkpoint.save(tmp_path, 2, engine, World())
    monkeypatch.undo()
    assert checkpoint.newest(tmp_path) is None
    checkpoint.save(tmp_path, 3, engine, World())
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000003"]  # a full disk must not stay full


def test_torchs_random_state_comes_back(tmp_path, engine):
    torch.manual_seed(5)
    checkpoint.save(tmp_path, 2, engine, World())
    expected = torch.rand(3)
    torch.manual_seed(6)
    checkpoint.restore(checkpoint.newest(tmp_path), engine, World())
    assert torch.equal(torch.rand(3), expected)


def test_a_process_that_the_checkpoint_does_not_know_joins_without_a_random_state(tmp_path, engine):
    checkpoint.save(tmp_path, 2, engine, World())
    checkpoint.restore(checkpoint.newest(tmp_path), engine, World(rank=1, size=2))


def test_a_checkpoint_of_another_model_is_refused(tmp_path, files, engine):
    checkpoint.save(tmp_path, 2, engine, World())
    config = tw.config(freeze_vision=True)
    frozen = make_engine(files["init"], config.grpo, World(), training=config.training, video=config.video, total=9)
    with pytest.raises(ValueError, match="another model"):
        checkpoint.restore(checkpoint.newest(tmp_path), frozen, World())


def row(step, loss):
    empty = dict.fromkeys(tables.METRICS.schema.names)
    return empty | {"step": step, "lr": 0.0, "loss": loss, "rewards": [], "grad_norm": 0.0, "seconds": []}


def test_a_growing_table_forgets_what_will_be_written_again(tmp_path):
    table = GrowingTable(tables.METRICS, tmp_path, tw.NOWHERE)
    for step in range(5):
        table.add([row(step, 1.0)])
        if step in (1, 3):
            table.flush()
    table.rewind(2)
    table.add([row(2, 2.0)])
    table.close(tmp_path / "metrics.parquet")
    found = tables.read(tables.METRICS, tmp_path / "metrics.parquet")
    assert [(r["step"], r["loss"]) for r in found] == [(0, 1.0), (1, 1.0), (2, 2.0)]


def test_a_damaged_part_of_a_growing_table_is_named_with_its_own_remedy(tmp_path):
    table = GrowingTable(tables.METRICS, tmp_path / "parts", tw.NOWHERE)
    table.add([row(0, 1.0)])
    table.flush()
    (part,) = (tmp_path / "parts").iterdir()
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(
        tables.TableError, match=f"^{part}: this part .* delete it and run the same command again, which"
    ):
        table.close(tmp_path / "metrics.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]
