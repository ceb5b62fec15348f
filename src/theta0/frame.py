"""What of Hydra's own settings theta0 stands on: where runs go, and what checks them."""

from collections.abc import Iterable
from typing import Any

from omegaconf import OmegaConf

from theta0.errors import ConfigError

PLACES = {
    "hydra.run.dir": "${paths.log_dir}/${study}/${theta0.run_name:}",
    "hydra.sweep.dir": "${paths.log_dir}/${study}",
    "hydra.sweep.subdir": "${theta0.run_name:}",
}
"""Keys that say where a run goes, as configs/hydra/default.yaml has them: studies are found so."""

NAMED = "theta0 names the folders of runs; say where with paths.log_dir=... and study=..."

WATCH = "hydra.callbacks.study"
"""The callback that checks a configuration before a run, and tells what became of it."""


def refuse_words(words: Iterable[str]) -> None:
    """Raises ConfigError for a word of the command line that would move runs, or end the checks.

    (Before Hydra reads them: what these compose to might not be checked at all.)
    """
    for word in words:
        key = word.lstrip("+~").partition("=")[0].partition("@")[0]
        if key == "hydra" or _within(key, "hydra.run", "hydra.sweep"):
            raise ConfigError(f"{word}: {NAMED}")
        if key == "hydra.callbacks" or _within(key, WATCH):
            raise ConfigError(
                f"{word}: {WATCH} checks the configuration; your own callbacks stand beside it:"
                " +hydra.callbacks.NAME=..."
            )
        if word == "hydra/sweeper=basic":
            raise ConfigError(f"{word}: checks nothing; allowed: checked, optuna")


def check_frame(hydra: Any) -> None:
    """The same for a composed configuration, where a file may have done it. Raises ConfigError."""
    for key, shipped in PLACES.items():
        _, part, name = key.split(".")
        found = _raw(hydra, part).get(name)
        if found != shipped:
            raise ConfigError(f"{key}={found}: {NAMED}")
    watch = _raw(hydra, "callbacks").get("study") or {}
    if watch.get("_target_") != "theta0.sweep.callback.StudyCallback":
        raise ConfigError(f"{WATCH}: must stay as it is, since it checks the configuration")


def _raw(hydra: Any, part: str) -> dict[str, Any]:
    node: Any = OmegaConf.to_container(hydra[part], resolve=False) if hydra.get(part) else {}
    return node


def _within(key: str, parent: str, *others: str) -> bool:
    return any(key == one or key.startswith(f"{one}.") for one in (parent, *others))
