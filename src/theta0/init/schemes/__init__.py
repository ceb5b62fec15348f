"""The tensor schemes: each fills one weight from its layer, a gain and a generator."""

from theta0.init.schemes.identity import Identity
from theta0.init.schemes.mean_field import MeanField
from theta0.init.schemes.orthogonal import DeltaOrthogonal, Orthogonal
from theta0.init.schemes.plain import Normal, Uniform, Zeros
from theta0.init.schemes.siren import Siren
from theta0.init.schemes.sparse import Sparse
from theta0.init.schemes.torch_default import TorchDefault
from theta0.init.schemes.truncated_normal import TruncatedNormal
from theta0.init.schemes.variance_scaling import VarianceScaling

__all__ = [
    "DeltaOrthogonal",
    "Identity",
    "MeanField",
    "Normal",
    "Orthogonal",
    "Siren",
    "Sparse",
    "TorchDefault",
    "TruncatedNormal",
    "Uniform",
    "VarianceScaling",
    "Zeros",
]
