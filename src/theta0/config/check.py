"""The check of a composed configuration, before torch is imported.

A component (optimizer, init, ...) is checked by the schema of its `_target_`; a user's own
`_target_` takes whatever keys it has. The first thing that is wrong becomes one line: key, value,
what is allowed, and the nearest right spelling.
"""

import importlib.util
import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel, ValidationError

from theta0.config.components import COMPONENTS, Component
from theta0.config.processes import check_processes
from theta0.config.rules import RULES, unmeasured
from theta0.config.schema import NAMED, SINGLE, ReportConfig, TrainConfig
from theta0.config.secrets import refuse_secrets
from theta0.config.wandb import check_wandb
from theta0.errors import ConfigError, choices, shown, unknown_key
from theta0.frame import check_frame
from theta0.identity import lists_of, resolve


def check(config: DictConfig, schema: type[TrainConfig] = TrainConfig) -> dict[str, Any]:
    """The configuration as plain containers, everything resolved, once it has been found sound.

    Raises ConfigError with the first thing that is wrong, in one line.
    """
    if "hydra" in config:
        check_frame(config.hydra)
        _check_names(config.hydra)
        check_lists(config.hydra)
        check_plugins(config.hydra)
    plain = resolve(config)
    refuse_secrets(plain, config.get("hydra"))
    check_plain(plain, schema)
    launcher = OmegaConf.to_container(config.hydra.launcher) if "hydra" in config else None
    check_processes(plain, launcher)  # type: ignore[arg-type]
    if "hydra" in config and plain["pruning"] and config.hydra.sweeper._target_ != SEARCH:
        raise ConfigError("pruning: stops runs of a search: hydra/sweeper=optuna, or search=...")
    return plain


def check_plain(plain: dict[str, Any], schema: type[TrainConfig] = TrainConfig) -> None:
    """The same for a configuration in plain containers, as a run's folder holds one."""
    _validate(schema, plain, "")
    _check_objective(plain)
    for group in SINGLE:
        if plain[group] is not None:
            _validate_component(group, plain[group], COMPONENTS.get(group, {}))
    for group in NAMED:
        for name, node in plain[group].items():
            if "_target_" not in node:
                raise ConfigError(_changes_nothing(group, name, plain[group]))
            _validate_component(f"{group}.{name}", node, COMPONENTS.get(group, {}), group)
    for rule in RULES:
        rule.holds(plain)
    check_wandb(plain)
    _check_installed(plain)


def check_report(config: DictConfig) -> dict[str, Any]:
    """The same for src/report.py."""
    plain = resolve(config)
    _validate(ReportConfig, plain, "")
    return plain


def check_plugins(hydra: Any) -> None:
    """Raises ConfigError where the options of the launcher or the sweeper, in Hydra's node, are
    wrong."""
    for part in ("launcher", "sweeper"):
        node: Any = OmegaConf.to_container(hydra[part], resolve=False)
        _validate_component(f"hydra.{part}", node, COMPONENTS[f"hydra.{part}"])


def _check_names(hydra: Any) -> None:
    """One option has one name: sgd, and neither sgd.yaml nor ./sgd, which Hydra takes as well."""
    chosen = [(group, option) for group, option in hydra.runtime.choices.items()]
    chosen += [(group, option) for group, files in lists_of(hydra).items() for option in files]
    for group, option in chosen:
        name = str(option).removesuffix(".yaml")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if (plain := "/".join(parts)) != str(option):
            raise ConfigError(f"{group}={option}: must be the name of an option: {plain}")


def check_lists(hydra: Any) -> None:
    """Of options chosen together (remedy=[dropout,ema]) none may undo what another one sets.

    Raises ConfigError. `hydra` is Hydra's own node, which knows what was chosen.
    """
    for group, options in lists_of(hydra).items():
        before: dict[str, tuple[str, Any]] = {}
        for option, file in options.items():
            settings = OmegaConf.to_container(OmegaConf.load(file)) if file else {}
            for key, value in _settings(settings):
                other, its = before.setdefault(key, (option, value))
                if value != its:
                    raise ConfigError(
                        f"{group}=[{','.join(options)}]: {other} and {option} both set {key}"
                    )


