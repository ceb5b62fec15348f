"""Sharpness-aware minimisation around any optimizer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import LBFGS, Optimizer


class SAM(Optimizer):
    """Steps `base` under the gradient of the worst point near by (Foret 2021, algorithm 1).

        e = ρ·g/‖g‖                 g = ∇L(θ), the norm over all parameters
        θ ← base's step from θ under ∇L(θ + e)

    and, `adaptive`, e = ρ·θ²g/‖θg‖ (Kwon 2021, ASAM; without its η, so a weight of 0 stays). Each
    step costs two evaluations of the same batch; dropout draws anew for the second.

    Where several devices share a batch, g is the gradient of the whole: the paper's devices take
    each the e of its own share. Groups, state and checkpoints are the base's.

    Args:
        base: steps on the gradients that it finds.
        rho: ρ, the distance to the point near by.
        adaptive: measure distance in proportion to each weight's size.
        network: its batch normalisation keeps running statistics of the first evaluation alone.

    Raises:
        ValueError: ρ is not positive, or the base evaluates the loss or averages weights itself.
    """

    def __init__(
        self,
        base: Optimizer,
        rho: float = 0.05,
        adaptive: bool = False,
        network: nn.Module | None = None,
    ) -> None:
        if not rho > 0:
            raise ValueError(f"rho={rho}: must be greater than 0")
        if isinstance(base, SAM | LBFGS) or hasattr(base, "eval"):
            raise ValueError(
                f"base={type(base).__name__}: SAM needs an optimizer that only steps on gradients"
            )
        super().__init__(base.param_groups, base.defaults)
        self.base, self.rho, self.adaptive, self.network = base, rho, adaptive, network
        self._share()

    def _share(self) -> None:
        """Schedulers and checkpoints see the base's own groups and state."""
        self.param_groups, self.state = self.base.param_groups, self.base.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; `closure` clears the gradients, evaluates the loss and goes backward.

        Returns the loss at θ. Raises ValueError without a closure.
        """
        if closure is None:
            raise ValueError("SAM evaluates the loss twice a step: call step(closure)")
        evaluate = torch.enable_grad()(closure)
        loss = evaluate()
        moved = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        start = [p.clone() for p in moved]
        gradients = [p.grad for p in moved]
        for p, e in zip(moved, ascent(moved, gradients, self.rho, self.adaptive), strict=True):
            p.add_(e)
        try:
            with resting_statistics(self.network):
                evaluate()
        finally:
            for p, at in zip(moved, start, strict=True):
                p.copy_(at)
        self.base.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return self.base.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.base.load_state_dict(state_dict)
        self._share()


def ascent(
    params: Sequence[Tensor], gradients: Sequence[Tensor], rho: float, adaptive: bool
) -> list[Tensor]:
    """e for each parameter: ρ·g/‖g‖, or ρ·θ²g/‖θg‖; zeros where all gradients are zero."""
    sizes = [p.abs() if adaptive else torch.ones_like(p) for p in params]
    scaled = [size * g for size, g in zip(sizes, gradients, strict=True)]
    norm = torch.stack([torch.linalg.vector_norm(s) for s in scaled]).norm()
    norm = norm.clamp_min(torch.finfo(norm.dtype).tiny)
    return [rho * size * s / norm for size, s in zip(sizes, scaled, strict=True)]


@contextmanager
def resting_statistics(network: nn.Module | None) -> Iterator[None]:
    """Batch normalisation goes on normalising by the batch, and its running statistics rest."""
    layers = [
        module
        for module in (network.modules() if network is not None else ())
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
