"""Small reference networks and the activations that they are built from."""

from theta0.models.activations import ACTIVATIONS, activation
from theta0.models.linear import Linear
from theta0.models.mlp import MLP

__all__ = ["ACTIVATIONS", "MLP", "Linear", "activation"]
