"""How a network steps: optimizers over parameter groups, and schedules of the learning rate."""

from theta0.optim.adamw_lh import AdamWLH
from theta0.optim.amsgrad import AMSGrad
from theta0.optim.build import build_optimizer
from theta0.optim.groups import parameter_groups
from theta0.optim.lion import Lion
from theta0.optim.muon import Muon
from theta0.optim.newton_schulz import newton_schulz
from theta0.optim.sam import SAM
from theta0.optim.schedules import constant, cosine, one_cycle, step, warmup_cosine

__all__ = [
    "SAM",
    "AMSGrad",
    "AdamWLH",
    "Lion",
    "Muon",
    "build_optimizer",
    "constant",
    "cosine",
    "newton_schulz",
    "one_cycle",
    "parameter_groups",
    "step",
    "warmup_cosine",
]
