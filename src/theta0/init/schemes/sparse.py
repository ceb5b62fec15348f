"""Sparse weights: every unit listens to a few inputs only."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from theta0.init.fans import maps
from theta0.init.scheme import Scheme


@dataclass(kw_only=True)
class Sparse(Scheme):
    """Each unit has `connections` incoming weights N(0, std²), the others are 0 (Martens 2010).

    So the sum that enters a unit does not grow with the number of its inputs. Martens's number is
    15; Sutskever et al. 2013 give the std 1 with it, for tanh weights times 1/4 and a bias of 1/2
    (`std=0.25 bias=constant bias_value=0.5`). `torch.nn.init.sparse_` zeroes a share of each
    *column*, the weights that leave an input, so units get unequal numbers; and it chooses them by
    the global random state, whatever generator it is given.

    Args:
        connections: nonzero weights of a unit, >= 1; all of them where it has fewer inputs. A unit
            of a Conv is an output channel, its inputs in·kernel.
        std: of the nonzero weights, >= 0.
        bias, bias_value: see `Scheme`.
    """

    connections: int = 15
    std: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.connections < 1:
            raise ValueError(f"connections={self.connections}: must be at least 1")
        if not (math.isfinite(self.std) and self.std >= 0):
            raise ValueError(f"std={self.std}: must be a number >= 0")

    @property
    def name(self) -> str:
        return f"sparse {self.connections}"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        units = maps(weight.zero_(), layer)
        shape = units.shape
        inputs = math.prod(shape[2:])
        k = min(self.connections, inputs)
        # A random order of each unit's inputs, of which the first k are taken.
        order = torch.rand(
            *shape[:2], inputs, dtype=torch.float64, generator=generator, device="cpu"
        )
        chosen = order.topk(k).indices
        values = torch.empty(chosen.shape, dtype=weight.dtype, device="cpu")
        values.normal_(0.0, self.std, generator=generator)
        flat = torch.zeros_like(order, dtype=weight.dtype).scatter_(2, chosen, values)
        units.copy_(flat.view(shape))
        return self.std * math.sqrt(k / max(1, inputs))
