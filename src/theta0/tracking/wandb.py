"""Weights & Biases: one run of ours is one of theirs, online where a key is set, else offline."""

import contextlib
import hashlib
import logging
import netrc
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlparse

from lightning.pytorch import loggers
from lightning.pytorch.utilities import rank_zero_only
from pydantic import ValidationError

from theta0.environment import known
from theta0.identity import cell_name
from theta0.results import FINISHED, Result
from theta0.tracking.history import history

log = logging.getLogger("theta0")

SETTINGS: dict[str, Any] = {
    "init_timeout": 20.0,  # a server that has not answered by then is given up
    "finish_timeout": 120.0,
    "finish_timeout_raises": True,
    "x_transaction_log_flush_interval": 1.0,  # of 15 s, a short run that is killed leaves nothing
    "x_disable_stats": True,
    "console": "off",
    "silent": True,
}
"""W&B's settings, times in seconds; WANDB_INIT_TIMEOUT and the like beat them."""

LATE: dict[str, Any] = {"x_save_requirements": False, "x_disable_machine_info": True}
"""And of a run that is over when W&B hears of it: what W&B would look up takes it most of the time,
and stands in result.json."""

OFFLINE = ("offline", "dryrun", "disabled")
"""The modes in which nobody is asked what W&B holds."""

TAKEN = ("already exists", "is in use")
"""What W&B says of an id that its server has, or that this process has used before."""

PAUSE = 600.0
"""Seconds for which the runs of this process leave a server alone that has failed one of them."""
_paused_until = 0.0


def wandb_logger(
    folder: Path,
    result: Result,
    project: str,
    entity: str | None,
    group: str,
    tags: list[str],
    continue_from_step: int | None = None,
    late: bool = False,
) -> "WandbLogger":
    """A logger whose W&B run has the run's name and configuration, and `cell` to group seeds by."""
    config = {
        **result.config,
        "choices": result.choices,
        "cell": cell_name(result.choices, result.overrides),
        "config_hash": result.config_hash,
    }
    told = {
        "name": result.run,
        "project": project,
        "entity": entity,
        "group": group,
        "tags": tags,
        "job_type": "train",
        "config": config,
    }
    return WandbLogger(folder, told, continue_from_step, LATE if late else {})


