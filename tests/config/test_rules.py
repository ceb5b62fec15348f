"""What a check refuses before a run starts: single values, and keys that do not go together."""

import copy
import re

import pytest
from conftest import changed

from theta0.config import RULES, check_plain
from theta0.config.rules import MUP_OPTIMIZERS
from theta0.errors import ConfigError
from theta0.identity import resolve
from theta0.init.mup import LR_RULES


@pytest.fixture(scope="module")
def base(compose):
    """`base("optimizer=adam")`: a configuration that is sound, as plain containers of one's own."""
    composed = {}

    def base(*words):
        if words not in composed:
            composed[words] = resolve(compose("data=digits", *words))
            check_plain(composed[words])
        return copy.deepcopy(composed[words])

    return base


ENDLESS = {"trainer.max_epochs": None}


@pytest.mark.parametrize(
    ("words", "settings", "line"),
    [
        # one value
        ("", {"trainer.max_time": "00:00:10"},
         "trainer.max_time=00:00:10: must be a time as DD:HH:MM:SS"),
        ("", {"trainer.max_time": "00:00:00:00"}, "trainer.max_time=00:00:00:00: must be a time"),
        ("", {"trainer.max_epochs": 0},
         "trainer.max_epochs=0: trains nothing"),
        ("", {"trainer.max_steps": 0}, "trainer.max_steps=0: trains nothing"),
        ("", {"trainer.overfit_batches": 1.5},
         "trainer.overfit_batches=1.5: must be 0, a number of batches or a fraction"),
        ("", {"trainer.accelerator": "gpuu"},
         "trainer.accelerator=gpuu: allowed: auto, cpu, gpu, cuda, mps, tpu; did you mean gpu?"),
        ("", {"trainer.strategy": "dpp"}, "trainer.strategy=dpp: allowed: auto, "),
        ("", {"rendezvous": "host"}, "rendezvous=host: must be HOST:PORT"),
        ("", {"init.output_layer": ""}, "init.output_layer='': must have at least 1 character"),
        ("", {"optimizer.lr": 1e20}, "optimizer.lr=1e+20: must be less than or equal to 1"),
        ("", {"data.std": [1.0, 0.0]}, "data.std=[1.0,0.0]: must be null, a number greater than 0"),
        ("", {"study": 2026}, "study=2026: must be a valid string: in quotes it is one"),
        ("remedy=flip", {"augmentation.flip.transform.p": 2},
         "augmentation.flip.transform.p=2: must be less than or equal to 1"),
        ("init=rezero", {"init.base": {}}, "init.base={}: must name a class by _target_"),
        # several together
        ("", ENDLESS, "trainer.max_epochs=null: training would never end"),
        ("", {"trainer.max_epochs": -1}, "trainer.max_epochs=-1: training would never end"),
        ("", ENDLESS | {"trainer.max_time": "00:00:00:03"},
         "trainer.max_epochs=null: scheduler=cosine needs a number of epochs or trainer.max_steps"),
        ("", {"trainer.limit_train_batches": 0}, "trainer.limit_train_batches=0: trains"),
        ("", {"trainer.limit_val_batches": 0}, "trainer.limit_val_batches=0: no batch of"),
        ("", {"trainer.limit_val_batches": 0.5},
         "trainer.limit_val_batches=0.5: no batch of val, which has 1; at least 1, or"),
        ("", {"trainer.limit_test_batches": 0.5}, "trainer.limit_test_batches=0.5: no batch"),
        ("", {"trainer.overfit_batches": 0.01},
         "trainer.overfit_batches=0.01: no batch of train, which has 20; at least 0.05"),
        ("", {"data.drop_last": True, "data.batch_size": 2000},
         "data.batch_size=2000: more than the 1257 training rows"),
        ("", {"init.bias_value": 0.1}, "init.bias_value=0.1: init.bias=zeros takes no value"),
        ("", {"init.bias": "normal", "init.bias_value": -1.0},
         "init.bias_value=-1.0: must be at least 0"),
        ("init=uniform", {"init.low": 1.0}, "init.low=1.0: must not exceed init.high=0.05"),
        ("init=trunc_normal", {"init.low": 3.0}, "init.low=3.0: no part of a normal distribution"),
        ("init=mup", {"optimizer._target_": "torch.optim.Rprop", "optimizer": {
            "_target_": "torch.optim.Rprop", "lr": 0.1, "etas": [0.5, 1.2],
            "step_sizes": [1e-6, 50]}}, "init=mup: has no rule for the learning rates of Rprop"),
        ("optimizer=nesterov", {"optimizer.momentum": 0.0},
         "optimizer.nesterov=true: needs optimizer.momentum above 0"),
        ("optimizer=lbfgs", {"trainer.accumulate_grad_batches": 2}, "accumulate=2: must be 1"),
        ("", {"callbacks.checkpoint.monitor": "val/f1"},
         "callbacks.checkpoint.monitor=val/f1: allowed: val/loss, val/acc"),
        ("", {"metrics.acc.average": "none"},
         "objective.metric=val/acc: has a number for each class"),
        ("", {"metrics.acc.num_classes": None},
         "metrics.acc.num_classes=null: the data has data.num_classes=10"),
        ("remedy=l1", {"loss": {"l1": {"_target_": "theta0.losses.L1", "bias_and_norm": True}}},
         "loss: none of l1 looks at the targets"),
        ("", {"init": {"_target_": "theta0.init.Pretrained", "path": "no", "match": "strict",
                       "prefix": None, "rest": {"_target_": "theta0.init.TorchDefault"}}},
         "init.path=no: no such file"),
    ],
)  # fmt: skip
def test_it_is_refused_in_one_line(base, words, settings, line):
    plain = changed(base(*words.split()), settings)
    with pytest.raises(ConfigError, match=f"^{re.escape(line)}") as refused:
        check_plain(plain)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ("", ENDLESS | {"trainer.max_steps": 10}),
        ("scheduler=none", ENDLESS | {"trainer.max_time": "00:00:00:03"}),
        ("", {"train": False, "trainer.limit_train_batches": 0}),
        ("debug=fast_dev_run", ENDLESS),
        ("", {"trainer.limit_val_batches": 1.0}),
        ("", {"test": False, "trainer.limit_test_batches": 0.5}),
        ("", {"init.bias": "constant", "init.bias_value": -0.1}),
        ("", {"rendezvous": "[::1]:29500"}),
        (
            "",
            {
                "metrics.acc.average": "none",
                "objective.metric": "val/loss",
                "callbacks.checkpoint.monitor": "val/loss",
            },
        ),
    ],
)
def test_it_is_allowed(base, words, settings):
    check_plain(changed(base(*words.split()), settings))


