"""Batches by index from tensors in memory: no worker, no collation, no per-sample Python."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor

from theta0.seeds import generator


class Batch(NamedTuple):
    """One process's share of a global batch.

    `weight` is the share times the number of processes, `world * n / len(global batch)`, so that
    the mean over processes of `weight * loss` is the mean over the global batch, even where it does
    not divide evenly. It is 1 on one process; 0 marks a stand-in sample, which counts for nothing.
    """

    x: Tensor  # [n, *shape] float32
    y: Tensor  # [n] int64, or [n, num_outputs] float32 for regression
    weight: float


class BatchLoader:
    """Iterates over the batches of tensors, on the device where they lie.

    The global batch b of an epoch is `order[b * batch_size:(b + 1) * batch_size]`, whatever the
    number of processes; each takes its part, `torch.tensor_split(batch, world)[rank]`. A process
    for which nothing is left, in a last tiny batch, gets one sample of weight 0, since it has to
    take part in the step.

    Args:
        x: inputs `[N, *shape]`.
        y: targets `[N, ...]`.
        batch_size: of the global batch.
        shuffle_seed: of the order, which also depends on the epoch; None keeps the rows' order.
        rank: which process this is.
        world: how many processes there are.
        drop_last: leave out a last batch that is smaller than `batch_size`.
        reshuffle: follow the epoch; False keeps the first epoch's order.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        batch_size: int,
        shuffle_seed: int | None = None,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
        reshuffle: bool = True,
    ) -> None:
        self.x, self.y = x, y
        self.batch_size = batch_size
        self.shuffle_seed = shuffle_seed
        self.rank, self.world = rank, world
        self.drop_last = drop_last
        self.reshuffle = reshuffle
        self._epoch = 0
        self._first = 0  # the batch to start from, when an epoch is continued
        self._next = 0

    @property
    def batch_sampler(self) -> SimpleNamespace:
        """Where Lightning looks for the `sampler` to tell the epoch, which is this loader itself.

        (A `sampler` of its own would have Lightning ask for more of torch's DataLoader.)
        """
        return SimpleNamespace(sampler=self)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration follows."""
        if self.reshuffle and epoch != self._epoch:
            self._epoch, self._first, self._next = epoch, 0, 0

    def state_dict(self) -> dict[str, int]:
        """The epoch and its next batch, for a checkpoint in the middle of an epoch."""
        return {"epoch": self._epoch, "batch": self._next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue there, or with the first batch where that epoch has ended."""
        self._epoch = state["epoch"]
        self._first = self._next = state["batch"] % len(self)

    def rows(self, batch: int) -> int:
        """In the global batch of this number."""
        return min(self.batch_size, len(self.x) - batch * self.batch_size)

    def __len__(self) -> int:
        full, rest = divmod(len(self.x), self.batch_size)
        return full if self.drop_last or not rest else full + 1

    def __iter__(self) -> Iterator[Batch]:
        # a generator, so that this runs at the first batch, after Lightning has set the epoch
        first, self._first = self._first, 0
        x, y, count = self.x, self.y, len(self)
        if self.shuffle_seed is None:
            rows = zip(x.split(self.batch_size), y.split(self.batch_size), strict=True)
            for self._next, (batch_x, batch_y) in enumerate(rows, start=1):
                if first < self._next <= count:
                    share, weight = self._share(batch_x)
                    yield Batch(share, self._share(batch_y)[0], weight)
            return
        order = epoch_order(len(x), self.shuffle_seed, self._epoch).to(x.device)
        shares = [self._share(batch) for batch in order.split(self.batch_size)[first:count]]
        for self._next, (index, weight) in enumerate(shares, start=first + 1):
            yield Batch(x.index_select(0, index), y.index_select(0, index), weight)

    def _share(self, batch: Tensor) -> tuple[Tensor, float]:
        """This process's part of a global batch (rows, or row numbers) and its weight."""
        if self.world == 1:
            return batch, 1.0
        share = batch.tensor_split(self.world)[self.rank]
        if not len(share):
            return batch[:1], 0.0
        return share, self.world * len(share) / len(batch)


def epoch_order(num_samples: int, seed: int, epoch: int) -> Tensor:
    """The order `[num_samples]` of an epoch's samples: a permutation that depends on nothing else.

    It is drawn on the CPU, so that an epoch can be replayed anywhere.
    """
    return torch.randperm(num_samples, generator=generator(seed, "order", epoch))
