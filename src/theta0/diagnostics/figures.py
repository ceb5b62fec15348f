"""Figures of a measurement, as PNG and PDF."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from theta0.diagnostics.coordinates import Coordinate
from theta0.diagnostics.statistics import Statistics


def draw_layers(rows: Sequence[Statistics], title: str, path: Path) -> list[Path]:
    """Activations, gradients and flat units against depth, in `path`.png and `path`.pdf."""
    layers = [row for row in rows if row.layer]
    figure, (forward, backward, shares) = _panels(3, title)

    def draw(axes: Axes, ylabel: str, **labels: str) -> None:
        for name, label in labels.items():
            values = [getattr(row, name) for row in layers]
            known = [(d, v) for d, v in enumerate(values, start=1) if v is not None]
            if known:
                axes.plot(*zip(*known, strict=True), marker="o", markersize=3, label=label)
            if axes is not shares and any(v > 0 for _, v in known):
                axes.set_yscale("log")
        axes.set(xlabel="weighted layer", ylabel=ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes.lines:
            axes.legend(fontsize="small")

    draw(
        forward,
        "standard deviation",
        activation_std="activations",
        preactivation_std="pre-activations",
    )
    draw(
        backward,
        "gradient's standard deviation",
        grad_std="pre-activations, sum over rows",
        weight_grad_std="weights, mean over rows",
    )
    draw(shares, "share", saturated="saturated entries", dead="dead units")
    shares.set_ylim(-0.03, 1.03)
    return _save(figure, path)


def draw_coordinates(coordinates: Sequence[Coordinate], title: str, path: Path) -> list[Path]:
    """Size of activations against width, at θ₀ and after the last step, as PNG and PDF."""
    ends = sorted({0, max(coordinate.step for coordinate in coordinates)})
    figure, panels = _panels(len(ends), title, share_y=True)
    for axes, step in zip(panels, ends, strict=True):
        shown = [coordinate for coordinate in coordinates if coordinate.step == step]
        for c in shown:
            label = f"{c.layer}: slope {c.slope:.2f}"
            axes.plot(c.widths, c.sizes, marker="o", markersize=3, label=label)
        axes.set(xscale="log", xlabel="width", title=f"after {step} steps" if step else "θ₀")
        axes.set_xticks(shown[0].widths, map(str, shown[0].widths))
        axes.xaxis.set_minor_locator(NullLocator())
        if any(size > 0 for c in shown for size in c.sizes):
            axes.set_yscale("log")
        axes.legend(fontsize="small")
    panels[0].set_ylabel("mean |activation|")
    return _save(figure, path)


def _panels(count: int, title: str, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(4.2 * count, 3.6), layout="constrained")
    FigureCanvasAgg(figure)  # no display, whatever the process's backend is
    figure.suptitle(title)
    return figure, list(figure.subplots(1, count, squeeze=False, sharey=share_y)[0])


def _save(figure: Figure, path: Path) -> list[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    paths = [path.with_name(f"{path.name}.{kind}") for kind in ("png", "pdf")]
    for target in paths:
        figure.savefig(target, dpi=150)
    return paths
