"""Diagnostics: what goes on inside a network at θ₀ and while it trains.

`measure` is plain PyTorch: a network, a loss, a batch. `Diagnostics` is the callback that measures
a run on a schedule, `coordinate_check` μP's test of a parametrisation.
"""

from theta0.diagnostics.callback import Diagnostics
from theta0.diagnostics.coordinates import Coordinate, coordinate_check
from theta0.diagnostics.findings import Finding, find, sentences
from theta0.diagnostics.he import he_activation_stds
from theta0.diagnostics.jacobian import jacobian_singular_values
from theta0.diagnostics.noise import noise_scale
from theta0.diagnostics.probe import probe, training_loss
from theta0.diagnostics.sharpness import sharpness
from theta0.diagnostics.statistics import QUANTITIES, Statistics, measure, weights

__all__ = [
    "QUANTITIES",
    "Coordinate",
    "Diagnostics",
    "Finding",
    "Statistics",
    "coordinate_check",
    "find",
    "he_activation_stds",
    "jacobian_singular_values",
    "measure",
    "noise_scale",
    "probe",
    "sentences",
    "sharpness",
    "training_loss",
    "weights",
]
