"""What a network's activations would be from He's weights."""

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call

from theta0 import seeds
from theta0.diagnostics.trace import Layer, spread, traced
from theta0.diagnostics.undisturbed import undisturbed
from theta0.init import fans, gain


def he_activation_stds(network: nn.Module, x: Tensor) -> dict[str, float]:
    """The std of each layer's activations at x, were the weights N(0, g²/fan_in) and biases 0.

    g is the forward gain of the activation that follows the layer (√2 for ReLU: He et al. 2015,
    eq. 10), 1 where none is seen. The network as it is gets the weights of one draw for the length
    of a forward pass. Empty where a weight is computed by a parametrisation, and has no such std.
    """
    generator = seeds.generator(0, "he")
    own = dict(network.named_parameters())
    names = {module: name for name, module in network.named_modules()}
    drawn: dict[str, Tensor] = {}
    with undisturbed(network), torch.no_grad():
        with traced(network) as layers:
            network(x)
        for layer in layers:
            prefix = f"{names[layer.module]}." if names[layer.module] else ""
            if f"{prefix}weight" not in own:
                return {}
            values = torch.randn(layer.weight.shape, generator=generator)
            drawn[f"{prefix}weight"] = (values * _std(layer)).to(layer.weight)
            if f"{prefix}bias" in own:
                drawn[f"{prefix}bias"] = torch.zeros_like(own[f"{prefix}bias"])
        with traced(network) as layers:
            functional_call(network, drawn, (x,))
    return {layer.name: spread(layer.activation).item() for layer in layers}


def _std(layer: Layer) -> float:
    g = 1.0 if layer.phi is None else gain("forward", layer.phi)
    return g / math.sqrt(fans(layer.module)[0])
