"""Every value of every axis of a sweep, checked before the first job starts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from theta0.config import check


def check_axes(
    compose: Callable[[Iterable[str]], DictConfig], axes: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """The first job's configuration as plain containers, once every axis has been found sound.

    Each value is looked at beside the first of each other axis: the axes' sum, not their product.

    Args:
        compose: from the overrides of a job to its configuration.
        axes: the overrides of each key, one a value: {"optimizer": ["optimizer=adam", ...], ...}.

    Raises:
        ConfigError: a value is wrong.
        HydraException: there is no such key or option.
    """
    first = {key: values[0] for key, values in axes.items()}
    plain = check(compose(first.values()))
    for key, values in axes.items():
        for value in values[1:]:
            check(compose((first | {key: value}).values()))
    return plain
