"""A line with noise: the smallest regression there is, and one whose answer is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from theta0.data.source import Arrays, Source


@dataclass(frozen=True)
class LinearRegression(Source):
    """y = x·w + b + σε with x ~ N(0, I) and ε ~ N(0, 1).

    Inputs are float32 `[N, len(w)]`, targets float32 `[N, 1]`.

    Args:
        weight: w, one number a feature.
        bias: b.
        noise: σ, the standard deviation of the noise and so the least root mean squared error.
        train_samples: rows for training and validation together.
        test_samples: rows of the test set.
        seed: draws all rows; another one is another data set.
    """

    weight: Sequence[float]
    bias: float
    noise: float
    train_samples: int
    test_samples: int
    seed: int

    def __post_init__(self) -> None:
        # whatever sequence of numbers it is, equal ones are equal
        object.__setattr__(self, "weight", tuple(float(w) for w in self.weight))

    def load(self) -> Arrays:
        rng = np.random.RandomState(self.seed)  # a stream that numpy promises never to change
        n = self.train_samples + self.test_samples
        x = rng.standard_normal((n, len(self.weight)))
        y = (x @ self.weight + self.bias + self.noise * rng.standard_normal(n))[:, None]
        x, y = x.astype(np.float32), y.astype(np.float32)
        split = self.train_samples
        return Arrays(x[:split], y[:split], x[split:], y[split:])
