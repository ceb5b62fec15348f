"""Groups of parameters: which of them weight decay reaches, and at which share of the rate."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from theta0.models.norms import NORMALISATION, is_magnitude


def parameter_groups(
    network: nn.Module,
    weight_decay: float | None,
    decay_bias_and_norm: bool = False,
    lr_scales: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Parameter groups for a torch optimizer, one for each decay and scale of the rate.

    Decay pulls a weight towards the function that ignores its input; a bias, a normalisation's
    scale (weight normalisation's g among them) or a factor (ReZero's α, a PReLU's slopes,
    LayerScale) has no such reading (Goodfellow 2016, section 7.1), so theirs is 0 unless
    `decay_bias_and_norm`. What has at most one dimension is no map, whatever its module. Frozen
    parameters (requires_grad=False) are in no group.

    Args:
        network: whose trained parameters are grouped, in its order; the group of the first comes
            first.
        weight_decay: of the weights; None: the groups say nothing of decay.
        decay_bias_and_norm: biases and normalisation decay like the weights.
        lr_scales: by a parameter's name a factor on the rate (1 where it has none), noted in its
            group as `lr_scale`; None: the groups say nothing of it.

    Raises:
        ValueError: a scale is not positive, or the network has no such parameter.
    """
    exempt = {
        id(parameter)
        for module in network.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.ndim <= 1
        or "bias" in name
        or isinstance(module, NORMALISATION)
        or is_magnitude(name, module)
    }
    scales = dict(lr_scales or {})
    groups: dict[tuple[float | None, float], dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        scale = scales.pop(name, 1.0)
        if not scale > 0:
            raise ValueError(f"lr_scales[{name}]={scale}: must be greater than 0")
        if not parameter.requires_grad:
            continue
        spared = weight_decay and not decay_bias_and_norm and id(parameter) in exempt
        decay = 0.0 if spared else weight_decay
        group = groups.setdefault((decay, scale), {"params": []})
        group["params"].append(parameter)
        if decay is not None:
            group["weight_decay"] = decay
        if lr_scales is not None:
            group["lr_scale"] = scale
    if scales:
        raise ValueError(f"lr_scales: the network has no parameter {', '.join(scales)}")
    return list(groups.values())
