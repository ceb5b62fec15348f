"""Penalties on the size of the weights."""

from torch import Tensor, nn

from theta0.optim.groups import parameter_groups


class Penalty(nn.Module):
    """Base of the penalties: of which parameters, those that weight decay would reach.

    Args:
        bias_and_norm: biases and the scales and shifts of normalisation layers too.
    """

    def __init__(self, bias_and_norm: bool = False) -> None:
        super().__init__()
        self.bias_and_norm = bias_and_norm

    def penalised(self, network: nn.Module) -> list[nn.Parameter]:
        """The trained parameters that are penalised. Raises ValueError where there are none."""
        groups = parameter_groups(network, 1.0, self.bias_and_norm)
        weights = [p for group in groups if group["weight_decay"] > 0 for p in group["params"]]
        if not weights:
            raise ValueError(
                f"loss {type(self).__name__}: no trained weight to penalise; "
                "bias_and_norm=true would reach the other parameters"
            )
        return weights


class L1(Penalty):
    """‖w‖₁ = Σ|w| (Tibshirani 1996): pulls every weight towards 0 by the same force."""

    def forward(self, network: nn.Module) -> Tensor:
        """A scalar."""
        first, *others = (weight.abs().sum() for weight in self.penalised(network))
        return sum(others, start=first)


class L2(Penalty):
    """½‖w‖² = ½Σw² (Hoerl & Kennard 1970), whose gradient is w itself.

    So a scale λ equals plain SGD's weight_decay λ. An adaptive optimizer divides this gradient like
    any other; AdamW's decay stays outside (Loshchilov & Hutter 2019).
    """

    def forward(self, network: nn.Module) -> Tensor:
        """A scalar."""
        first, *others = (weight.square().sum() for weight in self.penalised(network))
        return 0.5 * sum(others, start=first)
