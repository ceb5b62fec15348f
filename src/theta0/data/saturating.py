"""A regression of which something is known beforehand: it rises with its first input."""

from dataclasses import dataclass

import numpy as np

from theta0.data.source import Arrays, Source


@dataclass(frozen=True)
class Saturating(Source):
    """y = tanh(2x₁) + sin(2x₂) + σε with x ~ N(0, I) and ε ~ N(0, 1).

    It rises with x₁ and levels off, and waves with x₂. Inputs are float32 `[N, 2]`, targets
    float32 `[N, 1]`.

    Args:
        noise: σ, the standard deviation of the noise and so the least root mean squared error.
        train_samples: rows for training and validation together.
        test_samples: rows of the test set.
        seed: draws all rows; another one is another data set.
    """

    noise: float
    train_samples: int
    test_samples: int
    seed: int

    def load(self) -> Arrays:
        rng = np.random.RandomState(self.seed)  # a stream that numpy promises never to change
        n = self.train_samples + self.test_samples
        x = rng.standard_normal((n, 2))
        signal = np.tanh(2 * x[:, 0]) + np.sin(2 * x[:, 1])
        y = (signal + self.noise * rng.standard_normal(n))[:, None]
        x, y = x.astype(np.float32), y.astype(np.float32)
        split = self.train_samples
        return Arrays(x[:split], y[:split], x[split:], y[split:])
