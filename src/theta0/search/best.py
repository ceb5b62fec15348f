"""A run's configuration as an experiment: a file for --config-dir, which anybody can read."""

import copy
import re
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from theta0.continuation import differing
from theta0.errors import ConfigError, shown
from theta0.identity import NOT_IDENTITY, choices_of, identity_of, resolve
from theta0.names import is_option_name
from theta0.results import Result, write_atomically
from theta0.sweep.table import config_value
from theta0.trust import own_targets, refuse_strange, texts

LEFT_OUT = {*NOT_IDENTITY, "search", "experiment", "debug"} - {"threads", "logger", "paths"}
"""What is not the run's: how it was asked for, and groups whose values are said one by one."""


def write_experiment(
    result: Result,
    path: Path,
    says: str,
    compose: Callable[[list[str]], DictConfig],
    left_out: Collection[str] = (),
) -> list[str]:
    """Write what composes to a run's configuration, and so to a run of the same name.

    It names the groups' options that are not the defaults, and the values that these do not bring.

    Args:
        result: of the run.
        path: <folder>/experiment/<name>.yaml, for `--config-dir <folder> experiment=<name>`.
        says: in a line what it is.
        compose: from overrides to a run's configuration, with Hydra's node.
        left_out: dotted keys, such as seeds, that the file does not set, nor those that are made
            of them: they stay as they are by default.

    Returns:
        What a file cannot say: the keys that the run did without (`~key`).

    Raises:
        ConfigError: the record, which may be a stranger's, names what is no option, or has what
            composing it would resolve or build: see `theta0.trust`.
    """
    _refuse_foreign(result)
    usual = choices_of(compose([]).hydra)
    options = {
        group: f"[{option.replace('+', ',')}]" if "+" in option else option
        for group, option in result.choices.items()
        if group not in LEFT_OUT and usual.get(group) != option
    }
    config = compose([f"{group}={option}" for group, option in options.items()])
    OmegaConf.set_struct(config, False)
    config.study, config.paths.log_dir = result.study, result.config["paths"]["log_dir"]
    values = OmegaConf.create()
    raw = OmegaConf.to_container(config, resolve=False)
    wanted = copy.deepcopy(result.config)
    for keys, value in _missing(wanted, resolve(config)):
        if not {".".join(keys), str(_at(raw, keys)).strip("${}")}.isdisjoint(left_out):
            _at(wanted, keys[:-1])[keys[-1]] = value
    missing = list(_missing(resolve(config), wanted))
    # What follows from other values by interpolation is said only where it still differs then.
    for keys, value in sorted(missing, key=lambda leaf: "${" in str(_at(raw, leaf[0]))):
        if "${" not in str(_at(raw, keys)) or _at(resolve(config), keys) != value:
            for tree in (values, config):
                tree.merge_with(_nested(keys, value))
    defaults = [{f"override /{group}": yaml.safe_load(o)} for group, o in options.items()]
    text = f"# @package _global_\n# {says}\n"
    if defaults:
        text += yaml.safe_dump({"defaults": defaults}, sort_keys=False, allow_unicode=True) + "\n"
    text += OmegaConf.to_yaml(values) if values else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
    return [key for key, *_ in differing(identity_of(wanted), identity_of(resolve(config)))]


def _refuse_foreign(result: Result) -> None:
    for group, options in result.choices.items():
        named = re.fullmatch(r"[a-z]\w*(/\w+)*(@\w+(\.\w+)*)?", group) and "hydra" not in group
        if not named or not all(map(is_option_name, options.split("+"))):
            raise ConfigError(f"choices: {shown(group)}={shown(options)} names no option")
    for keys, text in texts(result.config):
        key = ".".join(keys)
        if "${" in text or "${" in key:
            raise ConfigError(f"config.{shown(key)}={shown(text)} would be resolved")
    if not isinstance(config_value(result.config, "paths.log_dir"), str):
        raise ConfigError("config.paths.log_dir: there is none")
    refuse_strange(result.config, own_targets(sys.argv[1:]))


def _missing(
    base: dict[str, Any], wanted: dict[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(keys, value) of what is wanted and is otherwise in the base, or not at all."""
    for key, value in wanted.items():
        keys = (*above, key)
        if keys[0] in LEFT_OUT:
            continue
        there = base.get(key, _NOTHING)
        if isinstance(value, dict) and isinstance(there, dict):
            yield from _missing(there, value, keys)
        elif there != value:
            yield keys, value


_NOTHING = object()


def _at(tree: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else tree
    return tree


def _nested(keys: tuple[str, ...], value: Any) -> dict[str, Any]:
    for key in reversed(keys):
        value = {key: value}
    return value
