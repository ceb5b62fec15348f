"""The space of a search: Hydra's overrides of several values, as parameters of Optuna's trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override, Transformer
from omegaconf import DictConfig, OmegaConf

from theta0.config import check
from theta0.errors import ConfigError
from theta0.identity import choices_of
from theta0.search.options import Options
from theta0.search.repeats import repeats
from theta0.sweep.compose import Composer

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution

OWN = "search_space"
"""As the value of optimizer.lr: log-uniform in the range that each optimizer's own file gives."""


@dataclass(frozen=True)
class Axis:
    """One key and where its values lie.

    Attributes:
        key: of the override.
        ranges: the override, of several values, for each optimizer; under "" if it is one for all.
    """

    key: str
    ranges: Mapping[str, Override]

    @property
    def values(self) -> list[str]:
        """What may stand behind `key=`: the listed values, or the ends of ranges and intervals."""
        return list(dict.fromkeys(w for override in self.ranges.values() for w in ends(override)))

    @property
    def listed(self) -> list[Any]:
        """Each value, of an axis that has no interval, as Optuna has it."""
        (override,) = self.ranges.values()
        if override.is_range_sweep():
            return sorted(override.sweep_iterator())  # type: ignore[type-var]
        return ends(override)

    def names(self) -> dict[str, Override]:
        """Optuna's parameters: one, or one for each optimizer with a range of its own."""
        return {self.name(option): override for option, override in self.ranges.items()}

    def name(self, option: str) -> str:
        key = self.key.lstrip("+")
        return f"{key}[{option}]" if option else key

    def option(self, chosen: Mapping[str, Any]) -> str:
        """Whose range holds, of what has been chosen before."""
        return "" if "" in self.ranges else chosen["optimizer"]


