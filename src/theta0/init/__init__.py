"""Initialisation: how a network starts.

Every scheme is called as `scheme(network, generator)`, fills the network in place from that CPU
generator alone, and returns one `LayerReport` a parameter. One that depends on data (LSUV,
WeightNorm) is called as `scheme(network, generator, inputs)`.
"""

from theta0.init.fans import fans
from theta0.init.gains import gain
from theta0.init.lsuv import LSUV
from theta0.init.mup import MuP
from theta0.init.pretrained import Pretrained
from theta0.init.report import LayerReport, table
from theta0.init.residual import Fixup, ReZero
from theta0.init.review import require_drawn, warnings
from theta0.init.scheme import GainScheme, Scheme, TensorScheme
from theta0.init.schemes import (
    DeltaOrthogonal,
    Identity,
    MeanField,
    Normal,
    Orthogonal,
    Siren,
    Sparse,
    TorchDefault,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    Zeros,
)
from theta0.init.weight_norm import WeightNorm

__all__ = [
    "LSUV",
    "DeltaOrthogonal",
    "Fixup",
    "GainScheme",
    "Identity",
    "LayerReport",
    "MeanField",
    "MuP",
    "Normal",
    "Orthogonal",
    "Pretrained",
    "ReZero",
    "Scheme",
    "Siren",
    "Sparse",
    "TensorScheme",
    "TorchDefault",
    "TruncatedNormal",
    "Uniform",
    "VarianceScaling",
    "WeightNorm",
    "Zeros",
    "fans",
    "gain",
    "require_drawn",
    "table",
    "warnings",
]
