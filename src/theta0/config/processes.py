"""How many processes a configuration starts on this machine, and how many it may."""

import os
from collections.abc import Mapping
from typing import Any

from theta0.errors import ConfigError, shown
from theta0.launchers import gpus

BESIDE = {
    "hydra_plugins.joblib_launcher.JoblibLauncher": "n_jobs",
    "hydra_plugins.stacked_launcher.StackedLauncher": "workers",
}
"""Launchers with worker processes on this machine, and the option that says how many."""
RAY = "hydra_plugins.ray_launcher.RayLauncher"
SLURM = "hydra_plugins.submitit_launcher.SlurmLauncher"


def usable_cores() -> int:
    """The cores that this process may use: taskset or a cluster may have given it some only.

    (How much of them, by a container's quota, is another matter, which joblib's `cpu_count` tells.)
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processes_of(trainer: Mapping[str, Any]) -> int:
    """Processes of a run on this machine, as far as they are known without torch: `auto` and -1
    mean one a GPU, and one on the CPU."""
    devices = trainer.get("devices", 1)
    if isinstance(devices, list):
        return len(devices)
    return 1 if devices in ("auto", -1) else int(devices)


def check_processes(plain: Mapping[str, Any], launcher: Mapping[str, Any] | None = None) -> None:
    """Raises ConfigError where a run, or a sweep by `launcher`, would start more processes on this
    machine than it has cores, or GPUs; and where several nodes do not know where to meet."""
    trainer = plain["trainer"]
    elsewhere = launcher is not None and (
        launcher["_target_"] == SLURM
        or (launcher["_target_"] == RAY and launcher.get("address") != "local")
    )
    if elsewhere:
        return
    check_trainer(trainer)
    if launcher is not None and launcher["_target_"] in BESIDE:
        _check_beside(launcher, trainer)
    if launcher is not None and launcher["_target_"] == RAY:
        _check_ray(launcher, trainer, plain["threads"])
    nodes = trainer.get("num_nodes", 1)
    if nodes > 1 and plain["rendezvous"] is None and world_size() == 1:
        raise ConfigError(no_rendezvous(nodes))


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Raises ConfigError where a run would start more processes than there are cores here, or GPUs
    where it is to use these, or asks of them what they cannot do."""
    if (processes := processes_of(trainer)) > 1:
        if trainer.get("sync_batchnorm") and trainer.get("accelerator") == "cpu":
            raise ConfigError(
                "trainer.sync_batchnorm=true: torch has it for GPUs only; on the CPU say false, and"
                " each process normalises by its own share of a batch"
            )
        there = _gpus(trainer)
        _at_most("trainer.devices", trainer["devices"], there or usable_cores(), processes, there)


def _check_beside(launcher: Mapping[str, Any], trainer: Mapping[str, Any]) -> None:
    """The same for all the runs that worker processes have under way at once."""
    key = BESIDE[launcher["_target_"]]
    if (workers := launcher[key] or 1) > 1:
        each, there = processes_of(trainer), _gpus(trainer)
        most = max(1, max(usable_cores(), there) // each)
        _at_most(f"hydra.launcher.{key}", workers, most, workers, there > usable_cores(), each)


def _check_ray(launcher: Mapping[str, Any], trainer: Mapping[str, Any], threads: int) -> None:
    """And for those of a Ray on this machine. For what is not there Ray would wait for ever."""
    cores, each = usable_cores(), processes_of(trainer)
    cpus, gpus_each = launcher["num_cpus"], launcher["num_gpus"]
    if cpus is None and (cpus := threads * each) > cores:
        raise ConfigError(
            f"threads={threads}: must be at most {cores // each or 1}, or Ray waits for cores that"
            " are not there; hydra.launcher.num_cpus=... asks for fewer"
        )
    _at_most("hydra.launcher.num_cpus", launcher["num_cpus"], cores, cpus, False)
    there = _gpus(trainer) if gpus_each != 0 else 0
    if gpus_each:
        _at_most("hydra.launcher.num_gpus", gpus_each, there, gpus_each, True)
    bounds = [cores / cpus] if cpus else []
    bounds += [there / (gpus_each or 1)] if there else []
    if not bounds or int(min(bounds)) * each > max(cores, there):
        raise ConfigError(
            f"hydra.launcher.num_cpus={shown(launcher['num_cpus'])}: must be at least {each}, or"
            f" more than {cores} processes run side by side, one a core that may be used here"
        )


def _at_most(key: str, value: Any, most: int, asked: float, gpus: object, each: int = 1) -> None:
    if asked > most:
        unit = "GPU" if gpus else "core"
        beside = f"a run takes {each}, and there is " if each > 1 else ""
        raise ConfigError(
            f"{key}={shown(value)}: must be at most {most}: {beside}one process a {unit} that may"
            " be used here"
        )


def _gpus(trainer: Mapping[str, Any]) -> int:
    """How many GPUs are here for a run; 0 for one that stays on the CPU."""
    return 0 if trainer.get("accelerator") == "cpu" else len(gpus.visible())


def world_size() -> int:
    """How many processes torchrun or SLURM has started for the run, on all nodes."""
    return int(os.environ.get("WORLD_SIZE", os.environ.get("SLURM_NTASKS", "1")))


def no_rendezvous(nodes: int) -> str:
    """The line for nodes that do not know where to meet."""
    return (
        f"trainer.num_nodes={nodes}: tell every node where to meet: rendezvous=HOST:PORT, "
        "or start the command by torchrun or srun"
    )
