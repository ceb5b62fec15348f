"""The walk that every tensor scheme shares: which parameter is filled, in which order, with what.

A scheme says how one weight is drawn (`fill`); the rest stands here. Draws come from an explicit
CPU generator, in module order, on the CPU and in the parameter's dtype; then they are copied to the
parameter's device. So one seed gives one θ₀ on every device, whatever else consumed random numbers.
"""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from theta0.init.bias import Bias
from theta0.init.fans import WEIGHTED, fans
from theta0.init.gains import Activation
from theta0.init.gains import gain as gain_of
from theta0.init.report import LayerReport, drawn_std
from theta0.models.norms import NORMALISATION

Facts = dict[str, Any]
"""What a `LayerReport` says beyond the parameter's name, shape and values."""


@dataclass(kw_only=True)
class TensorScheme(ABC):
    """Base of the schemes that fill one weight at a time.

    Weighted layers (Linear, Conv, ConvTranspose, Embedding) get `fill`, their biases what `biases`
    says; normalisation layers weight 1, bias 0 and fresh running statistics. A shared parameter is
    filled once, where it comes first. What no rule covers keeps the constructor's values.

    A parametrised weight (torch.nn.utils.parametrizations: weight_norm, ...) is assigned to, so
    that the weight in use is the one a plain layer would have got, or what the parametrisation
    makes of it where it cannot yield that one; the report of its parameters says which.

    Args:
        strict: whoever draws θ₀ refuses a network of which more than 2 % of the weights are kept;
            see `theta0.init.require_drawn`.
    """

    strict: bool = False

    @property
    @abstractmethod
    def name(self) -> str:
        """The scheme in a word or two, for the report."""

    @abstractmethod
    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        """Draw `weight`, the values of `layer.weight`, in place; return the std asked for."""

    @abstractmethod
    def biases(self, network: nn.Module) -> Callable[[nn.Module], Bias]:
        """The rule layer -> policy of its bias, for this network."""

    def gains(self, network: nn.Module) -> Callable[[nn.Module], float] | None:
        """The rule layer -> gain, for this network; None for a scheme that has no gain."""
        return None

    @torch.no_grad()
    def __call__(self, network: nn.Module, generator: torch.Generator) -> list[LayerReport]:
        """Fill `network` in place; return one report a parameter, in module order.

        Raises:
            ValueError: the generator is not on the CPU, a parameter has no shape yet, a weight is
                complex, or neither a parameter nor can be assigned to, or the scheme does not fit
                the network.
        """
        if generator.device.type != "cpu":
            raise ValueError(f"init draws on the CPU, but the generator is on {generator.device}")
        for name, parameter in network.named_parameters():
            if is_lazy(parameter):
                raise ValueError(f"{name} has no shape yet: run a batch through the network first")

        gain_rule, bias_rule = self.gains(network), self.biases(network)

        def draw(layer: nn.Module, key: str, old: Tensor) -> tuple[Tensor, Facts] | None:
            """The values that `layer.key` starts with and their facts; None where it is kept."""
            values = torch.empty(old.shape, dtype=old.dtype, device="cpu")
            if old.is_complex() and isinstance(layer, WEIGHTED):
                raise ValueError(
                    "is complex, and a scheme draws real numbers: keep it outside Linear, Conv and"
                    " Embedding and draw it in the model's constructor, or use init=pretrained"
                )
            if isinstance(layer, WEIGHTED) and key == "weight":
                gain = gain_rule(layer) if gain_rule else None
                std = self.fill(values, layer, gain or 0.0, generator)
                if isinstance(layer, nn.Embedding) and layer.padding_idx is not None:
                    values[layer.padding_idx] = 0
                facts = {"scheme": self.name, "gain": gain, "asked_std": std, **_fans(layer)}
            elif isinstance(layer, WEIGHTED) and key == "bias":
                bias = bias_rule(layer)
                std = bias.fill(values, layer, generator)
                facts = {"scheme": bias.policy, "asked_std": std}
            elif isinstance(layer, NORMALISATION) and key in ("weight", "bias"):
                values.fill_(1.0 if key == "weight" else 0.0)
                facts = {"scheme": "ones" if key == "weight" else "zeros", "asked_std": 0.0}
            else:
                return None
            return values, facts

        reports: list[LayerReport] = []
        done: dict[Tensor, str] = {}  # parameters reported, and their names
        assigned: dict[Tensor, Facts] = {}  # parameters of parametrised tensors
        for layer_name, layer in network.named_modules():
            prefix = f"{layer_name}." if layer_name else ""
            if isinstance(layer, _NormBase):
                layer.reset_running_stats()
            with _naming(f"{prefix}weight"):
                parametrised = _parametrised(layer)
            for key in parametrised:
                with _naming(prefix + key):
                    if (drawn := draw(layer, key, getattr(layer, key))) is not None:
                        assigned |= _assign(layer, key, *drawn)
            for key, parameter in layer.named_parameters(recurse=False, remove_duplicate=False):
                facts: Facts
                if parameter in done:
                    facts = {"scheme": f"tied to {done[parameter]}"}
                    facts |= _fans(layer) if isinstance(layer, WEIGHTED) and key == "weight" else {}
                elif parameter in assigned:
                    facts = assigned[parameter]
                else:
                    with _naming(prefix + key):
                        drawn = draw(layer, key, parameter)
                    facts = {"scheme": "kept"}
                    if drawn is not None:
                        values, facts = drawn
                        parameter.copy_(values)
                report = LayerReport(
                    layer=layer_name,
                    parameter=key,
                    shape=tuple(parameter.shape),
                    drawn_std=drawn_std(parameter),
                    trained=parameter.requires_grad,
                    **facts,
                )
                done.setdefault(parameter, report.name)
                reports.append(report)
        return reports


