"""An update operation by operation, as it is written."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

BLOCK = 65536
"""About how many numbers go through the whole update before the next do, where a CPU's caches hold
them in between."""


class Operations:
    """Steps in place.

    Args:
        on_tensors: from (p, g, *state, *coefficients) to (p, *state).
        state: how many tensors of state there are.
        in_blocks: go by blocks of members.
        compiled: fuse by torch.compile.
    """

    def __init__(
        self,
        on_tensors: Callable[..., tuple[Tensor, ...]],
        state: int,
        in_blocks: bool,
        compiled: bool,
    ) -> None:
        def step(p: Tensor, g: Tensor, *rest: Tensor) -> None:
            for old, new in zip((p, *rest[:state]), on_tensors(p, g, *rest), strict=True):
                old.copy_(new)

        self._step = torch.compile(step, dynamic=True) if compiled else step
        self._in_blocks = in_blocks

    def __call__(
        self, parameters: Sequence[Sequence[Tensor]], coefficients: Sequence[Tensor]
    ) -> None:
        """One step.

        Args:
            parameters: for each (p, g, *state), [members, n] or [members, rows, columns]; p and
                state change.
            coefficients: [members], of any type.
        """
        dtype = parameters[0][0].dtype
        coefficients = [c.to(dtype) if c.is_floating_point() else c for c in coefficients]
        for tensors in parameters:
            p = tensors[0]
            shape = [-1] + [1] * (p.ndim - 1)
            arguments = [*tensors, *(c.view(shape) for c in coefficients)]
            rows = max(1, BLOCK * len(p) // p.numel()) if self._in_blocks else len(p)
            for i in range(0, len(p), rows):
                self._step(*(x[i : i + rows] for x in arguments))
