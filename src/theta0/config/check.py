"""The check of a composed configuration, before torch is imported.

A component (optimizer, init, ...) is checked by the schema of its `_target_`; a user's own
`_target_` takes whatever keys it has. The first thing that is wrong becomes one line: key, value,
what is allowed, and the nearest right spelling.
"""

import re
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig
from pydantic import BaseModel, ValidationError

from theta0.config.components import COMPONENTS
from theta0.config.schema import NAMED, SINGLE, TrainConfig
from theta0.errors import ConfigError, choices, shown, unknown_key
from theta0.identity import resolve


def check(config: DictConfig, schema: type[TrainConfig] = TrainConfig) -> dict[str, Any]:
    """The configuration as plain containers, everything resolved, once it has been found sound.

    Raises ConfigError with the first thing that is wrong, in one line.
    """
    plain = resolve(config)
    _validate(schema, plain, "")
    for group in SINGLE:
        if plain[group] is not None:
            _validate_component(group, plain[group], COMPONENTS.get(group, {}))
    for group in NAMED:
        for name, node in plain[group].items():
            _validate_component(f"{group}.{name}", node, COMPONENTS.get(group, {}))
    _check_task(plain)
    return plain


def _validate_component(
    group: str, node: Mapping[str, Any], schemas: dict[str, type[BaseModel]]
) -> None:
    """A component and those inside it; the schemas of `group.key`, or `group`'s own, hold there."""
    target = node.get("_target_")
    if not isinstance(target, str) or "." not in target:
        raise ConfigError(
            f"{group}._target_={shown(target)}: must name a class, as package.module.Class"
        )
    if target in schemas:
        _validate(schemas[target], node, group)
    elif target.startswith("theta0.") and schemas:
        raise ConfigError(
            f"{group}._target_={target}: theta0 has no such {group}; {choices(target, schemas)}"
        )
    for key, part in node.items():
        if isinstance(part, dict) and "_target_" in part:
            inner = f"{group}.{key}"
            _validate_component(inner, part, COMPONENTS.get(inner, schemas))


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
            message = re.sub(r"^(List|String|Value)\b.*? should", "must", message)
            return f"{key}={shown(first['input'])}: {message}"


def _check_task(plain: dict[str, Any]) -> None:
    """What makes sense only together: an objective is measured, a loss over classes has some."""
    names = ["loss", *plain["metrics"]]
    if plain["adversary"] is not None:
        names += [f"{name}_robust" for name in names]
    measured = [f"val/{name}" for name in names]
    if (metric := plain["objective"]["metric"]) not in measured:
        raise ConfigError(f"objective.metric={metric}: {choices(metric, measured)}")
    over_classes = "torch.nn.CrossEntropyLoss"
    if plain["data"].get("num_classes", "") is None and (
        any(term["_target_"] == over_classes for term in plain["loss"].values())
        or any("num_classes" in metric for metric in plain["metrics"].values())
    ):
        raise ConfigError(
            "data.num_classes=null: this data set is a regression: use loss=mse metrics=regression"
        )
    if (target := plain["optimizer"]["_target_"]) in EVALUATES_AGAIN:
        name = target.rpartition(".")[2]
        if plain["accumulate"] > 1:
            raise ConfigError(
                f"accumulate={plain['accumulate']}: must be 1, since {name} evaluates a batch"
                " several times a step"
            )
        if plain["precision"] == "16-mixed":
            raise ConfigError(
                f"precision=16-mixed: {name} evaluates its batch several times a step, which scaled"
                " gradients do not allow; bf16-mixed does"
            )


EVALUATES_AGAIN = ("torch.optim.LBFGS", "theta0.optim.SAM")
"""Optimizers that evaluate the loss more than once a step."""
