"""Layer Jacobians: how a layer stretches what it is given."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from theta0.diagnostics.trace import Layer, traced

ROWS = 8
"""Rows of the batch at which Jacobians are taken: one row of a layer of n units has n of its
singular values already."""
MAX_SIZE = 1024
"""Layers that take or give more numbers than this are left out: their Jacobian's singular values
take more than a second."""


def jacobian_singular_values(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Singular values [rows, min(in, out)] of ∂a_l/∂a_{l−1}, by layer, at the first rows of x.

    a_l is a layer's activation as `traced` has it, so that φ, normalisation and skip connections
    are in the Jacobian. Glorot & Bengio 2010 (section 4.2.1) follow their mean, which 1 keeps
    gradients as they are. Dropout is off, and BatchNorm has the statistics of the batch x as
    constants. Left out: layers above `MAX_SIZE`, and those of another number of rows.

    Changes modes, buffers and random states: call it inside `undisturbed`.
    """
    _settle(network, x)
    rows = x[:ROWS].detach()
    if rows.is_floating_point():
        rows.requires_grad_()
    with torch.enable_grad(), traced(network) as layers:
        network(rows)
    return {
        layer.name: torch.linalg.svdvals(_jacobian(layer)) for layer in layers if _fits(layer, rows)
    }


def _settle(network: nn.Module, x: Tensor) -> None:
    """To evaluation mode, BatchNorm's running statistics being those of x."""
    norms = [m for m in network.modules() if isinstance(m, _NormBase)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def _fits(layer: Layer, rows: Tensor) -> bool:
    return (
        layer.before.requires_grad
        and len(layer.before) == len(layer.activation) == len(rows)
        and layer.before[0].numel() <= MAX_SIZE
        and layer.activation[0].numel() <= MAX_SIZE
    )


def _jacobian(layer: Layer) -> Tensor:
    """∂a_l/∂a_{l−1} [rows, out, in]; rows do not depend on each other, so one pass serves all."""
    a = layer.activation.flatten(1)
    rows, out = a.shape
    basis = torch.eye(out, dtype=a.dtype, device=a.device)[:, None].expand(out, rows, out)
    (jacobian,) = torch.autograd.grad(
        a, layer.before, basis, retain_graph=True, is_grads_batched=True, materialize_grads=True
    )
    # LAPACK has no half precision
    jacobian = jacobian.to(torch.promote_types(jacobian.dtype, torch.float32))
    return jacobian.reshape(out, rows, -1).transpose(0, 1)
