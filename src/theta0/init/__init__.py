"""Initialisation: how a network starts.

Every scheme is called as `scheme(network, generator)`, fills the network in place from that CPU
generator alone, and returns one `LayerReport` a parameter.
"""

from theta0.init.fans import fans
from theta0.init.gains import gain
from theta0.init.pretrained import Pretrained
from theta0.init.report import LayerReport, table
from theta0.init.scheme import GainScheme, Scheme
from theta0.init.schemes import (
    Normal,
    Orthogonal,
    TorchDefault,
    Uniform,
    VarianceScaling,
    Zeros,
)

__all__ = [
    "GainScheme",
    "LayerReport",
    "Normal",
    "Orthogonal",
    "Pretrained",
    "Scheme",
    "TorchDefault",
    "Uniform",
    "VarianceScaling",
    "Zeros",
    "fans",
    "gain",
    "table",
]
