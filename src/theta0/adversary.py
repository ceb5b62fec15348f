"""Attacks within an L∞ ball: inputs that look alike and raise the loss as far as they can."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from theta0.models import evaluating


@dataclass(kw_only=True)
class FGSM:
    """x̃ = x + ε·sign(∇ₓL), the best step for a linear network (Goodfellow 2015, section 3).

    Args:
        eps: ε, the largest change of an input number, in units of the data before normalisation
            (1 is an image's whole range).
        share: weight of the attacked inputs' loss in training, 1 − share that of the inputs as
            they are: 0.5 in the paper.
    """

    eps: float
    share: float = 0.5

    def __call__(
        self,
        network: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        x: Tensor,
        y: Tensor,
        std: Tensor,
        low: Tensor | None,
        high: Tensor | None,
    ) -> Tensor:
        """x̃ [n, ...], detached, for inputs x and targets y [n, ...]; parameters get no gradient.

        The network is in evaluation mode while it is attacked: dropout would hide the slope, and
        batch normalisation's running statistics are not to learn from attacks. (Papers leave this
        open; Madry's code attacks in training mode.)

        Args:
            network: maps inputs to outputs.
            loss: maps (outputs, y) to the batch's mean loss.
            x, y: the batch.
            std: by which the data was divided, to be broadcast with x.
            low, high: the bounds of x, to be broadcast with it; None for no bounds.
        """
        with _attacking(network):
            x, y = x.clone(), y.clone()  # as an inference tensor neither may enter a graph
            step = self.eps / std * _slope(network, loss, x, y).sign()
            return _clamp(x + step, low, high)


@dataclass(kw_only=True)
class PGD:
    """x̃ ← Π(x̃ + α·sign(∇ₓL)), Π onto the ball and the data's bounds (Madry 2018, section 2).

    Args:
        eps: ε, the ball's radius, in units of the data before normalisation.
        step: α, likewise.
        steps: how often.
        random_start: begin at x + U(−ε, ε) and not at x. Drawn from torch's global CPU generator
            while the network trains; by a generator of its own, the same for each batch, while
            it is evaluated, so that a network has one robust accuracy.
        share: weight of the attacked inputs' loss in training; 1 in the paper: no others.
    """

    eps: float
    step: float
    steps: int
    random_start: bool = True
    share: float = 1.0

    def __call__(
        self,
        network: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        x: Tensor,
        y: Tensor,
        std: Tensor,
        low: Tensor | None,
        high: Tensor | None,
    ) -> Tensor:
        """As `FGSM.__call__`."""
        radius, step = self.eps / std, self.step / std
        own = None if network.training else torch.Generator().manual_seed(0)
        with _attacking(network):
            x, y = x.clone(), y.clone()
            attacked = x
            if self.random_start:
                start = torch.empty(x.shape).uniform_(-1, 1, generator=own).to(x)
                attacked = _clamp(x + radius * start, low, high)
            for _ in range(self.steps):
                attacked = attacked + step * _slope(network, loss, attacked, y).sign()
                attacked = _clamp(attacked.clamp(x - radius, x + radius), low, high)
            return attacked


def _slope(
    network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor
) -> Tensor:
    """∇ₓ of the loss, and of nothing else: `backward` would add to the parameters' gradients."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(loss(network(x), y), x)
    return slope


def _clamp(x: Tensor, low: Tensor | None, high: Tensor | None) -> Tensor:
    return x if low is None and high is None else x.clamp(low, high)


@contextlib.contextmanager
def _attacking(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, and gradients where asked for even inside `torch.inference_mode`."""
    with evaluating(network), torch.inference_mode(False), torch.no_grad():
        yield
