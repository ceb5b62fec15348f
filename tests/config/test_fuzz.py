"""Every leaf of the composed configuration, set to values that it may not have."""

import math
import sys
from fnmatch import fnmatch

import pytest

from theta0.config import check_plain
from theta0.errors import ConfigError
from theta0.identity import resolve

BASES = [
    "optimizer=adadelta init=xavier model=residual_mlp remedy=[clip_norm,ema,mixup]",
    "optimizer=adafactor init=orthogonal callbacks=learning_rate remedy=cutmix scheduler=plateau",
    "optimizer=adagrad init=delta_orthogonal remedy=[swa,erasing] callbacks=early_stopping",
    "optimizer=adam init=sparse remedy=[fgsm,flip] scheduler=step data=cifar10",
    "optimizer=adamax init=identity remedy=[pgd,crop] scheduler=warmup_cosine logger=tensorboard",
    "optimizer=adamw init=siren remedy=[gradient_noise,rotation] scheduler=one_cycle logger=none",
    "optimizer=adamw_lh init=mean_field remedy=clip_adaptive diagnostics=full finetune=lora",
    "optimizer=amsgrad init=trunc_normal remedy=noise finetune=head",
    "optimizer=asgd init=torch_default remedy=[l1,l2] finetune=biases",
    "optimizer=lbfgs init=normal data=linear",
    "optimizer=lion init=uniform data=saturating remedy=monotonic",
    "optimizer=muon init=zeros data=digits",
    "optimizer=nadam init=lsuv data=mnist_openml",
    "optimizer=radam init=weight_norm",
    "optimizer=rmsprop init=fixup",
    "optimizer=rprop init=rezero scheduler=none",
    "optimizer=sam init=pretrained init.path={path}",
    "optimizer=schedule_free_adamw init=mup experiment=he2015",
    "optimizer=schedule_free_sgd pruning=asha hydra/sweeper=optuna",
    "optimizer=soap trainer=ddp_cpu debug=limit",
    "optimizer=sgd model=linear",
]
"""Between them they have a component of every class that is shipped."""

BAD = {
    "negative": -1,
    "zero": 0,
    "fraction": 0.37,
    "NaN": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "1e308": 1e308,
    "10^20": 10**20,
    "text": "nonsense",
    "number as text": "1",
    "empty text": "",
    "true": True,
    "null": None,
    "empty list": [],
    "list": ["nonsense"],
    "list of a list": [[1]],
    "mapping": {"nonsense": 1},
}
LISTS = {
    "of NaN": lambda values: [math.nan] * len(values),
    "of 1e308": lambda values: [1e308] * len(values),
    "of text": lambda values: ["nonsense"] * len(values),
    "with null": lambda values: [*values[:-1], None],
    "too long": lambda values: [*values, *values],
}


def leaves(node, path=()):
    """(keys, value) of everything that is no mapping, and of mappings that are empty."""
    if not isinstance(node, dict) or not node:
        yield path, node
    else:
        for key, value in node.items():
            yield from leaves(value, (*path, key))


def targets(plain, path):
    """The classes of the components around a leaf: what decides which values it may have."""
    node, found = plain, []
    for key in path[:-1]:
        node = node[key]
        found.append(node.get("_target_"))
    return tuple(found)


def with_value(plain, path, value):
    """A shallow copy in which one leaf is another."""
    copied = dict(plain)
    if len(path) == 1:
        copied[path[0]] = value
    else:
        copied[path[0]] = with_value(plain[path[0]], path[1:], value)
    return copied


def bad_values(value):
    """By name, what a leaf with this value should not be."""
    bad = dict(BAD)
    if isinstance(value, bool):
        del bad["true"]
    if isinstance(value, float):
        del bad["fraction"]
    if isinstance(value, list) and value:
        bad |= {name: change(value) for name, change in LISTS.items()}
    return {k: v for k, v in bad.items() if (type(v), v) != (type(value), value)}


TEXT = ("text", "number as text")
LEGAL = [
    # keys (their ends), values, why
    ("study group project entity prefix", TEXT, "a name of the user's own"),
    ("output_layer", TEXT, "a name in the network, which is not there yet"),
    ("source.name", TEXT, "a name at OpenML"),
    ("data_dir log_dir root", TEXT, "a folder, which may be made"),
    ("prefix", ("empty text",), "all keys"),
    ("tags layers", ("list",), "names"),
    ("shape widths milestones", ("too long",), "a list of any length"),
    ("milestones", ("empty list",), "no step at all"),
    ("devices", ("negative",), "-1: all of them"),
    (
        "logging_interval line_search_fn check_on_train_epoch_end padding gradient_clip_val",
        ("null",),
        "off",
    ),
    ("progress deterministic fused", ("true",), "besides the other words"),
    (
        "loss.*.scale data.mean source.bias init.low init.high init.mean bias_value init.alpha"
        " transform.value beta2_decay",
        ("negative", "zero", "fraction"),
        "any number",
    ),
    (
        "every_n_seconds limit_test_batches overfit_batches fast_dev_run patience padding",
        ("zero",),
        "none, or no",
    ),
    (
        "decay final rho momentum dampening alpha weight_decay adamw_weight_decay label_smoothing"
        " dropout output_gain threshold min_lr min_delta start lr_decay initial_accumulator_value"
        " share init.std augmentation.*.std transform.p degrees shift warmup gamma weight_variance"
        " bias_variance output_weight_variance lambd t0 tolerance_grad tolerance_change"
        " noise momentum_decay r weight_lr_power shampoo_beta",
        ("zero",),
        "none of it",
    ),
    (
        "every_n_seconds limit_train_batches data.std shampoo_beta init.gain base.gain",
        ("fraction",),
        "a number, for which a word, null or a whole one stands",
    ),
]
"""What of these values is allowed, and why."""


def reason(key, name):
    for keys, names, why in LEGAL:
        if name in names and any(fnmatch(f".{key}", f"*.{end}") for end in keys.split()):
            return why
    return None


@pytest.mark.slow
def test_every_leaf_refuses_bad_values_in_one_line(compose, tmp_path, monkeypatch):
    check = sys.modules["theta0.config.check"]
    monkeypatch.setattr(check, "_check_installed", lambda plain: None)  # peft
    weights = tmp_path / "weights.ckpt"
    weights.touch()
    seen, accepted = set(), set()
    for base in BASES:
        plain = resolve(compose(*base.format(path=weights).split()))
        check_plain(plain)
        for keys, value in leaves(plain):
            key = ".".join(keys)
            if (leaf := (key, targets(plain, keys))) in seen:
                continue
            seen.add(leaf)
            for name, bad in bad_values(value).items():
                try:
                    check_plain(with_value(plain, keys, bad))
                except ConfigError as error:
                    assert "\n" not in str(error)
                else:
                    accepted.add((key, name))
    assert len(seen) > 500
    assert {(key, name) for key, name in accepted if reason(key, name) is None} == set()
    unused = [
        end
        for keys, names, _ in LEGAL
        for end in keys.split()
        if not any(fnmatch(f".{key}", f"*.{end}") and name in names for key, name in accepted)
    ]
    assert unused == []
