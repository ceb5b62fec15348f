"""What can be measured of a network, a batch and a loss, layer by layer."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from theta0 import seeds
from theta0.diagnostics.jacobian import jacobian_singular_values
from theta0.diagnostics.noise import noise_scale
from theta0.diagnostics.saturation import saturated
from theta0.diagnostics.sharpness import sharpness
from theta0.diagnostics.trace import Layer, spread, traced, weighted_layers
from theta0.diagnostics.undisturbed import undisturbed

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(output, target, x) -> the mean loss over the rows."""
Price = Literal["economy", "business", "full"]
PRICES: tuple[Price, ...] = get_args(Price)
CHUNKS = 8
"""Parts of the batch whose gradients tell the noise."""


@dataclass(kw_only=True)
class Statistics:
    """One row: a weighted layer, or the whole network where `layer` is "".

    None is what does not apply (a frozen weight has no gradient) or was not asked for. Standard
    deviations are over all entries (rows of the batch and units), about their mean, divided by n.
    `Layer` says which tensor is a layer's pre-activation, and which its activation.

    Attributes:
        layer: the layer's name in the network.
        activation_mean, activation_std: of what the next layer is given.
        preactivation_std: of what the layer itself gives.
        saturated: share of entries at which φ is flat; None unless φ saturates at both ends.
        dead: share of units at which φ′ is 0 on every row, so that no gradient passes; without an
            activation module to be seen, of units that are 0 on every row.
        identical: 1 where the units cannot be told apart, else 0: equal weights and biases, and
            activations that are equal up to rounding. Gradients are then equal too, and the units
            stay so.
        grad_std: of the gradient of the loss summed over rows, with respect to the pre-activation;
            so it does not depend on the number of rows.
        weight_grad_std: of the gradient of the mean loss with respect to the weight.
        weight_std: of the weight.
        update_ratio: ‖Δw‖/‖w‖ of the last optimizer step, w being the weight before it.
        noise_scale: see `theta0.diagnostics.noise_scale`; of the weight. From `business` on.
        jacobian_mean, jacobian_min, jacobian_max: of the singular values of the layer's Jacobian,
            at a few rows; see `jacobian_singular_values`. `full` only.
        sharpness, sharpness_error: see `theta0.diagnostics.sharpness`; of the whole network. `full`
            only.
    """

    layer: str
    activation_mean: float | None = None
    activation_std: float | None = None
    preactivation_std: float | None = None
    saturated: float | None = None
    dead: float | None = None
    identical: float | None = None
    grad_std: float | None = None
    weight_grad_std: float | None = None
    weight_std: float | None = None
    update_ratio: float | None = None
    noise_scale: float | None = None
    jacobian_mean: float | None = None
    jacobian_min: float | None = None
    jacobian_max: float | None = None
    sharpness: float | None = None
    sharpness_error: float | None = None

    @property
    def known(self) -> dict[str, float]:
        """The quantities that were measured."""
        values = asdict(self)
        return {name: values[name] for name in QUANTITIES if values[name] is not None}


QUANTITIES = tuple(field.name for field in fields(Statistics) if field.name != "layer")


def measure(
    network: nn.Module,
    loss: Loss,
    x: Tensor,
    y: Tensor,
    price: Price = "economy",
    weights_before: Mapping[str, Tensor] | None = None,
) -> list[Statistics]:
    """Measure `network` at the batch (x, y), in the mode that it is in; it is left as it was.

    The whole network's row comes first where there is one, then the layers in the order in which
    they run.

    Args:
        network: maps x [rows, ...] to outputs [rows, ...].
        loss: maps (output, target, x) to the mean loss over the rows.
        x, y: the batch, on the network's device.
        price: "economy" takes one forward and backward pass, "business" another one in eight parts,
            "full" Jacobians and up to 100 products with the Hessian besides.
        weights_before: `weights(network)` before the last optimizer step, for `update_ratio`.

    Raises:
        ValueError: an unknown price, or a network without weighted layers.
    """
    if price not in PRICES:
        raise ValueError(f"price={price!r}: allowed are {', '.join(PRICES)}")
    with undisturbed(network), torch.enable_grad():
        with traced(network) as layers:
            value = loss(network(x), y, x)
        if not layers:
            raise ValueError("no Linear, Conv or Embedding runs in this network")
        before = weights_before or {}
        grads = _grads(value, [layer.weight for layer in layers])
        rows = [
            _statistics(layer, grad, len(x), before.get(layer.name))
            for layer, grad in zip(layers, grads, strict=True)
        ]
        if price != "economy":
            _add_noise_scales(rows, layers, network, loss, x, y)
        if price == "full":
            whole = _curvature(network, loss, x, y)
            for name, values in jacobian_singular_values(network, x).items():
                (row,) = (row for row in rows if row.layer == name)
                row.jacobian_mean = values.mean().item()
                row.jacobian_min, row.jacobian_max = values.min().item(), values.max().item()
            rows = [whole, *rows]
    return rows


