"""RMSprop."""

from dataclasses import dataclass

from torch import Tensor

from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class RMSprop(Rule):
    """Steps over the root of a moving mean square (Tieleman & Hinton 2012, lecture 6.5).

        g ← g + λθ
        s ← α·s + (1−α)·g²
        n ← α·n + (1−α)·g            centered (Graves 2013, section 2): s − n² in place of s below
        v ← μ·v + g/(√s + ε)
        θ ← θ − lr·v

    Nothing is corrected for its bias towards 0: the first step is lr/√(1−α)·sign g. TensorFlow 1
    begins with s = 1; it and Keras have ε inside the root and lr inside v.

    Args:
        momentum: whether there is any; without, v = g/(√s + ε).
        centered: divide by the deviation from the mean.

    Numbers: lr; alpha, α; eps, ε; momentum, μ; weight_decay, λ, L2.
    """

    momentum: bool = False
    centered: bool = False

    hyper = ("lr", "alpha", "eps", "momentum", "weight_decay")
    cycled = "momentum"

    @property
    def state(self) -> dict[str, str]:
        return (
            {"s": "square_avg"}
            | ({"n": "grad_avg"} if self.centered else {})
            | ({"v": "momentum_buffer"} if self.momentum else {})
        )

    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        alpha = hyper["alpha"]
        new = {}
        g = g + hyper["weight_decay"] * p
        s = new["s"] = alpha * state["s"] + (1 - alpha) * g * g
        if self.centered:
            n = new["n"] = alpha * state["n"] + (1 - alpha) * g
            s = s - n * n
        v = g / (s.sqrt() + hyper["eps"])
        if self.momentum:
            v = new["v"] = hyper["momentum"] * state["v"] + v
        return p - hyper["lr"] * v, new
