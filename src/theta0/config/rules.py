"""What must hold between several keys of a resolved configuration.

Each rule names the keys that it reads. A sweep multiplies the axes of these keys when it looks for
cells that are not allowed, and looks at the values of every other axis one by one.
"""

import math
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from theta0.config.effects import check_effects
from theta0.config.steps import check_steps
from theta0.errors import ConfigError, choices, shown


@dataclass(frozen=True)
class Rule:
    """A check of a plain configuration, which raises ConfigError.

    Attributes:
        reads: the keys, with all that is below them.
        holds: the check.
    """

    reads: tuple[str, ...]
    holds: Callable[[dict[str, Any]], None]


RULES: list[Rule] = []


def _rule(*reads: str) -> Callable[[Callable[[dict[str, Any]], None]], Rule]:
    def register(holds: Callable[[dict[str, Any]], None]) -> Rule:
        RULES.append(Rule(reads, holds))
        return RULES[-1]

    return register


def measured(plain: dict[str, Any]) -> list[str]:
    """The metrics of validation that a run of a resolved configuration has."""
    names = ["loss", *plain["metrics"]]
    if plain["adversary"] is not None:
        names += [f"{name}_robust" for name in names]
    return [f"val/{name}" for name in names]


def unmeasured(metric: str, plain: dict[str, Any]) -> str:
    """What is wrong with `metric` as one number of validation, or "".

    Of a metric that has a number for each class (val/f1.3, val/f1.cat) only torchmetrics' own are
    known here; others are found out at the first validation.
    """
    whole, _, one = metric.partition(".")
    if whole not in (names := measured(plain)):
        return choices(metric, names)
    node = plain["metrics"].get(whole.partition("/")[2].removesuffix("_robust"), {})
    target = str(node.get("_target_", ""))
    if target.endswith("ConfusionMatrix"):
        return "is a table, not a number"
    many = node.get("average", "") in (None, "none")
    if many and not one:
        return f"has a number for each class: {metric}.0, ..."
    if one and (not node or (target.startswith("torchmetrics.") and not many)):
        return f"is one number: {whole}"
    classes = plain["data"].get("num_classes")
    if one.isdecimal() and classes is not None and int(one) >= classes:
        return f"the classes are 0 to {classes - 1}"
    return ""


# --------------------------------------------------------------------------- what is learnt


@_rule("data.num_classes", "loss", "metrics", "augmentation")
def _classes(plain: dict[str, Any]) -> None:
    """What is over classes has some."""
    for group in ("metrics", "augmentation"):
        for name, node in plain[group].items():
            classes = plain["data"].get("num_classes")
            if classes is not None and node.get("num_classes", classes) is None:
                raise ConfigError(
                    f"{group}.{name}.num_classes=null: the data has data.num_classes={classes}"
                )
    if plain["data"].get("num_classes", "") is None and (
        any(term["_target_"] == CROSS_ENTROPY for term in plain["loss"].values())
        or any("num_classes" in metric for metric in plain["metrics"].values())
    ):
        raise ConfigError(
            "data.num_classes=null: this data set is a regression: use loss=mse metrics=regression"
        )


@_rule("loss", "data.num_classes")
def _class_weights(plain: dict[str, Any]) -> None:
    for name, term in plain["loss"].items():
        if term["_target_"] == CROSS_ENTROPY and (weight := term.get("weight")) is not None:
            word = f"loss.{name}.weight={shown(weight)}"
            if (classes := plain["data"].get("num_classes", len(weight))) != len(weight):
                raise ConfigError(
                    f"{word}: has {len(weight)} numbers, but data.num_classes={classes}"
                )
            if not any(weight):
                raise ConfigError(f"{word}: must have a number greater than 0")


@_rule("loss")
def _targets(plain: dict[str, Any]) -> None:
    terms = plain["loss"]
    if all(term["_target_"] in PENALTIES for term in terms.values()):
        raise ConfigError(
            f"loss: none of {', '.join(terms)} looks at the targets: add loss=cross_entropy or mse"
        )


@_rule("data.shape", "augmentation", "loss")
def _shape(plain: dict[str, Any]) -> None:
    """What some augmentations and losses ask of a row of the data."""
    shape = plain["data"].get("shape")
    if shape is None:
        return
    for name, node in plain["augmentation"].items():
        if node["_target_"] in OF_IMAGES and len(shape) != 3:
            raise ConfigError(f"augmentation.{name}: needs images, but data.shape={shown(shape)}")
    for name, node in plain["loss"].items():
        if node["_target_"] == "theta0.losses.Monotonic":
            feature = node["feature"]
            if len(shape) != 1 or feature >= shape[0]:
                raise ConfigError(
                    f"loss.{name}.feature={feature}: there is none in rows of "
                    f"data.shape={shown(shape)}"
                )


@_rule("data")
def _weights(plain: dict[str, Any]) -> None:
    """A line has a slope for each feature."""
    source, shape = plain["data"].get("source", {}), plain["data"].get("shape")
    if source.get("_target_") == LINE and [len(source["weight"])] != shape:
        raise ConfigError(
            f"data.source.weight={shown(source['weight'])}: one number for each of"
            f" data.shape={shown(shape)}"
        )


