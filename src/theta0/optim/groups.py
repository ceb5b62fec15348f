"""Which parameters weight decay reaches."""

from typing import Any

from torch import nn

# GroupNorm, LayerNorm and RMSNorm share no base class that other layers do not.
NORMALISATION = (
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)


def parameter_groups(
    network: nn.Module, weight_decay: float, decay_bias_and_norm: bool = False
) -> list[dict[str, Any]]:
    """Parameter groups for a torch optimizer: decayed weights, and the rest with decay 0.

    Decay pulls a weight towards the function that ignores its input; a bias or a normalisation's
    scale has no such reading (Goodfellow 2016, section 7.1), so they are left out unless
    `decay_bias_and_norm`. Frozen parameters (requires_grad=False) are in no group. An empty group
    is left out, and there is one group where nothing is decayed.
    """
    exempt = {
        id(parameter)
        for module in network.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if isinstance(module, NORMALISATION) or "bias" in name
    }
    trained = [p for p in network.parameters() if p.requires_grad]
    if weight_decay == 0 or decay_bias_and_norm:
        return [{"params": trained, "weight_decay": weight_decay}]
    groups = [
        {"params": [p for p in trained if id(p) not in exempt], "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) in exempt], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
