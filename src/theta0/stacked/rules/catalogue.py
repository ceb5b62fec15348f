"""Which optimizers have a rule, and a solo optimizer's settings as rules and numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from torch import nn
from torch.optim import Optimizer

from theta0.stacked.rules.adadelta import Adadelta
from theta0.stacked.rules.adagrad import Adagrad
from theta0.stacked.rules.adam import Adam
from theta0.stacked.rules.adamax import Adamax
from theta0.stacked.rules.adamw_lh import AdamWLH
from theta0.stacked.rules.amsgrad import AMSGrad
from theta0.stacked.rules.asgd import ASGD
from theta0.stacked.rules.lion import Lion
from theta0.stacked.rules.muon import muon
from theta0.stacked.rules.nadam import NAdam
from theta0.stacked.rules.radam import RAdam
from theta0.stacked.rules.rmsprop import RMSprop
from theta0.stacked.rules.rprop import Rprop
from theta0.stacked.rules.rule import Rule
from theta0.stacked.rules.sgd import SGD

RULES: dict[str, Callable[[Mapping[str, Any]], Rule]] = {
    "theta0.optim.AMSGrad": AMSGrad.of,
    "theta0.optim.AdamWLH": AdamWLH.of,
    "theta0.optim.Lion": Lion.of,
    "theta0.optim.Muon": muon,
    "torch.optim.ASGD": ASGD.of,
    "torch.optim.Adadelta": Adadelta.of,
    "torch.optim.Adagrad": Adagrad.of,
    "torch.optim.Adam": Adam.of,
    "torch.optim.AdamW": Adam.of,
    "torch.optim.Adamax": Adamax.of,
    "torch.optim.NAdam": NAdam.of,
    "torch.optim.RAdam": RAdam.of,
    "torch.optim.RMSprop": RMSprop.of,
    "torch.optim.Rprop": Rprop.of,
    "torch.optim.SGD": SGD.of,
}
"""By an optimizer's `_target_` what makes a rule of one of its parameter groups."""

ALONE = {
    "pytorch_optimizer.SOAP": "its eigenbases are another package's",
    "schedulefree.AdamWScheduleFree": "it trains at one point and is judged at another",
    "schedulefree.SGDScheduleFree": "it trains at one point and is judged at another",
    "theta0.optim.SAM": "its step evaluates the loss twice",
    "torch.optim.Adafactor": "its moments are factored, not of the parameters' shape",
    "torch.optim.LBFGS": "its step searches along a line",
}
"""By `_target_` why an optimizer that theta0 ships has none."""


class Unstackable(Exception):
    """An optimizer without a rule; the message says why."""


def require_rule(target: str) -> None:
    """Raise Unstackable where the optimizer of this `_target_` has no rule."""
    if target not in RULES:
        name = target.rpartition(".")[2]
        raise Unstackable(f"{name}: {ALONE.get(target, 'no rule is known for it')}")


@dataclass(frozen=True)
class Setting:
    """How one member steps one parameter.

    Attributes:
        rule: what stacked members share.
        hyper: the numbers that `rule.update` takes; lr is the rate that a schedule multiplies.
    """

    rule: Rule
    hyper: dict[str, float]


def settings_of(optimizer: Optimizer, network: nn.Module) -> dict[str, Setting]:
    """A solo optimizer's settings, by parameter name in the network's order.

    Args:
        optimizer: made by `build_optimizer` for `network`, so that decay, the scales of the rate
            and Muon's division are its own; with or without a scheduler.
        network: frozen parameters, which are in no group, are left out.

    Raises:
        Unstackable: there is no rule for it.
    """
    kind = type(optimizer)
    target = next((name for name in RULES if resolve_name(name) is kind), None)
    if target is None:
        known = (name for name in ALONE if name.rpartition(".")[2] == kind.__name__)
        target = next(known, f"{kind.__module__}.{kind.__qualname__}")
        require_rule(target)
    groups = {p: group for group in optimizer.param_groups for p in group["params"]}
    settings = {}
    for name, p in network.named_parameters():
        if p in groups:
            group = groups[p]
            if group.get("maximize"):
                raise Unstackable(f"{kind.__name__}: maximize=true")
            rule = RULES[target](group)
            settings[name] = Setting(rule, _numbers(rule, group))
    return settings


def _numbers(rule: Rule, group: Mapping[str, Any]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name in rule.hyper:
        value = group.get("initial_lr", group["lr"]) if name == "lr" else group[name]
        if isinstance(value, (list, tuple)):
            numbers |= {f"{name[:-1]}{i}": float(v) for i, v in enumerate(value, start=1)}
        else:
            numbers[name] = float(value)
    return numbers
