"""Annealed Gaussian noise on the gradients."""

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch.optim import Optimizer

from theta0 import seeds


class GradientNoise(Callback):
    """g ← g + N(0, σₜ²), σₜ² = η/(1 + t)^γ at step t = 0, 1, ... (Neelakantan et al. 2015, eq. 1).

    A step's noise depends on the seed and t alone: every process adds the same, a continued run the
    same as one that was not interrupted, and nothing else draws otherwise because of it. The
    trainer clips gradients after the noise has been added.

    Args:
        eta: η, the variance at the first step; 0.01, 0.3 and 1 in the paper.
        gamma: γ, how fast it falls; 0.55 in the paper.
        seed: of the noise.
    """

    def __init__(self, eta: float, gamma: float, seed: int) -> None:
        self.eta, self.gamma, self.seed = eta, gamma, seed

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: Optimizer
    ) -> None:
        step = trainer.global_step
        std = (self.eta / (1 + step) ** self.gamma) ** 0.5
        generator = seeds.generator(self.seed, "gradient", step)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if (gradient := parameter.grad) is not None:
                    noise = torch.randn(gradient.shape, generator=generator)
                    gradient.add_(noise.to(gradient), alpha=std)