@dataclass(frozen=True)
class Space:
    """What a search varies.

    Attributes:
        fixed: the overrides that are the same in every trial.
        repeats: the overrides of each swept seed, one a value: every trial is done on all of them.
        axes: the others; where one depends on the optimizer, that comes first.
        defaults: for each optimizer, the parameters of a run without tuning; an optimizer is left
            out where the space does not hold them. Under "" for the only one.
    """

    fixed: Sequence[str]
    axes: Sequence[Axis]
    defaults: Mapping[str, Mapping[str, Any]]
    repeats: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def words(self) -> dict[str, list[str]]:
        """The overrides of each key, one a value: axes as of a grid."""
        fixed = {word.partition("=")[0]: [word] for word in self.fixed}
        axes = {axis.key: [f"{axis.key}={v}" for v in axis.values] for axis in self.axes}
        return fixed | axes | {key: list(words) for key, words in self.repeats.items()}

    def described(self) -> dict[str, str]:
        """The space as text, by parameter: equal where Optuna's distributions are."""
        return {
            name: str(distribution(override))
            for axis in self.axes
            for name, override in axis.names().items()
        }

    def suggest(self, trial: Trial) -> list[str]:
        """The trial's overrides; Optuna draws what the trial does not hold already.

        Raises ValueError where it holds what is not in the space.
        """
        chosen: dict[str, Any] = {}
        for axis in self.axes:
            option = axis.option(chosen)
            chosen[axis.key] = _suggest(trial, axis.name(option), distribution(axis.ranges[option]))
        return [*self.fixed, *(f"{key}={value}" for key, value in chosen.items())]

    def at(self, point: Sequence[float], given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters at a point of the unit cube, [0, 1) for each axis.

        Args:
            point: a coordinate an axis.
            given: the values of axes whose coordinates do not count.
        """
        chosen = dict(given)
        parameters = {}
        for axis, coordinate in zip(self.axes, point, strict=True):
            option = axis.option(chosen)
            chosen.setdefault(axis.key, _at(distribution(axis.ranges[option]), coordinate))
            parameters[axis.name(option)] = chosen[axis.key]
        return parameters


def read_space(compose: Composer, arguments: Sequence[str], options: Options) -> Space:
    """The space that the overrides of a sweep span.

    Args:
        compose: from the overrides of a job to its configuration.
        arguments: the command line's overrides; of a key's several the last counts.
        options: of the sweeper, whose `params` come before.

    Raises:
        ConfigError: there is nothing to search, no value in it, or nothing that the sampler can do;
            or the configuration is wrong.
    """
    parser = compose.parser
    params = [f"{key}={value}" for key, value in (options.params or {}).items()]
    said = {o.get_key_element(): o for o in parser.parse_overrides([*params, *arguments])}
    swept = {key: o for key, o in said.items() if o.is_sweep_override() or o.value() == OWN}
    fixed = {key: str(o.input_line) for key, o in said.items() if key not in swept}
    seeds = repeats(swept)
    swept = {key: o for key, o in swept.items() if key not in seeds}
    if not swept:
        raise ConfigError(
            "hydra/sweeper=optuna: nothing to search: give a key several values, such as"
            " 'optimizer.lr=tag(log,interval(1e-4,1e-1))'"
        )
    options.check_axes(swept, fixed)
    first = [f"{key}={ends(o)[0]}" for key, o in swept.items() if o.is_sweep_override()]
    first += [words[0] for words in seeds.values()]
    check(compose([*fixed.values(), *first]))  # at once: what follows composes every optimizer
    optimizers = ends(swept["optimizer"]) if "optimizer" in swept else [""]
    untuned = {
        option: compose([*fixed.values(), *([f"optimizer={option}"] if option else [])])
        for option in optimizers
    }
    axes = []
    for key, override in sorted(swept.items(), key=lambda item: item[1].value() == OWN):
        if override.value() == OWN:
            own = {option: _own_range(key, option, c) for option, c in untuned.items()}
            ranges = {option: parser.parse_override(text) for option, text in own.items()}
        else:
            ranges = {"": override}
        axes.append(Axis(key, ranges))
    defaults = {option: _defaults(axes, option, c) for option, c in untuned.items()}
    defaults = {option: found for option, found in defaults.items() if found}
    return Space(list(fixed.values()), axes, defaults, seeds)


def ends(override: Override) -> list[str]:
    """What of an override's values is looked at before the search: all that are listed, the first
    and the last of a range, both ends of an interval.

    Raises ConfigError where there is no value, or no logarithm of one.
    """
    value: Any = override.value()
    tags: set[str] = getattr(value, "tags", set())
    if override.is_choice_sweep():
        found = sorted(set(override.sweep_string_iterator()))
    elif override.is_range_sweep():
        numbers = sorted(override.sweep_iterator())  # type: ignore[type-var]
        found = [str(numbers[0]), str(numbers[-1])] if numbers else []
    else:
        found = [str(value.start), str(value.end)] if value.start <= value.end else []
    text = override.input_line
    if not found:
        raise ConfigError(f"{text}: holds no value")
    if unknown := sorted(tags - {"log"}):
        raise ConfigError(f"{text}: tag {unknown[0]}: log is the only one")
    if tags and not override.is_interval_sweep():
        raise ConfigError(f"{text}: only an interval is searched on a logarithmic scale")
    if tags and value.start <= 0:
        raise ConfigError(f"{text}: on a logarithmic scale values are greater than 0")
    return found


def distribution(override: Override) -> BaseDistribution:
    """Optuna's distribution of an override of several values; listed ones are a set of texts."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    value: Any = override.value()
    if override.is_choice_sweep():
        return CategoricalDistribution(ends(override))
    if override.is_range_sweep():
        numbers: list[Any] = sorted(override.sweep_iterator())  # type: ignore[type-var]
        low, high, step = numbers[0], numbers[-1], abs(value.step)
        if all(isinstance(number, int) for number in (low, high, step)):
            return IntDistribution(low, high, step=step)
        return FloatDistribution(low, high, step=step)
    log = "log" in value.tags
    if isinstance(value.start, int) and isinstance(value.end, int):
        return IntDistribution(value.start, value.end, log=log)
    return FloatDistribution(value.start, value.end, log=log)


def _own_range(key: str, optimizer: str, config: DictConfig) -> str:
    group, _, name = key.lstrip("+").partition(".")
    found = OmegaConf.select(config, f"{OWN}.{name}") if group == "optimizer" else None
    if found is None:
        whose = f"optimizer={optimizer}" if optimizer else "the chosen optimizer"
        raise ConfigError(f"{key}={OWN}: {whose} has no search_space: {{{name}: [low, high]}}")
    low, high = found
    return f"{key}=tag(log,interval({low},{high}))"


def _defaults(axes: Sequence[Axis], optimizer: str, config: DictConfig) -> dict[str, Any]:
    """The parameters of a run of which nothing is tuned; {} where one is not in the space."""
    options = choices_of(config.hydra)
    found = {}
    for axis in axes:
        key = axis.key.lstrip("+")
        value = options.get(key, OmegaConf.select(config, key))
        option = axis.option({"optimizer": optimizer})
        inside = _inside(axis.ranges[option], value)
        if inside is None:
            return {}
        found[axis.name(option)] = inside
    return found


def _inside(override: Override, value: Any) -> Any:
    """The value as Optuna has it, where an override lists it or holds it; else None."""
    words = ends(override)
    if override.is_choice_sweep():
        return next((word for word in words if _same(word, value)), None)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if override.is_range_sweep():
        return value if value in list(override.sweep_iterator()) else None
    low, high = map(float, words)
    return value if low <= value <= high else None


def _same(word: str, value: Any) -> bool:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(word) == value
        except ValueError:
            return False
    plain: Any = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return word == Transformer.str(plain)


def _suggest(trial: Trial, name: str, domain: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    suggest: Any
    if isinstance(domain, CategoricalDistribution):
        value = trial.suggest_categorical(name, domain.choices)
        inside = value in domain.choices
    else:
        whole = isinstance(domain, IntDistribution)
        suggest = trial.suggest_int if whole else trial.suggest_float
        value = suggest(name, domain.low, domain.high, step=domain.step, log=domain.log)
        inside = isinstance(value, int if whole else (int, float))
        inside = inside and domain.low <= value <= domain.high
    if not inside:  # Optuna takes what is written in its database as it is
        raise ValueError(f"{name}={value!r} is not in the space of the search")
    return value


def _at(domain: Any, coordinate: float) -> Any:
    """The value of a distribution at a coordinate in [0, 1)."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(domain, CategoricalDistribution):
        return domain.choices[int(coordinate * len(domain.choices))]
    if domain.log and isinstance(domain, IntDistribution):
        return int(domain.low * ((domain.high + 1) / domain.low) ** coordinate)
    if domain.log:
        return domain.low * (domain.high / domain.low) ** coordinate
    if domain.step is None:
        return domain.low + coordinate * (domain.high - domain.low)
    count = round((domain.high - domain.low) / domain.step) + 1
    return domain.low + int(coordinate * count) * domain.step
