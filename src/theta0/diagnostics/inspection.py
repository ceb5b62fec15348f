"""What is printed and drawn of an initialisation: its layers, or its activations against width."""

import math
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.optim import Optimizer

from theta0 import environment, seeds
from theta0.build import build
from theta0.diagnostics.coordinates import Coordinate, coordinate_check
from theta0.diagnostics.figures import draw_coordinates, draw_layers
from theta0.diagnostics.findings import find, sentences
from theta0.diagnostics.he import he_activation_stds
from theta0.diagnostics.probe import probe, training_loss
from theta0.diagnostics.statistics import Loss, Statistics, measure
from theta0.init import table, warnings
from theta0.module import Module
from theta0.optim import build_optimizer
from theta0.run import quiet

TABLES = {
    "Activations": ("activation_mean", "activation_std", "preactivation_std", "saturated", "dead"),
    "Weights and gradients": ("weight_std", "weight_grad_std", "grad_std", "noise_scale"),
    "Singular values of the layer's Jacobian": ("jacobian_mean", "jacobian_min", "jacobian_max"),
}
FLAT_SLOPE = 0.1
"""A size that changes by less than 7 % a doubling of the width counts as flat."""


def inspect_layers(config: dict[str, Any]) -> list[Statistics]:
    """The θ₀ of a run of `config`: the init's report, a measurement, and what is wrong with it.

    Args:
        config: resolved; see configs/inspect_init.yaml for the keys that are not a run's.
    """
    environment.apply(config["threads"])
    data = _data(config)
    module, report = _start(config, data)
    x, y = probe(data, config["samples"], like=next(module.network.parameters()))
    seeds.seed_global(config["seeds"]["noise"], "noise", 0)
    rows = measure(module.network, training_loss(module), x, y, config["price"])

    console = Console()
    console.print(table(report), markup=False, highlight=False, soft_wrap=True)
    for warning in warnings(report):
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    for title, names in TABLES.items():
        if any(name in row.known for row in rows for name in names):
            console.print(_table(rows, title, names))
    for row in rows:
        if row.sharpness:
            console.print(
                f"sharpness {row.sharpness:.3g}: gradient descent is stable up to a learning rate "
                f"of {2 / row.sharpness:.2g}",
                soft_wrap=True,
            )
    for sentence in sentences(find(rows), lambda: he_activation_stds(module.network, x)):
        console.print(sentence, markup=False, soft_wrap=True)
    _tell(console, draw_layers(rows, config["name"], Path(config["folder"]) / "layers"))
    return rows


def inspect_coordinates(config: dict[str, Any]) -> list[Coordinate]:
    """μP's coordinate check of the init, with the optimizer at its own rate; no schedule."""
    environment.apply(config["threads"])
    data = _data(config)
    steps = islice(cycle(data.train_dataloader()), config["steps"])
    batches = [(batch[0], batch[1]) for batch in steps]
    x, _ = probe(data, config["samples"], like=batches[0][0])

    def at_width(width: int) -> tuple[nn.Module, Loss, Optimizer]:
        module, _ = _start(config | {"model": scaled(config["model"], width)}, data)
        seeds.seed_global(config["seeds"]["noise"], "noise", 0)
        return module.network, training_loss(module), _optimizer(config, module)

    found = coordinate_check(at_width, config["widths"], batches, x)

    console = Console()
    console.print(_slopes(found))
    console.print(_verdict(found), soft_wrap=True)
    path = Path(config["folder"]) / "coordinates"
    _tell(console, draw_coordinates(found, config["name"], path))
    return found


def scaled(model: dict[str, Any], width: int) -> dict[str, Any]:
    """A model's node at another width; of several widths the first, the others in proportion."""
    if "width" in model:
        return model | {"width": width}
    first = model["widths"][0]
    return model | {"widths": [max(1, round(w * width / first)) for w in model["widths"]]}


def _data(config: dict[str, Any]) -> Any:
    data = build(config["data"])
    data.prepare_data()
    data.setup("fit")
    return data


def _start(config: dict[str, Any], data: Any) -> tuple[Module, list[Any]]:
    """The module at θ₀, as a run of this configuration has it, and the init's report."""
    seeds.seed_global(config["seeds"]["init"], "constructor")
    with quiet():
        module = Module.from_config(config)
    return module, module.initialise(config["seeds"]["init"], data)


def _optimizer(config: dict[str, Any], module: Module) -> Optimizer:
    settings = dict(config["optimizer"])
    factory = get_object(settings.pop("_target_"))
    lr_scales = getattr(module.init, "lr_scales", None)
    scales = lr_scales(module.network, factory) if lr_scales else None
    optimizer = build_optimizer(factory, module.network, lr_scales=scales, **settings)
    if hasattr(optimizer, "train"):  # schedule-free ones step at one point and evaluate at another
        optimizer.train()
    return optimizer


def _table(rows: Sequence[Statistics], title: str, names: Sequence[str]) -> Table:
    drawn = Table(title=title, title_justify="left")
    drawn.add_column("layer", overflow="fold")
    measured = [name for name in names if any(name in row.known for row in rows)]
    for name in measured:
        drawn.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        if row.layer:
            drawn.add_row(row.layer, *(_number(getattr(row, name)) for name in measured))
    return drawn


def _slopes(coordinates: Sequence[Coordinate]) -> Table:
    end = max(coordinate.step for coordinate in coordinates)
    drawn = Table(title="Slope of log mean |activation| against log width", title_justify="left")
    drawn.add_column("layer", overflow="fold")
    for step in range(end + 1):
        drawn.add_column(f"step {step}", justify="right")
    for layer in dict.fromkeys(coordinate.layer for coordinate in coordinates):
        slopes = [c.slope for c in coordinates if c.layer == layer]
        drawn.add_row(layer, *(f"{slope:.3f}" for slope in slopes))
    return drawn


def _verdict(coordinates: Sequence[Coordinate]) -> str:
    end = max(coordinate.step for coordinate in coordinates)
    slopes = {c.layer: c.slope for c in coordinates if c.step == end}
    keep = "keep" if all(abs(slope) < FLAT_SLOPE for slope in slopes.values()) else "do not keep"
    steepest = max(slopes, key=lambda layer: (math.isnan(slopes[layer]), abs(slopes[layer])))
    return (
        f"after {end} steps activations {keep} their size as the width grows: "
        f"the steepest slope is {slopes[steepest]:.3f}, at {steepest}"
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _tell(console: Console, paths: Sequence[Path]) -> None:
    console.print(f"drawn in {' and '.join(map(str, paths))}", markup=False, soft_wrap=True)
