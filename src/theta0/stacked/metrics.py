"""An epoch's metrics of all members: any torchmetrics, its state `[members, ...]`."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torchmetrics
from torch import Tensor
from torch.func import vmap

from theta0.classwise import spread
from theta0.metrics import EpochMetrics

State = dict[str, Tensor]


class StackedMetrics:
    """One split's `theta0.metrics.EpochMetrics` for many runs at once.

    A metric's own `update` and `compute` are mapped over the members' states, so values and states
    are those of the solo run, which may go on with them.

    Args:
        template: one member's, as it is before the first batch.
        members: how many.
    """

    def __init__(self, template: EpochMetrics, members: int) -> None:
        self.template = template
        self.metrics = template.named()
        self.members = members
        self.states: dict[str, State] = {}
        self.tables: list[dict[str, Tensor]] = []  # each member's, of the last `compute`
        self._reset()
        self._losses: list[dict[str, Tensor]] = []  # by name [members]
        self._outputs: list[Tensor] = []  # [members, n, ...]
        self._targets: list[Tensor] = []  # [members, n, ...]

    def _reset(self) -> None:
        for name, metric in self.metrics.items():
            metric.reset()
            self.states[name] = {}
            for key, value in metric.metric_state.items():
                if isinstance(value, list):
                    raise NotImplementedError(
                        f"metrics.{name} keeps a list of all it has seen ({key})"
                    )
                self.states[name][key] = value.expand(self.members, *value.shape).clone()

    def add(
        self,
        loss: Tensor,
        output: Tensor,
        target: Tensor,
        shared: bool,
        parts: dict[str, Tensor],
    ) -> None:
        """One batch: losses and their parts [members], outputs [members, n, ...], targets."""
        losses = {"loss": loss.detach()}
        losses |= {f"loss_{name}": value.detach() for name, value in parts.items()}
        self._losses.append(losses)
        self._outputs.append(output.detach())
        self._targets.append(target.expand(self.members, *target.shape) if shared else target)
        if len(self._losses) == EpochMetrics.FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Hand what was gathered on to the metrics."""
        if not self._losses:
            return
        output, target = torch.cat(self._outputs, 1).float(), torch.cat(self._targets, 1)
        sizes = torch.tensor(
            [targets.shape[1] for targets in self._targets],
            dtype=torch.float32,
            device=output.device,
        )
        if output.shape == target.shape and output.shape[-1] == 1:  # R² wants vectors
            output, target = output.squeeze(-1), target.squeeze(-1)
        for name, metric in self.metrics.items():
            update = _update(metric)
            if name in self.template.losses:
                values = torch.stack([losses[name] for losses in self._losses], 1).float()
                self.states[name] = vmap(update, (0, 0, None))(self.states[name], values, sizes)
            else:
                self.states[name] = vmap(update)(self.states[name], output, target)
        self._losses, self._outputs, self._targets = [], [], []

    def compute(self, classes: Sequence[str] | None = None) -> list[dict[str, float]]:
        """Each member's `split/name` → value since the last call; starts afresh.

        A metric of several numbers is spread as in a run of its own; see `tables`.
        """
        self.flush()
        values: list[dict[str, float]] = [{} for _ in range(self.members)]
        self.tables = [{} for _ in range(self.members)]
        for name, metric in self.metrics.items():
            key = f"{self.template.split}/{name}{self.template.suffix}"
            for i, value in enumerate(_computed(metric, self.states[name], self.members)):
                numbers, tables = spread(key, value, classes)
                values[i] |= numbers
                self.tables[i] |= tables
        self._reset()
        return values

    def keep(self, rows: Tensor) -> None:
        """Only these members go on, in this order."""
        self.members = len(rows)
        for name, state in self.states.items():
            self.states[name] = {key: value[rows] for key, value in state.items()}
        self._losses = [{k: v[rows] for k, v in losses.items()} for losses in self._losses]
        self._outputs = [output[rows] for output in self._outputs]
        self._targets = [target[rows] for target in self._targets]

    def half_way(self, member: int) -> dict[str, Any]:
        """A member's part of an epoch under way, as `EpochMetrics.half_way` has it."""

        def own(tensor: Tensor) -> Tensor:
            return tensor[member].cpu().clone()

        return {
            "metrics": {
                name: {key: own(value) for key, value in state.items()}
                for name, state in self.states.items()
            },
            "gathered": [
                [{key: own(value) for key, value in losses.items()} for losses in self._losses],
                [own(output) for output in self._outputs],
                [own(target) for target in self._targets],
            ],
        }

    def go_on(self, states: list[dict[str, Any]]) -> None:
        """Be where each member's `half_way` was."""
        device = next(iter(next(iter(self.states.values())).values())).device

        def stacked(values: list[Tensor]) -> Tensor:
            return torch.stack(values).to(device)

        for name, state in self.states.items():
            for key in state:
                state[key] = stacked([s["metrics"][name][key] for s in states])
        losses, outputs, targets = (
            list(zip(*(s["gathered"][i] for s in states), strict=True)) for i in range(3)
        )
        self._losses = [{key: stacked([m[key] for m in row]) for key in row[0]} for row in losses]
        self._outputs = [stacked(list(row)) for row in outputs]
        self._targets = [stacked(list(row)) for row in targets]


def _update(metric: torchmetrics.Metric) -> Callable[..., State]:
    """state, batch -> state: the metric's own update, without what torchmetrics wraps about it."""

    def update(state: State, *batch: Tensor) -> State:
        for key, value in state.items():
            setattr(metric, key, value)
        type(metric).update(metric, *batch)
        return {key: getattr(metric, key) for key in state}

    return update


def _computed(metric: torchmetrics.Metric, state: State, members: int) -> list[Any]:
    """Each member's value: the metric's own compute, at once where vmap takes it, else in turn."""

    def compute(state: State) -> Any:
        for key, value in state.items():
            setattr(metric, key, value)
        return type(metric).compute(metric)

    try:
        values = vmap(compute)(state)
    except RuntimeError:  # R² looks at the number of samples, which vmap does not show
        return [compute({key: value[i] for key, value in state.items()}) for i in range(members)]
    if isinstance(values, dict):
        return [{key: value[i] for key, value in values.items()} for i in range(members)]
    return list(values.cpu())