@dataclass(kw_only=True)
class Scheme(TensorScheme):
    """Base of the schemes with one bias policy for all layers.

    Args:
        bias: "zeros", "torch" (U(±1/√fan_in) as in `nn.Linear` and `nn.Conv`), "constant" or
            "normal".
        bias_value: the constant, or the normal's standard deviation; 0 otherwise.

    Raises:
        ValueError: an unknown policy, or a value that it cannot have.
    """

    bias: Literal["zeros", "torch", "constant", "normal"] = "zeros"
    bias_value: float = 0.0

    def __post_init__(self) -> None:
        Bias(self.bias, self.bias_value)

    def biases(self, network: nn.Module) -> Callable[[nn.Module], Bias]:
        return lambda layer: Bias(self.bias, self.bias_value)


@dataclass(kw_only=True)
class GainScheme(Scheme):
    """Base of the schemes whose weights are scaled by a gain.

    A hidden layer's gain makes up for the activation that follows it. No activation follows the
    output layer, which has a gain of its own, nor an Embedding, whose gain is 1.

    Args:
        gain: "forward", "backward", "critical", "torch" or a number > 0; see `theta0.init.gain`.
        output_gain: the output layer's, a number >= 0.
        activation: what follows the hidden layers: a name in `ACTIVATIONS`, or any elementwise
            function or module.
        output_layer: name of the output layer; None: the last Linear or Conv in module order.
        bias, bias_value: see `Scheme`.

    Raises:
        ValueError: an unknown rule, activation or policy, or a gain that is out of range.
    """

    gain: str | float = 1.0
    output_gain: float = 1.0
    activation: Activation = "relu"
    output_layer: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        gain_of(self.gain, self.activation)
        if not (math.isfinite(self.output_gain) and self.output_gain >= 0):
            raise ValueError(f"output_gain={self.output_gain}: must be a number >= 0")

    def gains(self, network: nn.Module) -> Callable[[nn.Module], float]:
        hidden = gain_of(self.gain, self.activation)
        output = find_output(network, self.output_layer)

        def rule(layer: nn.Module) -> float:
            if layer is output:
                return self.output_gain
            return 1.0 if isinstance(layer, nn.Embedding) else hidden

        return rule


def find_output(network: nn.Module, name: str | None) -> nn.Module | None:
    """The layer called `name`; by default the last Linear or Conv in module order, if any.

    Raises:
        ValueError: no weighted layer has this name.
    """
    layers = {key: m for key, m in network.named_modules() if isinstance(m, WEIGHTED)}
    if name is None:
        maps = [m for m in layers.values() if isinstance(m, nn.Linear | _ConvNd)]
        return maps[-1] if maps else None
    if name not in layers:
        raise ValueError(f"output_layer={name!r}: the layers are {', '.join(layers)}")
    return layers[name]


def require(key: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise a ValueError, one line, unless `value` is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{key}={value!r}: allowed are {', '.join(allowed)}")


def require_no_needs(key: str, scheme: Callable[..., Any]) -> None:
    """Raise a ValueError, one line, if a scheme inside another asks for what only a run gives."""
    if "inputs" in inspect.signature(scheme).parameters or hasattr(scheme, "lr_scales"):
        name = type(scheme).__name__
        raise ValueError(f"{key}={name}: must not ask for data or set learning rates")


@contextmanager
def _naming(parameter: str) -> Iterator[None]:
    """Errors within are about this parameter."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{parameter}: {error}") from None


def _fans(layer: nn.Module) -> Facts:
    return dict(zip(("fan_in", "fan_out"), fans(layer), strict=True))


def _parametrised(layer: nn.Module) -> list[str]:
    """The names of the layer's parametrised tensors.

    Raises:
        ValueError: the layer's weight is neither such a tensor nor a parameter, so that it would
            silently stay as it is (the old `torch.nn.utils.weight_norm`, `prune`).
    """
    keys = list(layer.parametrizations) if is_parametrized(layer) else []  # type: ignore[arg-type]
    if isinstance(layer, WEIGHTED) and "weight" not in [*keys, *layer._parameters]:
        raise ValueError(
            "is not a parameter, so no scheme can fill it; under torch.nn.utils.parametrizations"
            " it could"
        )
    return keys


def _assign(layer: nn.Module, key: str, values: Tensor, facts: Facts) -> dict[Tensor, Facts]:
    """Make `values` the parametrised tensor; return the facts of the parameters it is made of."""
    parametrisations: Any = layer.parametrizations[key]  # type: ignore[index]
    names = " of ".join(type(p).__name__.lstrip("_") for p in reversed(parametrisations))
    if not all(hasattr(p, "right_inverse") for p in parametrisations):
        raise ValueError(f"{names} has no right_inverse, so no value can be assigned to it")
    try:
        setattr(layer, key, values.to(getattr(layer, key).device))
    except NotImplementedError as error:
        raise ValueError(f"no value can be assigned to {names}: {error}") from None
    result = getattr(layer, key).cpu()
    if not result.isfinite().all():  # weight norm of a row of zeros: 0·0/0
        raise ValueError(f"{names} cannot yield the values of {facts['scheme']}: some become nan")
    distance = (result - values).double().norm()
    exact = distance <= 0.01 * values.double().norm()
    scheme = f"{facts['scheme']} {'through' if exact else 'changed by'} {names}"
    return {
        parameter: {**facts, "scheme": scheme, "asked_std": None}
        for parameter in parametrisations.parameters(recurse=False)
    }
