"""One affine map: softmax or linear regression, the convex baseline."""

from torch import Tensor, nn


class Linear(nn.Module):
    """y = x Wᵀ + b on the flattened input.

    Args:
        in_features: numbers in one flattened example.
        out_features: numbers that come out for it.
        bias: whether there is a b.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.output = nn.Linear(in_features, out_features, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, ...], flattened to [N, in_features] -> [N, out_features]."""
        return self.output(x.flatten(1))
