"""One data set for one run: checked, split, normalised and kept on the device."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from theta0.data.batches import Batch, BatchLoader
from theta0.data.source import Arrays, Source, digest_of, load_cached
from theta0.data.split import split_rows
from theta0.errors import shown
from theta0.seeds import derive


class DataModule(pl.LightningDataModule):
    """Training, validation and test batches of a source.

    Validation rows are taken from the training rows, in each class's proportion; the test rows are
    the source's own. Inputs are scaled to [0, 1], and each channel is normalised by its statistics
    in the training split. They lie in memory, as float32 `[N, *shape]`, on the trainer's device.

    Args:
        source: where the rows come from.
        shape: of one input, channels first.
        num_features: numbers in one input, the product of `shape`.
        num_outputs: of the network: the classes, or the numbers in a target.
        num_classes: labels are 0..num_classes-1; None for regression.
        samples: rows in `train`, `val` and `test`.
        batch_size: of the global batch in training; several processes share it.
        eval_batch_size: of the global batch in validation and test.
        split_seed: draws the validation rows.
        order_seed: draws the order of training batches.
        mean: subtracted after scaling, one number or one a channel; None: the training split's own.
        std: divided by, likewise; a channel that is constant in the training split gets 1.
        drop_last: leave out a last training batch that is smaller than `batch_size`.

    Raises:
        ValueError: from `setup`, naming the key of the configuration that the data contradicts, or
            the first row and column that is NaN or infinite.
    """

    def __init__(
        self,
        source: Source,
        shape: Sequence[int],
        num_features: int,
        num_outputs: int,
        num_classes: int | None,
        samples: Mapping[str, int],
        batch_size: int,
        eval_batch_size: int,
        split_seed: int,
        order_seed: int,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        drop_last: bool = False,
    ) -> None:
        super().__init__()
        self.source = source
        self.shape = tuple(shape)
        self.num_features = num_features
        self.num_outputs = num_outputs
        self.num_classes = num_classes
        self.samples = dict(samples)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.split_seed = split_seed
        self.order_seed = order_seed
        self.drop_last = drop_last
        self.mean = self._per_channel("mean", mean)
        self.std = self._per_channel("std", std)
        self.splits: dict[str, tuple[Tensor, Tensor]] = {}  # x and y of train, val and test
        self.bounded = False  # whether the inputs were scaled to [0, 1] before normalisation
        self._digest = ""
        self._place: dict[str, int] | None = None  # in the epoch, of a checkpoint to continue from

    def prepare_data(self) -> None:
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Read, check, split and normalise, once; then move the rows to the device."""
        if not self.splits:
            arrays = load_cached(self.source)
            self._check(arrays)
            self._digest = arrays.digest
            self.bounded = arrays.scale != 1.0
            self.splits = self._split(arrays)
        self.splits = {
            name: (x.to(self.device), y.to(self.device)) for name, (x, y) in self.splits.items()
        }

    @property
    def device(self) -> torch.device:
        """Where the rows lie: on the trainer's device, or the CPU without a trainer."""
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    @property
    def digest(self) -> str:
        """The sha256 of the source's data, which are not split or normalised for it."""
        return self._digest or digest_of(self.source)

    @property
    def classes(self) -> Sequence[str] | None:
        """The names of the classes, where the source has them."""
        return getattr(self.source, "classes", None)

    @property
    def sizes(self) -> dict[str, int]:
        """Rows in `train`, `val` and `test`."""
        self.setup()
        return {name: len(y) for name, (_, y) in self.splits.items()}

    @property
    def train_inputs(self) -> Tensor:
        """All inputs of the training split, `[N, *shape]`."""
        self.setup()
        return self.splits["train"][0]

    def train_dataloader(self) -> BatchLoader:
        # overfitting to some batches means the same ones every epoch
        overfit = getattr(self.trainer, "overfit_batches", 0) > 0
        loader = self._loader(
            "train", self.batch_size, self.order_seed, self.drop_last, reshuffle=not overfit
        )
        place, self._place = self._place, None  # the first to ask is the trainer
        if place is not None:
            loader.load_state_dict(place)
        return loader

    def val_dataloader(self) -> BatchLoader:
        return self._loader("val", self.eval_batch_size)

    def test_dataloader(self) -> BatchLoader:
        return self._loader("test", self.eval_batch_size)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        return batch  # it is there already

    def state_dict(self) -> dict[str, Any]:
        """The normalisation, which a checkpoint's weights expect, and the place in the epoch.

        Lightning asks the loader for its place too, but does not give it back where a schedule has
        asked for the number of steps.
        """
        loader = self.trainer.train_dataloader if self.trainer else None
        place = loader.state_dict() if isinstance(loader, BatchLoader) else None
        return {"mean": self.mean, "std": self.std, "place": place}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Normalise by a checkpoint's statistics from here on, whatever the data's own are.

        The next training loader begins where the checkpoint's was.
        """
        self._place = state_dict.get("place")
        mean = self._per_channel("mean", state_dict["mean"])
        std = self._per_channel("std", state_dict["std"])
        if (mean, std) == (self.mean, self.std):
            return
        self.mean, self.std = mean, std
        if self.splits:
            self.splits = {}
            self.setup()

    def _loader(
        self,
        name: str,
        batch_size: int,
        seed: int | None = None,
        drop_last: bool = False,
        reshuffle: bool = True,
    ) -> BatchLoader:
        self.setup()
        trainer = self.trainer
        rank, world = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        return BatchLoader(*self.splits[name], batch_size, seed, rank, world, drop_last, reshuffle)

    def _per_channel(self, name: str, value: float | Sequence[float] | None) -> list[float] | None:
        if value is None:
            return None
        channels = self.shape[0]
        numbers = [value] * channels if isinstance(value, int | float) else value
        values = [float(number) for number in numbers]
        if len(values) != channels:
            raise ValueError(
                f"data.{name} has {len(values)} numbers, but data.shape has {channels} channels"
            )
        if name == "std" and min(values) <= 0:
            raise ValueError(f"data.std={shown(value)}: must be greater than 0")
        return values

    def _check(self, arrays: Arrays) -> None:
        def expect(key: str, said: object, found: object) -> None:
            if said != found:
                raise ValueError(f"data.{key}={said}, but the data has {found}")

        expect("shape", list(self.shape), list(arrays.train_x.shape[1:]))
        expect("num_features", self.num_features, prod(self.shape))
        if self.num_classes is None:
            expect("num_outputs", self.num_outputs, prod(arrays.train_y.shape[1:]))
        else:
            labels = np.union1d(arrays.train_y, arrays.test_y)
            expect("num_classes", self.num_classes, len(labels))
            if labels[0] != 0 or labels[-1] != self.num_classes - 1:
                raise ValueError(
                    f"data.num_classes={self.num_classes}, but the data's labels are "
                    f"{labels[0]}..{labels[-1]}"
                )
        expect("samples.test", self.samples["test"], len(arrays.test_y))
        train, val = self.samples["train"], self.samples["val"]
        if train + val != len(arrays.train_y):
            raise ValueError(
                f"data.samples.train={train} and data.samples.val={val}, "
                f"but the data has {len(arrays.train_y)} rows for both"
            )

    def _split(self, arrays: Arrays) -> dict[str, tuple[Tensor, Tensor]]:
        seed = derive(self.split_seed, "split") % 2**32
        labels = None if self.num_classes is None else arrays.train_y
        train, val = split_rows(len(arrays.train_y), self.samples["val"], seed, labels)
        dtype = torch.float32 if self.num_classes is None else torch.int64
        rows = {
            "train": (arrays.train_x[train], arrays.train_y[train]),
            "val": (arrays.train_x[val], arrays.train_y[val]),
            "test": (arrays.test_x, arrays.test_y),
        }
        # copies, since normalising writes to them and the arrays may serve the next run
        splits = {
            name: (torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=dtype))
            for name, (x, y) in rows.items()
        }
        for inputs, _ in splits.values():
            inputs.div_(arrays.scale)
        if self.mean is None or self.std is None:
            mean, std = channel_statistics(splits["train"][0])
            self.mean, self.std = self.mean or mean, self.std or std
        if not np.isfinite([*self.mean, *self.std]).all():
            raise ValueError("data: inputs are too large to be normalised in float32: scale them")
        for inputs, _ in splits.values():
            inputs.sub_(_along_channels(self.mean, inputs)).div_(_along_channels(self.std, inputs))
        return splits


def channel_statistics(x: Tensor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of `x` `[N, C, ...]`; a constant one's std is 1.

    Sums over samples are in float64, so that neither their number nor that of threads shows.
    """
    x = x.view(*x.shape[:2], -1)
    mean = x.mean(2).mean(0, dtype=torch.float64)
    centred = x - mean.float()[:, None]
    std = centred.square_().mean(2).mean(0, dtype=torch.float64).sqrt()
    is_constant = std <= 1e-6 * mean.abs()  # what float32 rounding leaves of zero
    return mean.tolist(), std.masked_fill(is_constant, 1.0).tolist()


def training_inputs(data: pl.LightningDataModule) -> Tensor:
    """All training inputs of any data module, before a trainer has moved it to a device."""
    data.prepare_data()
    data.setup("fit")
    if isinstance(data, DataModule):
        return data.train_inputs
    return torch.cat([batch[0] for batch in data.train_dataloader()])


def attack_space(
    data: pl.LightningDataModule, x: Tensor
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """(std, low, high), each to be broadcast with inputs x: what an attack has to know of its data.

    One unit of the data before normalisation (an image's range is 1) is 1/std of x, and x lies
    between low and high: 0 and 1 before normalisation; None where inputs have no bounds.
    """
    mean, std = getattr(data, "mean", None), getattr(data, "std", None)
    if mean is None or std is None:
        return x.new_ones(()), None, None
    means, stds = _along_channels(mean, x), _along_channels(std, x)
    if not getattr(data, "bounded", False):
        return stds, None, None
    return stds, (0 - means) / stds, (1 - means) / stds


def _along_channels(values: list[float], x: Tensor) -> Tensor:
    return x.new_tensor(values).view(-1, *[1] * (x.ndim - 2))
