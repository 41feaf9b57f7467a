"""The order of questions."""

import pytest

from rollout3d.training.sampler import Sampler

IDS = [f"q{i}" for i in range(7)]


def test_every_epoch_is_a_permutation_and_epochs_differ():
    sampler = Sampler(IDS, 0)
    epochs = [sampler.take(7 * epoch, 7) for epoch in range(3)]
    assert all(sorted(epoch) == IDS for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_order_of_the_table_does_not_matter_but_the_seed_does():
    assert Sampler(IDS, 0).take(0, 7) == Sampler(IDS[::-1], 0).take(0, 7)
    assert Sampler(IDS, 0).take(0, 7) != Sampler(IDS, 1).take(0, 7)


def test_a_position_holds_the_same_id_however_it_is_reached():
    sampler = Sampler(IDS, ("a", 3))
    whole = sampler.take(0, 30)
    assert sampler.take(12, 6) == whole[12:18]
    assert Sampler(IDS, ("a", 3)).take(25, 5) == whole[25:]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_share_out_the_same_step(world):
    sampler = Sampler(IDS, 0)
    parts = [sampler.take(4, 8, rank, world) for rank in range(world)]
    assert all(len(part) == 8 // world for part in parts)
    assert sorted(name for part in parts for name in part) == sorted(Sampler(IDS, 0).take(4, 8))


def test_nothing_to_sample_is_an_error():
    with pytest.raises(ValueError, match="no questions"):
        Sampler([], 0)
