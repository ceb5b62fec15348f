"""What an initialisation did, one row a parameter."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """What happened to one parameter.

    Attributes:
        layer: name of the module that holds it, "" for the network itself.
        parameter: its name there: "weight", "bias", ...
        shape: its shape.
        fan_in, fan_out: of the layer; None where it has none.
        scheme: what filled it. "kept": nothing did, the constructor's values stand; "tied to NAME":
            it is the parameter NAME, which was filled there; "... through NAME": the parameter is
            part of a weight (or bias) under the parametrisation NAME, and that weight is what the
            scheme drew; "... changed by NAME": it is what NAME makes of the draw. Fans and gain
            are then the weight's, shape and drawn_std the parameter's.
        gain: the factor used; None for a scheme without one.
        asked_std: the standard deviation that the scheme's formula asks for.
        trained: whether it has a gradient.
        drawn_std: that of the values which came out (divided by n, about their own mean).
    """

    layer: str
    parameter: str
    shape: tuple[int, ...]
    scheme: str
    drawn_std: float
    fan_in: float | None = None
    fan_out: float | None = None
    gain: float | None = None
    asked_std: float | None = None
    trained: bool = True

    @property
    def name(self) -> str:
        """The parameter's full name, as in `network.named_parameters()`."""
        return f"{self.layer}.{self.parameter}" if self.layer else self.parameter


def drawn_std(values: Tensor) -> float:
    """Standard deviation of all entries (complex: √E|z − E z|²), 0 for a tensor that has none."""
    if not values.numel():
        return 0.0
    wide = torch.complex128 if values.is_complex() else torch.float64
    return values.detach().cpu().to(wide).std(correction=0).item()


def table(reports: Iterable[LayerReport]) -> str:
    """The reports as an aligned plain-text table, for a log."""

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.4g}"

    rows = [("layer", "shape", "fan in/out", "scheme", "gain", "asked std", "drawn std")]
    for r in reports:
        fan = "-" if r.fan_in is None else f"{r.fan_in:g}/{r.fan_out:g}"
        numbers = (number(r.gain), number(r.asked_std), number(r.drawn_std))
        rows.append((r.name, "x".join(map(str, r.shape)) or "scalar", fan, r.scheme, *numbers))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
