"""Runs on several processes: torchrun executes them, and this process stays outside the group."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

from theta0 import ancestors
from theta0.config import check_trainer, processes_of
from theta0.config.processes import no_rendezvous, world_size

RENDEZVOUS = 120.0
"""Seconds that the processes of a run wait for each other at the start; torch would wait 30 minutes
for a process that is lost."""


def joined() -> bool:
    """Whether torchrun or SLURM started this process as one of several."""
    return (TorchElasticEnvironment.detect() or SLURMEnvironment.detect()) and world_size() > 1


def rank() -> int:
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) if joined() else 0


def slurm() -> list[SLURMEnvironment]:
    """For Lightning's plugins: in a job of SLURM it leaves requeueing to who submitted the job.

    Its own would save one more kind of checkpoint, at a signal that stops a run in order here.
    """
    alone = SLURMEnvironment.detect() and not TorchElasticEnvironment.detect()
    return [SLURMEnvironment(auto_requeue=False)] if alone else []


def local_processes(trainer: dict[str, Any]) -> int:
    """How many processes the run wants on this machine: one a device."""
    if trainer["devices"] in ("auto", -1) and trainer["accelerator"] in ("gpu", "cuda", "auto"):
        return max(1, torch.cuda.device_count())
    return processes_of(trainer)


def meet() -> None:
    """Wait until all processes that torchrun started for the run are here.

    What they wait for later, such as a checkpoint that is being written, may take longer.
    Raises TimeoutError naming those that have not come in RENDEZVOUS seconds.
    """
    if not (TorchElasticEnvironment.detect() and world_size() > 1):
        return
    patience = timedelta(seconds=RENDEZVOUS)
    store, rank, world = next(torch.distributed.rendezvous("env://", timeout=patience))
    everyone = [f"theta0/{other}" for other in range(world)]
    store.set(everyone[rank], "here")
    try:
        store.wait(everyone, patience)
    except RuntimeError:
        missing = [n for n, key in enumerate(everyone) if not store.check([key])]
        raise TimeoutError(
            f"of {world} processes {', '.join(map(str, missing))} did not come within"
            f" {RENDEZVOUS:.0f} s"
        ) from None


def torchrun(folder: Path, config: dict[str, Any], processes: int, show: bool) -> int:
    """Execute the run of `folder` on `processes` processes of each node; returns the exit code.

    `python -m theta0.rank FOLDER` reads the folder's resolved configuration, so nothing of this
    process's command line is run again. With `show` the processes may draw on the terminal;
    otherwise what they say on stderr goes to run.log.
    """
    check_trainer(config["trainer"])  # a stranger's run, or one in a job of SLURM
    nodes = config["trainer"]["num_nodes"]
    command = [sys.executable, "-m", "theta0.agent", f"--nproc-per-node={processes}"]
    waits = [f"{kind}_timeout={RENDEZVOUS:.0f}" for kind in ("join", "read")]
    command += [f"--rdzv-conf={','.join(waits)}"]
    if nodes == 1:
        command += ["--standalone"]
    elif config["rendezvous"] is None:
        raise ValueError(no_rendezvous(nodes))
    else:
        command += [f"--nnodes={nodes}", "--rdzv-backend=c10d"]
        command += [f"--rdzv-endpoint={config['rendezvous']}", f"--rdzv-id={folder.name}"]
    command += ["-m", "theta0.rank", str(folder)]
    source = str(Path(__file__).parents[1])
    environment = os.environ | {
        **ancestors.named(),
        "PYTHONPATH": os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "OMP_NUM_THREADS": str(config["threads"]),
    }
    with (folder / "run.log").open("a") as log:
        process = subprocess.Popen(command, env=environment, stderr=None if show else log)
        try:
            return process.wait()
        except BaseException:  # told to stop: torchrun passes it on to its processes
            process.terminate()
            process.wait()
            raise
