"""The values that a configuration's keys may take, as types."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from theta0.errors import choices

LARGEST = 10**9
"""Of every number but a seed: a larger one is a slip, and float32 does not survive its square
many times."""

Positive = Annotated[float, Field(gt=0, le=LARGEST)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Finite = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
NonPositive = Annotated[float, Field(ge=-LARGEST, le=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
BetweenZeroAndOne = Annotated[float, Field(gt=0, lt=1)]
Tags = list[Annotated[str, Field(min_length=1, max_length=64)]]
"""As W&B takes them."""
Count = Annotated[int, Field(ge=1, le=LARGEST)]
Whole = Annotated[int, Field(ge=0, le=LARGEST)]
Several = Annotated[int, Field(ge=2, le=LARGEST)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Text = Annotated[str, Field(min_length=1)]
Node = Annotated[dict[str, Any], AfterValidator(lambda node: _component_node(node))]
"""A component inside another one."""
Betas = Annotated[list[BelowOne], Field(min_length=2, max_length=2)]


def _component_node(node: dict[str, Any]) -> dict[str, Any]:
    if "_target_" not in node:
        raise ValueError("must name a class by _target_")
    return node


def _one_of(allowed: str, test: Callable[[Any], bool]) -> AfterValidator:
    """A value of several types: one message for all, where pydantic would give one a type."""

    def check(value: Any) -> Any:
        if not test(value):
            raise ValueError(f"must be {allowed}")
        return value

    return AfterValidator(check)


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and _number(value, least)


def _number(value: Any, least: float) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and least <= value <= LARGEST


def _is_gain(value: Any) -> bool:
    rules = ("forward", "backward", "critical", "torch")
    return value in rules or (_number(value, 0) and value > 0)


def _is_devices(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) > 0 and all(_whole(index, 0) for index in value)
    return value in ("auto", -1) or _whole(value, 1)


def _is_limit(value: Any) -> bool:
    return value is None or _whole(value, 0) or (_number(value, 0) and value <= 1)


def _is_end(value: Any) -> bool:
    return _whole(value, -1)


def _is_statistics(value: Any, least: float) -> bool:
    values = value if isinstance(value, list) else [value]
    return value is None or (len(values) > 0 and all(_number(v, least) for v in values))


def _is_scales(value: Any) -> bool:
    return _is_statistics(value, 0) and value != 0 and not (isinstance(value, list) and 0 in value)


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


Means = Annotated[
    Any, _one_of("null, a number or one for each channel", lambda v: _is_statistics(v, -LARGEST))
]
Scales = Annotated[
    Any, _one_of("null, a number greater than 0 or one for each channel", _is_scales)
]
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
Overfit = Annotated[
    Any,
    _one_of("0, a number of batches or a fraction", lambda v: v is not None and _is_limit(v)),
]
Steps = Annotated[Any, _one_of("-1 or a number of steps", _is_end)]
Epochs = Annotated[
    Any, _one_of("null, -1 or a number of epochs", lambda v: v is None or _is_end(v))
]
Auto = Annotated[Any, _one_of("auto, true or false", lambda v: v == "auto" or isinstance(v, bool))]
DevRun = Annotated[
    Any,
    _one_of("true, false or a number of batches", lambda v: isinstance(v, bool) or _whole(v, 0)),
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
Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"]
Strategy = Literal[
    "auto", "single_device",
    "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false",
    "fsdp", "fsdp_cpu_offload",
    "deepspeed", "deepspeed_stage_1", "deepspeed_stage_2", "deepspeed_stage_2_offload",
    "deepspeed_stage_3", "deepspeed_stage_3_offload", "deepspeed_stage_3_offload_nvme",
]  # fmt: skip
"""Lightning's, without those that start processes themselves, which theta0.launch does."""
Price = Literal["economy", "business", "full"]
Precision = Literal[
    "64-true", "32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "transformer-engine"
]


def _duration(value: str) -> str:
    numbers = re.fullmatch(r"(\d{1,6}):(\d\d):(\d\d):(\d\d)", value)
    if numbers is None or not any(map(int, numbers.groups())):
        raise ValueError("must be a time as DD:HH:MM:SS, 00:01:30:00 for an hour and a half")
    return value


def _address(value: str) -> str:
    if not re.fullmatch(r"\S+:\d{1,5}", value):
        raise ValueError("must be HOST:PORT")
    return value


Address = Annotated[str, AfterValidator(_address)]
Duration = Annotated[str, AfterValidator(_duration)]


def folder_path(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be a folder's path, not empty and without control characters")
    return value


class Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, protected_namespaces=(), defer_build=True
    )
