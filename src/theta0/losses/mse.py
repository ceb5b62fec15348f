"""Mean squared error, of classes too."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class MSE(nn.Module):
    """Mean squared error, the mean over batch and outputs.

    Class labels (int64 [N]) become one-hot targets of the outputs' width, as when a classifier is
    trained by least squares; real targets [N, outputs] are taken as they are.
    """

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """output [N, outputs]; returns a scalar. Raises ValueError where the shapes differ."""
        if target.dtype == torch.int64:
            target = functional.one_hot(target, output.shape[-1]).to(output.dtype)
        if target.shape != output.shape:  # torch would broadcast, and average something else
            raise ValueError(f"output {tuple(output.shape)} against target {tuple(target.shape)}")
        return functional.mse_loss(output, target)
