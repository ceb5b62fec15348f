"""How small a difference a paired t test finds, and how many pairs it needs.

From the noncentral t distribution, its upper tail alone: the lower one adds less than α/2, and is
NaN for large sizes in scipy, and so in statsmodels' TTestPower.
"""

import math

from scipy import stats
from scipy.optimize import brentq

POWER = 0.8


def power(size: float, pairs: int, alpha: float) -> float:
    """Probability that the test at level alpha (two-sided) finds a mean difference of so many
    standard deviations."""
    beyond = stats.t.isf(alpha / 2, pairs - 1)
    found = float(stats.nct.sf(beyond, pairs - 1, size * math.sqrt(pairs)))
    return 1.0 if math.isnan(found) else found


def detectable(pairs: int, alpha: float) -> float:
    """The size that is found with a power of 80 %, in standard deviations of the differences."""
    return float(brentq(lambda size: power(size, pairs, alpha) - POWER, 0.0, 1e4))


def needed(size: float, alpha: float, most: int) -> int | None:
    """The pairs that find a size with a power of 80 %; None where more than `most` are needed."""
    enough = (pairs for pairs in range(2, most + 1) if power(size, pairs, alpha) >= POWER)
    return next(enough, None)
