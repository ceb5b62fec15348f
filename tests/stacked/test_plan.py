"""Which runs are stacked, in how many stacks, and what is said of the others."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from theta0.identity import resolve
from theta0.stacked.plan import plan

SMALL = ("data=digits", "model.widths=[8]", "study=s", "trainer=cpu")


@pytest.fixture(scope="module")
def resolved(compose: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    return lambda *words: resolve(compose(*SMALL, *words))


@pytest.fixture(scope="module")
def configs(resolved: Callable[..., dict[str, Any]]) -> list[dict[str, Any]]:
    """20 seeds of each of two optimizers."""
    pair = [resolved("optimizer=adam"), resolved("optimizer=rmsprop")]
    return [{**config, "seed": seed} for seed in range(20) for config in pair]


@pytest.mark.parametrize(
    ("members", "workers", "says"),
    [
        (None, 1, "40 runs in 2 stacks of 20"),
        (None, 2, "40 runs in 2 stacks of 20"),
        (None, 3, "40 runs in 4 stacks of 10"),  # 20 in three would leave fewer than 8 each
        (10, 1, "40 runs in 4 stacks of 10"),
        (7, 1, "40 runs in 6 stacks of 6, 7, 7, 6, 7, 7"),
    ],
)
def test_groups_are_dealt_evenly(
    configs: list[dict[str, Any]], members: int | None, workers: int, says: str
) -> None:
    planned = plan(configs, members, workers)
    assert str(planned) == says and planned.alone == []
    assert sorted(itertools.chain(*planned.stacks)) == list(range(40))
    for stack in planned.stacks:
        assert len({configs[i]["optimizer"]["_target_"] for i in stack}) == 1


NUMBERS = {
    "optimizer.lr=0.1": "optimizer.lr=0.2",
    "init=he": "init=sparse",
    "seed=1": "seed=2",
    "scheduler.warmup=0.1": "scheduler.warmup=0.2",
    "model.dropout=0.1": "model.dropout=0.3",
    "loss.cross_entropy.label_smoothing=0.1": "loss.cross_entropy.label_smoothing=0",
    "trainer.gradient_clip_val=1": "trainer.gradient_clip_val=2",
}
STRUCTURE = {
    "optimizer=adam": "optimizer=sgd",
    "model.widths=[8]": "model.widths=[9]",
    "model.activation=relu": "model.activation=tanh",
    "data.batch_size=32": "data.batch_size=64",
    "trainer.max_epochs=2": "trainer.max_epochs=3",
    "model.dropout=0.1": "model.dropout=0",
    "scheduler=cosine": "scheduler=step",
    "trainer.gradient_clip_val=1": "trainer.gradient_clip_val=null",
    "optimizer=momentum": "optimizer=nesterov",
}


@pytest.mark.parametrize(("one", "other"), [*NUMBERS.items(), *STRUCTURE.items()])
def test_numbers_differ_in_a_stack_and_structure_does_not(
    resolved: Callable[..., dict[str, Any]], one: str, other: str
) -> None:
    warm = ("scheduler=warmup_cosine",) if "warmup" in one else ()
    stacks = plan([resolved(*warm, one), resolved(*warm, other)], None, 1).stacks
    assert stacks == ([[0, 1]] if (one, other) in NUMBERS.items() else [])


ALONE = {
    "optimizer=lbfgs": "LBFGS: its step searches along a line",
    "optimizer=sam": "SAM: its step evaluates the loss twice",
    "remedy=fgsm": "adversary",
    "remedy=mixup": "augmentation",
    "remedy=ema": "callbacks.ema (EMA)",
    "accumulate=2": "accumulate",
    "precision=bf16-mixed": "precision=bf16-mixed",
    "trainer.devices=2": "trainer.devices=2",
    "compile=true": "compile",
}


@pytest.mark.parametrize(("word", "reason"), ALONE.items())
def test_what_cannot_be_stacked_runs_alone_and_says_why(
    resolved: Callable[..., dict[str, Any]], word: str, reason: str
) -> None:
    planned = plan([resolved(word), resolved(word, "seed=1")], None, 1)
    assert planned.stacks == []
    assert planned.alone == [(0, reason), (1, reason)]
