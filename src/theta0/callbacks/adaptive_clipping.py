"""Gradients clipped in proportion to the weights that they change."""

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim import Optimizer

from theta0.init.scheme import find_output


class AdaptiveClipping(Callback):
    """Gᵢ ← Gᵢ·min(1, λ·max(‖Wᵢ‖, ε)/‖Gᵢ‖), unit by unit (Brock et al. 2021, section 4).

    A unit is a row of a matrix, a filter of a convolution, or a whole vector, as in the authors'
    code. The output layer, the last Linear or Conv in module order, is not clipped.

    Args:
        factor: λ; 0.01 in the paper at batches of 4096, the more the smaller the batch.
        eps: ε, the least norm that a unit's weights count for, lest those that start at 0 stay.
    """

    def __init__(self, factor: float, eps: float) -> None:
        self.factor, self.eps = factor, eps

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: Optimizer
    ) -> None:
        network = pl_module.network
        assert isinstance(network, nn.Module)
        output = find_output(network, None)
        exempt = set(output.parameters()) if output is not None else set()
        for parameter in network.parameters():
            if parameter.grad is not None and parameter not in exempt:
                largest = self.factor * _unit_norms(parameter.detach()).clamp(min=self.eps)
                # a gradient of 0 gives infinity, which is cut to 1
                parameter.grad.mul_((largest / _unit_norms(parameter.grad)).clamp(max=1))


def _unit_norms(x: Tensor) -> Tensor:
    """Each unit's norm, to be broadcast with x."""
    if x.ndim < 2:
        return torch.linalg.vector_norm(x)
    return torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim)), keepdim=True)
