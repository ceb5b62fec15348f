"""An optimizer that steps each parameter by a rule of its own."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "lr": ("greater than 0", lambda value: value > 0),
    "betas": (
        "two numbers in [0, 1)",
        lambda value: [0 <= beta < 1 for beta in value] == [True] * 2,
    ),
    "momentum": ("in [0, 1)", lambda value: 0 <= value < 1),
    "eps": ("0 or greater", lambda value: value >= 0),
    "weight_decay": ("0 or greater", lambda value: value >= 0),
}


class PerParameter(Optimizer, ABC):
    """Base of the optimizers here: `update` steps one parameter, the walk over all stands here.

    Args:
        params: parameters, or groups of them with settings of their own.
        defaults: the settings of a group that does not name them.

    Raises:
        ValueError: a setting is out of its range.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """One more group; those that the optimizer is made with come here too."""
        super().add_param_group(param_group)
        require_in_range(self.param_groups[-1])

    @abstractmethod
    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Step `p` in place under its gradient `g`; `state` is empty before the first step."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step under the gradients that stand in the parameters.

        `closure`, where given, is called first; it evaluates the loss, which is returned.
        """
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p, p.grad, self.state[p], group)
        return loss


def require_in_range(settings: dict[str, Any]) -> None:
    """Raise a ValueError, one line, at the first setting that has a range and is not in it."""
    for name, value in settings.items():
        if name in RANGES:
            allowed, holds = RANGES[name]
            if not holds(value):
                raise ValueError(f"{name}={value}: must be {allowed}")
