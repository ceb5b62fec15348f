"""Every cell of a sweep, checked before the first job starts."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.errors import ConfigCompositionException

from theta0.config import RULES, check
from theta0.errors import ConfigError
from theta0.sweep.compose import Composer

MOST = 2000
"""Cells that are composed before the start; of a larger product all pairs of values are."""

TOGETHER = (
    *(key for rule in RULES for key in rule.reads),
    "objective", "precision", "scheduler", "pruning", "threads", "rendezvous", "logger", "study",
)  # fmt: skip
"""Keys that are checked together with others. The value of another key is judged by its component
alone."""

WITHOUT_COMPONENT = ("seed", "seeds", "tags", "checkpoint", "compile", "progress")
"""Keys whose values are judged by themselves."""

Axes = Mapping[str, Sequence[str]]


def check_axes(compose: Composer, axes: Axes) -> dict[str, Any]:
    """The first job's configuration as plain containers, once no cell of the product is wrong.

    The axes that decide together (options, and the keys that a rule reads) are multiplied. Of every
    other axis each value is looked at beside each set of components: ten thousand seeds are ten
    thousand values, not ten thousand times the options.

    Args:
        compose: from the overrides of a job to its configuration.
        axes: the overrides of each key, one a value: {"optimizer": ["optimizer=adam", ...], ...}.

    Raises:
        ConfigError: a value is wrong, a combination of values is, or only some of the options have
            a key.
        HydraException: there is no such key or option.
    """
    first = {key: values[0] for key, values in axes.items()}
    together = [key for key in axes if _decides(compose, key, axes[key])]
    found: dict[str, Any] | None = None
    seen: dict[str, set[Any]] = {key: set() for key in axes if key not in together}
    for cell in _cells({key: axes[key] for key in together}):
        words = first | cell
        plain = _check(compose, axes, words)
        found = plain if found is None else found
        for key, done in seen.items():
            place = key.lstrip("+~").partition(".")[0]
            judges = () if place in WITHOUT_COMPONENT else tuple(_targets(plain.get(place), place))
            if judges not in done:
                done.add(judges)
                for value in axes[key][1:]:
                    _check(compose, axes, words | {key: value})
    assert found is not None
    return found


def _cells(axes: Axes) -> Iterator[dict[str, str]]:
    """The product of the axes; where that is too large, all pairs of values of two axes."""
    size = 1
    for values in axes.values():
        size *= len(values)
    if size <= MOST:
        for words in itertools.product(*axes.values()):
            yield dict(zip(axes, words, strict=True))
        return
    first = {key: values[0] for key, values in axes.items()}
    yield first
    for one, other in itertools.combinations([key for key in axes if len(axes[key]) > 1], 2):
        for a, b in itertools.product(axes[one], axes[other]):
            yield first | {one: a, other: b}


def _decides(compose: Composer, key: str, values: Sequence[str]) -> bool:
    """Whether an axis bears on what is checked beyond its own component."""
    name = key.lstrip("+~")
    if "@" in name or name in compose.groups or name.partition(".")[0] == "hydra":
        return True
    if any("${" in value or "=[" in value or "={" in value for value in values):
        return True
    return any(f"{name}.".startswith(f"{k}.") or f"{k}.".startswith(f"{name}.") for k in TOGETHER)


def _targets(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Where in a node components stand, and which."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node["_target_"]
        for key, part in node.items():
            yield from _targets(part, f"{path}.{key}")


def _check(compose: Composer, axes: Axes, words: Mapping[str, str]) -> dict[str, Any]:
    try:
        config = compose(words.values())
    except ConfigCompositionException as error:
        raise _lacking(compose, axes, words, error) or error from error
    return check(config)


def _lacking(
    compose: Composer, axes: Axes, words: Mapping[str, str], error: Exception
) -> ConfigError | None:
    """Which of the swept options lack a key that others of them have."""
    match = re.match(r"Could not override '([^']+)'", str(error))
    if match is None or (key := match[1]) not in words:
        return None
    for group, options in axes.items():
        if group == key or len(options) < 2:
            continue
        lack = [option for option in options if not _has(compose, {**words, group: option}, key)]
        if 0 < len(lack) < len(options):
            have = [option for option in options if option not in lack]
            return ConfigError(
                f"{words[key]}: {', '.join(lack)}: no such key; {', '.join(have)}: there it is:"
                " sweep them apart"
            )
    return None


def _has(compose: Composer, words: Mapping[str, str], key: str) -> bool:
    try:
        compose(words.values())
    except ConfigCompositionException as error:
        return f"'{key}'" not in str(error)
    return True
