"""Batches: one order a seed and epoch, and one global batch for any number of processes."""

from itertools import chain

import pytest
import torch

from theta0.data import BatchLoader, epoch_order

N, BATCH = 103, 10  # the last global batch has 3 rows


def loader(rank: int = 0, world: int = 1, seed: int | None = 7, **kwargs) -> BatchLoader:
    rows = torch.arange(N)
    return BatchLoader(rows[:, None].float(), rows, BATCH, seed, rank, world, **kwargs)


def global_batches(world: int, epoch: int = 0, seed: int | None = 7) -> list[list[int]]:
    loaders = [loader(rank, world, seed) for rank in range(world)]
    for each in loaders:
        each.set_epoch(epoch)
    return [
        [row for share in shares if share.weight for row in share.y.tolist()]
        for shares in zip(*loaders, strict=True)
    ]


def flat(batches: list[list[int]]) -> list[int]:
    return list(chain.from_iterable(batches))


def test_an_epoch_is_a_permutation_that_seed_and_epoch_alone_decide():
    batches = global_batches(1)
    assert [len(batch) for batch in batches] == [10] * 10 + [3]
    assert sorted(flat(batches)) == list(range(N))
    assert flat(batches) == epoch_order(N, 7, 0).tolist()
    torch.rand(5)  # whatever else is drawn
    assert global_batches(1) == batches
    assert global_batches(1, epoch=1) != batches
    assert global_batches(1, seed=8) != batches


def test_the_order_of_an_epoch_is_known():
    assert epoch_order(8, 0, 0).tolist() == [4, 7, 3, 0, 5, 2, 1, 6]


def test_inputs_and_targets_stay_together():
    assert all(torch.equal(batch.x[:, 0].long(), batch.y) for batch in loader())


def test_without_a_seed_rows_keep_their_order():
    assert flat(global_batches(1, seed=None)) == list(range(N))
    assert flat(global_batches(3, seed=None)) == list(range(N))


@pytest.mark.parametrize("seed", [7, None])
@pytest.mark.parametrize("world", [2, 3, 4])
def test_global_batches_do_not_depend_on_the_number_of_processes(world, seed):
    assert global_batches(world, seed=seed) == global_batches(1, seed=seed)


@pytest.mark.parametrize("seed", [7, None])
@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_mean_over_processes_of_the_weighted_loss_is_the_mean_over_the_global_batch(world, seed):
    ranks = zip(*(loader(rank, world, seed) for rank in range(world)), strict=True)
    for shares, whole in zip(ranks, loader(seed=seed), strict=True):
        losses = [share.weight * (share.x**2).mean() for share in shares]
        torch.testing.assert_close(torch.stack(losses).mean(), (whole.x**2).mean())
        assert sum(share.weight for share in shares) == pytest.approx(world)


def test_a_process_without_a_share_gets_one_sample_of_weight_zero():
    *_, last = loader(rank=3, world=4)  # 3 rows for 4 processes
    assert (len(last.x), len(last.y), last.weight) == (1, 1, 0.0)
    assert [batch.weight for batch in loader()] == [1.0] * 11


def test_drop_last_leaves_out_the_small_batch():
    small = loader(drop_last=True)
    assert len(small) == 10 and [len(batch.y) for batch in small] == [10] * 10
    assert len(loader()) == 11


def test_an_epoch_goes_on_from_its_next_batch():
    first, second = loader(), loader()
    first.set_epoch(4)
    batches = [batch.y.tolist() for batch in first]
    again = iter(first)
    for _ in range(3):
        next(again)
    assert first.state_dict() == {"epoch": 4, "batch": 3}
    second.load_state_dict(first.state_dict())
    second.set_epoch(4)
    assert [batch.y.tolist() for batch in second] == batches[3:]
    assert [batch.y.tolist() for batch in second] == batches  # once only
    second.load_state_dict({"epoch": 4, "batch": len(second)})  # saved at the end of the epoch
    second.set_epoch(5)
    assert len(list(second)) == len(second)
