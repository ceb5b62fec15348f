"""The words of a study's commands, which may be a stranger's: what they compose to is judged."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from theta0.config import COMPONENTS
from theta0.errors import ConfigError, shown
from theta0.names import is_option_name
from theta0.sweep.compose import Composer
from theta0.trust import refuse_strange, texts

PLACES = ("paths", "logger", "data.source.root")
"""Nodes of a configuration that say where files are written, and what is sent where."""

OWN = {
    "launcher": ("_target_", "address", "setup", "srun_args", "additional_parameters"),
    "sweeper": ("_target_", "params"),
}
"""What of a launcher and a sweeper is for a person to say: Ray unpickles what a cluster sends,
SLURM has a shell do lines, and `params` are words once more."""

PER_JOB = {"launcher", "sweeper", "overrides", "runtime", "job", "mode", "verbose"}
"""Parts of Hydra's node that may differ from the shipped ones; see `_refuse_hydra`."""

CODE = "may run code"
PLACE = "says where files are written or sent"


def unsafe(word: str) -> str | None:
    """Why a word is for a person to say, where its letters show that; see `refuse_unsafe`."""
    if word.startswith("-") or "_target_" in word or "${" in word:
        return CODE
    key, _, value = word.lstrip("+~").partition("=")
    if "hydra" in key:
        found = re.fullmatch(r"hydra(?:/|\.(?=\w+\.))(launcher|sweeper)(?:\.(\w+)(\.\w+)*)?", key)
        plain = found and found[2] not in OWN[found[1]] and re.fullmatch(r"[\w.,:-]*", value)
        return None if plain else CODE
    if any(key == place or key.startswith(f"{place}.") for place in PLACES) and key != "logger":
        return PLACE
    return CODE if "." not in key.partition("@")[0] and ".." in value else None


def refuse_unsafe(words: Sequence[str], compose: Composer) -> None:
    """Raises ConfigError, with the word or the key and the reason, where words may not be repeated
    unread.

    Letters can be hidden from a reader (Hydra's grammar makes `${` of `$\\\\{`), so each value is
    composed. In what comes out there is no interpolation, and no `_target_`, that the shipped files
    do not have at that place.
    """
    for word in words:
        if reason := unsafe(word):
            raise ConfigError(f"{shown(word)}, which {reason}")
    overrides = compose.parser.parse_overrides(list(words))
    for override in overrides:
        if _is_choice(override, compose):
            for option in _options(override):
                if not is_option_name(option):
                    raise ConfigError(f"{shown(override.input_line)}, which names no option")
    values = {o.get_key_element(): _values(o) for o in overrides}
    choices = {o.get_key_element() for o in overrides if _is_choice(o, compose)}
    first = {key: found[0] for key, found in values.items() if found}
    _refuse_composed(first, choices, compose)
    for key, found in values.items():
        for value in found[1:]:
            _refuse_composed(first | {key: value}, choices, compose)


def _is_choice(override: Override, compose: Composer) -> bool:
    return bool(override.package) or override.key_or_group in compose.groups


def _options(override: Override) -> Iterator[Any]:
    """The options that a word chooses, of lists those in them."""
    found = override.sweep_iterator() if override.is_sweep_override() else [override.value()]
    for option in found:
        yield from option if isinstance(option, list) else [] if option is None else [option]


def _values(override: Override) -> list[str]:
    """The words of single runs: one for each listed value, one for a range or an interval."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    key = override.get_key_element()
    if override.is_discrete_sweep() and not override.is_range_sweep():
        return [f"{key}={value}" for value in override.sweep_string_iterator()]
    value: Any = override.value()
    return [f"{key}={value.start}"]


def _refuse_composed(words: dict[str, str], choices: set[str], compose: Composer) -> None:
    composed = OmegaConf.to_container(compose(words.values()), resolve=False)
    usual = OmegaConf.to_container(
        compose([word for key, word in words.items() if key in choices]), resolve=False
    )
    assert isinstance(composed, dict) and isinstance(usual, dict)
    _refuse_hydra(composed.pop("hydra"), usual.pop("hydra"))
    for keys, text in texts(composed):
        if "${" in text and _at(usual, keys) != text:
            raise ConfigError(f"{'.'.join(keys)}={shown(text)}, which {CODE}")
    refuse_strange(composed, of="its command")
    for place in PLACES:
        keys = tuple(place.split("."))
        if _at(composed, keys) != _at(usual, keys):
            raise ConfigError(f"{place}={shown(_at(composed, keys))}, which {PLACE}")


def _refuse_hydra(node: dict[str, Any], usual: dict[str, Any]) -> None:
    """Of Hydra's node the launcher and the sweeper may be chosen, among those of theta0."""
    for part, private in OWN.items():
        for key in private:
            if node[part].get(key) != usual[part].get(key):
                raise ConfigError(f"hydra.{part}.{key}={shown(node[part].get(key))}, which {CODE}")
        shipped = {*COMPONENTS[f"hydra.{part}"], *WITHOUT_OPTIONS}
        if node[part]["_target_"] not in shipped:
            raise ConfigError(f"hydra.{part}={shown(node[part]['_target_'])}, which {CODE}")
    for key in node.keys() | usual.keys():
        if key not in PER_JOB and node.get(key) != usual.get(key):
            raise ConfigError(f"hydra.{key}, which {CODE}")
    for key in ("env_set", "env_copy", "chdir", "config_name"):
        if node["job"].get(key) != usual["job"].get(key):
            raise ConfigError(f"hydra.job.{key}, which {CODE}")


WITHOUT_OPTIONS = (
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra_plugins.checked_sweeper.CheckedSweeper",
    "hydra_plugins.serial_launcher.SerialLauncher",
)
"""Launchers and a sweeper that have no options, which theta0.config would check."""


def _at(node: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        if isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            node = node.get(key) if isinstance(node, dict) else None
    return node
