"""The optimizers of a stack's members, as one."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from theta0.stacked.rules.catalogue import Setting
from theta0.stacked.rules.group import Group
from theta0.stacked.rules.rule import Tensors


class Stepper:
    """Steps a stack's parameters in place, each member's by its own numbers.

    Args:
        settings: of each member, by parameter name (`settings_of`).
        parameters: those that get gradients, by name: [members, *shape], contiguous.
        compiled: fuse every update by torch.compile, which takes seconds before the first step.
            Otherwise what is elementwise is one loop in C on a CPU that has a compiler, and what
            else there is goes operation by operation.

    Attributes:
        steps: how many each member has taken, [members], float64.

    Raises:
        ValueError: a parameter's rule differs between members.
    """

    def __init__(
        self,
        settings: Sequence[Mapping[str, Setting]],
        parameters: Tensors,
        compiled: bool = False,
    ) -> None:
        device = next(iter(parameters.values())).device
        self.steps = torch.zeros(len(settings), dtype=torch.float64, device=device)
        alike: dict[Any, dict[str, Tensor]] = {}
        for name, p in parameters.items():
            rule, *others = {member[name].rule for member in settings}
            if others:
                raise ValueError(f"{name}: the members of a stack step by one rule")
            numbers = tuple(tuple(member[name].hyper.values()) for member in settings)
            alike.setdefault((rule, numbers, p.dtype), {})[name] = p
        self.groups = []
        for (rule, numbers, _), group in alike.items():
            columns = torch.tensor(numbers, dtype=torch.float64, device=device).unbind(1)
            hyper = dict(zip(settings[0][next(iter(group))].hyper, columns, strict=True))
            self.groups.append(Group(rule, hyper, group, compiled))

    @torch.no_grad()
    def step(self, gradients: Tensors, factor: Tensor, cycled: Tensor | None = None) -> None:
        """One step of every member.

        Args:
            gradients: by name, [members, *shape].
            factor: what a schedule makes of the rates now, [members], float64.
            cycled: what a one-cycle schedule makes of momentum or β₁ now, likewise.
        """
        self.steps += 1
        for group in self.groups:
            group.step(gradients, self.steps, factor, cycled)

    def keep(self, rows: Tensor, parameters: Tensors) -> None:
        """Go on with some of the members.

        Args:
            rows: their places, [members left], int64.
            parameters: theirs, as at the beginning.
        """
        self.steps = self.steps[rows]
        for group in self.groups:
            group.keep(rows, parameters)

    def to_solo(
        self,
        member: int,
        optimizer: Optimizer,
        network: nn.Module,
        factor: float = 1.0,
        cycled: float | None = None,
    ) -> None:
        """Bring a solo optimizer to where a member's is.

        Args:
            member: its place in the stack.
            optimizer: one for `settings_of`, that has not stepped.
            network: whose parameters it steps; they are not touched.
            factor, cycled: what the schedule makes of the member's rates and momentum now.
        """
        solo = dict(network.named_parameters())
        settings = {p: group for group in optimizer.param_groups for p in group["params"]}
        t = int(self.steps[member])
        for group in self.groups:
            rule, lr = group.rule, float(group.hyper["lr"][member]) * factor
            for name, state in group.state.items():
                p = solo[name]
                settings[p]["lr"] = lr
                if cycled is not None and rule.cycled == "momentum":
                    settings[p]["momentum"] = cycled
                elif cycled is not None and rule.cycled == "beta1":
                    settings[p]["betas"] = (cycled, settings[p]["betas"][1])
                if t == 0 or not (rule.state or rule.step):
                    continue  # nothing is kept, not even an empty state
                kept = optimizer.state[p]
                if rule.step is not None:
                    kept["step"] = t if rule.step is int else torch.tensor(float(t))
                for symbol, key in rule.scalars.items():
                    kept[key] = group.scalars[symbol][member].float().cpu()
                for symbol, key in rule.state.items():
                    kept[key] = state[symbol][member].clone()

    def from_solo(self, member: int, optimizer: Optimizer, network: nn.Module) -> None:
        """Bring a member to where a solo optimizer is.

        Args:
            member: its place in the stack.
            optimizer: with its state.
            network: whose parameters it steps.
        """
        solo = dict(network.named_parameters())
        states = [kept for kept in optimizer.state.values() if kept]
        # Where none are counted only the first step is unlike the others.
        self.steps[member] = max((float(kept.get("step", 1)) for kept in states), default=0)
        for group in self.groups:
            for name, state in group.state.items():
                kept = optimizer.state.get(solo[name])
                if not kept:
                    continue
                for symbol, key in group.rule.scalars.items():
                    group.scalars[symbol][member] = kept[key]
                for symbol, key in group.rule.state.items():
                    state[symbol][member] = kept[key]
