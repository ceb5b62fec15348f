"""Fixtures for the tests of more than one folder."""

import contextlib
import copy
import dataclasses
import functools
import io
import logging
import os
import pickle
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import hydra
import pytest
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig
from waiting import alive

from theta0.identity import register_resolvers

# Before torch is imported, and for the processes that tests start: they share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"


@pytest.fixture(scope="session")
def compose() -> Callable[..., DictConfig]:
    """`compose("seed=1", ...)`: what `python src/train.py seed=1 ...` composes, Hydra's node too.

    The same words are composed once, which takes 0.1 s; each call has a copy of its own.
    """

    @functools.cache
    def composed(*overrides: str) -> bytes:
        register_resolvers()
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return pickle.dumps(hydra.compose("train", list(overrides), return_hydra_config=True))

    return lambda *overrides: pickle.loads(composed(*overrides))


@pytest.fixture(scope="session", autouse=True)
def hydra_reads_a_file_once() -> Iterator[None]:
    """A short run spends half of its time on composing, a third of that on reading its files."""
    Plugins.instance()  # which imports the source's module once more
    files = SourcesRegistry.instance().resolve("file")
    read = files.load_config

    @functools.cache
    def content(provider: str, path: str, name: str, changed: tuple[int, ...]) -> bytes:
        return pickle.dumps(read(files(provider, path), name))

    def load_config(self: ConfigSource, config_path: str) -> ConfigResult:
        file = Path(self.path, self._normalize_file_name(config_path))
        if not file.exists():
            return read(self, config_path)
        stat = file.stat()
        changed = stat.st_mtime_ns, stat.st_size, stat.st_ino
        return pickle.loads(content(self.provider, self.path, config_path, changed))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "load_config", load_config)
        yield


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """Also by programs that tests start: a shell's background job (`make test &`) ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Draws without a generator of their own are the same in each test, alone or among others."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@dataclasses.dataclass
class Ran:
    """What a program left: exit code, what it said, the values that its runs returned, files."""

    here: Path
    code: int
    out: str
    err: str
    returned: list[float]

    def results(self, study: str = "*") -> list[Any]:
        """The result of every run of a study in folder `here`, in the order of their names."""
        from theta0.results import Result

        return [
            Result.read(path.parent)
            for path in sorted(self.here.glob(f"logs/{study}/*/result.json"))
        ]

    def folder(self, result: Any) -> Path:
        return self.here / "logs" / result.study / result.run

    def one(self, study: str = "*") -> Any:
        (result,) = self.results(study)
        return result


@pytest.fixture(scope="session")
def in_process() -> Callable[..., Ran]:
    """`in_process(folder, "seed=1", program="train.py", env={})`: a program of src/ in `folder`.

    What a person types, save that this process runs it, so that torch is imported once. Digits on
    the CPU, without W&B, unless told otherwise: later words win. A sweep ends without its report,
    which takes as long as its runs, unless `report=True`.
    """

    def in_process(
        here: Path,
        *arguments: str,
        program: str = "train.py",
        env: dict[str, str] | None = None,
        report: bool = False,
    ) -> Ran:
        import theta0.report.make
        import theta0.run

        if program == "train.py":
            defaults = ("trainer=cpu", "data=digits", "logger=none")
            many = arguments[:1] == ("-m",)
            arguments = (*arguments[:many], *defaults, *arguments[many:])
        returned: list[float] = []
        original = theta0.run.run

        def run(config: DictConfig) -> float:
            returned.append(original(config))
            return returned[-1]

        out, err = io.StringIO(), io.StringIO()
        code: Any = 0
        here.mkdir(parents=True, exist_ok=True)
        with (
            contextlib.chdir(here),
            mock.patch.dict(os.environ, clean_environment() | (env or {}), clear=True),
            mock.patch.object(sys, "argv", [program, *arguments]),
            mock.patch.object(theta0.run, "run", run),
            contextlib.nullcontext() if report else no_report(),
            own_logging(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                runpy.run_path(str(ROOT / "src" / program), run_name="__main__")
            except SystemExit as end:
                code = end.code or 0
        return Ran(here, code, out.getvalue(), err.getvalue(), returned)

    return in_process


@pytest.fixture(scope="session")
def forked(in_process: Callable[..., Ran]) -> Callable[..., int]:
    """`forked(folder, ...)`: as `in_process`, in a process that may be killed; its exit code.

    A copy of this process, which has torch. `before()` is called in it first.
    """

    def forked(
        here: Path, *arguments: str, before: Callable[[], Any] = lambda: None, **options: Any
    ) -> int:
        sys.stdout.flush(), sys.stderr.flush()
        if (pid := os.fork()) == 0:
            code = 99
            try:
                before()
                code = in_process(here, *arguments, **options).code
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    return forked


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[str]]:
    """`start(folder, "seed=1", ...)`: the same as a process of its own, without stdin."""

    def start(
        here: Path,
        *arguments: str,
        program: tuple[str, ...] = (str(ROOT / "src" / "train.py"),),
        env: dict[str, str] | None = None,
        own_group: bool = False,
    ) -> subprocess.Popen[str]:
        here.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=here,
            env=clean_environment() | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=own_group,
        )

    return start


@pytest.fixture(scope="session")
def wait() -> Callable[[Path, subprocess.Popen[str]], Ran]:
    """`wait(folder, process)`: the finished process as what `in_process` returns."""

    def wait(here: Path, process: subprocess.Popen[str]) -> Ran:
        out, err = process.communicate(timeout=180)
        return Ran(here, process.returncode, out, err, [])

    return wait


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Callable[[], list[int]]]:
    """`family()`: every process there is that a test has started with `family.env`; at the end of
    the test none."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("this system does not tell what processes there are")
    word = f"FAMILY_OF={tmp_path}".encode()

    def family() -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if word in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
        return [pid for pid in found if alive(pid)]

    family.env = {"FAMILY_OF": str(tmp_path)}  # type: ignore[attr-defined]
    yield family
    for pid in family():
        os.kill(pid, signal.SIGKILL)


