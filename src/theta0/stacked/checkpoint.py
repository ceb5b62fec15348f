"""A member's checkpoint, in the format of a run of its own: any launcher continues from it."""

import copy
import os
from pathlib import Path
from typing import Any

import lightning
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from theta0.checkpoints import CheckpointFiles
from theta0.stacked.module import Stack
from theta0.stacked.schedule import at_step, by_step


def dump(stack: Stack, index: int) -> dict[str, Any]:
    """What Lightning would have saved of this member's run of its own at the stack's place."""
    member, step = stack.members[index], stack.place.step
    optimizer = member.optimizer
    factor, cycled = stack.schedules.at(step)
    stack.stepper.to_solo(
        index,
        optimizer,
        stack.network.template.network,
        factor=float(factor[index]),
        cycled=None if cycled is None else float(cycled[index]),
    )
    at_step(member.scheduler, step)
    states = optimizer.state_dict()
    optimizer.state.clear()
    stepped = by_step(member.scheduler)
    plateau = isinstance(member.scheduler, ReduceLROnPlateau)
    checkpoint = {
        **_whose(stack, index),
        "epoch": stack.place.epoch,
        "global_step": step,
        "loops": stack.place.loops,
        "optimizer_states": [states],
        "lr_schedulers": [_plain(member.scheduler)] if stepped else [],
        "metrics": dict(member.metrics),
        "plateau": _plain(member.scheduler) if plateau else None,
    }
    state = stack.network.state(index)
    checkpoint["state_dict"] = {f"network.{name}": tensor for name, tensor in state.items()}
    return own(checkpoint)


def dump_best(stack: Stack, index: int) -> dict[str, Any]:
    """The chosen epoch's weights and metrics: enough to test, to evaluate and to start from."""
    member = stack.members[index]
    assert member.best is not None
    checkpoint = {
        **_whose(stack, index),
        "epoch": member.best.epoch,
        "global_step": member.best.step,
        "metrics": member.best_metrics,
        "plateau": None,
    }
    names = stack.network.names
    checkpoint["state_dict"] = {f"network.{name}": stack.best[name][index] for name in names}
    return own(checkpoint)


def _whose(stack: Stack, index: int) -> dict[str, Any]:
    """What a checkpoint says whatever the epoch."""
    member = stack.members[index]
    data = stack.rows.modules[member.result.seeds.split]
    return {
        "pytorch-lightning_version": lightning.__version__,
        "callbacks": member.callback_states(),
        "hparams_name": "config",
        "hyper_parameters": member.config,
        type(data).__qualname__: {
            "mean": data.mean,
            "std": data.std,
            "place": stack.place.loader,
        },
        "processes": [
            {
                "random": member.random_state(),
                "train_metrics": stack.train_metrics.half_way(index),
            }
        ],
        "fit_seconds": member.fit_seconds,
    }


def _plain(scheduler: Any) -> dict[str, Any]:
    return copy.deepcopy(scheduler.state_dict())


def own(value: Any) -> Any:
    """The same with tensors on the CPU that share their memory with nothing else."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: own(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(own(v) for v in value)
    return value


def write(checkpoint: dict[str, Any], path: Path) -> None:
    """Replaced in one step: whatever happens, the file is the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}")
    try:
        CheckpointFiles().save_checkpoint(checkpoint, temporary)
        os.replace(temporary, path)
    finally:  # on a full disk, result.json needs the room of a half
        temporary.unlink(missing_ok=True)
