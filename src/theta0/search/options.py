"""What stands under hydra.sweeper, and whether it fits what is searched; imports no Optuna."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Override

from theta0.config import measured, unmeasured
from theta0.errors import ConfigError, choices, shown
from theta0.results import Cost


def refuse(plain: dict[str, Any]) -> None:
    """Raises ConfigError for what a search cannot do: begin runs anew, or be several at once."""
    if plain["rerun"] not in (None, "failed"):
        raise ConfigError(
            f"rerun={plain['rerun']}: a search keeps what it has been told; rerun=failed does once"
            " more what failed, another study=... everything"
        )
    tasks = os.environ.get("WORLD_SIZE", os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if int(tasks) > 1:
        raise ConfigError(
            f"hydra/sweeper=optuna: each of {tasks} processes would search for itself: start one;"
            " trainer=ddp gives a run several"
        )


@dataclass(frozen=True)
class Options:
    """See configs/hydra/sweeper/optuna.yaml, which says what each is; theta0.config checks them."""

    sampler: str
    n_trials: int
    batch_size: int
    seed: int
    defaults_first: bool
    balance: str | None
    objectives: dict[str, str] | None
    settings: dict[str, Any] | None
    params: dict[str, Any] | None

    def aims(self, plain: dict[str, Any]) -> dict[str, str]:
        """Min or max for each metric that is searched by.

        Args:
            plain: the resolved configuration of a run.

        Raises:
            ConfigError: nothing measures one on validation, or there are too many.
        """
        if self.objectives is None:
            return {plain["objective"]["metric"]: plain["objective"]["mode"]}
        costs = [f"cost.{key}" for key in Cost.model_fields]
        for metric in self.objectives:
            if metric.partition(".")[0] not in (*measured(plain), "cost"):
                names = [*measured(plain), *costs]
                raise self.wrong("objectives", f"{metric}: {choices(metric, names)}")
            if metric not in costs and (problem := unmeasured(metric, plain)):
                raise self.wrong("objectives", f"{metric}: {problem}")
        if len(self.objectives) > 1 and self.sampler == "cmaes":
            raise self.wrong("sampler", "has one objective; nsga2 and tpe take several")
        if plain["pruning"] is not None:
            raise self.wrong("objectives", "pruning goes by the run's own objective alone")
        return self.objectives

    def check_repeats(self, plain: dict[str, Any], seeds: Mapping[str, Sequence[str]]) -> None:
        """Raises ConfigError for trials of several runs that are to be pruned: one that ends early
        has no value for the mean."""
        if seeds and plain["pruning"] is not None:
            words = " ".join(word for some in seeds.values() for word in some)
            raise ConfigError(
                f"pruning: ends single runs, and a trial is the mean over {words}:"
                " pruning=none, or one seed"
            )

    def check_axes(self, swept: Mapping[str, Override], fixed: Collection[str]) -> None:
        """Raises ConfigError where the sampler, or `balance`, cannot do with what is searched.

        Args:
            swept: the override of each key that is searched.
            fixed: the keys of the others.
        """
        intervals = [k for k, override in swept.items() if not override.is_discrete_sweep()]
        listed = [k for k, override in swept.items() if override.is_choice_sweep()]
        if self.sampler == "grid" and intervals:
            raise self.wrong("sampler", f"{intervals[0]} is an interval, which has no cells")
        if self.sampler == "cmaes" and listed:
            raise self.wrong("sampler", f"searches numbers alone, and {listed[0]} is a choice")
        if self.sampler == "cmaes" and len(swept) < 2:
            raise self.wrong("sampler", "searches two numbers or more")
        if self.balance is not None and self.balance not in (*listed, *fixed):
            raise self.wrong("balance", choices(self.balance, listed))

    def wrong(self, key: str, why: str) -> ConfigError:
        return ConfigError(f"hydra.sweeper.{key}={shown(getattr(self, key))}: {why}")
