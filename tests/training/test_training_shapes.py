"""Annotations of shapes hold: functions are called with their shapes checked, on real groups and prompts."""

import pytest
import torch
import training_world as tw
from training_step import engine, gradient, group

from rollout3d.model import rope, vision
from rollout3d.training import objective, packing, prefix
from shapes import WRONG, annotated, checked, hints


@pytest.fixture
def watched(monkeypatch):
    """Checks in all functions with shapes; the names of those that were called."""
    called = set()
    owners = [(m, m) for m in (objective, packing, rope, vision)]
    owners += [(packing, packing.LogProbs), (prefix, prefix.Prefix)]
    for module, owner in owners:
        for name, function in annotated(module, owner):
            check = checked(module, function)

            def wrapped(*args, check=check, name=name, **more):
                called.add(name)
                return check(*args, **more)

            monkeypatch.setattr(owner, name, wrapped)
    for name in ("advantages", "clipped_ratio", "kl_k3", "truncated_ratio"):
        monkeypatch.setattr(f"rollout3d.training.grpo.{name}", getattr(objective, name))
    for name in ("token_weights", "kl_weights"):
        monkeypatch.setattr(f"rollout3d.training.group.{name}", getattr(objective, name))
    monkeypatch.setattr("rollout3d.model.encode.rope_index", rope.rope_index)
    return called


@pytest.mark.parametrize("limit", [8192, 1], ids=["whole", "in pieces"])
def test_a_step_has_the_shapes_that_its_functions_name(files, monkeypatch, watched, limit):
    monkeypatch.setattr("rollout3d.training.engines.engine.MICRO_TOKENS", limit)
    grpo = tw.config(
        grad_rollouts="both_on_clean", offpolicy_correction="truncated", kl="sequence", max_new_tokens=8
    ).grpo
    motor = engine(files, grpo)
    found, _ = gradient(motor, [group(files, motor, grpo, (1.0, 0.0, 0.3, 0.5))], grpo)
    assert found is not None
    expected = {"clipped_ratio", "kl_k3", "truncated_ratio", "token_weights", "kl_weights", "forward", "rope_index"}
    expected |= {"_visual", "_embed", "_attend", "_words", "_score"} | ({"read"} if limit == 1 else {"_hidden"})
    assert expected <= watched


def test_packed_batches_have_the_shapes_of_their_fields(files):
    motor = engine(files, tw.config().grpo)
    made = group(files, motor, tw.config().grpo, (1.0, 0.0, 0.3, 0.5))
    (row,) = made.gradient_rows(tw.config(grad_rollouts="both_on_clean").grpo, 1, 14.0)
    packed = packing.pack([row, row])
    for name, wanted in hints(packing, packing.Packed).items():
        if name not in ("rows", "behind_prompt"):
            assert isinstance(getattr(packed, name), wanted), name


def test_other_shapes_are_refused():
    ratio = checked(objective, objective.clipped_ratio)
    assert ratio(torch.zeros(3), torch.zeros(3), torch.ones(3), 0.2).tolist() == [1, 1, 1]
    with pytest.raises(WRONG):
        ratio(torch.zeros(3), torch.zeros(2), torch.ones(3), 0.2)
    with pytest.raises(WRONG):
        checked(objective, objective.advantages)(torch.zeros(2, 2))