class WandbLogger(loggers.WandbLogger):
    """Metrics by step in W&B as in metrics.csv: a step is one row of the history, sent once.

    A row is sent when the next one begins. W&B takes steps in rising order only, so what is logged
    for an earlier step joins the present row. A run that continues sends what W&B does not hold:
    rows of its earlier starts, from the CSV files, then the new ones. Where W&B fails, the run goes
    on, and becomes an offline one.

    Args:
        folder: of the run.
        told: what `wandb.init` is told of the run.
        continue_from_step: that of the checkpoint from which the run continues, if it does.
        settings: of W&B's, beside SETTINGS.

    Raises what `wandb.init` raises offline too, such as for a project's name that W&B refuses.
    """

    def __init__(
        self,
        folder: Path,
        told: dict[str, Any],
        continue_from_step: int | None = None,
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.folder, self.told, self.settings = folder, told, {**SETTINGS, **settings}
        self.earlier = earlier_start(folder)
        self.step = 0
        self.row: dict[str, Any] = {}
        self.failure: Exception | None = None
        super().__init__(experiment=self._begin(), project=told["project"], save_dir=folder)
        if continue_from_step is not None:
            self._refill(continue_from_step)
        self._discard_replaced()

    @rank_zero_only
    def log_metrics(  # type: ignore[override]
        self, metrics: dict[str, Any], step: int | None = None
    ) -> None:
        if step is not None and step > self.step:
            if self.failure is None:
                try:
                    self._send()
                except Exception as error:
                    self.failure = error
            self.step, self.row = step, {}
        self.row |= metrics

    def end(self, result: Result) -> None:
        """Status, chosen metrics and exit code. What W&B has not taken is written offline."""
        try:
            if self.failure is not None:
                raise self.failure
            self._finish(result)
        except Exception as error:
            self.failure, self._experiment = None, self._go_offline(error)
            self._refill()
            self._discard_replaced()
            self._finish(result)

    # ----------------------------------------------------------------------- the run at W&B

    def _begin(self) -> Any:
        """In the mode that the environment asks for; offline where W&B cannot be reached."""
        mode = _mode()
        if mode not in OFFLINE and time.monotonic() < _paused_until:
            log.warning("%s  offline, since W&B could not be reached before", self.folder.name)
            mode = "offline"
        try:
            if mode not in OFFLINE and not _has_key():  # W&B would ask for one
                raise ValueError(f"WANDB_MODE is {mode}, and no key is set")
            return self._init_unless_taken(mode, self._id(mode))
        except ValidationError:  # refused offline as well
            raise
        except Exception as error:
            return self._go_offline(error)

    def _init_unless_taken(self, mode: str, run_id: str) -> Any:
        try:
            return self._init(mode, run_id)
        except Exception as error:
            if not any(words in str(error) for words in TAKEN):
                raise
            return self._init(mode, self._other_id())

    def _id(self, mode: str) -> str:
        """Whether the run goes on in the W&B run of its last start, or in a new one.

        Online W&B says what it holds. Offline all rows are written anew; `wandb sync` would append
        them to those that W&B has, if it has any.
        """
        if mode not in OFFLINE and _agent():
            return os.environ["WANDB_RUN_ID"]
        if self.earlier is None:
            of = f"{self.told['group']} {self.told['config']['config_hash']}"
            return hashlib.sha256(of.encode()).hexdigest()[:16]
        return self._other_id() if self.earlier.uploaded and mode in OFFLINE else self.earlier.id

    def _other_id(self) -> str:
        """Of a run whose own id W&B has given away: to its earlier self, or to somebody else who
        has given a study the same name."""
        return f"{self.told['config']['config_hash'][:10]}-{secrets.token_hex(4)}"

    def _go_offline(self, error: Exception) -> Any:
        """A new run: W&B's process has this one's id in use, unless it is gone itself."""
        import wandb

        global _paused_until
        _paused_until = time.monotonic() + PAUSE
        reason = (str(error) or type(error).__name__).splitlines()[-1]
        log.warning("%s  offline, since W&B cannot be reached: %s", self.folder.name, reason)
        if not isinstance(error, (wandb.Error, TimeoutError)):
            with contextlib.suppress(Exception):
                wandb.teardown()
        return self._init("offline", self._other_id())

    def _init(self, mode: str, run_id: str) -> Any:
        import wandb

        ours = {k: v for k, v in self.settings.items() if f"WANDB_{k.upper()}" not in os.environ}
        told = {**self.told, "mode": mode, "id": run_id, "dir": self.folder}
        if self.earlier is not None:
            told["tags"] = [*self.told["tags"], "continued"]
        if mode not in OFFLINE:
            told["resume"] = "never" if self.earlier is None and not _agent() else "allow"
        # create_new: else W&B puts every job of a sweep into one run
        with _some_home(self.folder / "wandb"):
            run = wandb.init(**told, reinit="create_new", settings=wandb.Settings(**ours))
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        run.summary["status"] = "running"
        return run

    def _send(self) -> None:
        if self.row and self.step >= self.experiment.starting_step:
            row = {**self.row, "trainer/global_step": self.step}
            self.experiment.log(row, step=self.step, commit=True)

    def _refill(self, until: int | None = None) -> None:
        """The last row stays: more may be logged for its step."""
        self.step, self.row = 0, {}
        for step, row in history(self.folder, until).items():
            self.log_metrics(row, step)

    def _finish(self, result: Result) -> None:
        """The row at which a run was interrupted may be half; the run that continues sends it."""
        if result.status != "interrupted" or (result.cost and self.step < result.cost.steps):
            self._send()
        run = self.experiment
        chosen = {f"chosen/{name}": value for name, value in result.metrics.items()}
        run.summary.update({"status": result.status, **chosen})
        run.finish(exit_code=exit_code(result))

    def _discard_replaced(self) -> None:
        """Offline runs of earlier starts that W&B has seen nothing of: the new one holds all."""
        settings = self.experiment.settings
        if settings.mode == "disabled":
            return
        for path in self.folder.glob("wandb/offline-run-*"):
            if path.name != Path(settings.sync_dir).name and not _uploaded(path):
                shutil.rmtree(path)


def exit_code(result: Result) -> int:
    """0 for a run that has come to its end, 1 for one that failed or was stopped."""
    return 0 if result.status in FINISHED else 1


class Earlier(NamedTuple):
    """The W&B run of an earlier start, and whether W&B may hold some of it."""

    id: str
    uploaded: bool


def earlier_start(folder: Path) -> Earlier | None:
    """The last start of the run, by the link that W&B leaves: the times in names may be wrong."""
    try:
        path = folder / "wandb" / os.readlink(folder / "wandb" / "latest-run")
    except OSError:
        return None
    found = re.fullmatch(r"(?:offline-)?run-\d+_\d+-(.+?)(?:-\d\d?)?", path.name)
    return Earlier(found[1], _uploaded(path)) if found else None


def _uploaded(path: Path) -> bool:
    """`wandb sync` leaves .wandb.synced or, if it was cut short, .wandb.syncstate; `wandb clean`
    removes what has been uploaded."""
    online = not path.name.startswith("offline-")
    return online or not path.is_dir() or any(path.glob("*.wandb.sync*"))


def _agent() -> bool:
    """Whether `wandb agent` has started this process, and named its run."""
    return os.environ.keys() >= {"WANDB_SWEEP_ID", "WANDB_RUN_ID"}


def _mode() -> str:
    """What the environment says, or `wandb offline` and `wandb disabled` have said; else online
    where W&B would find a key, and offline, unasked, where not."""
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    if os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes", "on"):
        return "disabled"
    said = _said_to_wandb().get("mode")
    return said if said in OFFLINE else "online" if _has_key() else "offline"


def _said_to_wandb() -> dict[str, str]:
    """What `wandb offline`, `wandb login --host=...` and the like have left in W&B's settings files
    of the user and of this folder.

    (`wandb.init` reads them too, but what it is told beats them.)
    """
    from wandb import Settings

    home = known("the user's home", Path.home)
    users = os.environ.get("WANDB_CONFIG_DIR") or (home and home / ".config" / "wandb")
    of_user = str(Path(users, "settings")) if users else None
    said: dict[str, str] = {}
    for root in filter(None, (os.environ.get("WANDB_DIR"), ".")):
        said |= Settings(root_dir=root, settings_system=of_user).read_system_settings().all()
    return said


def _has_key() -> bool:
    said = os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE")
    return bool(said) or _key_in_netrc()


def _key_in_netrc() -> bool:
    """Whether `wandb login` has left a key for the server in ~/.netrc (or $NETRC)."""
    from wandb import Settings

    said = os.environ.get("WANDB_BASE_URL") or _said_to_wandb().get("base_url")
    host = urlparse(said or Settings().base_url).hostname or ""
    hosts = known("the servers in ~/.netrc", _hosts_in_netrc) or {}
    return host in hosts or "api.wandb.ai" in hosts


@contextlib.contextmanager
def _some_home(folder: Path) -> Iterator[None]:
    """A user without a home has `folder` for one inside: W&B keeps its own settings there."""
    if known("the user's home", Path.home) is not None:
        yield
        return
    folder.mkdir(exist_ok=True)
    os.environ["HOME"] = str(folder.resolve())
    try:
        yield
    finally:
        del os.environ["HOME"]


def _hosts_in_netrc() -> Mapping[str, Any]:
    """Servers with an account in $NETRC or ~/.netrc. Raises where there is no home, say."""
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    return netrc.netrc(str(path)).hosts if path.exists() else {}
