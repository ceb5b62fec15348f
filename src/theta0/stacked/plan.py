"""Which runs train as one, in how many stacks, and why the others cannot."""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import lightning

from theta0.identity import identity_of
from theta0.run import quiet
from theta0.stacked.memory import at_once
from theta0.stacked.rules import Unstackable
from theta0.stacked.run import probe, rules_of

FEWEST = 8
"""Runs that a stack should have left where a group is dealt over workers: fewer gain little."""

ALONE: dict[str, tuple[Any, ...]] = {
    "finetune": (None,),
    "adversary": (None,),
    "augmentation": ({},),
    "train": (True,),
    "ckpt_path": (None,),
    "compile": (False,),
    "accumulate": (1,),
    "precision": ("32-true", "64-true"),
}
"""Top-level keys that a run of a stack has only at these values."""

ALONE_TRAINER: dict[str, tuple[Any, ...]] = {
    "devices": (1,),
    "num_nodes": (1,),
    "strategy": ("auto",),
    "fast_dev_run": (False, 0),
    "overfit_batches": (0,),
    "profiler": (None,),
    "detect_anomaly": (False,),
}
"""Likewise, of the trainer."""

CALLBACKS = ("theta0.callbacks.Checkpoint", "lightning.pytorch.callbacks.EarlyStopping")
PRUNING = "theta0.callbacks.SuccessiveHalving"
SCHEDULERS = ("theta0.optim.", "torch.optim.lr_scheduler.ReduceLROnPlateau")


class Plan(NamedTuple):
    """Places of runs in the list that was planned: stacks of two or more, and (run, why alone)."""

    stacks: list[list[int]]
    alone: list[tuple[int, str]]

    def __str__(self) -> str:
        """`40 runs in 2 stacks of 20`."""
        sizes = [len(stack) for stack in self.stacks]
        of = str(sizes[0]) if len(set(sizes)) == 1 else ", ".join(map(str, sizes))
        return f"{sum(sizes)} runs in {len(sizes)} stack{'s'[: len(sizes) > 1]} of {of}"


def plan(configs: Sequence[dict[str, Any]], members: int | None, workers: int) -> Plan:
    """How runs of these (resolved) configurations are done.

    Args:
        configs: the runs'.
        members: the most in a stack; None: as many as fit into memory.
        workers: how many stacks are done side by side. A group is dealt over them, so that they
            have the same to do, as long as its stacks keep FEWEST runs.
    """
    alone: list[tuple[int, str]] = []
    groups: dict[Any, list[int]] = {}
    for i, config in enumerate(configs):
        reason = why_alone(config)
        if reason is None:
            try:
                groups.setdefault((structure(config), rules_of(config)), []).append(i)
            except Unstackable as error:
                reason = str(error)
        if reason is not None:
            alone.append((i, reason))
    shares = workers // math.gcd(workers, len(groups))
    stacks: list[list[int]] = []
    for group in groups.values():
        try:
            most = _fitting([configs[i] for i in group], members, workers)
        except Unstackable as error:
            alone += [(i, str(error)) for i in group]
            continue
        turns = max(math.ceil(len(group) / most), min(shares, len(group) // FEWEST))
        bounds = [len(group) * turn // turns for turn in range(turns + 1)]
        stacks += [group[start:end] for start, end in pairwise(bounds)]
    return Plan(stacks, sorted(alone))


def _fitting(configs: Sequence[dict[str, Any]], members: int | None, workers: int) -> int:
    """How many of a group train at once on one of the workers. Raises Unstackable."""
    if len(configs) == 1:
        raise Unstackable("no other run of its kind")
    probe(configs[0])
    if members is not None:
        most = members
    else:
        with quiet():
            accelerator = configs[0]["trainer"]["accelerator"]
            device = lightning.Fabric(accelerator=accelerator, devices=1).device
        splits = len({config["seeds"]["split"] for config in configs})
        most = at_once(len(configs), configs[0], splits, device, workers)
    if most < 2:
        raise Unstackable("hydra.launcher.members=1" if members else "two do not fit into memory")
    return most


def why_alone(config: dict[str, Any]) -> str | None:
    """Why a run of this (resolved) configuration cannot be stacked; None where nothing forbids it.

    What the optimizer, the network and the metrics have to say is found out when they are made.
    """
    for prefix, node, allowed in (
        ("", config, ALONE),
        ("trainer.", config["trainer"], ALONE_TRAINER),
    ):
        for key, values in allowed.items():
            if node[key] not in values:
                value = node[key].get("_target_", key) if isinstance(node[key], dict) else node[key]
                return f"{prefix}{key}={value}" if prefix or key in ("precision",) else key
    for name, node in config["callbacks"].items():
        if node["_target_"] not in CALLBACKS:
            return f"callbacks.{name} ({node['_target_'].rpartition('.')[2]})"
    if config["pruning"] is not None and config["pruning"]["_target_"] != PRUNING:
        return f"pruning {config['pruning']['_target_']}"
    if not config["scheduler"]["_target_"].startswith(SCHEDULERS):
        return f"scheduler {config['scheduler']['_target_']}"
    if config["data"]["_target_"] != "theta0.data.DataModule":
        return f"data {config['data']['_target_']}"
    return None


def structure(config: dict[str, Any]) -> str:
    """What runs of one stack have in common: their configuration, without the numbers that may
    differ. (What of an optimizer is a number, it says itself.)
    """
    kept = identity_of(config)
    for key in ("seed", "seeds", "init", "optimizer", "tags"):
        kept.pop(key, None)
    kept["optimizer"] = config["optimizer"]["_target_"]
    kept["scheduler"] = config["scheduler"]["_target_"]
    kept["model"] = config["model"] | {"dropout": bool(config["model"].get("dropout"))}
    kept["data"] = {
        k: v for k, v in config["data"].items() if k not in ("split_seed", "order_seed")
    }
    kept["trainer"] = config["trainer"] | {
        "gradient_clip_val": config["trainer"]["gradient_clip_val"] is not None
    }
    terms = config["loss"]
    alone = len(terms) == 1 and next(iter(terms.values())).get("scale", 1.0) == 1.0
    numbers = ("scale", "label_smoothing")
    kept["loss"] = {
        name: {k: v for k, v in node.items() if k not in numbers} for name, node in terms.items()
    }
    kept["callbacks"] = sorted(node["_target_"] for node in config["callbacks"].values())
    more = [alone, config["checkpoint"], config["logger"]["_target_"]]
    return json.dumps([kept, more], sort_keys=True, default=str)
