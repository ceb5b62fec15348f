"""The tensor schemes: each draws one weight from its fans, a gain and a generator."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from theta0.init.fans import fans
from theta0.init.scheme import GainScheme, Scheme, require


@dataclass(kw_only=True)
class VarianceScaling(GainScheme):
    """Independent entries with mean 0 and std = gain/√fan: Xavier, He and LeCun.

    ============== ====== ============ ========= ==========================================
    name           fan    distribution gain      source
    ============== ====== ============ ========= ==========================================
    LeCun          in     normal       1         LeCun et al. 1998, eq. 16
    Xavier, Glorot avg    uniform      1         Glorot & Bengio 2010, eq. 16
    He, Kaiming    in     normal       forward   He et al. 2015, eq. 10
    ============== ====== ============ ========= ==========================================

    Args:
        fan: "in" keeps the forward signal, "out" the gradient, "avg" is (fan_in + fan_out)/2.
        distribution: "normal", N(0, std²), or "uniform", U(±√3·std).
        gain, output_gain, activation, output_layer, bias: see `GainScheme`.
    """

    fan: Literal["in", "out", "avg"] = "in"
    distribution: Literal["normal", "uniform"] = "normal"

    def __post_init__(self) -> None:
        super().__post_init__()
        require("fan", self.fan, ("in", "out", "avg"))
        require("distribution", self.distribution, ("normal", "uniform"))

    @property
    def name(self) -> str:
        return f"{self.distribution} fan-{self.fan}"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        fan_in, fan_out = fans(layer)
        fan = {"in": fan_in, "out": fan_out, "avg": (fan_in + fan_out) / 2}[self.fan]
        std = gain / math.sqrt(max(1, fan))
        if self.distribution == "normal":
            weight.normal_(0.0, std, generator=generator)
        else:
            bound = math.sqrt(3) * std
            weight.uniform_(-bound, bound, generator=generator)
        return std


@dataclass(kw_only=True)
class Orthogonal(GainScheme):
    """gain · Q, Q with orthonormal rows or columns, uniform (Haar) among those (Saxe et al. 2014).

    Q is that of a Gaussian matrix's QR decomposition, signs fixed by the diagonal of R. A Conv is
    flattened to [out, in·kernel], each of its groups being one matrix. The std of an entry is
    gain/√max(rows, columns).

    Args:
        gain, output_gain, activation, output_layer, bias: see `GainScheme`.
    """

    gain: str | float = "forward"

    @property
    def name(self) -> str:
        return "orthogonal"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        groups = layer.groups if isinstance(layer, _ConvNd) else 1
        matrices = weight.normal_(generator=generator).flatten(1).unflatten(0, (groups, -1))
        rows, columns = matrices.shape[1:]
        # float64: half precision has no QR, and the last bits of float32 then do not depend on
        # how the decomposition was threaded.
        tall = matrices.double() if rows >= columns else matrices.double().mT
        q, r = torch.linalg.qr(tall)
        q *= r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
        weight.copy_((gain * (q if rows >= columns else q.mT)).reshape(weight.shape))
        return gain / math.sqrt(max(rows, columns))


@dataclass(kw_only=True)
class TorchDefault(Scheme):
    """What torch's constructors do: U(±1/√fan_in) for weights and biases, N(0, 1) for Embedding.

    Its variance 1/(3·fan_in) is a sixth of He's; Glorot & Bengio 2010 call it the standard
    heuristic (eq. 1). For Linear and Conv it is `kaiming_uniform_(a=√5)`, which is not He's scheme.
    Here and in the biases fan_in is torch's reading, which for ConvTranspose is the true fan_out.

    Args:
        bias: see `Scheme`.
    """

    bias: Literal["zeros", "torch"] = "torch"

    @property
    def name(self) -> str:
        return "torch default"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        if isinstance(layer, nn.Embedding):
            weight.normal_(generator=generator)
            return 1.0
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
        return 1 / math.sqrt(3 * max(1, math.prod(weight.shape[1:])))


@dataclass(kw_only=True)
class Normal(Scheme):
    """N(mean, std²), the same for every layer.

    Args:
        std: standard deviation, >= 0.
        mean: mean.
        bias: see `Scheme`.
    """

    std: float = 0.01
    mean: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.std) and self.std >= 0):
            raise ValueError(f"std={self.std}: must be a number >= 0")

    @property
    def name(self) -> str:
        return "normal"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        weight.normal_(self.mean, self.std, generator=generator)
        return self.std


@dataclass(kw_only=True)
class Uniform(Scheme):
    """U(low, high), the same for every layer.

    Args:
        low, high: the bounds, low <= high.
        bias: see `Scheme`.
    """

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.high - self.low) and self.low <= self.high):
            raise ValueError(f"low={self.low}, high={self.high}: low must not exceed high")

    @property
    def name(self) -> str:
        return "uniform"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        weight.uniform_(self.low, self.high, generator=generator)
        return (self.high - self.low) / math.sqrt(12)


@dataclass(kw_only=True)
class Zeros(Scheme):
    """All weights 0: the units of a layer stay equal, so this is the failure to compare with.

    Args:
        bias: see `Scheme`.
    """

    @property
    def name(self) -> str:
        return "zeros"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        weight.zero_()
        return 0.0
