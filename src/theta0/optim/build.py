"""From an optimizer's class and settings to an optimizer over a network's parameters."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from theta0.optim.groups import parameter_groups

# Where torch has one kernel for the whole step; elsewhere `fused=True` raises.
FUSED = {
    torch.optim.SGD: {"cpu", "cuda", "mps"},
    torch.optim.Adam: {"cpu", "cuda", "mps"},
    torch.optim.AdamW: {"cpu", "cuda", "mps"},
    torch.optim.Adagrad: {"cpu"},
}


def build_optimizer(
    factory: Callable[..., Optimizer],
    network: nn.Module,
    *,
    fused: bool | str | None = None,
    decay_bias_and_norm: bool = False,
    scaled_gradients: bool = False,
    **settings: Any,
) -> Optimizer:
    """An optimizer over the trained parameters of `network`.

    `factory` is called with parameters (groups where there is `weight_decay`) and `settings`.
    `fused="auto"` takes torch's fused kernel where the parameters' device has one and gradients are
    not scaled (under float16 a fused step unscales by itself, and clipping would come too late).
    """
    if "weight_decay" in settings:
        parameters: Any = parameter_groups(network, settings["weight_decay"], decay_bias_and_norm)
    else:
        parameters = [p for p in network.parameters() if p.requires_grad]
    if fused == "auto":
        devices = {p.device.type for p in network.parameters()}
        has_kernel = devices <= FUSED.get(factory, set())  # type: ignore[call-overload]
        fused = (has_kernel and not scaled_gradients) or None  # None: torch decides
    if fused is not None:
        settings["fused"] = fused
    return factory(parameters, **settings)
