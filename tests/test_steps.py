"""A training without a step is no result: refused before the start, or failed."""

import re
from types import SimpleNamespace

import pytest

from theta0.config import check
from theta0.errors import ConfigError
from theta0.module import require_steps
from theta0.run import _require_trained

NOTHING = {
    "trainer.max_epochs=0": "trainer.max_epochs=0: trains nothing",
    "trainer.max_steps=0": "trainer.max_steps=0: trains nothing",
    "trainer.limit_train_batches=0": "trainer.limit_train_batches=0: trains nothing",
    "trainer.limit_train_batches=0.01": "trainer.limit_train_batches=0.01: of 20 batches, trains",
    "data.batch_size=2000 data.drop_last=true": (
        "data.batch_size=2000: more than the 1257 training rows, and data.drop_last=true"
    ),
}


@pytest.mark.parametrize("words", NOTHING)
def test_a_training_without_a_step_is_refused(compose, words):
    config = "data=digits", "study=s", "scheduler=none", *words.split()
    with pytest.raises(ConfigError, match=re.escape(NOTHING[words])):
        check(compose(*config))
    check(compose(*config, "train=false"))


@pytest.mark.parametrize(
    "words", ["data.batch_size=2000", "data.drop_last=true", "trainer.limit_train_batches=0.05"]
)
def test_a_training_of_one_step_is_one(compose, words):
    check(compose("data=digits", "study=s", "trainer.max_epochs=1", words))


def test_what_only_the_data_shows_fails_the_run():
    trainer = SimpleNamespace(
        estimated_stepping_batches=0, num_training_batches=0, max_epochs=1, max_steps=-1
    )
    with pytest.raises(ValueError, match="not one step to train: 0 training batches"):
        require_steps(trainer)
    require_steps(SimpleNamespace(estimated_stepping_batches=float("inf")))


def test_a_training_that_ended_before_its_first_step_is_no_result():
    """As one that is told to stop at once; a run's own checkpoint may be that of its last step."""
    limits = {"max_epochs": 1, "max_steps": -1, "max_time": None}
    config = {"ckpt_path": None, "trainer": limits}
    with pytest.raises(ValueError, match="not one step was trained: trainer"):
        _require_trained(config, None, 0)
    _require_trained(config, None, 1)
    _require_trained(config, "checkpoints/last.ckpt", 9)
