"""Orthogonal weights: every singular value is the gain."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from theta0.init.fans import centre, maps, phases
from theta0.init.scheme import GainScheme


@dataclass(kw_only=True)
class Orthogonal(GainScheme):
    """gain · Q, Q with orthonormal rows or columns, uniform (Haar) among those (Saxe et al. 2014).

    A Conv or ConvTranspose is flattened to [out, in·kernel], each of its groups being one matrix.
    The kernel of a ConvTranspose with a stride is several maps (see `phases`), each of which is
    orthogonal. The std of an entry is gain/√max(rows, columns).

    Args:
        gain, output_gain, activation, output_layer, bias, bias_value: see `GainScheme`.
    """

    gain: str | float = "forward"

    @property
    def name(self) -> str:
        return "orthogonal"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        kernels = maps(weight, layer) if isinstance(layer, _ConvNd) else weight.unsqueeze(0)
        squares = 0.0  # the sum that is asked for
        for phase in phases(kernels, layer):
            matrices = phase.flatten(2)
            phase.copy_((gain * haar(matrices, generator)).view(phase.shape))
            squares += gain**2 * matrices.numel() / max(matrices.shape[1:])
        return math.sqrt(squares / weight.numel())


@dataclass(kw_only=True)
class DeltaOrthogonal(Orthogonal):
    """Orthogonal, with a Conv's kernel zero but for its centre (Xiao et al. 2018, section 2.3).

    The centre is gain · Q, Q [out, in] with orthonormal columns, so that the whole convolution
    multiplies norms by the gain (at stride 1, padding "same"); an `Orthogonal` kernel does not.
    Groups are maps of their own. The std of an entry, over the kernel, is gain/√(out·kernel size).

    Args:
        gain, output_gain, activation, output_layer, bias, bias_value: see `GainScheme`.
    """

    @property
    def name(self) -> str:
        return "delta orthogonal"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        """See `Scheme`.

        Raises:
            ValueError: a Conv with fewer output than input channels (a group).
        """
        if not isinstance(layer, _ConvNd):
            return super().fill(weight, layer, gain, generator)
        matrices = centre(maps(weight.zero_(), layer))
        outputs, inputs = matrices.shape[1:]
        if outputs < inputs:
            raise ValueError(
                f"delta orthogonal needs as many output channels as input channels, or more:"
                f" {type(layer).__name__} maps {inputs} to {outputs} (a group)"
            )
        matrices.copy_(gain * haar(matrices, generator))
        return gain / math.sqrt(outputs * math.prod(layer.kernel_size))


def haar(like: Tensor, generator: torch.Generator) -> Tensor:
    """Random matrices with orthonormal rows or columns, as many and as large as `like` [n, r, c].

    Q of a Gaussian matrix's QR decomposition, its signs fixed by the diagonal of R; without that it
    would not be uniform. In float64: half precision has no QR, and the last bits of float32 then do
    not depend on how the decomposition was threaded.
    """
    gaussian = torch.empty(like.shape, dtype=like.dtype, device="cpu").normal_(generator=generator)
    rows, columns = gaussian.shape[1:]
    tall = gaussian.double() if rows >= columns else gaussian.double().mT
    q, r = torch.linalg.qr(tall)
    q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    return q if rows >= columns else q.mT
