"""CMA-ES whose state follows from the finished trials, so that nothing is ever unpickled."""

from typing import Any

import numpy as np
from optuna.samplers import CmaEsSampler
from optuna.trial import FrozenTrial


class ReplayedCmaEs(CmaEsSampler):
    """Optuna's sampler without its pickles: a file from elsewhere could hold any object.

    Optuna keeps the pickled state with the trial that made it. The state of generation g follows
    from the points and values of the generations before, which the trials hold as numbers: here it
    is computed from them, each time, to the same bits.
    """

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> None:
        self._finished = completed_trials

    def _init_optimizer(self, trans: Any, direction: Any) -> Any:
        """The first state, and from it the one that the last finished generation left."""
        draws = self._cma_rng.rng.get_state()
        optimizer = super()._init_optimizer(trans, direction)
        notes = [trial.system_attrs.get(self._attr_key_generation) for trial in self._finished]
        last = max((note for note in notes if isinstance(note, int)), default=0)
        while optimizer.generation < last:
            told = self._get_solution_trials(self._finished, optimizer.generation)
            if len(told) < optimizer.population_size:
                break
            sign = 1 if direction.name == "MINIMIZE" else -1
            optimizer.tell(
                [
                    (self._point(trial, trans), sign * float(trial.values[0]))
                    for trial in told[: optimizer.population_size]
                ]
            )
        if optimizer.generation:  # as if it had not been made anew, whose seed is a draw
            self._cma_rng.rng.set_state(draws)
        return optimizer

    def _point(self, trial: FrozenTrial, trans: Any) -> np.ndarray:
        if self._with_margin:
            return np.array(trial.system_attrs["x_for_tell"], dtype=float)
        point: np.ndarray = trans.transform(trial.params)
        return point

    def _split_optimizer_str(self, optimizer_str: str) -> dict[str, str]:
        """Nothing of the state is kept."""
        return {}
