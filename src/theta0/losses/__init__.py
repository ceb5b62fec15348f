"""What a network minimises: a weighted sum of terms, and the terms that torch does not have."""

from theta0.losses.monotonic import Monotonic
from theta0.losses.mse import MSE
from theta0.losses.penalties import L1, L2
from theta0.losses.weighted_sum import WeightedSum

__all__ = ["L1", "L2", "MSE", "Monotonic", "WeightedSum"]
