"""A user's convolutional network in a stack, by vmap alone, against the runs of its own."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

CONV = '''
"""A user's own network: two convolutions with normalisation and a pool."""

from torch import nn


class ConvNet(nn.Sequential):
    def __init__(self, out_features, channels=4, **mlp):
        super().__init__(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, groups=2, bias=False),
            nn.GroupNorm(2, 2 * channels),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2 * channels, out_features),
        )
'''


@pytest.fixture(scope="module")
def conv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("user")
    (folder / "users_conv.py").write_text(CONV)
    sys.path.insert(0, str(folder))
    yield "model._target_=users_conv.ConvNet"
    sys.path.remove(str(folder))


@pytest.mark.slow
def test_a_convolutional_network_trains_in_a_stack_as_alone(
    conv: str, in_process: Callable[..., Any], tmp_path: Path
) -> None:
    sweep = (conv, "optimizer.lr=1e-2", "init=he,xavier", "seed=0", "precision=64-true")
    short = ("trainer.max_epochs=1", "trainer.log_every_n_steps=1")
    solo = in_process(tmp_path, "-m", *sweep, *short, "study=solo")
    stack = ("hydra/launcher=stacked", "hydra.launcher.workers=1")
    stacked = in_process(tmp_path, "-m", *sweep, *short, *stack, "study=stacked")
    assert "2 runs in 1 stack of 2" in stacked.out, stacked.out
    pairs = list(zip(solo.results("solo"), stacked.results("stacked"), strict=True))
    assert len(pairs) == 2
    for alone, member in pairs:
        assert member.environment["stack"] == 2
        assert member.hashes.init == alone.hashes.init != member.hashes.final
        weights = [
            torch.load(ran.folder(result) / "checkpoints" / "last.ckpt", weights_only=True)
            for ran, result in ((solo, alone), (stacked, member))
        ]
        for key, tensor in weights[0]["state_dict"].items():
            torch.testing.assert_close(weights[1]["state_dict"][key], tensor, rtol=0, atol=1e-9)
        assert member.metrics == pytest.approx(alone.metrics, abs=1e-6)
