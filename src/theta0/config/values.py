"""The values that a configuration's keys may take, as types."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from theta0.errors import choices

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Tags = list[Annotated[str, Field(min_length=1, max_length=64)]]
"""As W&B takes them."""
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Betas = Annotated[list[BelowOne], Field(min_length=2, max_length=2)]
Means = Finite | Annotated[list[Finite], Field(min_length=1)] | None
Scales = Positive | Annotated[list[Positive], Field(min_length=1)] | None


def _one_of(allowed: str, test: Callable[[Any], bool]) -> AfterValidator:
    """A value of several types: one message for all, where pydantic would give one a type."""

    def check(value: Any) -> Any:
        if not test(value):
            raise ValueError(f"must be {allowed}")
        return value

    return AfterValidator(check)


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(value: Any, least: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= least


def _is_gain(value: Any) -> bool:
    rules = ("forward", "backward", "critical", "torch")
    return value in rules or (_number(value, 0) and value > 0)


def _is_devices(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) > 0 and all(_whole(index, 0) for index in value)
    return value in ("auto", -1) or _whole(value, 1)


def _is_limit(value: Any) -> bool:
    return value is None or _whole(value, 0) or (_number(value, 0) and value <= 1)


def _is_aims(value: Any) -> bool:
    return isinstance(value, dict) and {*value.values()} in ({"min"}, {"max"}, {"min", "max"})


def _is_etas(value: Any) -> bool:
    return _is_numbers(value, 2) and 0 < value[0] < 1 < value[1]


def _is_adafactor_eps(value: Any) -> bool:
    if isinstance(value, list) and value[:1] == [None]:
        return _is_numbers(value[1:], 1)
    return _is_numbers(value, 2)


def _is_studies(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return len(names) > 0 and all(isinstance(name, str) or _whole(name, 0) for name in names)


def _is_numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(_number(v, 0) for v in value)


RpropFactors = Annotated[Any, _one_of("[a, b] with 0 < a < 1 < b", _is_etas)]
AdafactorEps = Annotated[Any, _one_of("[null or a number, a number]", _is_adafactor_eps)]
Gain = Annotated[
    Any, _one_of("forward, backward, critical, torch or a number greater than 0", _is_gain)
]
Classes = Annotated[
    Any, _one_of("a number of classes, which a regression has not", lambda v: _whole(v, 2))
]
Devices = Annotated[
    Any, _one_of("auto, a number of devices or a list of their indices", _is_devices)
]
Limit = Annotated[Any, _one_of("null, a number of batches or a fraction", _is_limit)]
Auto = Annotated[Any, _one_of("auto, true or false", lambda v: v == "auto" or isinstance(v, bool))]
DevRun = Annotated[
    Any, _one_of("true, false or a number of batches", lambda v: isinstance(v, int) and v >= 0)
]
Schedule = Annotated[
    Any,
    _one_of("a number of steps, log or start", lambda v: v in ("log", "start") or _whole(v, 1)),
]
Objectives = Annotated[
    Any, _one_of("null, or min or max for each of some metrics", lambda v: v is None or _is_aims(v))
]
Deterministic = Annotated[
    Any, _one_of("true, false or warn", lambda v: v == "warn" or isinstance(v, bool))
]
Studies = Annotated[Any, _one_of("a study's folder or its name, or a list of them", _is_studies)]
Activation = Literal[
    "relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "selu",
    "mish", "softplus", "softsign", "sin", "identity",
]  # fmt: skip


def _is_activation(value: Any) -> Any:
    """A name, or the node of a class of one's own, which is checked as any component is."""
    if not (isinstance(value, dict) and "_target_" in value):
        names = get_args(Activation)
        if value not in names:
            raise ValueError(choices(str(value), [*names, "{_target_: package.Class}"]))
    return value


AnyActivation = Annotated[Any, AfterValidator(_is_activation)]
Price = Literal["economy", "business", "full"]
Precision = Literal[
    "64-true", "32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "transformer-engine"
]


def folder_path(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be a folder's path, not empty and without control characters")
    return value


class Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, protected_namespaces=(), defer_build=True
    )