def no_report() -> contextlib.AbstractContextManager[Any]:
    return mock.patch("theta0.report.make.conclude", lambda *_: ["no report: a test's sweep"])


def changed(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy of a plain configuration with dotted keys set."""
    config = copy.deepcopy(config)
    for dotted, value in changes.items():
        *above, key = dotted.split(".")
        functools.reduce(lambda node, name: node[name], above, config)[key] = value
    return config


def clean_environment() -> dict[str, str]:
    ours = ("THETA0_", "HYDRA_", "SLURM_", "TORCHELASTIC_", "WANDB_", "WORLD_SIZE", "RANK")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)}


@contextlib.contextmanager
def own_logging() -> Iterator[None]:
    """Hydra sets the process's logging up; afterwards it is as it was, and run.log is closed."""
    root, theta0 = logging.getLogger(), logging.getLogger("theta0")
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        for handler in root.handlers:
            if handler not in handlers:
                handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        theta0.setLevel(logging.NOTSET)


BROKEN = '''
"""A user's own model, which raises in its n-th forward pass."""

from theta0.models import MLP


class Net(MLP):
    def __init__(self, raise_at=0, **settings):
        super().__init__(**settings)
        self.raise_at, self.passes = raise_at, 0

    def forward(self, x):
        self.passes += 1
        if self.passes == self.raise_at:
            raise ArithmeticError(f"pass {self.passes} went wrong\\nand more about it")
        return super().forward(x)
'''


@pytest.fixture(scope="session")
def broken_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The override that chooses a user's model, and the folder of its module (on sys.path)."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "users_own.py").write_text(BROKEN)
    sys.path.insert(0, str(folder))
    yield "model._target_=users_own.Net", folder
    sys.path.remove(str(folder))


@pytest.fixture
def wandb_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A WandbServer that listens. This process's environment is the server's, its home is empty;
    a program that a test starts is told so: `env=wandb_server.environment`."""
    import wandb
    from wandb_server import WandbServer

    import theta0.tracking.wandb

    home = tmp_path / "home"
    home.mkdir()
    wandb.teardown()  # what it has read of another test's environment
    with WandbServer(home).running() as server:
        for name in set(os.environ) - set(clean_environment()):
            monkeypatch.delenv(name)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(theta0.tracking.wandb, "_paused_until", 0.0)
        yield server
        server.outage = None
        wandb.teardown()
