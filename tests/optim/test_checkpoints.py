"""Every optimizer goes on from its state: 5 steps, a file, 5 steps are 10 steps, bit for bit."""

from pathlib import Path

import pytest
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf
from torch import nn

from theta0.optim import build_optimizer, cosine

CONFIGS = Path(__file__).parents[2] / "configs" / "optimizer"
NAMES = sorted(file.stem for file in CONFIGS.glob("*.yaml"))


class Run:
    """A small network with its optimizer and a schedule, as the module puts them together."""

    def __init__(self, name: str) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 2)
        )
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(10, 16, 6, generator=generator)
        self.y = torch.randn(10, 16, 2, generator=generator)
        settings = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"), resolve=True)
        settings = settings["optimizer"]
        factory = get_object(settings.pop("_target_"))
        self.optimizer = build_optimizer(factory, self.net, **settings)
        self.schedule = cosine(self.optimizer, total_steps=10)
        self.move("train")

    def move(self, point: str) -> None:
        if hasattr(self.optimizer, point):
            getattr(self.optimizer, point)()

    def step(self, t: int) -> None:
        def closure():
            self.optimizer.zero_grad()
            loss = (self.net(self.x[t]) - self.y[t]).square().mean()
            loss.backward()
            return loss

        self.optimizer.step(closure)
        self.schedule.step()

    @property
    def parts(self):
        return self.net, self.optimizer, self.schedule

    @property
    def weights(self) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in self.net.parameters()])


@pytest.mark.parametrize("name", NAMES)
def test_five_steps_and_five_are_ten(name, tmp_path):
    whole = Run(name)
    start = whole.weights
    for t in range(10):
        if t == 5:  # an epoch ends
            whole.move("eval")
            torch.save([part.state_dict() for part in whole.parts], tmp_path / "a.ckpt")
            middle = whole.weights
            whole.move("train")
        whole.step(t)

    later = Run(name)
    states = torch.load(tmp_path / "a.ckpt", weights_only=True)
    for part, state in zip(later.parts, states, strict=True):
        part.load_state_dict(state)
    assert torch.equal(later.weights, middle)
    later.move("train")
    for t in range(5, 10):
        later.step(t)
    assert torch.equal(later.weights, whole.weights)
    assert not torch.equal(start, middle) and not torch.equal(middle, whole.weights)
    assert whole.weights.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_scales_every_groups_rate(name):
    run = Run(name)
    before = [group["lr"] for group in run.optimizer.param_groups]
    for t in range(5):
        run.step(t)
    after = [group["lr"] for group in run.optimizer.param_groups]
    assert after == pytest.approx([0.5 * lr for lr in before])
