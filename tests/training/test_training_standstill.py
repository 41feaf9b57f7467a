"""A run that never updates says so: in its log, its metrics, `watch`, and by how it ends."""

import io
import math
import subprocess

import pytest
import training_world as tw
from pydantic import ValidationError
from rich.console import Console
from test_training_checkpoint import crash, interrupt_at, same_run

from fixed import fixed
from rollout3d import tables
from rollout3d.config import Grpo
from rollout3d.config.keys import has_effect
from rollout3d.errors import UserError
from rollout3d.training.engines.engine import Engine
from rollout3d.training.metrics import has_updated, parts_of
from rollout3d.training.run import run_grpo
from rollout3d.training.standstill import NoUpdate, diagnosis, watched
from rollout3d.training.watch import watch
from rollout3d.training.world import World


def train(files, out, steps=6, init=None, **grpo):
    """Train a model that knows no format: every reward is 0."""
    warn = grpo.pop("warn_without_update", 2)
    config = tw.config(**{"stop_without_update": 3, "save_every": 100, **grpo})
    with fixed(Grpo, warn_without_update=warn):
        run_grpo(config, tw.run(reward="ocr", steps=steps), tw.inputs(files, init), out, tw.lineage)


def written(out):
    """Rows of the metrics of a run that has not finished."""
    (folder,) = (path for path in (out / "checkpoints").iterdir() if path.is_dir())
    return [row for part in parts_of(tables.METRICS, folder) for row in tables.read(tables.METRICS, part)]


def printed(run):
    text = io.StringIO()
    watch(run, once=True, console=Console(file=text, width=120))
    return text.getvalue()


def must_not_sample(patch):
    def generate(*_):
        raise AssertionError("a step is trained")

    patch.setattr(Engine, "generate", generate)


# --- whole runs ------------------------------------------------------------------------------------------------------


def test_a_run_that_never_updates_is_warned_of_and_ended(files, tmp_path, monkeypatch, caplog):
    with pytest.raises(NoUpdate, match="no update in the first 3 steps: within every group the rewards") as ended:
        train(files, tmp_path / "run")
    said = str(ended.value)
    assert "0.0% of the answers well-formed, mean correctness 0.000, 6 of at most 6 tokens" in said
    assert "cut off before they are well-formed: raise grpo.max_new_tokens" in said
    assert "grpo.stop_without_update" in said and issubclass(NoUpdate, UserError)
    assert caplog.text.count("no update in the first 2 steps") == 1
    assert not (tmp_path / "run" / "model.json").exists()
    rows = written(tmp_path / "run")
    assert [(row["step"], row["frac_zero_std"], row["n_skipped"], row["grad_norm"]) for row in rows] == [
        (step, 1.0, 2, 0.0) for step in range(3)
    ]
    assert "no update in the first 3 steps" in printed(tmp_path / "run")

    # The same command ends at once, with the same words; without the limit it goes on from there.
    with monkeypatch.context() as patch:
        must_not_sample(patch)
        with pytest.raises(NoUpdate) as again:
            train(files, tmp_path / "run")
    assert str(again.value) == said
    train(files, tmp_path / "run", stop_without_update=None)
    train(files, tmp_path / "whole", stop_without_update=0)
    same_run(tmp_path / "whole", tmp_path / "run", [tables.METRICS, tables.ROLLOUTS])
    assert "no update in the first 6 steps" in caplog.text  # at its end
    assert "no update in the first 6 steps" in printed(tmp_path / "run")


def test_a_resumed_run_counts_on(files, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2, crash)
        with pytest.raises(RuntimeError, match="power cut"):
            train(files, tmp_path, save_every=1)
    assert len(written(tmp_path)) == 2
    with pytest.raises(NoUpdate, match="the first 3 steps"):
        train(files, tmp_path, save_every=1)
    assert [row["step"] for row in written(tmp_path)] == [0, 1, 2]


def test_a_run_that_is_over_without_an_update_has_failed(files, tmp_path, monkeypatch):
    for _ in range(2):
        with pytest.raises(NoUpdate, match="the first 2 steps"):
            train(files, tmp_path, steps=2)
        assert not (tmp_path / "model.json").exists()
        must_not_sample(monkeypatch)  # the second start finds the last step done


def test_a_run_that_updates_is_left_alone(files, taught, tmp_path, caplog):
    train(files, tmp_path, steps=2, init=taught, max_new_tokens=24, warn_without_update=1, stop_without_update=2)
    assert any(map(has_updated, tables.read(tables.METRICS, tmp_path / "metrics.parquet")))
    assert "no update" not in printed(tmp_path)


def test_all_processes_end_together_with_the_message(files, tmp_path):
    config = tw.config(stop_without_update=2)
    made = tw.quick_command("train_grpo", config, tw.run(reward="ocr"), files, files["init"], tmp_path, processes=2)
    ended = subprocess.run(made, capture_output=True, text=True, timeout=300)
    assert ended.returncode not in (0, 143)
    assert "error: no update in the first 2 steps" in ended.stderr  # of one of them, or of both
    assert [row["n_skipped"] for row in written(tmp_path)] == [2, 2]


