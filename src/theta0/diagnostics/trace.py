"""A forward pass with an eye on every weighted layer, in the order in which they run."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils import parametrize
from torch.utils.hooks import RemovableHandle

from theta0.diagnostics.saturation import ELEMENTWISE, slope
from theta0.init.fans import WEIGHTED


@dataclass(kw_only=True)
class Layer:
    """A weighted layer at work.

    What it gives is its pre-activation z; what the next weighted layer is given is its activation
    a, with all that lies between in it: normalisation, φ, dropout, a skip connection. The last
    layer's activation is the network's output.

    Attributes:
        name: in the network; a layer that runs again is also called `name:2`, `name:3`, ...
        module: the layer.
        weight: the tensor that it used, which a parametrisation may have computed.
        before: what it was given: the activation of the layer before.
        preactivation: z. An activation that works in place overwrites it.
        preactivation_std: of z, as it was before that.
        activation: a.
        phi: the first activation module between this layer and the next; None where there is none.
        slopes: φ′ at what φ was given.
        grad: the loss's gradient with respect to z, once it has been propagated back.
    """

    name: str
    module: nn.Module
    weight: Tensor
    before: Tensor
    preactivation: Tensor
    preactivation_std: Tensor
    activation: Tensor = field(init=False)
    phi: nn.Module | None = None
    slopes: Tensor | None = None
    grad: Tensor | None = None

    @property
    def unit_axis(self) -> int:
        """The axis of z along which units lie: channels, or the last one."""
        return 1 if isinstance(self.module, _ConvNd) else -1

    @property
    def weights_by_unit(self) -> Tensor:
        """The weight as `[units, ...]`: what enters each unit."""
        transposed = isinstance(self.module, nn.Embedding | _ConvTransposeNd)
        return self.weight.movedim(1, 0) if transposed else self.weight


def weighted_layers(network: nn.Module) -> dict[str, nn.Module]:
    """The layers that have fans, by name, in module order."""
    return {name: m for name, m in network.named_modules() if isinstance(m, WEIGHTED)}


@contextlib.contextmanager
def traced(network: nn.Module) -> Iterator[list[Layer]]:
    """The weighted layers that forward passes run through, in that order, are put on the list.

    A layer's `activation` is known when the next layer, or the whole network, has run.
    """
    layers: list[Layer] = []
    handles: list[RemovableHandle] = []
    names = {module: name for name, module in weighted_layers(network).items()}

    def before_layer(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if layers:
            layers[-1].activation = args[0]

    def after_layer(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        runs = 1 + sum(layer.module is module for layer in layers)
        layer = Layer(
            name=names[module] if runs == 1 else f"{names[module]}:{runs}",
            module=module,
            weight=module.weight,  # type: ignore[arg-type]
            before=args[0],
            preactivation=output,
            preactivation_std=spread(output),
        )
        layers.append(layer)
        if output.requires_grad:
            output.register_hook(lambda grad: setattr(layer, "grad", grad))

    def before_activation(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if layers and layers[-1].phi is None:
            layers[-1].phi, layers[-1].slopes = module, slope(module, args[0])

    def after_network(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if layers:
            layers[-1].activation = output

    for module in network.modules():
        if module in names:
            handles.append(module.register_forward_pre_hook(before_layer))
            handles.append(module.register_forward_hook(after_layer))
        elif isinstance(module, ELEMENTWISE):
            handles.append(module.register_forward_pre_hook(before_activation))
    handles.append(network.register_forward_hook(after_network))
    try:
        with parametrize.cached():  # else a parametrised weight is another tensor each time
            yield layers
    finally:
        for handle in handles:
            handle.remove()


def spread(values: Tensor) -> Tensor:
    """The standard deviation of all entries, about their own mean, divided by n."""
    return torch.std(values.detach(), correction=0)
