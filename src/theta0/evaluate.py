"""A finished run's network on its own test rows, or on other data of the same shape."""

from pathlib import Path

import torch
from omegaconf import DictConfig

from theta0 import environment
from theta0.build import build
from theta0.errors import ConfigError
from theta0.identity import resolve
from theta0.module import Module
from theta0.results import Result
from theta0.run import quiet
from theta0.trust import refuse_strangers


def evaluate(config: DictConfig) -> dict[str, float]:
    """Print and return the test metrics of a run's checkpoint; the run's folder is only read.

    With the run's own data they are those of its result.json, to the last digit, on the machine
    that trained it. Other data is normalised by the run's statistics, which the checkpoint holds.
    Raises ConfigError for a folder without a run, a checkpoint that is missing or not plain, and
    data of another shape.
    """
    asked = resolve(config)
    folder = Path(asked["run"])
    try:
        run = Result.read(folder).config
    except ValueError as error:
        raise ConfigError(f"run: {error}") from None
    refuse_strangers(run, asked["trust"])
    path = _checkpoint(folder, asked["checkpoint"])
    data = asked.get("data") or run["data"]
    for key in ("shape", "num_outputs"):
        if data.get(key) != run["data"].get(key):
            raise ConfigError(f"data.{key}={data.get(key)}: the run has {run['data'].get(key)}")
    environment.apply(run["threads"])
    with quiet():
        module = Module.from_config(run)
        module.adapt(run["seeds"]["init"])
        trainer = build(
            run["trainer"] | {"devices": 1, "num_nodes": 1, "strategy": "auto"},
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        trainer.test(module, build(data), ckpt_path=path, weights_only=True, verbose=False)
    metrics = {k: v for k, v in module.epoch_metrics.items() if k.startswith("test/")}
    for name, value in metrics.items():
        print(f"{name} {value}")
    return metrics


def _checkpoint(folder: Path, name: str) -> str:
    """The path of `best`, `last` or a path, once it has been found to be plain."""
    path = folder / "checkpoints" / f"{name}.ckpt" if name in ("best", "last") else Path(name)
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ConfigError(f"checkpoint={name}: there is no {path}") from None
    except Exception:  # of whatever kind: it depends on what the bytes happen to mean as a pickle
        raise ConfigError(
            f"checkpoint={name}: {path} is truncated or holds more than plain tensors"
        ) from None
    return str(path)
