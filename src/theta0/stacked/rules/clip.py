"""Gradients clipped member by member, as torch clips those of one network."""

from collections.abc import Mapping

import torch
from torch import Tensor


def clip_(
    gradients: Mapping[str, Tensor], norm: Tensor | None = None, value: Tensor | None = None
) -> None:
    """Clip in place, by each member's own bounds.

        gᵢ ← gᵢ·min(1, norm/(‖g‖ + 1e-6))        ‖g‖ over all of a member's gradients
        gᵢ ← min(max(gᵢ, −value), value)

    as `torch.nn.utils.clip_grad_norm_` and `clip_grad_value_` do.

    Args:
        gradients: by name, [members, *shape].
        norm, value: [members]; infinity leaves a member's gradients as they are, None all.
    """
    if norm is not None:
        each = [torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1) for g in gradients.values()]
        total = torch.linalg.vector_norm(torch.stack(each), dim=0)
        factor = (norm / (total + 1e-6)).clamp(max=1)
        for g in gradients.values():
            g.mul_(_beside(factor, g))
    if value is not None:
        for g in gradients.values():
            bound = _beside(value, g)
            torch.clamp(g, -bound, bound, out=g)


def _beside(numbers: Tensor, x: Tensor) -> Tensor:
    """[members] as [members, 1, ...] in x's type, to be broadcast with x [members, ...]."""
    return numbers.to(x.dtype).view(-1, *[1] * (x.ndim - 1))
