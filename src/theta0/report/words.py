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

    def mean(self, row: Mapping[str, Any]) -> str:
        """Of an arm: `95.4 % (95 % CI 95.0–95.8, uncorrected, n = 5 seeds)`; of two seeds their
        values, `31.5 % (31.0 and 32.1 on 2 seeds)`."""
        n, value = row["n"], row["mean"]
        if n == 2:
            half = row["std"] / math.sqrt(2)
            digits = self.places([self.scale * half])
            ends = (fixed(self.scale * end, digits) for end in (value - half, value + half))
            return (
                f"{fixed(self.scale * value, digits)}{self.sign} ({' and '.join(ends)} on 2 seeds)"
            )
        low, high = row["mean_low"], row["mean_high"]
        digits = self.places([self.scale * (high - low) / 2])
        interval = "" if math.isnan(low) else f"{self.interval(low, high, digits)}, uncorrected, "
        return f"{fixed(self.scale * value, digits)}{self.sign} ({interval}{seeds(n)})"

    def interval(self, low: float, high: float, digits: int) -> str:
        """`95 % CI 95.0–95.8`, `95 % CI −0.2 to 0.4`"""
        ends = [fixed(self.scale * end, digits) for end in (low, high)]
        return "95 % CI " + (" to " if "−" in "".join(ends) else "–").join(ends)

    def places(self, halves: Iterable[float]) -> int:
        """Decimals that suit the median of some half-intervals, scaled: one significant digit of
        it, or two where it begins with 1 or 2."""
        known = sorted(half for half in halves if half > ROUNDING and math.isfinite(half))
        if not known:
            return self.digits
        half = known[len(known) // 2]
        exponent = math.floor(math.log10(half))
        return max(self.least, (half < 3 * 10**exponent) - exponent)


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


def corrected(p: float) -> str:
    """`corrected p = 0.012`"""
    text = probability(p)
    return f"corrected p {text}" if text.startswith("<") else f"corrected p = {text}"


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