def weights(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the weight of each weighted layer, by the layer's name."""
    layers = weighted_layers(network).items()
    return {name: layer.weight.detach().clone() for name, layer in layers}  # type: ignore[operator]


def _grads(value: Tensor, used: list[Tensor]) -> list[Tensor | None]:
    """∂value/∂w of each weight w used, None where it is frozen or has no part in the value."""
    trained = [weight for weight in used if weight.requires_grad]
    found = iter(torch.autograd.grad(value, trained, allow_unused=True) if trained else ())
    return [next(found) if weight.requires_grad else None for weight in used]


def _statistics(layer: Layer, grad: Tensor | None, rows: int, before: Tensor | None) -> Statistics:
    activation, weight = layer.activation.detach(), layer.weight.detach()
    row = Statistics(
        layer=layer.name,
        activation_mean=activation.mean().item(),
        activation_std=spread(activation).item(),
        preactivation_std=layer.preactivation_std.item(),
        dead=_dead(layer),
        identical=float(_identical(layer)),
        weight_std=spread(weight).item(),
    )
    if layer.phi is not None and layer.slopes is not None:
        share = saturated(layer.phi, layer.slopes)
        row.saturated = None if share is None else share.item()
    if layer.grad is not None:
        row.grad_std = rows * spread(layer.grad).item()
    if grad is not None:
        row.weight_grad_std = spread(grad).item()
        if before is not None and (norm := before.norm().item()) > 0:
            row.update_ratio = torch.dist(weight, before).item() / norm
    return row


def _dead(layer: Layer) -> float:
    if layer.slopes is None:
        passes, axis = layer.activation.detach() != 0, -1
        if passes.ndim == layer.preactivation.ndim:
            axis = layer.unit_axis
    else:
        passes, axis = layer.slopes != 0, layer.unit_axis
    by_unit = passes.movedim(axis, 0).flatten(1)
    return 1 - by_unit.any(1).float().mean().item()


def _identical(layer: Layer) -> bool:
    entering = layer.weights_by_unit.detach()
    if len(entering) < 2 or not torch.equal(entering[0], entering[1]):
        return False  # as good as always, and cheap
    biases = getattr(layer.module, "bias", None)
    if not bool((entering == entering[0]).all()):
        return False
    if biases is not None and not bool((biases == biases[0]).all()):
        return False
    # A kernel may sum the terms of one unit in another order than its neighbour's.
    activations = layer.activation.detach().flatten(1)
    rounding = max(1e-5, 2 * torch.finfo(activations.dtype).eps) * activations.abs().max()
    return bool(((activations - activations[:, :1]).abs() <= rounding).all())


def _add_noise_scales(
    rows: list[Statistics],
    layers: list[Layer],
    network: nn.Module,
    loss: Loss,
    x: Tensor,
    y: Tensor,
) -> None:
    size = max(2, len(x) // CHUNKS)  # BatchNorm takes no single row
    parts = []
    for chunk, target in zip(x.split(size), y.split(size), strict=True):
        if len(chunk) == size:  # what is left over has another variance
            with parametrize.cached():
                value = loss(network(chunk), target, chunk)
                parts.append(_grads(value, [layer.module.weight for layer in layers]))  # type: ignore[misc]
    if len(parts) < 2:
        return
    for row, grads in zip(rows, zip(*parts, strict=True), strict=True):
        flat = [grad.flatten() for grad in grads if grad is not None]
        if flat:
            row.noise_scale = noise_scale(torch.stack(flat), size)


def _curvature(network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Statistics:
    trained = [p for p in network.parameters() if p.requires_grad]
    generator = seeds.generator(0, "sharpness")
    value, error = sharpness(loss(network(x), y, x), trained, generator)
    return Statistics(layer="", sharpness=value, sharpness_error=error)
