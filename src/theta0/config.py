"""The schema of a composed configuration: what may stand in it, checked before torch is imported.

A component (optimizer, init, ...) is checked by the schema of its `_target_`; a user's own
`_target_` takes whatever keys it has. The first thing that is wrong becomes one line: key, value,
what is allowed, and the nearest right spelling.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_args

from omegaconf import DictConfig
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from theta0.errors import ConfigError, choices, shown, unknown_key
from theta0.identity import resolve

# ------------------------------------------------------------------------------------------ values

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Betas = Annotated[list[BelowOne], Field(min_length=2, max_length=2)]
Statistics = float | Annotated[list[float], Field(min_length=1)] | None


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


def _is_etas(value: Any) -> bool:
    return _is_numbers(value, 2) and 0 < value[0] < 1 < value[1]


def _is_adafactor_eps(value: Any) -> bool:
    if isinstance(value, list) and value[:1] == [None]:
        return _is_numbers(value[1:], 1)
    return _is_numbers(value, 2)


def _is_numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(_number(v, 0) for v in value)


Gain = Annotated[
    Any, _one_of("forward, backward, critical, torch or a number greater than 0", _is_gain)
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
    _one_of(
        "a number of steps, log or start", lambda v: v in ("log", "start") or _whole(v, 1)
    ),
]
Deterministic = Annotated[
    Any, _one_of("true, false or warn", lambda v: v == "warn" or isinstance(v, bool))
]
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


def _folder_name(value: str) -> str:
    if not re.fullmatch(r"[^/\\\s]+", value):
        raise ValueError("must be a folder's name, without slashes and spaces")
    return value


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


def _component(**fields: Any) -> type[BaseModel]:
    """The schema of a component: fields by type, or (type, default) where one may be left out."""
    definitions: dict[str, Any] = {
        name: field if isinstance(field, tuple) else (field, ...) for name, field in fields.items()
    }
    definitions["target"] = (str, Field(alias="_target_"))
    return create_model("Component", __base__=Strict, **definitions)


# -------------------------------------------------------------------------------------- components

_decay: dict[str, Any] = {"weight_decay": NonNegative, "decay_bias_and_norm": bool}
_adam: dict[str, Any] = {"lr": Positive, "betas": Betas, "eps": Positive, **_decay}
_schedule_free: dict[str, Any] = {
    "lr": Positive,
    "warmup_steps": Annotated[int, Field(ge=0)],
    "r": NonNegative,
    "weight_lr_power": NonNegative,
    **_decay,
}
_open = Annotated[float, Field(gt=0, lt=1)]
_bias: dict[str, Any] = {
    "bias": (Literal["zeros", "torch", "constant", "normal"], "zeros"),
    "bias_value": (Finite, 0.0),
}
_gains: dict[str, Any] = {
    "gain": Gain,
    "output_gain": NonNegative,
    "activation": AnyActivation,
    "output_layer": str | None,
    **_bias,
}
_scaling: dict[str, Any] = {
    "scale": (Positive, 1.0),
    "fan": Literal["in", "out", "avg", "geo"],
    "distribution": Literal["normal", "truncated_normal", "uniform"],
    **_gains,
}
_widths = Annotated[list[Count], Field(min_length=1)]
_names = Annotated[list[str], Field(min_length=1)] | None
_norm = Literal["none", "batch", "layer", "rms", "weight"]
_sizes = create_model(
    "Sizes", __base__=Strict, train=(Count, ...), val=(Count, ...), test=(Count, ...)
)
_term: dict[str, Any] = {"scale": (Finite, 1.0)}
_test_rows: dict[str, Any] = {"test_samples": Count, "test_seed": Seed}

COMPONENTS: dict[str, dict[str, type[BaseModel]]] = {
    "model": {
        "theta0.models.MLP": _component(
            in_features=Count,
            out_features=Count,
            widths=_widths,
            activation=Activation,
            dropout=BelowOne,
            norm=_norm,
            bias=bool,
            residual=bool,
        ),
        "theta0.models.ResidualMLP": _component(
            in_features=Count,
            out_features=Count,
            width=Count,
            blocks=Count,
            layers_per_block=Count,
            activation=Activation,
            dropout=BelowOne,
            norm=_norm,
            branch=Literal["plain", "scaled", "fixup"],
            bias=bool,
        ),
        "theta0.models.Linear": _component(in_features=Count, out_features=Count, bias=bool),
    },
    "optimizer": {
        "torch.optim.SGD": _component(
            lr=Positive,
            momentum=(BelowOne, 0.0),
            dampening=(Fraction, 0.0),
            nesterov=(bool, False),
            fused=Auto,
            **_decay,
        ),
        "torch.optim.ASGD": _component(
            lr=Positive, lambd=NonNegative, alpha=NonNegative, t0=NonNegative, **_decay
        ),
        "torch.optim.Adadelta": _component(lr=Positive, rho=BelowOne, eps=Positive, **_decay),
        "torch.optim.Adagrad": _component(
            lr=Positive,
            lr_decay=NonNegative,
            initial_accumulator_value=NonNegative,
            eps=Positive,
            fused=Auto,
            **_decay,
        ),
        "torch.optim.RMSprop": _component(
            lr=Positive, alpha=BelowOne, eps=Positive, momentum=BelowOne, centered=bool, **_decay
        ),
        "torch.optim.Rprop": _component(
            lr=Positive,
            etas=Annotated[Any, _one_of("[a, b] with 0 < a < 1 < b", _is_etas)],
            step_sizes=Annotated[list[Positive], Field(min_length=2, max_length=2)],
        ),
        "torch.optim.Adam": _component(amsgrad=bool, fused=Auto, **_adam),
        "torch.optim.AdamW": _component(amsgrad=bool, fused=Auto, **_adam),
        "torch.optim.Adamax": _component(**_adam),
        "torch.optim.NAdam": _component(
            momentum_decay=NonNegative, decoupled_weight_decay=bool, **_adam
        ),
        "torch.optim.RAdam": _component(decoupled_weight_decay=bool, **_adam),
        "torch.optim.Adafactor": _component(
            lr=Positive,
            beta2_decay=Annotated[float, Field(le=0)],
            eps=Annotated[Any, _one_of("[null or a number, a number]", _is_adafactor_eps)],
            d=Annotated[float, Field(ge=1)],
            **_decay,
        ),
        "torch.optim.LBFGS": _component(
            lr=Positive,
            max_iter=Count,
            max_eval=Count | None,
            tolerance_grad=NonNegative,
            tolerance_change=NonNegative,
            history_size=Count,
            line_search_fn=Literal["strong_wolfe"] | None,
        ),
        "theta0.optim.AMSGrad": _component(**_adam),
        "theta0.optim.AdamWLH": _component(**_adam),
        "theta0.optim.Lion": _component(lr=Positive, betas=Betas, **_decay),
        "theta0.optim.Muon": _component(
            lr=Positive,
            momentum=BelowOne,
            nesterov=bool,
            newton_schulz_steps=Count,
            newton_schulz_dtype=Literal["bfloat16", "parameter"],
            adjust=Literal["original", "match_rms_adamw"],
            adamw_lr=Positive,
            adamw_betas=Betas,
            adamw_eps=Positive,
            adamw_weight_decay=NonNegative,
            **_decay,
        ),
        "theta0.optim.SAM": _component(
            lr=Positive, rho=Positive, adaptive=bool, base=dict[str, Any]
        ),
        "schedulefree.AdamWScheduleFree": _component(
            betas=Annotated[list[_open], Field(min_length=2, max_length=2)],
            eps=Positive,
            **_schedule_free,
        ),
        "schedulefree.SGDScheduleFree": _component(momentum=_open, **_schedule_free),
        "pytorch_optimizer.SOAP": _component(
            shampoo_beta=BelowOne | None,
            precondition_frequency=Count,
            max_precondition_dim=Count,
            merge_dims=bool,
            precondition_1d=bool,
            correct_bias=bool,
            normalize_gradient=bool,
            **_adam,
        ),
    },
    "scheduler": {
        "theta0.optim.constant": _component(),
        "theta0.optim.cosine": _component(final=Fraction),
        "theta0.optim.step": _component(milestones=list[Fraction], gamma=Positive),
        "theta0.optim.warmup_cosine": _component(warmup=Fraction, final=Fraction),
        "theta0.optim.one_cycle": _component(
            warmup=Annotated[float, Field(gt=0, lt=1)], start=Positive, final=Positive
        ),
        "torch.optim.lr_scheduler.ReduceLROnPlateau": _component(
            mode=Literal["min", "max"],
            factor=Annotated[float, Field(gt=0, lt=1)],
            patience=Annotated[int, Field(ge=0)],
            threshold=NonNegative,
            min_lr=NonNegative,
        ),
    },
    "init": {
        "theta0.init.VarianceScaling": _component(**_scaling),
        "theta0.init.Orthogonal": _component(**_gains),
        "theta0.init.DeltaOrthogonal": _component(**_gains),
        "theta0.init.Sparse": _component(connections=Count, std=NonNegative, **_bias),
        "theta0.init.Identity": _component(expand=Literal["identity", "hadamard"], **_bias),
        "theta0.init.Siren": _component(omega_0=Positive, output_layer=str | None, **_bias),
        "theta0.init.MeanField": _component(
            weight_variance=NonNegative,
            bias_variance=NonNegative,
            output_weight_variance=NonNegative,
            output_layer=str | None,
        ),
        "theta0.init.TruncatedNormal": _component(
            std=NonNegative, mean=Finite, low=Finite, high=Finite, **_bias
        ),
        "theta0.init.TorchDefault": _component(**_bias),
        "theta0.init.Normal": _component(mean=Finite, std=NonNegative, **_bias),
        "theta0.init.Uniform": _component(low=Finite, high=Finite, **_bias),
        "theta0.init.Zeros": _component(**_bias),
        "theta0.init.LSUV": _component(samples=Count, tol=Positive, max_iterations=Count),
        "theta0.init.WeightNorm": _component(std=Positive, samples=Count),
        "theta0.init.Fixup": _component(**_scaling),
        "theta0.init.ReZero": _component(base=dict[str, Any], alpha=Finite),
        "theta0.init.MuP": _component(base_width=Count, **_gains),
        "theta0.init.Pretrained": _component(
            path=str, match=Literal["strict", "partial"], prefix=str | None, rest=dict[str, Any]
        ),
    },
    "init.activation": {},
    "finetune": {
        "theta0.finetune.Head": _component(layers=_names),
        "theta0.finetune.Biases": _component(head=bool),
        "theta0.finetune.LoRA": _component(
            rank=Count, alpha=Count, dropout=BelowOne, layers=_names, head=bool
        ),
    },
    "loss": {
        "torch.nn.CrossEntropyLoss": _component(label_smoothing=BelowOne, **_term),
        "theta0.losses.MSE": _component(**_term),
        "theta0.losses.L1": _component(bias_and_norm=bool, **_term),
        "theta0.losses.L2": _component(bias_and_norm=bool, **_term),
        "theta0.losses.Monotonic": _component(
            feature=Annotated[int, Field(ge=0)],
            direction=Literal["increasing", "decreasing"],
            delta=Positive,
            **_term,
        ),
    },
    "augmentation": {
        "theta0.augmentation.PerSample": _component(transform=dict[str, Any]),
        "theta0.augmentation.Affine": _component(degrees=NonNegative, shift=Fraction),
        "theta0.augmentation.GaussianNoise": _component(std=NonNegative),
        "theta0.augmentation.MixUp": _component(alpha=Positive, num_classes=Count | None),
        "theta0.augmentation.CutMix": _component(alpha=Positive, num_classes=Count),
    },
    "adversary": {
        "theta0.adversary.FGSM": _component(eps=Positive, share=Fraction),
        "theta0.adversary.PGD": _component(
            eps=Positive, step=Positive, steps=Count, random_start=bool, share=Fraction
        ),
    },
    "data": {
        "theta0.data.DataModule": _component(
            source=dict[str, Any],
            shape=_widths,
            num_features=Count,
            num_outputs=Count,
            num_classes=Annotated[int, Field(ge=2)] | None,
            samples=_sizes,
            batch_size=Count,
            eval_batch_size=Count,
            mean=Statistics,
            std=Statistics,
            drop_last=bool,
            split_seed=Seed,
            order_seed=Seed,
        ),
    },
    "data.source": {
        "theta0.data.Mnist5k": _component(**_test_rows),
        "theta0.data.Digits": _component(**_test_rows),
        "theta0.data.TorchvisionSet": _component(
            name=Literal["MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100", "SVHN"], root=str
        ),
        "theta0.data.OpenML": _component(name=str, version=Count, root=str, test_samples=Count),
        "theta0.data.Saturating": _component(
            noise=NonNegative, train_samples=Count, test_samples=Count, seed=Seed
        ),
        "theta0.data.LinearRegression": _component(
            weight=Annotated[list[Finite], Field(min_length=1)],
            bias=Finite,
            noise=NonNegative,
            train_samples=Count,
            test_samples=Count,
            seed=Seed,
        ),
    },
    "trainer": {
        "lightning.Trainer": _component(
            accelerator=str,
            devices=Devices,
            num_nodes=Count,
            strategy=str,
            precision=Precision,
            max_epochs=Annotated[int, Field(ge=-1)] | None,
            max_steps=Annotated[int, Field(ge=-1)],
            max_time=str | None,
            accumulate_grad_batches=Count,
            gradient_clip_val=Positive | None,
            gradient_clip_algorithm=Literal["norm", "value"],
            check_val_every_n_epoch=Count,
            log_every_n_steps=Count,
            limit_train_batches=Limit,
            limit_val_batches=Limit,
            limit_test_batches=Limit,
            overfit_batches=NonNegative,
            fast_dev_run=DevRun,
            profiler=Literal["simple", "advanced", "pytorch"] | None,
            detect_anomaly=bool,
            deterministic=Deterministic,
            benchmark=bool,
        ),
    },
    "callbacks": {
        "theta0.callbacks.Checkpoint": _component(monitor=str, mode=Literal["min", "max"]),
        "theta0.diagnostics.Diagnostics": _component(price=Price, schedule=Schedule, samples=Count),
        "theta0.callbacks.GradientNoise": _component(eta=Positive, gamma=NonNegative, seed=Seed),
        "theta0.callbacks.AdaptiveClipping": _component(factor=Positive, eps=Positive),
        "theta0.callbacks.EMA": _component(decay=BelowOne),
        "theta0.callbacks.SWA": _component(start=BelowOne),
    },
    "logger": {
        "theta0.tracking.wandb_logger": _component(
            project=str, entity=str | None, group=str, tags=list[str]
        ),
        "theta0.tracking.tensorboard_logger": _component(),
        "theta0.tracking.no_logger": _component(),
    },
}


SINGLE = (
    "model", "optimizer", "scheduler", "init", "finetune", "adversary", "data", "trainer", "logger",
)  # fmt: skip
"""Groups that hold one component (or null)."""
NAMED = ("loss", "metrics", "callbacks", "augmentation")
"""Groups that hold components by name."""


class Seeds(Strict):
    split: Seed
    init: Seed
    order: Seed
    noise: Seed


class Objective(Strict):
    metric: Annotated[str, Field(pattern=r"^val/")]
    mode: Literal["min", "max"]


class Paths(Strict):
    data_dir: str
    log_dir: str


class SearchSpace(Strict):
    lr: Annotated[list[Positive], Field(min_length=2, max_length=2)]


class Diagnostic(Strict):
    diagnostic: str
    layer: str


class Claim(Strict):
    """See theta0.sweep.claims: `of` exceeds `over` by a factor (ratio) or a difference (margin)."""

    says: str
    value: Annotated[str, Field(pattern="/")] | Diagnostic
    of: dict[str, Any]
    over: dict[str, Any]
    ratio: Positive | None = None
    margin: Finite | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> "Claim":
        if (self.ratio is None) == (self.margin is None):
            raise ValueError("must have either ratio or margin")
        return self


class TrainConfig(Strict):
    """What stands at the top level of configs/train.yaml."""

    study: Annotated[str, AfterValidator(_folder_name)]
    tags: list[str]
    seed: Seed
    seeds: Seeds
    train: bool
    test: bool
    ckpt_path: str | None
    compile: bool
    precision: Precision
    accumulate: Count
    threads: Count
    progress: Auto
    print_config: bool
    rendezvous: str | None
    objective: Objective
    paths: Paths
    search_space: SearchSpace | None = None
    claims: list[Claim]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    init: dict[str, Any]
    finetune: dict[str, Any] | None
    model: dict[str, Any]
    loss: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    augmentation: dict[str, dict[str, Any]]
    adversary: dict[str, Any] | None
    metrics: dict[str, dict[str, Any]]
    data: dict[str, Any]
    trainer: dict[str, Any]
    callbacks: dict[str, dict[str, Any]]
    logger: dict[str, Any]


class InspectConfig(TrainConfig):
    """What stands at the top level of configs/inspect_init.yaml."""

    mode: Literal["layers", "coordinates"]
    price: Price
    samples: Count
    widths: Annotated[list[Count], Field(min_length=2)]
    steps: Count
    name: Annotated[str, AfterValidator(_folder_name)]
    folder: str


# --------------------------------------------------------------------------------------- the check


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
                f"accumulate={plain['accumulate']}: {name} evaluates its batch several times a step,"
                " so must be 1"
            )
        if plain["precision"] == "16-mixed":
            raise ConfigError(
                f"precision=16-mixed: {name} evaluates its batch several times a step, which scaled"
                " gradients do not allow; bf16-mixed does"
            )


EVALUATES_AGAIN = ("torch.optim.LBFGS", "theta0.optim.SAM")
"""Optimizers that evaluate the loss more than once a step."""
