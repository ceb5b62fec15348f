"""Numbers and names as the report tells them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from theta0.sweep.plain import plain

ROUNDING = 1e-12
"""An interval no wider is one of equal values."""


@dataclass(frozen=True)
class Unit:
    """How a metric is told: an accuracy in percent, its differences in points, all else as it is.

    Attributes:
        scale: what a value is multiplied by.
        sign: what stands behind a value.
        points: what stands behind a difference.
        digits: decimals where no interval says how many.
        least: decimals at least.
    """

    scale: float = 1.0
    sign: str = ""
    points: str = ""
    digits: int = 4
    least: int = 0

    @classmethod
    def of(cls, metric: str) -> "Unit":
        fraction = metric.rpartition("/")[2].startswith("acc")
        return cls(100.0, " %", " points", digits=1, least=1) if fraction else cls()

    def value(self, value: float, low: float, high: float) -> str:
        """`95.4 % [95.0, 95.8]`"""
        return self._with_interval(value, low, high, self.sign)

    def difference(self, value: float, low: float, high: float) -> str:
        """`1.2 points [0.8, 1.7]`"""
        return self._with_interval(value, low, high, self.points)

    def places(self, halves: Iterable[float]) -> int:
        """Decimals that suit the median of some half-intervals, scaled: one significant digit of
        it, or two where it begins with 1 or 2."""
        known = sorted(half for half in halves if half > ROUNDING and math.isfinite(half))
        if not known:
            return self.digits
        half = known[len(known) // 2]
        exponent = math.floor(math.log10(half))
        return max(self.least, (half < 3 * 10**exponent) - exponent)

    def _with_interval(self, value: float, low: float, high: float, behind: str) -> str:
        value, low, high = (self.scale * number for number in (value, low, high))
        digits = self.places([(high - low) / 2])
        told = f"{fixed(value, digits)}{behind}"
        if math.isnan(low):
            return told
        return f"{told} [{fixed(low, digits)}, {fixed(high, digits)}]"


def fixed(value: float, digits: int) -> str:
    """With so many decimals, a true minus sign, – for NaN."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{digits}f}"
    return ("−" + text[1:] if float(text) else text[1:]) if text.startswith("-") else text


def short(value: float) -> str:
    """Three significant digits."""
    return "–" if math.isnan(value) else "∞" if math.isinf(value) else f"{value:.3g}"


def probability(p: float) -> str:
    """A p-value."""
    return "–" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def name(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """`adam + he`, `adam + he (data=mnist, optimizer.lr=0.1)`, `data=mnist`."""
    first = " + ".join(str(row[column]) for column in ("optimizer", "init") if column in columns)
    others = ", ".join(f"{c}={plain(row[c])}" for c in columns if c not in ("optimizer", "init"))
    return f"{first} ({others})" if first and others else first or others


def listed(words: Sequence[str], most: int = 5) -> str:
    """`a, b and c`, `a, b and 3 more`."""
    if len(words) > most:
        words = [*words[:most], f"{len(words) - most} more"]
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def seeds(n: int) -> str:
    return f"n = {n} seed" if n == 1 else f"n = {n} seeds"
