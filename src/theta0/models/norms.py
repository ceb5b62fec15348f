"""Normalisations by name: of what a layer gives, or of its weights."""

from collections.abc import Callable

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrizations import _WeightNorm, weight_norm
from torch.nn.utils.parametrize import ParametrizationList

# GroupNorm, LayerNorm and RMSNorm share no base class that other layers do not.
NORMALISATION = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""Layers that normalise. _NormBase: BatchNorm1d to 3d, SyncBatchNorm, InstanceNorm1d to 3d."""

NORMS: dict[str, Callable[[int], nn.Module] | None] = {
    "none": None,
    "batch": nn.BatchNorm1d,  # Ioffe & Szegedy 2015
    "layer": nn.LayerNorm,  # Ba et al. 2016
    "rms": nn.RMSNorm,  # Zhang & Sennrich 2019
    "weight": None,  # no module of its own: `linear` changes how the weight is parametrised
}


def normalisation(norm: str, features: int) -> list[nn.Module]:
    """The module of its own that `norm` is, for so many features, or none.

    Raises:
        ValueError: `norm` is not a key of `NORMS`.
    """
    _require(norm)
    make = NORMS[norm]
    return [] if make is None else [make(features)]


def linear(n_in: int, n_out: int, *, bias: bool, norm: str) -> nn.Linear:
    """x Wᵀ + b; where `norm` is "weight", W = g·v/‖v‖ row by row (Salimans & Kingma 2016, eq. 2).

    The state dict then holds g [n_out, 1] and v [n_out, n_in] in place of W, as
    `parametrizations.weight.original0` and `original1`.

    Raises:
        ValueError: `norm` is not a key of `NORMS`.
    """
    _require(norm)
    layer = nn.Linear(n_in, n_out, bias=bias)
    return weight_norm(layer) if norm == "weight" else layer


def is_magnitude(name: str, module: nn.Module) -> bool:
    """Whether `module`'s parameter `name` is g of weight normalisation, a length for each row."""
    weight_normed = isinstance(module, ParametrizationList) and isinstance(module[0], _WeightNorm)
    return weight_normed and name == "original0"


def _require(norm: str) -> None:
    if norm not in NORMS:
        raise ValueError(f"norm={norm!r}: allowed are {', '.join(NORMS)}")
