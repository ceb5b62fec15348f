"""Lion."""

from dataclasses import dataclass

from torch import Tensor

from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class Lion(Rule):
    """EvoLved Sign Momentum (Chen 2023, program 1).

        θ ← θ − lr·(sign(β₁·m + (1−β₁)·g) + λ·θ)
        m ← β₂·m + (1−β₂)·g

    Numbers: lr; betas, β₁ and β₂; weight_decay, λ.
    """

    hyper = ("lr", "betas", "weight_decay")
    cycled = "beta1"
    step = None

    @property
    def state(self) -> dict[str, str]:
        return {"m": "m"}

    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        lr, beta1, beta2 = hyper["lr"], hyper["beta1"], hyper["beta2"]
        direction = (beta1 * state["m"] + (1 - beta1) * g).sign()
        m = beta2 * state["m"] + (1 - beta2) * g
        return (1 - lr * hyper["weight_decay"]) * p - lr * direction, {"m": m}