@_rule("callbacks", "metrics", "adversary", "data")
def _monitored(plain: dict[str, Any]) -> None:
    """Callbacks watch what is measured."""
    for name, node in plain["callbacks"].items():
        if node["_target_"] in MONITORS:
            watched = node["monitor"]
            if problem := unmeasured(re.sub("^train/", "val/", watched), plain):
                raise ConfigError(f"callbacks.{name}.monitor={watched}: {problem}")


# ------------------------------------------------------------------------ how it is trained


RULES.append(Rule(("trainer", "train", "data"), check_steps))
RULES.append(Rule(("trainer", "train", "scheduler", "callbacks", "pruning"), check_effects))


@_rule("trainer", "train")
def _end(plain: dict[str, Any]) -> None:
    """Training ends by itself, and not before its first step."""
    trainer = plain["trainer"]
    if not plain["train"] or trainer["_target_"] != TRAINER or trainer["fast_dev_run"]:
        return
    if not _bounded(trainer) and trainer["max_time"] is None:
        raise ConfigError(
            f"trainer.max_epochs={shown(trainer['max_epochs'])}: training would never end; allowed"
            " with trainer.max_steps or trainer.max_time"
        )
    if trainer["limit_val_batches"] == 0:
        raise ConfigError(
            "trainer.limit_val_batches=0: no batch of validation, which chooses the checkpoint"
        )


@_rule("trainer", "train", "scheduler._target_")
def _schedule(plain: dict[str, Any]) -> None:
    """A schedule over the whole training knows how long that is."""
    trainer, target = plain["trainer"], plain["scheduler"]["_target_"]
    if not plain["train"] or trainer["_target_"] != TRAINER or trainer["fast_dev_run"]:
        return
    if target in OVER_ALL_STEPS and not _bounded(trainer):
        raise ConfigError(
            f"trainer.max_epochs={shown(trainer['max_epochs'])}: scheduler={_last(target)} needs a"
            " number of epochs or trainer.max_steps; scheduler=none does not"
        )


def _bounded(trainer: dict[str, Any]) -> bool:
    return trainer["max_epochs"] not in (None, -1) or trainer["max_steps"] != -1


@_rule("data", "trainer", "train", "test")
def _batches(plain: dict[str, Any]) -> None:
    """A part of a split is a batch at least."""
    data, trainer = plain["data"], plain["trainer"]
    if data["_target_"] != DATA or trainer["_target_"] != TRAINER or trainer["fast_dev_run"]:
        return
    limits = [("val", "limit_val_batches")]
    limits += [("test", "limit_test_batches")] if plain["test"] else []
    if plain["train"]:
        limits += [("train", "overfit_batches"), ("val", "overfit_batches")]
    for split, key in limits:
        size = data["batch_size" if split == "train" else "eval_batch_size"]
        batches, limit = math.ceil(data["samples"][split] / size), trainer[key]
        if isinstance(limit, float) and 0 < limit < 1 and int(batches * limit) == 0:
            raise ConfigError(
                f"trainer.{key}={limit}: no batch of {split}, which has {batches}; at least"
                f" {math.ceil(1000 / batches) / 1000:g}, or a whole number of batches"
            )


@_rule("trainer.strategy", "callbacks")
def _measurable(plain: dict[str, Any]) -> None:
    measuring = any(c["_target_"] == DIAGNOSTICS for c in plain["callbacks"].values())
    if measuring and str(plain["trainer"].get("strategy")).startswith("fsdp"):
        raise ConfigError("diagnostics: trainer=fsdp shards the weights, so none can be measured")


@_rule("optimizer._target_", "accumulate", "trainer")
def _evaluates_again(plain: dict[str, Any]) -> None:
    target = plain["optimizer"]["_target_"]
    if target not in EVALUATES_AGAIN:
        return
    name = _last(target)
    if (batches := plain["trainer"].get("accumulate_grad_batches", 1)) > 1:
        raise ConfigError(
            f"accumulate={batches}: must be 1, since {name} evaluates a batch several times a step"
        )
    if plain["trainer"].get("precision") == "16-mixed":
        raise ConfigError(
            f"precision=16-mixed: {name} evaluates its batch several times a step, which scaled"
            " gradients do not allow; bf16-mixed does"
        )


@_rule("optimizer._target_", "optimizer.base")
def _sam(plain: dict[str, Any]) -> None:
    base = plain["optimizer"].get("base") if plain["optimizer"]["_target_"] == SAM else None
    if base is not None and base["_target_"] in NO_BASE:
        raise ConfigError(
            f"optimizer.base={_last(base['_target_'])}: SAM needs an optimizer that only steps on"
            " gradients"
        )


