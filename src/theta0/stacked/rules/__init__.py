"""The optimizers' update rules as pure functions of stacked tensors, and what steps by them."""

from theta0.stacked.rules.catalogue import (
    ALONE,
    RULES,
    Setting,
    Unstackable,
    require_rule,
    settings_of,
)
from theta0.stacked.rules.clip import clip_
from theta0.stacked.rules.rule import Rule
from theta0.stacked.rules.stepper import Stepper

__all__ = [
    "ALONE",
    "RULES",
    "Rule",
    "Setting",
    "Stepper",
    "Unstackable",
    "clip_",
    "require_rule",
    "settings_of",
]
