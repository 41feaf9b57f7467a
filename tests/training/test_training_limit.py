"""The limit on the rollouts per question that enter the loss (`grpo.ablation.grad_limit`)."""

import pytest
import torch
import training_world as tw
from training_step import CLEAN_WORDS, NOISY_WORDS, engine, gradient, group, questions

from rollout3d.model.regions import Regions
from rollout3d.training.grpo import roll_out, show
from rollout3d.training.rollouts import Context


def test_a_rollout_beyond_the_limit_counts_in_the_statistics_and_not_in_the_loss(files):
    """Of two clean rollouts the first gives gradient: what the second wrote does not matter, what it earned does."""
    grpo = tw.config(grad_limit=1, beta=0.0).grpo
    motor = engine(files, grpo)

    def found(words, rewards):
        made = group(files, motor, grpo, rewards, words)
        made.limit(grpo.ablation.grad_limit)
        assert [r.gives_gradient for r in made.rollouts] == [True, False, False, False]
        assert made.counted_lengths(grpo) == [len(words[0])]
        return gradient(motor, [made], grpo)[0]

    words = (*CLEAN_WORDS, *NOISY_WORDS)
    one = found(words, (1.0, 0.0, 0.0, 0.0))
    assert one.abs().max() > 0
    assert torch.equal(one, found((words[0], [1, 2, 3], *words[2:]), (1.0, 0.0, 0.0, 0.0)))
    assert not torch.allclose(one, found(words, (1.0, 1.0, 0.0, 0.0)))
    assert not torch.allclose(one, found(([1, 2, 3], *words[1:]), (1.0, 0.0, 0.0, 0.0)))


@pytest.mark.parametrize("rollout", ["vanilla", "temporal", "noisy", "object_centric"])
def test_a_step_draws_every_rollout_and_trains_on_no_more_than_the_limit(files, rollout):
    mode = {"grad_rollouts": "both_on_clean"} if rollout == "noisy" else {}
    grpo = tw.config(n_clean=4, n_perturbed=4, grad_limit=2, max_new_tokens=4, **mode).grpo
    motor = engine(files, grpo)
    asked = questions(files)
    regions = Regions([files["objects"]], [files["regions"]], asked.frame_rows)
    made = show(asked.batch(0, 1)[0], asked, Context(grpo, tw.run(rollout), 0, 0, 4, regions), motor)
    roll_out([made], motor, grpo, 0)
    assert len(made.rollouts) == (12 if rollout == "temporal" else 8)
    giving = [r.view.name for r in made.rollouts if r.gives_gradient]
    assert giving == (["clean", "noisy"] if rollout == "noisy" else ["clean"] * 2)
