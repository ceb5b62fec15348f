"""A look at what an init reports, for what a reader must know before comparing inits."""

import math
from collections.abc import Sequence

from theta0.init.report import LayerReport

MOST_KEPT = 0.02
"""The share of the weights that may stay as constructed without a warning."""
LARGE_OUTPUT = 2.0
"""Times the size of a layer drawn for its own inputs, from which a tied weight is a warning."""
NAMED = 6
"""Parameters that a warning names."""


def warnings(reports: Sequence[LayerReport]) -> list[str]:
    """One sentence for each thing that an init's report shows to be unlike what was asked for."""
    return [*_kept(reports), *_tied(reports)]


def require_drawn(reports: Sequence[LayerReport]) -> None:
    """What `strict` asks for. Raises ValueError where the init left weights as constructed."""
    for line in _kept(reports):
        raise ValueError(f"init.strict=true: {line}")


def _kept(reports: Sequence[LayerReport]) -> list[str]:
    """Trained parameters that no rule of the scheme covers: RNNs, attention, bare parameters."""
    own = [r for r in reports if r.trained and not r.scheme.startswith("tied to ")]
    kept = [r for r in own if r.scheme == "kept"]
    weights, left = (sum(math.prod(r.shape) for r in rows) for rows in (own, kept))
    if left <= MOST_KEPT * weights:
        return []
    names = ", ".join(r.name for r in kept[:NAMED])
    more = f" and {len(kept) - NAMED} more" if len(kept) > NAMED else ""
    return [
        f"init leaves {100 * left / weights:.0f} % of the weights as their constructors drew them"
        f" ({names}{more}): a comparison of inits is one of the other weights"
    ]


def _tied(reports: Sequence[LayerReport]) -> list[str]:
    """A layer whose weight was drawn for an Embedding, where a sum has one term."""
    first = {r.name: r for r in reports}
    found = []
    for report in reports:
        source = first.get(report.scheme.removeprefix("tied to "))
        if source is None or source.fan_in != 1 or not report.fan_in:
            continue
        size = source.drawn_std * math.sqrt(report.fan_in)
        if report.fan_in > 1 and size > LARGE_OUTPUT:
            found.append(
                f"{report.name} is {source.name}, an Embedding drawn with std"
                f" {source.drawn_std:.2g}, so its outputs start {size:.1f} times as large as those"
                f" of a weight of its own (std 1/√{report.fan_in:g}): scale them in the model, or"
                " take an init whose std is given (init=normal init.std=0.02)"
            )
    return found
