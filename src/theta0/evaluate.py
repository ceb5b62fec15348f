"""A finished run's network on its own test rows, or on other data of the same shape."""

import sys
from pathlib import Path

from omegaconf import DictConfig

from theta0 import environment
from theta0.build import build
from theta0.checkpoints import CheckpointFiles, read_checkpoint
from theta0.devices import on_what_is_here
from theta0.errors import ConfigError, first_line
from theta0.identity import resolve
from theta0.module import Module
from theta0.reproduce import with_data_in
from theta0.run import quiet
from theta0.trust import trusted


def evaluate(config: DictConfig) -> dict[str, float]:
    """Print and return the test metrics of a run's checkpoint; the run's folder is only read.

    With the run's own data they are those of its result.json, to the last digit, on the machine
    that trained it. Other data is normalised by the run's statistics, which the checkpoint holds.
    Raises ConfigError for a folder without a run, one whose configuration builds what is not
    trusted, or cannot be built, a checkpoint that is missing, not plain or of another network, and
    data of another shape.
    """
    asked = resolve(config)
    folder = Path(asked["run"])
    run = trusted(folder, asked["trust"]).config
    path = _checkpoint(folder, asked["checkpoint"])
    data = asked.get("data") or with_data_in(run, asked["paths"])["data"]
    for key in ("shape", "num_outputs"):
        if data.get(key) != run["data"].get(key):
            raise ConfigError(f"data.{key}={data.get(key)}: the run has {run['data'].get(key)}")
    environment.apply(run["threads"])
    node, changed = on_what_is_here(run["trainer"])
    if changed is not None:
        print(f"theta0: {changed}", file=sys.stderr)
    with quiet():
        try:
            module = Module.from_config(run)
            module.adapt(run["seeds"]["init"])
            rows = build(data)
            trainer = build(
                node | {"devices": 1, "num_nodes": 1, "strategy": "auto"},
                plugins=[CheckpointFiles()],
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
            )
        except Exception as error:  # of whatever kind: a stranger's values may be anything
            raise ConfigError(f"run: it cannot be built: {first_line(error)}") from error
        try:
            trainer.test(module, rows, ckpt_path=path, weights_only=True, verbose=False)
        except (OSError, ValueError, ImportError):
            raise
        except Exception as error:
            if "Error(s) in loading state_dict" not in str(error):
                raise ConfigError(f"run: it cannot be evaluated: {first_line(error)}") from error
            raise ConfigError(f"checkpoint={asked['checkpoint']}: not of this network") from error
    metrics = {k: v for k, v in module.epoch_metrics.items() if k.startswith("test/")}
    for name, value in metrics.items():
        print(f"{name} {value}")
    return metrics


def _checkpoint(folder: Path, name: str) -> str:
    """The path of `best`, `last` or a path, once it has been found to be plain."""
    path = folder / "checkpoints" / f"{name}.ckpt" if name in ("best", "last") else Path(name)
    try:
        read_checkpoint(path)
    except FileNotFoundError:
        raise ConfigError(f"checkpoint={name}: there is no {path}") from None
    except ValueError as error:
        raise ConfigError(f"checkpoint={name}: {error}") from None
    return str(path)
