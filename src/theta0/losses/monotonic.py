"""Prior knowledge as a loss: the output rises, or falls, with one input."""

from typing import Literal

import torch
from torch import Tensor, nn

from theta0.models import evaluating

SIGNS = {"increasing": 1.0, "decreasing": -1.0}


class Monotonic(nn.Module):
    """Mean of max(0, (f(x) − f(x + δeⱼ))/δ)²: how steeply outputs fall where input j rises.

    A hint in the sense of Abu-Mostafa (1990): known of the function before any target is seen, and
    so in need of none. Sill & Abu-Mostafa (1996, "Monotonicity Hints") draw the step at random and
    do not divide by it; divided, a scale means the same for every δ. It holds for each output,
    with all other inputs as they are.

    f is the network in evaluation mode, in a pass of its own: in training mode dropout would draw
    for x and x + δeⱼ apart, and batch normalisation would take the step away, which all rows share.

    Args:
        feature: j, the input's number.
        direction: "increasing", or "decreasing" for outputs that fall where the input rises.
        delta: δ, in units of the normalised input. A dip much narrower than δ is stepped over.

    Raises:
        ValueError: `direction` is neither, or δ is not above 0.
    """

    def __init__(
        self,
        feature: int = 0,
        direction: Literal["increasing", "decreasing"] = "increasing",
        delta: float = 0.1,
    ) -> None:
        super().__init__()
        if direction not in SIGNS:
            raise ValueError(f"direction={direction!r}: allowed are {', '.join(SIGNS)}")
        if delta <= 0:
            raise ValueError(f"delta={delta}: must be above 0")
        self.feature, self.sign, self.delta = feature, SIGNS[direction], delta

    def forward(self, x: Tensor, network: nn.Module) -> Tensor:
        """x [n, features]; returns a scalar.

        Raises ValueError where x has no such feature.
        """
        if x.ndim != 2 or not 0 <= self.feature < x.shape[1]:
            raise ValueError(
                f"Monotonic: no feature {self.feature} in inputs of shape {tuple(x.shape[1:])}"
            )
        step = torch.zeros_like(x)
        step[:, self.feature] = self.delta
        with evaluating(network):
            here, there = network(torch.cat([x, x + step])).chunk(2)
        slope = self.sign * (there - here) / self.delta
        return slope.clamp(max=0).square().mean()
