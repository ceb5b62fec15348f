"""A member of a stack against the run of its own."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

SMALL = ("trainer.max_epochs=2", "trainer.limit_train_batches=8")
WIDTHS = "model.widths=[16,16]"
STACKED = ("hydra/launcher=stacked", "hydra.launcher.workers=1", "hydra.launcher.threads=1")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def both(in_process: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same sweep by the ordinary launcher and stacked: pairs of results and their folders."""

    def both(*arguments: str, own: int = 0) -> list[Any]:
        here = tmp_path_factory.mktemp("both")
        solo = in_process(here, "-m", *SMALL, "study=solo", *arguments)
        stacked = in_process(here, "-m", *SMALL, "study=stacked", *STACKED, *arguments)
        assert solo.code == stacked.code == 0, stacked.out + stacked.err
        pairs = list(zip(solo.results("solo"), stacked.results("stacked"), strict=True))
        assert sum("stack" in s.environment for _, s in pairs) == len(pairs) - own, stacked.out
        return [(a, b, solo.folder(a), stacked.folder(b)) for a, b in pairs]

    return both


def assert_same(pairs: list[Any], tolerance: float) -> None:
    for solo, member, a, b in pairs:
        assert member.run == solo.run
        assert member.status == solo.status
        assert member.hashes.init == solo.hashes.init
        assert member.hashes.data == solo.hashes.data
        assert member.best == solo.best
        assert member.cost.steps == solo.cost.steps
        assert member.cost.epochs == solo.cost.epochs
        assert member.metrics.keys() == solo.metrics.keys()
        assert member.metrics == pytest.approx(solo.metrics, abs=max(tolerance, 1e-6))
        of_solo, of_member = rows(a), rows(b)
        assert len(of_solo) == len(of_member)
        for x, y in zip(of_solo, of_member, strict=True):
            assert list(x) == list(y)
            for key in x:
                if key == "seconds" or not x[key]:
                    continue
                near = tolerance if key == "train/loss_step" else max(tolerance, 1e-6)
                assert float(y[key]) == pytest.approx(float(x[key]), abs=near, rel=near), key
        for name in ("last", "best"):
            files = [f / "checkpoints" / f"{name}.ckpt" for f in (a, b)]
            assert files[0].exists() == files[1].exists()
            if not files[0].exists():
                continue
            p, q = (torch.load(file, weights_only=True) for file in files)
            for key, tensor in p["state_dict"].items():
                torch.testing.assert_close(
                    q["state_dict"][key], tensor, atol=tolerance, rtol=tolerance
                )
            if "loops" in q:
                assert_same_tree(p, q, "")


def assert_same_tree(a: Any, b: Any, where: str) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            if key not in ("fit_seconds", "hyper_parameters", "best_score", "numpy", "python"):
                assert_same_tree(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert type(a) is type(b) and len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same_tree(x, y, f"{where}[{i}]")
    elif isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and a.shape == b.shape, where
        if a.is_floating_point():
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)
        else:
            assert torch.equal(a, b), where
    elif isinstance(a, float):
        assert b == pytest.approx(a, abs=1e-6), where
    else:
        assert a == b, where


DOUBLE = ("precision=64-true", "trainer.log_every_n_steps=1")

VARIANTS = {
    "batch_norm": ("model.norm=batch", "seed=0,1", "seeds.split=0,3"),
    "layer_norm": ("model.norm=layer", "model.residual=true", "seed=0,1"),
    "weight_norm": ("model.norm=weight", "seed=0,1"),
    "dropout": ("model.dropout=0.1,0.5", "seed=0,1"),
    "clip_norm": ("remedy=clip_norm", "trainer.gradient_clip_val=0.1,1.0", "seed=0"),
    "clip_value": ("remedy=clip_value", "trainer.gradient_clip_val=0.01,0.1", "seed=0"),
    "smoothing": ("loss.cross_entropy.label_smoothing=0.0,0.1", "seed=0"),
    "penalties": ("remedy=l2", "loss.l2.scale=1e-3,1e-2", "seed=0"),
    "one_cycle": ("scheduler=one_cycle", "scheduler.warmup=0.3,0.5", "optimizer.lr=1e-2"),
    "step": ("scheduler=step", "scheduler.gamma=0.1,0.5"),
    "warmup": ("scheduler=warmup_cosine", "scheduler.warmup=0.1,0.5"),
    "plateau": ("scheduler=plateau", "scheduler.patience=0", "optimizer.lr=1e-3,1.0",
                "trainer.max_epochs=6"),
    "early_stopping": ("remedy=early_stopping", "callbacks.early_stopping.patience=0,1",
                       "optimizer.lr=1e-2,1.0", "trainer.max_epochs=6"),
    "rezero": ("init=rezero", "model.width=16", "seed=0,1"),
    "fixup": ("init=fixup", "model.width=16", "seed=0,1"),
    "regression": ("data=linear", "loss=mse", "metrics=regression", "model=mlp", "seed=0,1"),
    "mup": ("init=mup", "init.base_width=8", "seed=0,1"),
    "lsuv": ("init=lsuv", "seed=0,1"),
    "val_every_2": ("trainer.check_val_every_n_epoch=2", "seed=0,1", "trainer.max_epochs=3"),
    "max_steps": ("trainer.max_steps=11", "trainer.max_epochs=-1", "seed=0,1"),
    "no_checkpoint": ("callbacks=none", "seed=0,1"),
}  # fmt: skip


FAST = ("batch_norm", "dropout", "one_cycle")


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in VARIANTS]
)
def test_a_member_is_its_solo_run(name: str, both: Any) -> None:
    own_shape = any("model" in word and "=" in word for word in VARIANTS[name] if "width" in word)
    widths = () if own_shape else (WIDTHS,)
    assert_same(both(*DOUBLE, *widths, *VARIANTS[name]), 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("optimizer=momentum,rmsprop,asgd,rprop",),
        ("optimizer=muon", "optimizer.newton_schulz_dtype=parameter"),
    ],
    ids=["by parameter", "by matrix"],
)
def test_optimizers_step_as_alone(words: tuple[str, ...], both: Any) -> None:
    """One of each kind of state; `test_rules` has each rule."""
    assert_same(both(*DOUBLE, WIDTHS, "init=he,xavier", *words), 1e-9)
