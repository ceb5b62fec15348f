"""What is asked for and could not come to pass is refused, or told."""

import re

import pytest

from theta0.config import check
from theta0.config.effects import overruled
from theta0.errors import ConfigError

WITHOUT = {
    "trainer.gradient_clip_algorithm=value": "trainer.gradient_clip_algorithm=value: clips nothing",
    "debug=overfit trainer.limit_train_batches=9": (
        "trainer.limit_train_batches=9: trainer.overfit_batches=3 takes its place"
    ),
    "remedy=early_stopping trainer.limit_val_batches=0": (
        "trainer.limit_val_batches=0: validates nothing, and callbacks.early_stopping waits"
    ),
    "scheduler=plateau trainer.check_val_every_n_epoch=11": (
        "trainer.check_val_every_n_epoch=11: there is no validation within trainer.max_epochs=10,"
        " and scheduler=plateau waits for one"
    ),
}


@pytest.mark.parametrize("words", WITHOUT)
def test_a_setting_without_effect_is_refused(compose, words):
    config = compose("data=digits", "study=s", *words.split())
    with pytest.raises(ConfigError, match=f"^{re.escape(WITHOUT[words])}"):
        check(config)


@pytest.mark.parametrize(
    "words",
    [
        "remedy=clip_value",
        "remedy=early_stopping trainer.check_val_every_n_epoch=10",
        "scheduler=plateau trainer.check_val_every_n_epoch=11 train=false",
    ],
)
def test_with_effect_it_is_legal(compose, words):
    check(compose("data=digits", "study=s", *words.split()))


@pytest.mark.parametrize(
    ("word", "told"),
    [("optimizer.momentum=0.8", 1), ("optimizer.momentum=0", 0), ("optimizer.lr=0.1", 0)],
)
def test_momentum_that_one_cycle_sets_is_told(compose, word, told):
    words = "optimizer=momentum", "scheduler=one_cycle", word
    plain = check(compose("data=digits", "study=s", *words))
    assert len(overruled(plain, words)) == told
