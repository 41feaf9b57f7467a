import numpy as np
import pytest
import torch

from rollout3d.model.sampling import Sampling, choose, uniforms

P = torch.tensor([0.1, 0.5, 0.15, 0.25])


def _shares(sampling, probabilities=P, n=10_000):
    """How often each token is chosen over evenly spaced draws."""
    draws = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    chosen = choose(probabilities.log().expand(n, -1), sampling, draws)
    return (torch.bincount(chosen, minlength=len(probabilities)) / n).tolist()


def test_plain_sampling_follows_the_probabilities():
    assert _shares(Sampling(temperature=1.0)) == pytest.approx(P.tolist(), abs=1e-3)


def test_temperature_sharpens():
    squared = P**2 / (P**2).sum()
    assert _shares(Sampling(temperature=0.5)) == pytest.approx(squared.tolist(), abs=1e-3)


@pytest.mark.parametrize(
    "top_p, expected",
    [
        (0.4, [0, 1, 0, 0]),
        (0.6, [0, 2 / 3, 0, 1 / 3]),
        (0.8, [0, 5 / 9, 1.5 / 9, 2.5 / 9]),
        (0.95, [0.1, 0.5, 0.15, 0.25]),
    ],
)
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(top_p, expected):
    assert _shares(Sampling(temperature=1.0, top_p=top_p)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_extreme_draws_never_choose_an_impossible_token(top_p):
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).expand(2, -1)
    draws = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert choose(logits, Sampling(temperature=1.0, top_p=top_p), draws).tolist() == [1, 3]


def test_without_draws_the_largest_logit_wins():
    assert choose(torch.tensor([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), Sampling(), None).tolist() == [1, 0]


def test_draws_are_named_and_a_longer_answer_begins_like_a_shorter_one():
    first = uniforms(0, "q", 1, 8)
    assert np.array_equal(uniforms(0, "q", 1, 3), first[:3])
    others = [uniforms(*name, 8) for name in ((1, "q", 1), (0, "p", 1), (0, "q", 2))]
    assert not any(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("wrong", [{"n": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError):
        Sampling(**wrong)
