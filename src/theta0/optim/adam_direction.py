"""The direction of Adam's step, which several rules share."""

from collections.abc import Sequence

from torch import Tensor


def adam_direction(
    g: Tensor, m: Tensor, v: Tensor, t: int, betas: Sequence[float], eps: float
) -> Tensor:
    """m̂/(√v̂ + ε) after the moments have taken in `g` (Kingma & Ba 2015, algorithm 1).

        m ← β₁·m + (1−β₁)·g         m̂ = m/(1 − β₁ᵗ)
        v ← β₂·v + (1−β₂)·g²        v̂ = v/(1 − β₂ᵗ)

    Args:
        g: gradient.
        m, v: moments before this step, of g's shape, zeros before the first; updated in place.
        t: number of this step, from 1.
        betas: β₁, β₂.
        eps: ε, outside the root and after bias correction.
    """
    beta1, beta2 = betas
    m.mul_(beta1).add_((1 - beta1) * g)
    v.mul_(beta2).add_((1 - beta2) * g.square())
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return m_hat / (v_hat.sqrt() + eps)