def _settings(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values, as they stand in a file, of all but its defaults list."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{prefix}{key}.")
        elif prefix or key != "defaults":
            yield f"{prefix}{key}", value


def _validate_component(
    group: str, node: Mapping[str, Any], schemas: dict[str, Component], kind: str = ""
) -> None:
    """A component and those inside it; the schemas of `kind.key`, or `group`'s own, hold there.

    `kind` is the group without the component's own name: augmentation, of augmentation.crop.
    """
    target = node.get("_target_")
    if not isinstance(target, str) or "." not in target:
        raise ConfigError(
            f"{group}._target_={shown(target)}: must name a class, as package.module.Class"
        )
    if target in schemas:
        _validate(schemas[target].schema, node, group)
    elif target.startswith("theta0.") and schemas:
        raise ConfigError(
            f"{group}._target_={target}: theta0 has no such {group}; {choices(target, schemas)}"
        )
    for key, part in node.items():
        if isinstance(part, dict) and "_target_" in part:
            inner = f"{kind or group}.{key}"
            _validate_component(f"{group}.{key}", part, COMPONENTS.get(inner, schemas), inner)


def _changes_nothing(group: str, name: str, parts: Mapping[str, Any]) -> str:
    """The line for settings of a part that is not there: label smoothing without cross-entropy."""
    there = [other for other, node in parts.items() if "_target_" in node]
    setting = next((f".{key}={shown(value)}" for key, value in parts[name].items()), "={}")
    line = f"{group}.{name}{setting}: {group} has no {name} to change"
    return f"{line}; {choices(name, there)}" if there else line


def _validate(schema: type[BaseModel], node: Mapping[str, Any], prefix: str) -> None:
    try:
        schema.model_validate(node)
    except ValidationError as error:
        raise ConfigError(_line(schema, error, prefix)) from None


def _line(schema: type[BaseModel], error: ValidationError, prefix: str) -> str:
    first = min(
        error.errors(), key=lambda e: e["type"] != "extra_forbidden"
    )  # a typo explains the rest
    path = [str(part) for part in first["loc"]]
    key = ".".join([*([prefix] if prefix else []), *path])
    match first["type"]:
        case "extra_forbidden":
            fields: type[BaseModel] = schema
            for part in path[:-1]:
                fields = fields.model_fields[part].annotation  # type: ignore[assignment]
            names = [field.alias or name for name, field in fields.model_fields.items()]
            return unknown_key(key, first["input"], names)
        case "missing":
            return f"{key}: a value is required: {key}=..."
        case "literal_error":
            allowed = re.findall(r"'([^']*)'", first["ctx"]["expected"])
            return f"{key}={shown(first['input'])}: {choices(str(first['input']), allowed)}"
        case "value_error":
            return f"{key}={shown(first['input'])}: {first['ctx']['error']}"
        case _:
            message = first["msg"].replace("Input should", "must", 1)
            message = message.replace(" after validation", "")
            if first["type"] == "string_type" and first["input"] is not None:
                message += ": in quotes it is one"
            message = re.sub(r"^(List|String|Value)\b.*? should", "must", message)
            return f"{key}={shown(first['input'])}: {message}"


def _check_objective(plain: dict[str, Any]) -> None:
    """It is measured, and known to be better when lower or when higher."""
    metric = plain["objective"]["metric"]
    if problem := unmeasured(metric, plain):
        raise ConfigError(f"objective.metric={metric}: {problem}")
    if plain["objective"]["mode"] is None:
        raise ConfigError(
            f"objective.mode=null: whether less or more of {metric} is better is not known:"
            " objective.mode=min or objective.mode=max"
        )


def _check_installed(plain: dict[str, Any]) -> None:
    """What is in an extra of pyproject.toml, since few need it and all would wait for it."""
    target = (plain["finetune"] or {}).get("_target_")
    if target == "theta0.finetune.LoRA" and importlib.util.find_spec("peft") is None:
        raise ConfigError(
            "finetune=lora: needs the peft library: make lora, or pip install 'theta0[lora]'"
        )


SEARCH = "hydra_plugins.optuna_sweeper.OptunaSweeper"
