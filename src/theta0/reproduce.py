"""A finished run, done again and compared with what it left."""

import csv
import io
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from theta0 import packages
from theta0.config import check_plain, check_trainer
from theta0.continuation import differing
from theta0.devices import on_what_is_here
from theta0.errors import ConfigError
from theta0.files import read_plain
from theta0.identity import resolve
from theta0.results import Result, write_atomically
from theta0.terminal import printable
from theta0.trust import trusted

COMPARED = ("done", "diverged")

DOWNLOADED = ("theta0.data.TorchvisionSet", "theta0.data.OpenML")
"""Sources that write to their `root`."""


def reproduce(config: Any) -> bool:
    """Run it again; print what differs in environment and a verdict; whether it was reproduced.

    IDENTICAL: the hashes of θ₀, of the last weights and of the data, and all metrics, are equal.
    SAME WITHIN ε: the metrics differ by at most `epsilon`. DIFFERENT: by more, or the runs ended
    otherwise; with the first step at which metrics.csv tells them apart.

    Raises ConfigError for a folder without a finished run, one whose configuration builds what is
    not trusted, and a new folder that holds a run already.
    """
    asked = resolve(config)
    folder, target = Path(asked["run"]), Path(asked["folder"])
    first = trusted(folder, asked["trust"])
    if first.status not in COMPARED:
        raise ConfigError(f"run: {folder} is {first.status}: there is no end to compare with")
    if (target / "result.json").exists():
        raise ConfigError(f"folder={target}: holds a run already")
    again = configuration_again(first.config, asked["paths"], asked["rendezvous"])
    changed = None
    if isinstance(again.get("trainer"), dict):
        again["trainer"], changed = on_what_is_here(again["trainer"])
    try:
        check_plain(again)
    except ConfigError as error:
        raise ConfigError(
            f"run: {folder}: its configuration is none of this version: {error}"
        ) from error
    check_trainer(again["trainer"])
    second = run_again(first, target, again)
    console = Console()
    if changed is not None:
        console.print(changed, markup=False, soft_wrap=True)
    then, now = first.environment, second.environment
    if packages.SHA256 in then:  # the run's folder stands alone: its packages are not all known
        now = packages.shortened(now)
    differences = list(differing(then, now))
    if second.environment and differences:  # none is known of a run that failed at its start
        table = Table("environment", "then", "now")
        for row in differences:
            table.add_row(*(escape(printable(word)) for word in row))
        console.print(table)
    verdict, holds = judge(first, second, folder, target, asked["epsilon"])
    console.print(printable(verdict), markup=False, soft_wrap=True)
    return holds


def configuration_again(
    config: dict[str, Any], paths: dict[str, str], rendezvous: str | None = None
) -> dict[str, Any]:
    """A run's configuration without W&B; data files are where `paths` says.

    Where several nodes meet is not the run's to say: what torch's rendezvous is told there, it
    unpickles.
    """
    return with_data_in(config, paths) | {
        "paths": paths,
        "logger": {"_target_": "theta0.tracking.no_logger"},
        "rendezvous": rendezvous,
        "pruning": None,
    }


def run_again(first: Result, target: Path, plain: dict[str, Any]) -> Result:
    """The run of `first` in folder `target`, by a configuration in plain containers."""
    from theta0.run import perform

    target.mkdir(parents=True, exist_ok=True)
    second = Result(
        run=first.run,
        study=target.name,
        overrides=first.overrides,
        choices=first.choices,
        config=plain,
        config_hash=first.config_hash,
        seeds=first.seeds,
        objective=first.objective.model_copy(update={"value": None}),
    )
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    write_atomically(target / "config.resolved.yaml", text)
    second.write(target)
    return perform(target, plain, second)


def with_data_in(config: dict[str, Any], paths: dict[str, str]) -> dict[str, Any]:
    """A run's configuration with the data folder of `paths` wherever the run's own stands.

    A source of theta0's that downloads what is missing is given that folder, whatever stands there:
    where files are written is not the run's to say.
    """
    then, now = config["paths"]["data_dir"], paths["data_dir"]

    def moved(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: moved(value) for key, value in node.items()}
        return now if node == then else node

    found = {key: moved(value) for key, value in config.items()}
    source = found["data"].get("source")
    if isinstance(source, dict) and source.get("_target_") in DOWNLOADED:
        source["root"] = now
    return found


def judge(
    first: Result, second: Result, folder: Path, target: Path, epsilon: float
) -> tuple[str, bool]:
    """(the verdict in a line, whether the run was reproduced)."""
    if second.status != first.status:
        reason = f": {second.error.line}" if second.error else ""
        return f"DIFFERENT: it was {first.status} and is {second.status}{reason}", False
    if first.hashes.data != second.hashes.data:
        return "DIFFERENT: the data is not the same (hashes.data)", False
    if first.hashes == second.hashes and first.metrics == second.metrics:
        return "IDENTICAL: θ₀, the last weights and all metrics are equal, bit for bit", True
    where = first_difference(folder / "metrics.csv", target / "metrics.csv")
    start = "" if first.hashes.init == second.hashes.init else "; θ₀ differs already"
    names = first.metrics.keys() | second.metrics.keys()
    distances = {
        name: abs(a - b) if a is not None and b is not None else float("inf")
        for name in names
        if (a := first.metrics.get(name)) != (b := second.metrics.get(name))
    }
    worst = max(distances, key=lambda name: distances[name], default=None)
    largest = f"{worst} by {distances[worst]:.2g}" if worst else "no metric"
    if not worst or distances[worst] <= epsilon:
        return f"SAME WITHIN {epsilon:g}: {largest} differs most{where}{start}", True
    return f"DIFFERENT: {largest} differs most, more than {epsilon:g}{where}{start}", False


def first_difference(first: Path, second: Path) -> str:
    """The first step and column in which two metrics files differ, times left out, in words."""
    nothing: dict[str, str] = {}
    for a, b in zip_longest(_rows(first), _rows(second), fillvalue=nothing):
        for column in {**a, **b}:
            if column != "seconds" and (x := a.get(column)) != (y := b.get(column)):
                step = a.get("step") or b.get("step")
                return f"; first at step {step}: {column} {x or 'nothing'}, now {y or 'nothing'}"
    return ""


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if path.exists():
        try:
            yield from csv.DictReader(io.StringIO(read_plain(path), newline=""))
        except csv.Error as error:
            raise ValueError(f"{path}: cannot be read: {error}") from error
