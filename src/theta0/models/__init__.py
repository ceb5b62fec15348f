"""Small reference networks, and the activations and branches that they are built from."""

from theta0.models.activations import ACTIVATIONS, activation
from theta0.models.linear import Linear
from theta0.models.mlp import MLP
from theta0.models.modes import evaluating
from theta0.models.residual import Residual, Scale, Shift
from theta0.models.residual_mlp import ResidualMLP

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "Linear",
    "Residual",
    "ResidualMLP",
    "Scale",
    "Shift",
    "activation",
    "evaluating",
]
