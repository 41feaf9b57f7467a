"""Growth of a part of the reward: thirds and Welch's interval by hand, and the command's exit status."""

import pytest

from rollout3d import tables
from rollout3d.errors import InvalidInput
from rollout3d.stages import growth as stage
from rollout3d.training import growth as module
from rollout3d.training.growth import growth


def rollout(step, question, value, view="clean", part="map", sample=0):
    empty = dict.fromkeys(tables.ROLLOUTS.schema.names)
    rewards = [{"name": part, "value": value}, {"name": "total", "value": 1.0}]
    return empty | {
        "step": step,
        "rank": 0,
        "question_id": question,
        "view": view,
        "sample": sample,
        "text": "",
        "rewards": rewards,
        "advantage": 0.0,
        "n_tokens": 1,
        "perturbed_objects": [],
    }


ROWS = [
    *(rollout(0, "a", value, sample=i) for i, value in enumerate((0.0, 0.2))),  # a: 0.1
    rollout(1, "b", 0.3),
    rollout(1, "b", 1.0, view="noisy"),  # of another view: does not count
    rollout(2, "c", 0.9),
    rollout(3, "d", 0.9),  # between the thirds
    rollout(4, "e", 0.5),
    rollout(5, "f", 0.9),
]
"""Six steps: questions a, b first (0.1, 0.3), e, f last (0.5, 0.9)."""


def test_thirds_and_interval_by_hand():
    """Means 0.2 and 0.7; variances 0.02 and 0.08 of 2 each: standard error sqrt(0.05), 0.05^2 / (0.01^2 + 0.04^2) =
    1.470588 degrees of freedom, whose 97.5 % quantile is 6.188 (Student's t)."""
    found = growth(ROWS, "map")
    assert (found.first, found.last, found.n_first, found.n_last) == pytest.approx((0.2, 0.7, 2, 2))
    half = 6.188115 * 0.05**0.5
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)
    same = growth(ROWS, "total")
    assert (same.first, same.last, same.low, same.high) == (1.0, 1.0, 0.0, 0.0)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InvalidInput, match="no rollout has a reward part length; there are map, total"):
        growth(ROWS, "length")
    with pytest.raises(InvalidInput, match="there are none"):
        growth([], "map")
    with pytest.raises(InvalidInput, match="1 and 2 questions in the first and the last third of 6 steps"):
        growth([row for row in ROWS if row["question_id"] != "b"], "map")


def test_an_interval_that_is_not_a_number_is_no_growth(tmp_path, capsys, monkeypatch):
    tables.write(tables.ROLLOUTS, tmp_path / "runs" / "x" / "rollouts.parquet", ROWS, tables.Lineage("test"))
    monkeypatch.setattr(module, "growth", lambda *_: module.Growth(0.0, 1.0, float("nan"), float("nan"), 2, 2))
    with pytest.raises(SystemExit):
        stage.main(["--results", str(tmp_path), "--part", "map", "--runs", "x", "--above"])
    assert "map did not grow in x" in capsys.readouterr().err


def test_the_command_fails_where_a_run_did_not_grow(tmp_path, capsys):
    grown = [rollout(step, f"q{step}", 0.1 * (step // 2) + 0.01 * (step % 2)) for step in range(12)]
    flat = [rollout(step, f"q{step}", 0.1 * (step % 2)) for step in range(12)]
    for run, rows in (("up", grown), ("flat", flat)):
        tables.write(tables.ROLLOUTS, tmp_path / "runs" / run / "rollouts.parquet", rows, tables.Lineage("test"))
    given = ["--results", str(tmp_path), "--part", "map", "--runs"]
    stage.main([*given, "up", "--above"])
    assert "+0.400" in capsys.readouterr().out
    stage.main([*given, "up", "flat"])
    with pytest.raises(SystemExit) as ended:
        stage.main([*given, "up", "flat", "--above"])
    assert ended.value.code == 1 and "map did not grow in flat" in capsys.readouterr().err
