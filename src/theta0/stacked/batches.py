"""The rows that members train on: shared where they are the same, else gathered for all at once."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from theta0.data import BatchLoader, DataModule, epoch_order


class Rows:
    """The splits of all members, on the device once.

    Args:
        modules: a data module for each `seeds.split`, set up.
        splits: each member's.
        orders: each member's `seeds.order`.
        device, dtype: of the inputs.
    """

    def __init__(
        self,
        modules: dict[int, DataModule],
        splits: Sequence[int],
        orders: Sequence[int],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.modules = modules
        self.of_split = {split: i for i, split in enumerate(modules)}
        self.keys = list(zip(splits, orders, strict=True))
        self.data: dict[str, tuple[Tensor, Tensor]] = {}  # [splits · N, ...]
        self.sizes: dict[str, int] = {}
        for name in ("train", "val", "test"):
            parts = [module.splits[name] for module in modules.values()]
            x, y = (torch.cat(tensors).to(device) for tensors in zip(*parts, strict=True))
            y = y.to(dtype) if y.is_floating_point() else y
            self.data[name] = x.to(dtype), y
            self.sizes[name] = len(x) // len(modules)
        self.device = device
        self._orders = torch.empty(0)
        self._streams()

    def _streams(self) -> None:
        """The distinct orders among the members, and each member's."""
        self.streams = list(dict.fromkeys(self.keys))
        self.stream = self._tensor([self.streams.index(key) for key in self.keys])
        offsets = {split: i * self.sizes["train"] for split, i in self.of_split.items()}
        self._offsets = [offsets[split] for split, _ in self.streams]
        used = [self.of_split[split] for split, _ in self.keys]
        self.one_split = len(set(used)) == 1
        self.split = self._tensor(used)

    def _tensor(self, values: list[int]) -> Tensor:
        return torch.tensor(values, device=self.device)

    def shuffle(self, epoch: int) -> None:
        """Take the order of this epoch."""
        self.epoch = epoch
        orders = [
            epoch_order(self.sizes["train"], order, epoch) + offset
            for (_, order), offset in zip(self.streams, self._offsets, strict=True)
        ]
        self._orders = torch.stack(orders).to(self.device)

    def train(self, places: Tensor) -> tuple[Tensor, Tensor, bool]:
        """The batch at these places of the order: (x, y, whether it is the same for all)."""
        x, y = self.data["train"]
        rows = self._orders[:, places]
        if len(rows) == 1:
            return x[rows[0]], y[rows[0]], True
        rows = rows[self.stream]
        return x[rows], y[rows], False

    def take(self, name: str, places: Tensor) -> tuple[Tensor, Tensor, bool]:
        """These rows of a split, in its own order."""
        x, y = self.data[name]
        if self.one_split:
            rows = places + self.split[0] * self.sizes[name]
            return x[rows], y[rows], True
        rows = places + (self.split * self.sizes[name]).unsqueeze(1)
        return x[rows], y[rows], False

    def places(self, name: str, batch_size: int, drop_last: bool = False) -> BatchLoader:
        """The places of a split in batches, as x and y of each batch."""
        places = torch.arange(self.sizes[name], device=self.device)
        return BatchLoader(places, places, batch_size, drop_last=drop_last)

    def keep(self, rows: Sequence[int]) -> None:
        """Only these members go on, in this order."""
        self.keys = [self.keys[row] for row in rows]
        self._streams()
        if len(self._orders):
            self.shuffle(self.epoch)


def zeros(
    data: dict[str, Any], sizes: tuple[int, ...], device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """A batch [*sizes, ...] of the shapes that a data module of this configuration has."""
    x = torch.zeros(*sizes, *data["shape"], dtype=dtype, device=device)
    if data["num_classes"] is not None:
        return x, torch.zeros(*sizes, dtype=torch.int64, device=device)
    return x, torch.zeros(*sizes, data["num_outputs"], dtype=dtype, device=device)


def dtype_of(config: dict[str, Any]) -> torch.dtype:
    """Of weights and inputs."""
    return torch.float64 if config["precision"] == "64-true" else torch.float32
