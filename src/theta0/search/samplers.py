"""Where a search looks next: what is planned beforehand, and Optuna's samplers by name."""

import math
import random
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna

from theta0.errors import first_line
from theta0.search.cmaes import ReplayedCmaEs
from theta0.search.options import Options
from theta0.search.space import Space


class Planner:
    """How the trial at each place of a search is chosen, the first being at 0.

    The defaults, equal shares, quasi-random points and a grid's cells are known beforehand; the
    rest is drawn by a sampler that is made anew for each trial, seeded by the search's seed and the
    place. So a trial depends on these and on the trials told before it, and not on how often the
    search was interrupted.

    Args:
        space, options: of the search, which fit each other (Options.check_space).

    Raises:
        ConfigError: the sampler does not take the settings.
    """

    def __init__(self, space: Space, options: Options) -> None:
        self.space, self.options = space, options
        self.total = options.n_trials
        self.defaults: list[Mapping[str, Any]] = []
        self.shares: list[str] = []
        self.cells: list[int] = []
        if options.sampler == "grid":
            self.cells = list(range(math.prod(len(axis.listed) for axis in space.axes)))
            random.Random(options.seed).shuffle(self.cells)
            self.total = min(self.total, len(self.cells))
        else:
            self.defaults = list(space.defaults.values()) if options.defaults_first else []
            self.shares = next((a.values for a in space.axes if a.key == options.balance), [])
        self.sampler(0)

    def plan(self, place: int) -> dict[str, Any]:
        """The parameters that are fixed beforehand; the sampler draws the others."""
        if place < len(self.defaults):
            return dict(self.defaults[place])
        place -= len(self.defaults)
        axes = self.space.axes
        if self.cells:
            where = np.unravel_index(self.cells[place], [len(axis.listed) for axis in axes])
            cell = {axis.key: axis.listed[i] for axis, i in zip(axes, where, strict=True)}
            return self.space.at([0.0] * len(axes), cell)
        given: dict[str, Any] = {}
        if self.shares:
            given = {str(self.options.balance): self.shares[place % len(self.shares)]}
            place //= len(self.shares)
        if self.options.sampler == "qmc":
            return self.space.at(self._point(place), given)
        return given

    def _point(self, place: int) -> list[float]:
        """Of the Sobol sequence, scrambled: each that has a share gets the same points."""
        from scipy.stats.qmc import Sobol

        sobol = Sobol(len(self.space.axes), rng=self.options.seed)
        if place > 0:
            sobol.fast_forward(place)
        return [float(coordinate) for coordinate in sobol.random(1)[0]]

    def sampler(self, place: int) -> optuna.samplers.BaseSampler:
        """Optuna's sampler for the trial at a place."""
        seed = int(np.random.SeedSequence([self.options.seed, place]).generate_state(1)[0])
        settings: dict[str, Any] = (self.options.settings or {}) | {"seed": seed}
        samplers = optuna.samplers
        try:
            with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning):
                warnings.simplefilter("ignore")
                match self.options.sampler:
                    case "tpe":  # jointly over all parameters that stand in the same trials
                        tree = {"multivariate": True, "group": True}
                        return samplers.TPESampler(**tree | settings)
                    case "cmaes":
                        return ReplayedCmaEs(**settings)
                    case "nsga2":
                        return samplers.NSGAIISampler(**settings)
                    case _:
                        return samplers.RandomSampler(**settings)
        except (TypeError, ValueError) as error:
            raise self.options.wrong("settings", first_line(error)) from error
