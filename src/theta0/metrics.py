"""An epoch's metrics: collected on the device, computed once, kept in the checkpoint."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torchmetrics
from torch import Tensor, nn

from theta0.classwise import spread


class MeanLoss(torchmetrics.Metric):
    """The mean over samples of losses that are means over batches.

    torchmetrics' MeanMetric either drops a NaN, and hides a divergence, or ignores the weights.
    """

    total: Tensor
    samples: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("samples", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, losses: Tensor, sizes: Tensor) -> None:
        """losses [batches], each the mean over sizes [batches] samples."""
        self.total += (losses * sizes).sum()
        self.samples += sizes.sum()

    def compute(self) -> Tensor:
        return self.total / self.samples


class EpochMetrics(nn.Module):
    """The mean loss, its parts and any torchmetrics of one split.

    Batches are gathered and handed on 64 at a time: a torchmetrics update costs 0.1 ms or more,
    whatever the batch, which a small network's step of 1 to 2 ms would feel.
    """

    FLUSH_EVERY = 64

    def __init__(
        self,
        split: str,
        metrics: dict[str, torchmetrics.Metric],
        parts: Sequence[str] = (),
        suffix: str = "",
    ) -> None:
        """Values are called `split/name` + suffix; a part of the loss `loss_part`."""
        super().__init__()
        self.split, self.suffix = split, suffix
        self.losses = nn.ModuleDict({name: MeanLoss() for name in ("loss", *map(_part, parts))})
        self.others = nn.ModuleDict({name: copy.deepcopy(m) for name, m in metrics.items()})
        self.tables: dict[str, Tensor] = {}  # of the last `compute`, by `split/name`
        self._losses: list[dict[str, Tensor]] = []
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(
        self, loss: Tensor, output: Tensor, target: Tensor, parts: dict[str, Tensor] | None = None
    ) -> None:
        """One batch: its mean loss, outputs [n, ...], targets [n, ...], the loss's parts."""
        losses = {"loss": loss.detach()}
        for name, value in (parts or {}).items():
            losses[_part(name)] = value.detach()
        self._losses.append(losses)
        self._outputs.append(output.detach())
        self._targets.append(target)
        if len(self._losses) == self.FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Hand what was gathered on to torchmetrics."""
        if not self._losses:
            return
        device = self._losses[0]["loss"].device
        sizes = torch.tensor(
            [len(target) for target in self._targets], dtype=torch.float32, device=device
        )
        output, target = torch.cat(self._outputs).float(), torch.cat(self._targets)
        if output.shape == target.shape and output.shape[-1] == 1:  # R² wants vectors
            output, target = output.squeeze(-1), target.squeeze(-1)
        for name, metric in self.named().items():
            if name in self.losses:
                values = torch.stack([losses[name] for losses in self._losses]).float()
                metric.update(values, sizes)
            else:
                metric.update(output, target)
        self._losses, self._outputs, self._targets = [], [], []

    def compute(self, classes: Sequence[str] | None = None) -> dict[str, float]:
        """`split/name` → value over all ranks' batches since the last call; starts afresh.

        A metric of several numbers is spread, see `theta0.classwise`; tables are in `tables`.
        """
        self.flush()
        values: dict[str, float] = {}
        self.tables = {}
        for name, metric in self.named().items():
            key = f"{self.split}/{name}{self.suffix}"
            numbers, tables = spread(key, metric.compute(), classes)
            values |= numbers
            self.tables |= tables
            metric.reset()
        return values

    def half_way(self) -> dict[str, Any]:
        """What this process has of an epoch under way, as plain containers, for a checkpoint.

        What is gathered stays gathered: handing it on now would change the order of additions, and
        with it the last digit.
        """
        state = {
            "metrics": {name: dict(metric.metric_state) for name, metric in self.named().items()},
            "gathered": [self._losses[:], self._outputs[:], self._targets[:]],
        }
        return cast(dict[str, Any], _on(torch.device("cpu"), state))

    def go_on(self, state: dict[str, Any]) -> None:
        """Be where `half_way` was."""
        device = next(iter(self.named().values())).device
        for name, metric in self.named().items():
            for key, value in state["metrics"][name].items():
                setattr(metric, key, _on(device, value))
        self._losses, self._outputs, self._targets = _on(device, state["gathered"])

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> "EpochMetrics":
        """Follow the network to another device, but not to 16 bits: sums of an epoch need 32."""
        return super()._apply(lambda tensor: tensor.to(fn(tensor).device), *args, **kwargs)

    def named(self) -> dict[str, torchmetrics.Metric]:
        """Every metric of the split by its name: the mean losses first."""
        metrics = {**dict(self.losses.items()), **dict(self.others.items())}
        return cast(dict[str, torchmetrics.Metric], metrics)


def _on(device: torch.device, value: Any) -> Any:
    """A tensor, or those in lists and dictionaries, on a device."""
    if isinstance(value, list):
        return [_on(device, v) for v in value]
    if isinstance(value, dict):
        return {key: _on(device, v) for key, v in value.items()}
    return value.to(device)


def _part(name: str) -> str:
    return f"loss_{name}"
