"""The multilayer perceptron: the network in which initialisation is easiest to see."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from theta0.models.activations import activation as make_activation
from theta0.models.norms import linear, normalisation
from theta0.models.residual import Residual


class MLP(nn.Module):
    """Hidden layers `linear -> norm -> activation -> dropout`, then one affine map.

    Modules that would do nothing (dropout 0, the identity) are left out: on small networks the
    calls cost as much as the arithmetic. No gain is chosen here; weights are torch's own until
    an init scheme fills them.

    Args:
        in_features: numbers in one flattened example.
        out_features: numbers that come out for it (classes, or regression targets).
        widths: units of each hidden layer; empty gives a linear model.
        activation: a name in `ACTIVATIONS`.
        dropout: probability in [0, 1) that a hidden unit is zeroed while training.
        norm: "none", or before the activation "batch" (BatchNorm1d), "layer" (LayerNorm) or "rms"
            (RMSNorm); or "weight": every affine map's weight is g·v/‖v‖, the output layer's too.
        bias: whether the affine maps have a bias, the output layer's included.
        residual: add a hidden layer's input to its output wherever the two widths are equal.

    Raises:
        ValueError: an unknown activation or norm, a size below 1, a dropout outside [0, 1).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        widths: Sequence[int] = (256, 256),
        activation: str = "relu",
        dropout: float = 0.0,
        norm: str = "none",
        bias: bool = True,
        residual: bool = False,
    ) -> None:
        super().__init__()
        sizes = [in_features, *widths]
        if min(*sizes, out_features) < 1:
            raise ValueError(f"sizes {[*sizes, out_features]}: every layer needs at least 1 unit")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: must lie in [0, 1)")

        def hidden_layer(n_in: int, n_out: int) -> list[nn.Module]:
            layer: list[nn.Module] = [linear(n_in, n_out, bias=bias, norm=norm)]
            layer += normalisation(norm, n_out)
            if not isinstance(phi := make_activation(activation), nn.Identity):
                layer.append(phi)
            if dropout > 0:
                layer.append(nn.Dropout(dropout))
            return [Residual(*layer)] if residual and n_in == n_out else layer

        self.hidden = nn.Sequential(*(m for pair in pairwise(sizes) for m in hidden_layer(*pair)))
        self.output = linear(sizes[-1], out_features, bias=bias, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, ...], flattened to [N, in_features] -> [N, out_features]."""
        return self.output(self.hidden(x.flatten(1)))
