"""A swept seed is a repeat: a trial is done on each of them, and its value is their mean.

Whoever races repeats against each other decides here, between a trial's parameters and its runs.
"""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence

from hydra.core.override_parser.types import Override

from theta0.errors import ConfigError
from theta0.results import FINISHED, Result, Status
from theta0.sweep.table import is_seed


def repeats(swept: Mapping[str, Override]) -> dict[str, list[str]]:
    """The overrides of each key that is a seed, one a value, in the order given.

    Raises ConfigError for a seed that is no list: a search chooses none.
    """
    found = {}
    for key, override in swept.items():
        if not is_seed(key.lstrip("+")):
            continue
        if not override.is_sweep_override() or not override.is_discrete_sweep():
            raise ConfigError(
                f"{override.input_line}: a search chooses no seed; list those on which each trial"
                f" is repeated: '{key}=range(3)'"
            )
        words = [f"{key}={value}" for value in dict.fromkeys(override.sweep_string_iterator())]
        if not words:
            raise ConfigError(f"{override.input_line}: holds no value")
        found[key] = words
    return found


def product(words: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The overrides of each repeat; of no seeds the one without."""
    return [list(combination) for combination in itertools.product(*words.values())]


def status(results: Sequence[Result | None]) -> Status | None:
    """How a trial of these runs ended: None where one has no result; `failed` where one failed;
    else that of a run that has not finished, if any, or is pruned; else `done`."""
    if any(result is None for result in results):
        return None
    ends = [result.status for result in results if result]
    for end in ("failed", *(end for end in ends if end not in FINISHED), "pruned"):
        if end in ends:
            return end  # type: ignore[return-value]
    return "done"


def mean(values: Sequence[Sequence[float]]) -> list[float]:
    """Of each metric over the repeats [repeats, metrics]; a run that is infinitely bad makes the
    trial so."""
    return [
        statistics.fmean(column) if all(map(math.isfinite, column)) else _infinite(column)
        for column in zip(*values, strict=True)
    ]


def _infinite(column: Sequence[float]) -> float:
    return next(value for value in column if not math.isfinite(value))
