"""The next step is prepared while this one computes, once, in order, and its errors surface at its own step."""

import threading

import pytest
import training_world as tw

from rollout3d.model.ahead import Ahead
from rollout3d.training import grpo as module
from rollout3d.training.run import run_grpo


def test_the_next_step_is_begun_when_a_step_is_taken():
    begun = [threading.Event() for _ in range(4)]

    def make(step):
        begun[step].set()
        return step * step

    with Ahead(make, 3) as ahead:
        assert not begun[1].is_set()
        assert ahead.take(1) == 1
        assert begun[2].wait(10)  # without being asked for
        assert ahead.take(2) == 4
    assert not begun[0].is_set() and not begun[3].is_set()


def test_several_steps_can_be_begun_ahead_and_asked_for():
    begun = [threading.Event() for _ in range(5)]
    with Ahead(lambda step: begun[step].set() or step, 5, depth=2) as ahead:
        assert ahead.take(0) == 0
        assert begun[1].wait(10) and begun[2].wait(10) and not begun[3].is_set()
        while not ahead.ready(1):
            pass
        assert [ahead.take(step) for step in (1, 2, 3, 4)] == [1, 2, 3, 4]


def test_each_step_is_made_once_by_one_thread():
    calls = []
    with Ahead(lambda step: calls.append((step, threading.get_ident())), 50) as ahead:
        for step in range(50):
            ahead.take(step)
    assert [step for step, _ in calls] == list(range(50))
    assert len({thread for _, thread in calls}) == 1 and calls[0][1] != threading.get_ident()


def test_an_error_is_raised_where_its_step_is_taken():
    def make(step):
        if step == 1:
            raise ValueError("frame 3 of scene x: not a picture")
        return step

    with Ahead(make, 3) as ahead:
        assert ahead.take(0) == 0
        with pytest.raises(ValueError, match="scene x"):
            ahead.take(1)


def test_views_of_the_next_step_are_made_while_this_one_is_rolled_out(files, taught, tmp_path, monkeypatch):
    """If they were made afterwards, the wait below would never end."""
    made = {step: threading.Event() for step in range(3)}
    real_show, real_roll_out, steps = module.show, module.roll_out, iter(range(3))

    def show(row, questions, context, engine):
        group = real_show(row, questions, context, engine)
        made[context.step].set()
        return group

    def roll_out(*args):
        step = next(steps)
        assert step == 2 or made[step + 1].wait(30)
        return real_roll_out(*args)

    monkeypatch.setattr(module, "show", show)
    monkeypatch.setattr(module, "roll_out", roll_out)
    run_grpo(tw.config(), tw.run(steps=3), tw.inputs(files, taught), tmp_path, tw.lineage)