@_rule(*(f"optimizer.{key}" for key in ("_target_", "nesterov", "momentum", "dampening", "base")))
def _nesterov(plain: dict[str, Any]) -> None:
    node = plain["optimizer"]
    for key, part in (("optimizer", node), ("optimizer.base", node.get("base"))):
        if (
            isinstance(part, dict)
            and part.get("_target_") == "torch.optim.SGD"
            and part.get("nesterov")
            and (part.get("momentum", 0) == 0 or part.get("dampening", 0) != 0)
        ):
            raise ConfigError(
                f"{key}.nesterov=true: needs {key}.momentum above 0 and {key}.dampening=0"
            )


# ---------------------------------------------------------------------------- where it starts


@_rule("ckpt_path")
def _checkpoint(plain: dict[str, Any]) -> None:
    if (path := plain["ckpt_path"]) is None:
        return
    _require_file("ckpt_path", path)
    if not zipfile.is_zipfile(path):  # as torch writes them, with a directory at the end
        raise ConfigError(f"ckpt_path={path}: not a checkpoint, or a truncated one")


@_rule("init._target_", "init.path")
def _pretrained(plain: dict[str, Any]) -> None:
    if plain["init"]["_target_"] == "theta0.init.Pretrained":
        _require_file("init.path", plain["init"]["path"])


def _require_file(key: str, path: str) -> None:
    if not Path(path).is_file():
        raise ConfigError(f"{key}={path}: no such file")


@_rule("init._target_", "init.bias", "init.bias_value")
def _biases(plain: dict[str, Any]) -> None:
    """A bias of zeros has no value to be set to."""
    node = plain["init"]
    policy, value = node.get("bias", "zeros"), node.get("bias_value", 0)
    if not node["_target_"].startswith("theta0.") or "bias_value" not in node:
        return
    if value != 0 and policy in ("zeros", "torch"):
        raise ConfigError(
            f"init.bias_value={value}: init.bias={policy} takes no value; allowed with"
            " init.bias=constant or normal"
        )
    if value < 0 and policy == "normal":
        raise ConfigError(f"init.bias_value={value}: must be at least 0, a standard deviation")


@_rule("init._target_", "init.low", "init.high")
def _bounds(plain: dict[str, Any]) -> None:
    """Between two bounds there is something to draw."""
    node = plain["init"]
    low, high = node.get("low"), node.get("high")
    if node["_target_"] == "theta0.init.Uniform" and low > high:
        raise ConfigError(f"init.low={low}: must not exceed init.high={high}")
    if node["_target_"] == "theta0.init.TruncatedNormal" and _normal(high) <= _normal(low):
        raise ConfigError(
            f"init.low={low}: no part of a normal distribution lies between it and init.high={high}"
        )


def _normal(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


@_rule("init._target_", "optimizer._target_", "finetune")
def _mup(plain: dict[str, Any]) -> None:
    """μP scales the rate of each layer by the optimizer's law."""
    optimizer = _last(plain["optimizer"]["_target_"])
    if plain["init"]["_target_"] == "theta0.init.MuP" and optimizer not in MUP_OPTIMIZERS:
        raise ConfigError(
            f"init=mup: has no rule for the learning rates of {optimizer}, only for "
            f"{', '.join(sorted(MUP_OPTIMIZERS))}"
        )


def _last(target: str) -> str:
    return target.rpartition(".")[2]


CROSS_ENTROPY = "torch.nn.CrossEntropyLoss"
DATA = "theta0.data.DataModule"
LINE = "theta0.data.LinearRegression"
DIAGNOSTICS = "theta0.diagnostics.Diagnostics"
SAM = "theta0.optim.SAM"
TRAINER = "lightning.Trainer"
MONITORS = ("theta0.callbacks.Checkpoint", "lightning.pytorch.callbacks.EarlyStopping")
PENALTIES = ("theta0.losses.L1", "theta0.losses.L2", "theta0.losses.Monotonic")
"""Terms of a loss that do not look at the targets."""
OVER_ALL_STEPS = tuple(
    f"theta0.optim.{name}" for name in ("cosine", "warmup_cosine", "step", "one_cycle")
)
"""Schedules over the whole of a training."""
OF_IMAGES = tuple(f"theta0.augmentation.{name}" for name in ("Affine", "CutMix", "PerSample"))
"""Augmentations that need images."""
EVALUATES_AGAIN = ("torch.optim.LBFGS", SAM)
"""Optimizers that evaluate the loss more than once a step."""
NO_BASE = (
    *EVALUATES_AGAIN, "schedulefree.AdamWScheduleFree", "schedulefree.SGDScheduleFree",
)  # fmt: skip
"""Optimizers that SAM cannot perturb."""
MUP_OPTIMIZERS = frozenset((
    "SGD", "ASGD", "SGDScheduleFree", "Adam", "AdamW", "AdamWLH", "AMSGrad", "NAdam", "RAdam",
    "Adamax", "Adagrad", "Adadelta", "RMSprop", "Lion", "AdamWScheduleFree", "RAdamScheduleFree",
))  # fmt: skip
"""Those of theta0.init.mup.LR_RULES, which imports torch."""