def test_mup_knows_the_optimizers_that_it_has_a_rule_for():
    assert LR_RULES.keys() == MUP_OPTIMIZERS


class Watched(dict):
    """A mapping that notes which of its keys, and of those within, are asked for."""

    def __init__(self, node, read, path=""):
        super().__init__(node)
        self.read, self.path = read, path

    def _note(self, key):
        self.read.add(f"{self.path}{key}")
        value = super().get(key)
        return Watched(value, self.read, f"{self.path}{key}.") if isinstance(value, dict) else value

    def __getitem__(self, key):
        if key not in self:
            raise KeyError(key)
        return self._note(key)

    def get(self, key, default=None):
        return self._note(key) if key in self else default

    def items(self):
        return [(key, self._note(key)) for key in self]

    def values(self):
        return [self._note(key) for key in self]


@pytest.mark.parametrize(
    "words", ["", "optimizer=lbfgs", "remedy=[mixup,pgd]", "init=uniform diagnostics=full"]
)
def test_a_rule_reads_the_keys_that_it_names(base, words):
    """So a sweep knows which axes it has to multiply."""
    plain = base(*words.split())
    for rule in RULES:
        read: set[str] = set()
        rule.holds(Watched(plain, read))
        within = tuple(f"{key}." for key in rule.reads)
        for key in read:
            inside = f"{key}.".startswith(within)
            above = any(named.startswith(f"{key}.") for named in rule.reads)
            assert inside or above, (rule.holds.__name__, key)
