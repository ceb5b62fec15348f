"""A run's trial in the database of its search: told the objective by epoch, it says when to end."""

import warnings
from pathlib import Path

import optuna
from optuna.trial import Trial, TrialState

from theta0.search.database import FILE, HASH, UNTUNED, storage

PRUNED = "pruned"
"""Optuna's user attribute of a trial that was told to end: the epoch."""


class Judge:
    """Finds the trial of a run by its config_hash.

    Args:
        study: folder of the search.
        config_hash: of the run.
        pruner: of Optuna's.

    Raises:
        ValueError: there is no such trial under way.
    """

    def __init__(self, study: Path, config_hash: str, pruner: optuna.pruners.BasePruner) -> None:
        if not (study / FILE).exists():
            raise ValueError(f"pruning: there is no search in {study}")
        opened = optuna.load_study(study_name=None, storage=storage(study), pruner=pruner)
        running = opened.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        ours = [trial for trial in running if trial.user_attrs.get(HASH) == config_hash]
        if not ours:
            raise ValueError(f"pruning: the search in {study} has no trial of this run under way")
        self.trial = Trial(opened, ours[0]._trial_id)

    @property
    def pruned(self) -> bool:
        """Whether the run was told to end, perhaps before it was interrupted."""
        return PRUNED in self.trial.user_attrs

    def report(self, epoch: int, value: float) -> bool:
        """Whether to end with so many epochs; one that was reported before is not again.

        The default of an optimizer, to which its tuning is compared, never is.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*is already reported")
            self.trial.report(value, epoch)
        if self.trial.should_prune() and UNTUNED not in self.trial.user_attrs:
            self.trial.set_user_attr(PRUNED, epoch)
        return self.pruned
