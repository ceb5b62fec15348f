"""Stacked parameters that are stepped by one rule."""

import torch
from torch import Tensor

from theta0.stacked.rules.loop import loop
from theta0.stacked.rules.operations import Operations
from theta0.stacked.rules.rule import Rule, Tensors
from theta0.stacked.rules.split import split


class Group:
    """Parameters for which a member has the same numbers, with what its rule keeps beside them.

    Args:
        rule: the members'.
        hyper: by name, [members], float64; lr is the rate that a schedule multiplies.
        parameters: by name, [members, *shape], contiguous, of one type; stepped in place.
        compiled: see `Stepper`.

    Attributes:
        state: by parameter name and the formula's symbol, [members, *shape].
        scalars: by symbol, [members], float64.
    """

    def __init__(self, rule: Rule, hyper: Tensors, parameters: Tensors, compiled: bool) -> None:
        self.rule, self.hyper, self.parameters = rule, dict(hyper), dict(parameters)
        self.state = {
            name: {symbol: torch.zeros_like(p) for symbol in rule.state}
            for name, p in parameters.items()
        }
        self.scalars = {symbol: torch.zeros_like(hyper["lr"]) for symbol in rule.scalars}
        dtype = next(iter(parameters.values())).dtype
        self._coefficients, on_tensors = split(rule, tuple(hyper))
        count, on_cpu = len(rule.state), hyper["lr"].device.type == "cpu"
        in_blocks = on_cpu and not compiled and not rule.on_matrices
        fused = loop(on_tensors.graph, count, dtype) if in_blocks else None
        self._on_tensors = fused or Operations(on_tensors, count, in_blocks, compiled)

    def step(self, gradients: Tensors, t: Tensor, factor: Tensor, cycled: Tensor | None) -> None:
        """One step of every member, its t-th, [members]; for the rest see `Stepper.step`."""
        hyper = self.hyper | {"lr": self.hyper["lr"] * factor}
        if cycled is not None and self.rule.cycled is not None:
            hyper[self.rule.cycled] = cycled
        numbers = self._coefficients(*hyper.values(), *self.scalars.values(), t)
        border = len(numbers) - len(self.scalars)
        for kept, new in zip(self.scalars.values(), numbers[border:], strict=True):
            kept.copy_(new)
        self._on_tensors(
            [
                self._of_one(p, gradients[name], self.state[name])
                for name, p in self.parameters.items()
            ],
            numbers[:border],
        )

    def _of_one(self, p: Tensor, g: Tensor, state: Tensors) -> list[Tensor]:
        """(p, g, *state) in the shape that the rule takes them."""
        shape = (*p.shape[: 1 + self.rule.on_matrices], -1)
        return [p.view(shape), g.contiguous().view(shape), *(x.view(shape) for x in state.values())]

    def keep(self, rows: Tensor, parameters: Tensors) -> None:
        """See `Stepper.keep`."""
        self.parameters = {name: parameters[name] for name in self.parameters}
        for kept in (self.hyper, self.scalars, *self.state.values()):
            for key, tensor in kept.items():
                kept[key] = tensor[rows]
