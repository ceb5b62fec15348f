"""One run of a stack: what is its own, and the files that a run of its own would have written."""

import random
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from theta0 import seeds
from theta0.build import build
from theta0.callbacks import Checkpoint, EarlyStopping, SuccessiveHalving, build_callback
from theta0.checkpoints import read_checkpoint
from theta0.objective import counted
from theta0.results import Best, Result, Status
from theta0.stacked.schedule import Scheduler
from theta0.start import weights_of


class Member:
    """A run that trains in a stack.

    Attributes:
        folder, config, result: as `theta0.run` has them.
        checkpoint: the last one of an earlier start, read from its file, or None.
        state: θ₀, its state dict.
        optimizer, scheduler: its own, over the stack's template; the stack steps in their place.
        generator: draws its dropout masks.
        pruner: of its search, if that ends runs early.
        metrics: of the epoch under way;  last_metrics: of the last epoch that ended.
        best_metrics, best: of the epoch chosen so far.
        best_state: its state dict, if it was chosen before the last checkpoint was read.
    """

    def __init__(self, folder: Path, config: dict[str, Any], result: Result) -> None:
        self.folder, self.config, self.result = folder, config, result
        path = folder / "checkpoints" / "last.ckpt"
        self.checkpoint: dict[str, Any] | None = None
        if path.exists():
            self.checkpoint = read_checkpoint(path)
        self.state: dict[str, Tensor] = {}
        self.rates: list[float] = []  # of dropout, in module order
        self.optimizer: Optimizer
        self.scheduler: Scheduler | None = None
        self.generator = seeds.generator(result.seeds.noise, "noise", 0)
        callbacks = [build_callback(node, folder=folder) for node in config["callbacks"].values()]
        self.stopper = next((c for c in callbacks if isinstance(c, EarlyStopping)), None)
        self.keeper = next((c for c in callbacks if isinstance(c, Checkpoint)), None)
        self.pruner: SuccessiveHalving | None = None
        if config["pruning"] is not None:
            self.pruner = build(config["pruning"], folder=folder, result=result)
        self.metrics: dict[str, float] = {}
        self.last_metrics: dict[str, float] = {}
        self.best: Best | None = None
        self.best_metrics: dict[str, float | None] = {}
        self.best_state: dict[str, Tensor] | None = None
        self.fit_seconds = 0.0
        self.rows: list[tuple[int, dict[str, Any]]] = []  # for metrics.csv, not written yet
        self.alive = True
        self._numpy: list[Any] | None = None
        self._python: list[Any] | None = None

    def passenger(self) -> "Member":
        """The same run, for company: it trains and leaves nothing."""
        member = Member(self.folder, self.config, self.result)
        member.alive = False
        return member

    # ------------------------------------------------------------------------------ where it stands

    @property
    def place(self) -> tuple[int, int, int]:
        """(optimizer steps done, epochs done, batches of the next one done): where it goes on."""
        if self.checkpoint is None:
            return 0, 0, 0
        loops = self.checkpoint["loops"]["fit_loop"]
        place = self.checkpoint["DataModule"]["place"]
        done = loops["epoch_progress"]["current"]["processed"]
        ended = place["epoch"] < done
        return self.checkpoint["global_step"], done, 0 if ended else place["batch"]

    def resume(self) -> None:
        """Take what the checkpoint has of this run alone."""
        checkpoint = self.checkpoint
        if checkpoint is None:
            return
        self.state = weights_of(checkpoint)
        self.metrics = dict(checkpoint["metrics"])
        self.last_metrics = dict(checkpoint["metrics"])
        self.fit_seconds = checkpoint["fit_seconds"]
        for callback in (self.stopper, self.keeper):
            if callback is not None and callback.state_key in checkpoint["callbacks"]:
                callback.load_state_dict(checkpoint["callbacks"][callback.state_key])
        states = checkpoint["processes"][0]["random"]
        self.generator.set_state(states["torch"].cpu())
        self._numpy, self._python = states["numpy"], states["python"]
        best = self.folder / "checkpoints" / "best.ckpt"
        if best.exists():
            chosen = read_checkpoint(best)
            self.best = Best(epoch=chosen["epoch"], step=chosen["global_step"])
            self.best_metrics = chosen["metrics"]
            self.best_state = weights_of(chosen)

    def resume_schedule(self) -> None:
        """Where a plateau schedule has come to; others depend on the step alone."""
        assert self.checkpoint is not None
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.load_state_dict(self.checkpoint["plateau"])

    # ------------------------------------------------------------------------------------ an epoch

    def end_epoch(self, epoch: int, step: int) -> tuple[bool, Status | None]:
        """Judge the epoch by its metrics; returns whether it is the best, and how the run ends."""
        self.rows.append((step, {"epoch": epoch, **self.metrics, "seconds": self.fit_seconds}))
        self.last_metrics = dict(self.metrics)
        ends = self._stops(epoch)
        watched = self.metrics.get(self.result.objective.metric)
        if watched is not None:
            if isinstance(self.scheduler, ReduceLROnPlateau):
                self.scheduler.step(counted(watched, self.scheduler.mode))
            if self.pruner is not None and self.pruner.ends(epoch, watched):
                ends = "pruned"
        monitored = self.metrics.get(self.keeper.monitor) if self.keeper else None
        # as a float32, in which a run of its own has it
        if monitored is None or not self.keeper.improves(torch.tensor(monitored).item()):  # type: ignore[union-attr]
            return False, ends
        self.best, self.best_metrics = Best(epoch=epoch, step=step), dict(self.metrics)
        return True, ends

    def _stops(self, epoch: int) -> Status | None:
        if self.stopper is None or self.stopper.monitor not in self.metrics:
            return None
        value = torch.tensor(self.metrics[self.stopper.monitor])
        stop, reason = self.stopper._evaluate_stopping_criteria(value)
        if not stop:
            return None
        self.stopper.stopped_epoch, self.stopper.stopping_reason_message = epoch, reason
        return "done"

    # --------------------------------------------------------------------------------- checkpoints

    def random_state(self) -> dict[str, Any]:
        """What a run of its own has of random states here, for its checkpoint."""
        if self._numpy is None:
            derived = seeds.derive(self.result.seeds.noise, "noise", 0)
            kind, keys, *rest = np.random.RandomState(derived % 2**32).get_state(legacy=True)
            self._numpy = [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest]
            version, words, normal = random.Random(derived).getstate()
            self._python = [version, list(words), normal]
        return {
            "torch": self.generator.get_state(),
            "cuda": [],
            "mps": None,
            "numpy": self._numpy,
            "python": self._python,
        }

    def callback_states(self) -> dict[str, Any]:
        callbacks: list[lightning.Callback | None] = [self.stopper, self.keeper]
        return {c.state_key: c.state_dict() for c in callbacks if c is not None}
