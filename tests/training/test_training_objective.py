"""The equations against numbers worked out by hand."""

import math

import pytest
import torch

from rollout3d.training.objective import (
    advantages,
    clipped_ratio,
    has_spread,
    kl_k3,
    learning_rate,
    token_weights,
)


def close(a, b):
    return torch.allclose(torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64), atol=1e-9)


def test_advantages_divide_by_the_unbiased_deviation():
    rewards = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    # mean 1/2, sum of squares 1, unbiased variance 1/3
    expected = 0.5 / (math.sqrt(1 / 3) + 1e-4)
    assert close(advantages(rewards), [expected, -expected, -expected, expected])


def test_advantages_by_the_biased_deviation_or_none():
    rewards = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    assert close(advantages(rewards, "biased", eps=0.0), [1.0, -1.0, -1.0, 1.0])
    assert close(advantages(rewards, "none"), [0.5, -0.5, -0.5, 0.5])


def test_pooling_gives_right_clean_rollouts_a_positive_sum_when_the_noisy_half_fails():
    pooled = advantages(torch.tensor([1.0] * 4 + [0.0] * 4, dtype=torch.float64), eps=0.0)
    # variance = 8 * 0.25 / 7
    assert close(pooled[:4], [0.5 / math.sqrt(2 / 7)] * 4)
    assert pooled[:4].sum() == pytest.approx(3.7416573867739413)


def test_a_single_rollout_has_no_advantage():
    assert advantages(torch.tensor([0.7])).tolist() == [0.0]


@pytest.mark.parametrize(("rewards", "spread"), [([0.3, 0.3, 0.3], False), ([0.3, 0.3, 0.4], True), ([1.0], False)])
def test_spread(rewards, spread):
    assert has_spread(rewards) is spread


def test_k3_is_zero_at_the_reference_and_positive_elsewhere():
    logp = torch.tensor([-1.0, -1.0, -1.0], dtype=torch.float64)
    ref = torch.tensor([-1.0, -1.0 + math.log(2), -1.0 - math.log(2)], dtype=torch.float64)
    assert close(kl_k3(logp, ref), [0.0, 2 - math.log(2) - 1, 0.5 + math.log(2) - 1])


def test_the_mean_of_k3_under_the_policy_is_the_kl_divergence():
    p, q = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    expected = (p * (p / q).log()).sum()
    assert close((p * kl_k3(p.log(), q.log())).sum(), expected)


def test_k3_of_a_token_that_drifted_far_is_bounded_and_has_no_gradient():
    logp = torch.tensor([-30.0], requires_grad=True)
    kl = kl_k3(logp, torch.tensor([-1.0]))
    assert kl.item() == pytest.approx(math.exp(10) - 11)
    kl.sum().backward()
    assert logp.grad.item() == 0.0


def test_at_ratio_one_the_surrogate_is_the_advantage_and_its_gradient_the_score():
    logp = torch.tensor([-0.5, -2.0], dtype=torch.float64, requires_grad=True)
    gain = clipped_ratio(logp, logp.detach(), torch.tensor([2.0, -3.0], dtype=torch.float64), 0.2)
    assert close(gain.detach(), [2.0, -3.0])
    gain.sum().backward()
    assert close(logp.grad, [2.0, -3.0])


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [(1.5, 1.0, 1.2), (1.5, -1.0, -1.5), (0.5, 1.0, 0.5), (0.5, -1.0, -0.8), (1.1, 2.0, 2.2)],
)
def test_the_ratio_is_clipped_only_where_that_is_pessimistic(ratio, advantage, expected):
    old = torch.tensor([-1.0], dtype=torch.float64)
    gain = clipped_ratio(old + math.log(ratio), old, torch.tensor([advantage], dtype=torch.float64), 0.2)
    assert gain.item() == pytest.approx(expected)


def test_token_weights_of_each_loss():
    lengths, counted = [1, 3], [1, 3, 2, 2]
    options = {"groups": 2, "step_tokens": 16.0, "max_tokens": 10}

    def weights(loss, counted):
        return token_weights(lengths, counted, loss, **options).tolist()

    assert weights("grpo", lengths) == pytest.approx([1 / 4] + [1 / 12] * 3)
    assert weights("grpo", counted) == pytest.approx([1 / 8] + [1 / 24] * 3)  # the 2n of equation 6
    assert weights("token_mean", lengths) == pytest.approx([1 / 8] * 4)
    assert weights("token_mean", counted) == pytest.approx([1 / 16] * 4)
    assert weights("dapo", lengths) == pytest.approx([1 / 16] * 4)
    assert weights("dr_grpo", lengths) == pytest.approx([1 / 40] * 4)
    with pytest.raises(ValueError, match="unknown loss"):
        weights("ppo", lengths)


def test_learning_rates_fall_to_zero():
    assert [learning_rate(s, 4, 1.0, "linear") for s in range(5)] == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    assert [learning_rate(s, 4, 2.0, "cosine") for s in (0, 1, 2, 4)] == pytest.approx([2, 1 + math.sqrt(0.5), 1, 0])
