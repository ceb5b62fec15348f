"""A run's identity: the hash of what determines its outcome, and the names built on it."""

import copy
import hashlib
import itertools
import json
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from theta0.errors import ConfigError, first_line
from theta0.objective import direction

# What changes only how or where a run is done, not what comes out.
NOT_IDENTITY = (
    "hydra", "study", "paths", "logger", "threads", "progress", "print_config", "tags",
    "rendezvous", "search_space", "claims", "checkpoint", "rerun", "pruning",
)  # fmt: skip
_DEVICES = ("accelerator", "devices", "num_nodes", "strategy", "sync_batchnorm", "profiler")


def resolve(config: DictConfig) -> dict[str, Any]:
    """The configuration without Hydra's node as plain containers, every interpolation resolved."""
    try:
        return {str(key): _plain(config, key) for key in config if key != "hydra"}
    except MissingMandatoryValue as error:
        key = str(error.full_key)
        raise ConfigError(f"{key}: a value is required: {key}=...") from error
    except InterpolationResolutionError as error:
        unknown = r"Interpolation key '(.+)' not found"
        reason = re.sub(unknown, r"needs \1, which is not there", first_line(error))
        raise ConfigError(f"{error.full_key}: {reason}") from error
    except OmegaConfBaseException as error:
        raise ConfigError(first_line(error)) from error


def _plain(config: DictConfig, key: Any) -> Any:
    """One entry resolved, in the tree where it stands: a copy of that would take as long again."""
    value = config[key]
    if not OmegaConf.is_config(value):
        return value
    return OmegaConf.to_container(value, resolve=True, throw_on_missing=True)


def config_hash(config: DictConfig) -> str:
    """sha256 of the resolved configuration, without what changes only how or where a run is done.

    Excluded values are emptied before interpolations are resolved, so that a data folder's path
    does not enter by way of a key that quotes it. Numbers are compared as numbers (1 is 1.0).
    """
    emptied = copy.deepcopy(config)
    OmegaConf.set_readonly(emptied, False)
    OmegaConf.set_struct(emptied, False)
    for key in NOT_IDENTITY:
        if key in emptied and key != "hydra":
            node = emptied._get_node(key)
            emptied[key] = dict.fromkeys(node) if isinstance(node, DictConfig) else None
    identity = identity_of(resolve(emptied))
    text = json.dumps(_canonical(identity), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def identity_of(plain: dict[str, Any]) -> dict[str, Any]:
    """A resolved configuration without what changes only how or where a run is done."""
    identity = {key: value for key, value in plain.items() if key not in NOT_IDENTITY}
    if "trainer" in identity:
        trainer = identity["trainer"].items()
        identity["trainer"] = {key: value for key, value in trainer if key not in _DEVICES}
    return identity


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _canonical(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(v) for v in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def choices_of(hydra: Any) -> dict[str, str]:
    """Each group's option, from Hydra's node; a list (`remedy=[ema,mixup]`) as ema+mixup.

    Hydra itself forgets a group for which a list was chosen. What an option brings along
    (`init@init.base` of ReZero) is told only where it was said.
    """
    said = {override.partition("=")[0] for override in hydra.overrides.task}
    choices = {
        group: str(option)
        for group, option in hydra.runtime.choices.items()
        if not group.startswith("hydra") and ("@" not in group or group in said)
    }
    choices |= {group: "+".join(files) or "none" for group, files in lists_of(hydra).items()}
    return {group: option for group, option in choices.items() if option != "None"}


def lists_of(hydra: Any) -> dict[str, dict[str, Path | None]]:
    """Each group for which a list was chosen: its options, and the file of each, if it has one."""
    folders = [Path(s.path) for s in hydra.runtime.config_sources if s.schema == "file"]
    lists: dict[str, dict[str, Path | None]] = {}
    for override in hydra.overrides.task:
        group, _, value = override.partition("=")
        if value.startswith("[") and any((folder / group).is_dir() for folder in folders):
            options = filter(None, map(str.strip, value.strip("[]").split(",")))
            files = {o: [folder / group / f"{o}.yaml" for folder in folders] for o in options}
            lists[group] = {o: next(filter(Path.is_file, files[o]), None) for o in files}
    return lists


RUN_NAME = "${theta0.run_name:}"
"""How a configuration asks for a run's name."""


def run_name(_root_: DictConfig, digest: str | None = None) -> str:
    """`<optimizer>-<init>-s<seed>-<10 digits of config_hash>`: a run's folder and W&B name.

    `digest` is the config_hash, where it is known already.
    """
    choices = choices_of(_root_.hydra)
    words = [str(choices.get(group)).replace("/", "_") for group in ("optimizer", "init")]
    return f"{'-'.join(words)}-s{_root_.get('seed')}-{(digest or config_hash(_root_))[:10]}"


def default_study(log_dir: str) -> str:
    """The time to the microsecond; the job's name where torchrun or SLURM started several of us."""
    if int(os.environ.get("WORLD_SIZE", os.environ.get("SLURM_NTASKS", "1"))) > 1:
        job = os.environ.get("TORCHELASTIC_RUN_ID", os.environ.get("SLURM_JOB_ID", "none"))
        if job == "none":
            raise ConfigError("study: processes started together need one name: study=...")
        return f"job-{job}"
    return unused(Path(log_dir) / time_as_name()).name


def time_as_name() -> str:
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S.%f")


def unused(path: Path) -> Path:
    """The path itself, or numbered where it is there already, as after a clock was set back."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(p for p in itertools.chain([path], numbered) if not p.exists())


def register_resolvers() -> None:
    """Make `${theta0.study:LOG_DIR}`, `${theta0.run_name:}` and `${theta0.direction:METRIC}` known
    to OmegaConf."""
    OmegaConf.register_new_resolver("theta0.study", default_study, use_cache=True, replace=True)
    OmegaConf.register_new_resolver(
        "theta0.run_name", lambda _root_: run_name(_root_), replace=True
    )
    OmegaConf.register_new_resolver(
        "theta0.direction",
        lambda metric, _root_: direction(str(metric), _root_.metrics),
        replace=True,
    )


def run_overrides(overrides: list[str]) -> dict[str, str]:
    """The overrides that tell one run from another: all but what is no identity."""
    pairs = (override.lstrip("+~").partition("=") for override in overrides)
    return {key: value for key, _, value in pairs if key.partition(".")[0] not in NOT_IDENTITY}


def cell_overrides(overrides: list[str]) -> dict[str, str]:
    """The overrides that tell one cell from another: those of a run, without its seeds."""
    said = run_overrides(overrides)
    return {key: v for key, v in said.items() if key.partition(".")[0] not in ("seed", "seeds")}


def cell_name(choices: dict[str, str], overrides: list[str]) -> str:
    """A run's choices but its seeds in one string, for tools that group by one key only."""
    others = cell_overrides(overrides)
    words = [choices.get("optimizer", ""), choices.get("init", "")]
    words += [
        f"{k}={choices.get(k, v)}"
        for k, v in sorted(others.items())
        if k not in ("optimizer", "init")
    ]
    return "|".join(words)
