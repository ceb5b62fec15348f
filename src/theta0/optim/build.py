"""From an optimizer's class and settings to an optimizer over a network's parameters."""

import inspect
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from theta0.optim.adamw_lh import AdamWLH
from theta0.optim.amsgrad import AMSGrad
from theta0.optim.groups import parameter_groups

# Where torch has one kernel for the whole step; elsewhere `fused=True` raises.
FUSED = {
    torch.optim.SGD: {"cpu", "cuda", "mps"},
    torch.optim.Adam: {"cpu", "cuda", "mps"},
    torch.optim.AdamW: {"cpu", "cuda", "mps"},
    torch.optim.Adagrad: {"cpu"},
}

# Whose weight decay does not take lr·λ·θ away: it goes through an adaptive step as a part of the
# gradient, or is apart from the rate.
NOT_BY_RATE = {
    torch.optim.Adadelta,
    torch.optim.Adagrad,
    torch.optim.Adam,
    torch.optim.Adamax,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.RMSprop,
    AMSGrad,
    AdamWLH,
}


def build_optimizer(
    factory: Callable[..., Optimizer],
    network: nn.Module,
    *,
    base: Mapping[str, Any] | None = None,
    fused: bool | str | None = None,
    decay_bias_and_norm: bool = False,
    scaled_gradients: bool = False,
    lr_scales: Mapping[str, float] | None = None,
    **settings: Any,
) -> Optimizer:
    """An optimizer over the trained parameters of `network`.

    Args:
        factory: called with parameters (groups where there is `weight_decay` or `lr_scales`) and
            `settings`. One that asks for `network` gets it, and makes its own groups.
        network: the network, on its device.
        base: settings of the optimizer that `factory` wraps, its class as `_target_`; built like
            any other and given in place of parameters. The rate is the base's.
        fused: "auto" takes torch's fused kernel where the parameters' device has one and gradients
            are not scaled (under float16 a fused step unscales by itself, and clipping would come
            too late).
        decay_bias_and_norm: weight decay reaches biases and normalisation too.
        scaled_gradients: whether a float16 run scales its loss.
        lr_scales: by parameter name a factor on the learning rate, as μP asks for. Decay that a
            step multiplies by the rate is divided by the factor, so that a weight shrinks as fast
            at every width; so it is for a class that is not known here.
        settings: what else the factory takes.

    Raises:
        ValueError: `lr_scales` for an optimizer that takes no parameter groups, or of parameters
            that the network does not have; and what the factory raises.
    """
    asked = inspect.signature(factory).parameters
    if "network" in asked:
        settings["network"] = network
    if "decay_bias_and_norm" in asked:
        settings["decay_bias_and_norm"] = decay_bias_and_norm
    if base is not None:
        inner = {key: value for key, value in base.items() if key != "_target_"}
        inner |= {"scaled_gradients": scaled_gradients, "lr_scales": lr_scales}
        settings.pop("lr", None)
        return factory(
            build_optimizer(resolve_name(base["_target_"]), network, **inner), **settings
        )
    if lr_scales is not None and ("network" in asked or factory is torch.optim.LBFGS):
        raise ValueError(
            f"{getattr(factory, '__name__', factory)} takes no parameter groups, so no learning"
            " rate of each layer: take another init or optimizer"
        )
    if "network" in asked:
        return factory(**settings)

    parameters: Any = [p for p in network.parameters() if p.requires_grad]
    if "weight_decay" in settings or lr_scales is not None:
        decay = settings.get("weight_decay")
        parameters = parameter_groups(network, decay, decay_bias_and_norm, lr_scales)
    if lr_scales is not None:
        by_rate = factory not in NOT_BY_RATE or settings.get("decoupled_weight_decay", False)
        for group in parameters:
            group["lr"] = group["lr_scale"] * settings["lr"]
            if by_rate and "weight_decay" in group:
                group["weight_decay"] /= group["lr_scale"]
    if fused == "auto":
        devices = {p.device.type for p in network.parameters()}
        has_kernel = devices <= FUSED.get(factory, set())  # type: ignore[call-overload]
        wanted = has_kernel and not scaled_gradients and not settings.get("foreach")
        fused = wanted or None  # None: torch decides
    if fused is not None:
        settings["fused"] = fused
    return factory(parameters, **settings)
