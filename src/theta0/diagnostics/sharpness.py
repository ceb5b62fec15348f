"""Sharpness: the largest eigenvalue of the loss's Hessian."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

TOLERANCE = 0.05
MAX_ITERATIONS = 100


def sharpness(
    loss: Tensor,
    parameters: Iterable[Tensor],
    generator: torch.Generator,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> tuple[float, float]:
    """(λ, error): the largest eigenvalue of H = ∂²loss/∂θ², and how far it is settled.

    Power iteration v ← Hv/‖Hv‖, with Hv by differentiating the gradient once more (Pearlmutter
    1994). It finds the eigenvalue of the largest modulus; where that is negative, at a saddle, a
    second iteration on H − λI finds the largest one. λ = vᵀHv never exceeds the largest eigenvalue,
    and some eigenvalue lies within error = ‖Hv − λv‖/|λ| of it, as a share; it ends when the error
    is at most `tolerance`, or after `max_iterations`. Gradient descent at rate lr is stable up to
    λ = 2/lr (Cohen et al. 2021, "edge of stability").

    Args:
        loss: a scalar with a graph to `parameters`, which is kept.
        parameters: θ. One that the loss does not depend on adds zeros.
        generator: draws the first v, on the CPU.
    """
    theta = list(parameters)
    grads = torch.autograd.grad(loss, theta, create_graph=True, materialize_grads=True)
    gradient = torch.cat([grad.reshape(-1) for grad in grads])

    def hessian(v: Tensor) -> Tensor:
        if not gradient.requires_grad:  # a loss that is linear in θ
            return torch.zeros_like(v)
        products = torch.autograd.grad(
            gradient, theta, v, retain_graph=True, materialize_grads=True
        )
        return torch.cat([product.reshape(-1) for product in products])

    v = torch.randn(gradient.numel(), generator=generator).to(gradient)
    value, error = _dominant(hessian, v, tolerance, max_iterations)
    if value < 0:
        lowest = value
        above, error = _dominant(lambda v: hessian(v) - lowest * v, v, tolerance, max_iterations)
        value = lowest + above
        error *= above / abs(value) if value else 1.0
    return value, error


def _dominant(
    product: Callable[[Tensor], Tensor], v: Tensor, tolerance: float, max_iterations: int
) -> tuple[float, float]:
    """(vᵀAv, ‖Av − (vᵀAv)v‖/|vᵀAv|) of the eigenvalue of A with the largest modulus."""
    value, error = 0.0, 0.0
    for _ in range(max_iterations):
        v = v / v.norm()
        image = product(v)
        value = torch.dot(v, image).item()
        residual = (image - value * v).norm().item()
        if residual == 0:
            return value, 0.0
        error = residual / abs(value) if value else float("inf")
        if not error > tolerance:  # nor if it is nan
            break
        v = image
    return value, error
