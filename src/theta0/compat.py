"""Changes to Hydra that it offers no public way to make: why `hydra-core<1.4` is required."""

import functools
from dataclasses import dataclass
from typing import Any

import omegaconf
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig


def start_hydra_faster() -> None:
    """Spare Hydra 1.3 work that it does twice or more when a program starts.

    - To list the options of a group it deep-copies its repository; `--help` lists 140 groups.
    - To learn `hydra.mode` it composes the configuration, throws it away and composes it again.
    - It parses YAML in Python, though PyYAML has libyaml's parser with it.
    """
    ConfigLoaderImpl.get_group_options = _get_group_options  # type: ignore[method-assign]
    ConfigLoaderImpl.load_configuration = _load_configuration  # type: ignore[method-assign]
    if yaml.__with_libyaml__:
        omegaconf._utils.get_yaml_loader = _yaml_loader


@functools.cache
def _yaml_loader() -> type[yaml.SafeLoader]:
    """OmegaConf's, with the parser in C."""
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    python = _original_yaml_loader()

    class Loader(CParser, python):  # type: ignore[misc, valid-type]
        def __init__(self, stream: Any) -> None:
            CParser.__init__(self, stream)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)

    return Loader


def _get_group_options(
    self: ConfigLoaderImpl,
    group_name: str,
    results_filter: ObjectType | None = ObjectType.CONFIG,
    config_name: str | None = None,
    overrides: list[str] | None = None,
) -> list[str]:
    if config_name or overrides:  # may change where options are searched for
        return _original_options(self, group_name, results_filter, config_name, overrides)
    known = vars(self).setdefault("_options", {})
    if (group_name, results_filter) not in known:
        known[group_name, results_filter] = self.repository.get_group_options(
            group_name, results_filter
        )
    return list(known[group_name, results_filter])


def _load_configuration(
    self: ConfigLoaderImpl,
    config_name: str | None,
    overrides: list[str],
    run_mode: RunMode,
    from_shell: bool = True,
    validate_sweep_overrides: bool = True,
) -> DictConfig:
    """Hydra's, which composes for the mode alone first, and then with `hydra.mode=...` behind.

    What the first one came to, a configuration or an error, is the second one's too.
    """
    probed = vars(self).pop("_probed", None)
    if probed and overrides in (probed.words, [*probed.words, f"hydra.mode={run_mode.name}"]):
        parsed = OverridesParser.create().parse_overrides(overrides)
        self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
        if probed.error is not None:
            raise probed.error
        assert probed.config is not None
        if "???" not in probed.config.hydra.runtime.choices.values():  # else Hydra asks for it
            probed.config.hydra.mode = run_mode
            probed.config.hydra.overrides.hydra += overrides[len(probed.words) :]
            return probed.config
    if validate_sweep_overrides:
        return _original_load(self, config_name, overrides, run_mode, from_shell)
    probed = vars(self)["_probed"] = _Probed(list(overrides))
    try:
        probed.config = _original_load(self, config_name, overrides, run_mode, from_shell, False)
    except Exception as error:
        probed.error = error
        raise
    return probed.config


@dataclass
class _Probed:
    """What was composed to learn the mode, of which words."""

    words: list[str]
    config: DictConfig | None = None
    error: Exception | None = None


_original_yaml_loader = omegaconf._utils.get_yaml_loader
_original_options = ConfigLoaderImpl.get_group_options
_original_load = ConfigLoaderImpl.load_configuration
