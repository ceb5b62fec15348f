"""How a network steps: optimizers over parameter groups, and schedules of the learning rate."""

from theta0.optim.build import build_optimizer
from theta0.optim.groups import parameter_groups
from theta0.optim.schedules import constant, cosine, one_cycle, step, warmup_cosine

__all__ = [
    "build_optimizer",
    "constant",
    "cosine",
    "one_cycle",
    "parameter_groups",
    "step",
    "warmup_cosine",
]
