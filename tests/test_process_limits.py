"""No more processes on a machine than it has room for: refused in a line, before any is started."""

import sys
from datetime import timedelta
from types import SimpleNamespace

import pytest
import torch

from theta0 import launch
from theta0.config import check, check_trainer, usable_cores
from theta0.errors import ConfigError

CORE = "one process a core that may be used here"
RAY = "hydra/launcher=ray"


@pytest.fixture
def machine(monkeypatch):
    """`machine(cores, gpus)`: one that has so many of each."""

    def machine(cores, gpus=0):
        monkeypatch.setattr("theta0.config.processes.usable_cores", lambda: cores)
        names = [f"GPU-{i}" for i in range(gpus)]
        monkeypatch.setattr("theta0.launchers.gpus.visible", lambda: names)

    for name in ("WORLD_SIZE", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    return machine


@pytest.mark.parametrize(
    ("here", "words", "line"),
    [
        ((2,), "trainer=cpu trainer.devices=99", f"trainer.devices=99: must be at most 2: {CORE}"),
        ((2,), "trainer=cpu trainer.devices=[0,1,2]", "trainer.devices=[0,1,2]: must be at most 2"),
        ((1,), "trainer=ddp_cpu", "trainer.devices=2: must be at most 1"),
        ((2,), "trainer.devices=8", "trainer.devices=8: must be at most 2"),
        ((2,), "trainer=gpu trainer.devices=99", "trainer.devices=99: must be at most 2"),
        ((64, 4), "trainer=gpu trainer.devices=8", "trainer.devices=8: must be at most 4: one pro"),
        (
            (2,),
            "trainer=ddp_cpu trainer.num_nodes=3 trainer.devices=3 rendezvous=host:1",
            "trainer.devices=3: must be at most 2",
        ),
        (
            (8,),
            "trainer=ddp_cpu trainer.num_nodes=2",
            "trainer.num_nodes=2: tell every node where to meet: rendezvous=HOST:PORT",
        ),
        (
            (2,),
            "hydra/launcher=joblib hydra.launcher.n_jobs=99",
            f"hydra.launcher.n_jobs=99: must be at most 2: {CORE}",
        ),
        (
            (8,),
            "trainer=ddp_cpu hydra/launcher=joblib hydra.launcher.n_jobs=5",
            "hydra.launcher.n_jobs=5: must be at most 4: a run takes 2, and there is one process a",
        ),
        (
            (2,),
            "hydra/launcher=stacked hydra.launcher.workers=3",
            "hydra.launcher.workers=3: must be at most 2",
        ),
        ((2,), f"{RAY} hydra.launcher.num_cpus=0", "hydra.launcher.num_cpus=0: must be at least 1"),
        ((2,), f"{RAY} hydra.launcher.num_cpus=0.5", "hydra.launcher.num_cpus=0.5: must be at lea"),
        ((2,), f"{RAY} hydra.launcher.num_cpus=3", "hydra.launcher.num_cpus=3: must be at most 2"),
        (
            (4,),
            f"{RAY} trainer=ddp_cpu hydra.launcher.num_cpus=1",
            "hydra.launcher.num_cpus=1: must be at least 2",
        ),
        ((2,), f"{RAY} threads=4", "threads=4: must be at most 2, or Ray waits for cores"),
        ((2,), f"{RAY} hydra.launcher.num_gpus=1", "hydra.launcher.num_gpus=1: must be at most 0"),
        (
            (2, 1),
            f"{RAY} hydra.launcher.num_cpus=0 hydra.launcher.num_gpus=0.01",
            "hydra.launcher.num_cpus=0: must be at least 1",
        ),
    ],
)
def test_more_processes_than_there_is_room_for_are_refused(compose, machine, here, words, line):
    machine(*here)
    with pytest.raises(ConfigError) as refused:
        check(compose(*words.split()))
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("here", "words"),
    [
        ((2,), "trainer=ddp_cpu"),
        ((2,), "trainer=cpu trainer.devices=auto"),
        ((2,), "trainer=cpu trainer.devices=-1"),
        ((1, 4), "trainer=gpu trainer.devices=4"),
        ((1,), "hydra/launcher=joblib hydra.launcher.n_jobs=1 threads=8"),
        ((1, 4), "hydra/launcher=joblib hydra.launcher.n_jobs=4"),
        ((2,), RAY),
        ((2, 1), f"{RAY} hydra.launcher.num_cpus=0 hydra.launcher.num_gpus=0.5"),
        ((1,), f"{RAY} hydra.launcher.address=auto trainer.devices=8"),  # on another machine
        ((1,), "hydra/launcher=submitit_slurm trainer=gpu trainer.devices=8 trainer.num_nodes=2"),
        ((8,), "trainer=ddp_cpu trainer.num_nodes=2 rendezvous=host:1"),
    ],
)
def test_what_there_is_room_for_is_allowed(compose, machine, here, words):
    machine(*here)
    check(compose(*words.split()))


def test_the_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.parametrize("program", ["torchrun", "reproduce.py"])
def test_a_stranger_s_run_is_refused_too(in_process, tmp_path, machine, program):
    """Whatever its folder says of devices."""
    if program == "torchrun":
        machine(2)
        config = {"trainer": {"devices": 99, "num_nodes": 1, "accelerator": "cpu"}}
        with pytest.raises(ConfigError, match=r"^trainer\.devices=99: must be at most 2"):
            launch.torchrun(tmp_path, config, 99, show=False)
        return
    ran = in_process(tmp_path, "trainer.max_epochs=1", "trainer.limit_train_batches=1", "study=s")
    result = ran.one("s")
    result.config["trainer"]["devices"] = 99
    result.write(ran.folder(result))
    again = in_process(
        tmp_path, f"run={ran.folder(result)}", "folder=again", program="reproduce.py"
    )
    assert again.code == 2
    assert again.err.startswith("theta0: trainer.devices=99: must be at most ")
    assert not (tmp_path / "again").exists()


def test_processes_that_do_not_come_are_named(monkeypatch):
    """After two minutes, which torch would make thirty."""
    store = torch.distributed.HashStore()
    asked = []

    def rendezvous(url, timeout):
        asked.append(timeout)
        yield store, 0, 3

    monkeypatch.setattr(torch.distributed, "rendezvous", rendezvous)
    monkeypatch.setattr(launch.TorchElasticEnvironment, "detect", lambda: True)
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert launch.RENDEZVOUS == 120
    monkeypatch.setattr(launch, "RENDEZVOUS", 0.05)
    store.set("theta0/2", "here")
    with pytest.raises(TimeoutError, match=r"^of 3 processes 1 did not come within 0 s$"):
        launch.meet()
    store.set("theta0/1", "here")
    launch.meet()
    assert asked == [timedelta(seconds=0.05)] * 2


@pytest.mark.parametrize("nodes", [1, 2])
def test_torchrun_waits_for_two_minutes_too(monkeypatch, tmp_path, machine, nodes):
    machine(2)
    commands = []

    def popen(command, **settings):
        commands.append(command)
        return SimpleNamespace(wait=lambda: 0)

    monkeypatch.setattr("subprocess.Popen", popen)
    trainer = {"devices": 2, "num_nodes": nodes, "accelerator": "cpu"}
    config = {"trainer": trainer, "rendezvous": "host:1", "threads": 1}
    launch.torchrun(tmp_path, config, 2, show=False)
    assert commands[0][:3] == [sys.executable, "-m", "theta0.agent"]
    assert "--rdzv-conf=join_timeout=120,read_timeout=120" in commands[0]
    assert check_trainer(trainer) is None