# --- when ------------------------------------------------------------------------------------------------------------


def metrics(updated, **more):
    return {"frac_zero_std": 0.5 if updated else 1.0, "grad_norm": 0.1 if updated else 0.0, "rewards": [], **more}


class FakeLoop:
    """Steps that update as a string says: "." does not, "u" does; those before `start` were done before."""

    def __init__(self, course, start=0):
        self.course, self.start, self.world, self.failure = course, start, World(), None
        self.made = [metrics(each == "u") for each in course[:start]]

    def __iter__(self):
        for step in range(self.start, len(self.course)):
            yield step
            assert len(self.made) == step + 1
            if self.failure:
                raise self.failure

    def rows(self, _table):
        return self.made

    def last(self, _table):
        return self.made[-1]

    def give_up(self, error):
        self.failure = error


def steps_done(course, warn, stop, start=0):
    """Steps that are trained; True behind them if the run ends with an error."""
    loop = FakeLoop(course, start)
    grpo = tw.config(stop_without_update=stop).grpo
    done = 0
    with fixed(Grpo, warn_without_update=warn):
        try:
            for step in watched(loop, grpo):
                loop.made.append(metrics(course[step] == "u"))
                done += 1
        except NoUpdate:
            return done, True
    return done, False


@pytest.mark.parametrize(
    ("course", "start", "stop", "expected"),
    [
        ("......", 0, 3, (3, True)),
        ("......", 0, 6, (6, True)),
        ("......", 0, 7, (6, True)),  # over before the limit: failed all the same
        ("......", 0, None, (6, False)),
        ("......", 0, 0, (6, False)),
        (".....u", 0, 6, (6, False)),
        ("..u...........", 0, 3, (14, False)),  # only a start without updates counts
        ("......", 2, 3, (1, True)),
        ("......", 3, 3, (0, True)),
        ("......", 6, 9, (0, True)),
        ("u.....", 3, 2, (3, False)),
        ("..u", 3, 2, (0, False)),
    ],
)
def test_where_a_run_ends(course, start, stop, expected):
    assert steps_done(course, None, stop, start) == expected


@pytest.mark.parametrize(
    ("course", "start", "warn", "expected"),
    [("......u", 0, 4, [4]), ("...u...", 0, 4, []), ("......u", 5, 4, [5]), ("......u", 0, None, [])],
)
def test_where_a_run_is_warned_of(course, start, warn, expected, caplog):
    steps_done(course, warn, None, start)
    assert [int(record.message.split("first ")[1].split()[0]) for record in caplog.records] == expected


def test_a_gradient_that_is_not_finite_updates_nothing():
    assert has_updated(metrics(True)) and not has_updated(metrics(False))
    assert not has_updated(metrics(True, grad_norm=math.nan)) and not has_updated(metrics(True, grad_norm=math.inf))
    # Groups without spread that keep their KL have a gradient, which is not learnt from rewards.
    assert not has_updated(metrics(False, grad_norm=0.3))


# --- what it says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formed", "right", "tokens", "spread", "why"),
    [
        (0.0, 0.0, 6, 1.0, "raise grpo.max_new_tokens"),
        (0.0, 0.4, 3, 1.0, "does not know the format"),
        (0.9, 0.0, 3, 1.0, "too hard"),
        (1.0, 1.0, 3, 1.0, "too easy"),
        (0.9, 0.5, 3, 1.0, "raise grpo.temperature"),
        (0.9, 0.5, 3, 0.5, "lower grpo.lr"),
    ],
)
def test_the_message_names_what_usually_causes_it(formed, right, tokens, spread, why):
    row = {"rewards/format": formed, "rewards/correctness": right, "completion_len_mean": tokens}
    said = diagnosis([row | {"frac_zero_std": spread, "grad_norm": math.nan}] * 2, tw.config().grpo, 2)
    assert why in said and f"mean correctness {right:.3f}, {tokens} of at most 6 tokens" in said
    assert "grpo.stop_without_update" not in said  # there is no limit
    limited = diagnosis([row | {"frac_zero_std": 1.0}], tw.config(stop_without_update=7).grpo, 1)
    assert "after 7 such steps, or after its last one; grpo.stop_without_update: null lets it go on" in limited


def test_the_limits_make_no_result_stale():
    assert not has_effect("grpo.warn_without_update") and not has_effect("grpo.stop_without_update")


# --- one rollout -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_clean": 1, "n_perturbed": 0}, "one rollout per question"),
        ({"n_clean": 1, "n_perturbed": 3, "advantage_group": "separate"}, "n_clean: 1 gives that rollout"),
        ({"n_clean": 3, "n_perturbed": 1, "advantage_group": "separate"}, "n_perturbed: 1 gives that rollout"),
    ],
)
def test_a_rollout_that_is_compared_with_none_is_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        tw.config(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_clean": 1, "n_perturbed": 1},
        {"n_clean": 2, "n_perturbed": 0},
        {"n_clean": 2, "n_perturbed": 0, "advantage_group": "separate"},
    ],
)
def test_two_rollouts_that_are_compared_are_enough(settings):
    assert tw.config(**settings).grpo.n_clean == settings["n_clean"]
