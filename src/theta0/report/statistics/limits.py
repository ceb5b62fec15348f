"""Between which values a metric can lie, so that no interval goes beyond them."""

import math
from collections.abc import Iterable

FRACTIONS = ("acc", "f1", "precision", "recall", "auroc", "specificity")
"""How the names of metrics between 0 and 1 begin."""

POSITIVE = ("loss", "error", "mse", "mae", "rmse")
"""How those begin that are usually not negative."""


def limits(metric: str, values: Iterable[float]) -> tuple[float, float]:
    """The least and the largest that the metric can be, ±∞ where nothing says so.

    By its name (`test/acc`, `val/loss_mse`), unless one of the values lies outside: an accuracy in
    percent, or a loss that may be negative.
    """
    name = metric.rpartition("/")[2]
    low, high = -math.inf, math.inf
    if name.startswith(FRACTIONS):
        low, high = 0.0, 1.0
    elif name.startswith(POSITIVE):
        low = 0.0
    known = [value for value in values if math.isfinite(value)]
    inside = all(low <= value <= high for value in known)
    return (low, high) if inside else (-math.inf, math.inf)


def of_differences(limits: tuple[float, float]) -> tuple[float, float]:
    """Those of the difference of two values."""
    low, high = limits
    reach = high - low
    return -reach, reach
