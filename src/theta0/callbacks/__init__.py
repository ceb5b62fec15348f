"""Lightning callbacks of theta0; any other callback is named in a config by its `_target_`."""

from theta0.callbacks.adaptive_clipping import AdaptiveClipping
from theta0.callbacks.build import build_callback
from theta0.callbacks.checkpoint import Checkpoint
from theta0.callbacks.early_stopping import EarlyStopping
from theta0.callbacks.gradient_noise import GradientNoise
from theta0.callbacks.pruning import SuccessiveHalving
from theta0.callbacks.weight_average import EMA, SWA, WeightAverage

__all__ = [
    "EMA",
    "SWA",
    "AdaptiveClipping",
    "Checkpoint",
    "EarlyStopping",
    "GradientNoise",
    "SuccessiveHalving",
    "WeightAverage",
    "build_callback",
]
