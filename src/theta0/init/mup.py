"""Maximal update parametrisation (μP): variances and learning rates by the width of a layer."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from theta0.init.fans import WEIGHTED, fans
from theta0.init.scheme import GainScheme, find_output


def adam_like(r_in: float, r_out: float) -> float:
    """Steps whose size does not depend on the gradient's: a sum over n_in of them grows as n_in."""
    return 1 / r_in


def sgd_like(r_in: float, r_out: float) -> float:
    """Steps as large as the gradient, which is itself 1/n_out where outputs are to change by 1."""
    return r_out / r_in


LR_RULES: dict[str, Callable[[float, float], float]] = {
    **dict.fromkeys(("SGD", "ASGD", "SGDScheduleFree"), sgd_like),
    **dict.fromkeys(("Adam", "AdamW", "AdamWLH", "AMSGrad", "NAdam", "RAdam", "Adamax"), adam_like),
    **dict.fromkeys(("Adagrad", "Adadelta", "RMSprop", "Lion"), adam_like),
    **dict.fromkeys(("AdamWScheduleFree", "RAdamScheduleFree"), adam_like),
}
"""The rule of each optimizer, by the name of its class. Not here: L-BFGS and Rprop, whose rate is
no factor on the step; Muon and SOAP, which follow other laws; SAM, whose radius would scale too."""


@dataclass(kw_only=True)
class MuP(GainScheme):
    """Yang et al. 2022 (Tensor Programs V), table 3: the form without multipliers.

    Every layer then learns at a pace that does not depend on the width, so a learning rate tuned at
    one width holds at another. With r = n / `base_width` for a width n that grows, and r = 1 for
    the sizes that the data and the targets fix (the input layer's n_in, the output layer's n_out):

    ============== ===================== ====== ========================
    parameter      initial variance      Adam   SGD
    ============== ===================== ====== ========================
    input weight   gain²/n_in            1      r_out
    hidden weight  gain²/n_in            1/r_in r_out/r_in (square: 1)
    output weight  gain_out²/(n_in·r_in) 1/r_in 1/r_in
    bias, norm     as in other schemes   1      r_out
    ============== ===================== ====== ========================

    The last two columns are factors on the learning rate. Where every hidden width equals
    `base_width` all of this is the standard parametrisation (with gain_out = 1); so is a network of
    one layer, whose sizes are all fixed. A network of several hidden widths differs from it at any
    `base_width`: each width has an r of its own, where microsoft/mup compares every layer with the
    same layer of a base network. The rate of a hidden layer that is not square is that package's
    (`MuSGD`): table 3 lets all widths grow alike, and has 1. It keeps the output layer's variance
    at the base's and divides its product by r_in instead, which is the same function at each step.

    `lr_scales` says nothing of weight decay: where a step multiplies it by the rate, it has to be
    divided by the factor to act alike at every width, as that package and `build_optimizer` do.
    Gradients shrink as 1/width, and Adam's ε has to stay small against them.

    The input layer is the first weighted layer in module order, and every Embedding. The width of a
    Conv is its channels; a depthwise one sums over no width (r_in = 1).

    Args:
        base_width: the hidden width at which μP is the standard parametrisation.
        output_gain: gain_out. 0, as the paper recommends (appendix D.2): outputs then start at 0 at
            every width, where drawn ones shrink as 1/√width.
        gain, activation, output_layer, bias, bias_value: see `GainScheme`.
    """

    base_width: int = 256
    gain: str | float = "forward"
    output_gain: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base_width < 1:
            raise ValueError(f"base_width={self.base_width}: must be at least 1")

    @property
    def name(self) -> str:
        return "mup"

    def gains(self, network: nn.Module) -> Callable[[nn.Module], float]:
        standard = super().gains(network)
        output = find_output(network, self.output_layer)
        growth = self._growth(network)

        def rule(layer: nn.Module) -> float:
            r_in, _ = growth[layer]
            return standard(layer) / math.sqrt(r_in) if layer is output else standard(layer)

        return rule

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        std = gain / math.sqrt(fans(layer)[0])
        weight.normal_(0.0, std, generator=generator)
        return std

    def lr_scales(self, network: nn.Module, factory: Callable[..., Any]) -> dict[str, float]:
        """The factor on the learning rate of each parameter of `network`, by its name.

        Args:
            factory: the optimizer's class; its name is looked up in `LR_RULES`.

        Raises:
            ValueError: no rule for the optimizer, or for a parameter: a matrix outside Linear, Conv
                and Embedding, a vector as long as no layer is wide, a weight that is shared by
                layers with different rules, a layer with adapters (LoRA).
        """
        optimizer = getattr(factory, "__name__", str(factory))
        if optimizer not in LR_RULES:
            allowed = ", ".join(sorted(LR_RULES))
            raise ValueError(
                f"MuP has no rule for the learning rates of {optimizer}, only for {allowed}"
            )
        rule = LR_RULES[optimizer]
        if any(hasattr(module, "base_layer") for module in network.modules()):
            raise ValueError("MuP has no rule for the learning rates of adapters (LoRA)")
        growth = self._growth(network)
        ends = [end for layer in growth for end in zip(_widths(layer), growth[layer], strict=True)]
        # A vector's length -> r; where a fixed size is also a width that grows, the latter holds.
        sizes = {1: 1.0, **dict(sorted(ends, key=lambda end: end[1] != 1.0))}

        scales: dict[nn.Parameter, tuple[str, float]] = {}
        for layer_name, layer in network.named_modules():
            for key, parameter in layer.named_parameters(recurse=False):
                name = f"{layer_name}.{key}" if layer_name else key
                if layer in growth:
                    r_in, r_out = growth[layer]
                    scale = rule(r_in if key == "weight" else 1.0, r_out)
                elif parameter.ndim <= 1 and parameter.numel() in sizes:
                    scale = rule(1.0, sizes[parameter.numel()])
                else:
                    raise ValueError(f"MuP has no rule for {name} {list(parameter.shape)}")
                first, other = scales.setdefault(parameter, (name, scale))
                if other != scale:
                    raise ValueError(f"MuP has no one rule for {first}, which is also {name}")
        return dict(scales.values())

    def _growth(self, network: nn.Module) -> dict[nn.Module, tuple[float, float]]:
        """Each weighted layer's (r_in, r_out)."""
        layers = [layer for layer in network.modules() if isinstance(layer, WEIGHTED)]
        if not layers:
            raise ValueError("MuP needs a network with layers: Linear, Conv or Embedding")
        output = find_output(network, self.output_layer)
        first = next((layer for layer in layers if layer is not output), output)

        def relative(layer: nn.Module) -> tuple[float, float]:
            n_in, n_out = _widths(layer)
            depthwise = isinstance(layer, _ConvNd) and layer.groups == layer.in_channels
            fixed = layer is first or isinstance(layer, nn.Embedding) or depthwise
            r_in = 1.0 if fixed else n_in / self.base_width
            r_out = 1.0 if layer is output else n_out / self.base_width
            return r_in, r_out

        return {layer: relative(layer) for layer in layers}


def _widths(layer: nn.Module) -> tuple[float, float]:
    """Units, or channels, that go in and come out."""
    if isinstance(layer, _ConvNd):
        return layer.in_channels, layer.out_channels
    return fans(layer)
