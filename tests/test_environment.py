"""What a run records of its machine: right where the machine tells, and never a reason to fail."""

import importlib.metadata
import io
import logging
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from theta0 import cli, environment
from theta0.tracking import wandb

REAL = subprocess.run
ROOT = Path(__file__).parent


def failing(*_, **__):
    raise OSError("the machine does not tell")


def git_fails(command, **settings):
    return REAL(["false"] if command[0] == "git" else command, **settings)


def diff_fails(command, **settings):
    return REAL(["false"] if "--binary" in command else command, **settings)


def diff_hangs(command, timeout=None, **settings):
    if "diff" in command:
        raise subprocess.TimeoutExpired(command, timeout)
    return REAL(command, timeout=timeout, **settings)


@pytest.fixture(autouse=True)
def asked_anew():
    environment._packages.cache_clear()
    environment._cpu_model.cache_clear()
    yield
    environment._packages.cache_clear()
    environment._cpu_model.cache_clear()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """theta0's code in a repository of its own, with a change that no commit has."""
    folder = tmp_path / "code"
    folder.mkdir()
    code = folder / "environment.py"

    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        REAL(["git", "-C", folder, *who, *words], check=True, capture_output=True)

    git("init")
    code.write_bytes(b"committed\n")
    git("add", ".")
    git("commit", "-m", "first")
    code.write_bytes(b"changed, in Latin-1: \xe9\n")
    monkeypatch.setattr(environment, "__file__", str(code))
    return folder


def test_the_change_that_no_commit_has_is_kept(repository, tmp_path):
    """Whatever the encoding of the code."""
    found = environment.describe(tmp_path)["git"]
    assert len(found["sha"]) == 40
    assert (found["dirty"], found["patch"]) == (True, "changes.patch")
    assert b"+changed, in Latin-1: \xe9\n" in (tmp_path / "changes.patch").read_bytes()
    (repository / "environment.py").write_bytes(b"committed\n")
    assert environment.describe(tmp_path)["git"]["dirty"] is False


@pytest.mark.parametrize(
    ("broken", "dirty"),
    [
        ({"run": diff_fails}, True),
        ({"run": diff_hangs}, None),
        ({"LARGEST_PATCH": 10}, True),
    ],
    ids=["git diff fails", "git diff hangs", "a huge difference"],
)
def test_the_commit_is_recorded_without_its_changes(
    repository, tmp_path, monkeypatch, caplog, broken, dirty
):
    for name, value in broken.items():
        monkeypatch.setattr(subprocess if name == "run" else environment, name, value)
    with caplog.at_level(logging.DEBUG, "theta0"):
        found = environment.describe(tmp_path)["git"]
    assert len(found["sha"]) == 40
    assert (found["dirty"], found["patch"]) == (dirty, None)
    assert not (tmp_path / "changes.patch").exists()
    assert "the code has changed" in caplog.text


@pytest.mark.parametrize(
    ("fact", "owner", "name", "replacement"),
    [
        ("platform", platform, "platform", failing),
        ("git", subprocess, "run", failing),
        ("git", subprocess, "run", git_fails),
        ("packages", importlib.metadata, "distributions", failing),
        ("cpu.model", environment, "CPUINFO", ROOT),  # which cannot be read as a file
        ("cpu", torch.backends.cpu, "get_cpu_capability", failing),
        ("gpu", torch.cuda, "get_device_name", failing),
        ("cuda.nccl", torch.cuda.nccl, "version", failing),
    ],
)
def test_a_fact_that_the_machine_does_not_tell_is_null(
    monkeypatch, caplog, fact, owner, name, replacement
):
    """With the reason in the log, and nothing else is lost."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    devices = [torch.device("cuda", 0), torch.device("cuda", 1)]
    whole = environment.describe(devices=devices)
    environment._packages.cache_clear()
    environment._cpu_model.cache_clear()
    monkeypatch.setattr(owner, name, replacement)
    with caplog.at_level(logging.DEBUG, "theta0"):
        found = environment.describe(devices=devices)
    outer, _, inner = fact.partition(".")
    lost = found[outer][inner] if inner else found[outer]
    assert lost is None
    assert replacement is git_fails or "not recorded" in caplog.text
    assert {k: v for k, v in found.items() if k != outer} == {
        k: v for k, v in whole.items() if k != outer
    }
    assert whole["gpu"] == ["GPU 0", "GPU 1"]


def test_a_left_over_of_an_interrupted_installation_is_passed_over(tmp_path, monkeypatch):
    """Its distribution has no name; of two copies the one that is imported counts."""
    for name, version in {"lost": None, "twice": "1.0"}.items():
        (tmp_path / f"{name}-1.0.dist-info").mkdir()
        if version:
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            (tmp_path / f"{name}-1.0.dist-info" / "METADATA").write_text(metadata)
    later = tmp_path / "later" / "twice-2.0.dist-info"
    later.mkdir(parents=True)
    (later / "METADATA").write_text("Metadata-Version: 2.1\nName: twice\nVersion: 2.0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path, str(tmp_path / "later")])
    found = environment.describe()["packages"]
    assert found["twice"] == "1.0"
    assert found["torch"] == importlib.metadata.version("torch")
    assert "lost" not in found
    assert list(found) == sorted(found, key=str.lower)


def test_the_gpus_recorded_are_those_of_the_run(monkeypatch):
    """A run on the CPU does not even ask for them: it would start CUDA."""
    monkeypatch.setattr(torch.cuda, "device_count", failing)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert (environment.describe()["device"], environment.describe()["gpu"]) == ("cpu", [])
    found = environment.describe(devices=[torch.device("cuda", 1)])
    assert (found["device"], found["gpu"]) == ("cuda", ["GPU 1"])


def no_home():
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize("netrc", [None, "there"])
def test_without_a_home_there_is_no_netrc_and_a_run_is_offline(monkeypatch, tmp_path, netrc):
    monkeypatch.setattr(Path, "home", no_home)
    for key in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(key, raising=False)
    if netrc:
        (tmp_path / netrc).write_text("machine api.wandb.ai\n  login user\n  password x\n")
        monkeypatch.setenv("NETRC", str(tmp_path / netrc))
    assert wandb._has_key() == bool(netrc)


def test_a_machine_that_tells_nothing_trains(in_process, tmp_path, monkeypatch):
    """No git, no home, no processor's kind, no passwd entry, half a package."""
    import pwd

    monkeypatch.setattr(subprocess, "run", failing)
    monkeypatch.setattr(platform, "platform", failing)
    monkeypatch.setattr(platform, "node", failing)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", failing)
    monkeypatch.setattr(Path, "home", no_home)
    (tmp_path / "path" / "lost-1.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    ran = in_process(tmp_path, "trainer.max_epochs=1", "model.widths=[8]")
    assert (ran.code, ran.one().status) == (0, "done"), ran.out + ran.err
    found = ran.one().environment
    lost = ("platform", "git", "cpu")
    assert [found[name] for name in lost] == [None] * len(lost)
    assert found["device"] == "cpu"
    log = (ran.folder(ran.one()) / "run.log").read_text()
    assert "not recorded: git (OSError: the machine does not tell)" in log
    assert "not recorded" not in ran.out


def test_a_terminal_that_cannot_show_a_letter_ends_nothing(monkeypatch):
    """As a locale's ISO 8859-1."""
    screen = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(screen, encoding="latin-1"))
    monkeypatch.setattr(sys, "argv", ["train.py"])
    cli.main(lambda: print("θ₀ of 1 µm"))
    sys.stdout.flush()
    assert screen.getvalue() == "?? of 1 µm\n".encode("latin-1")


def test_a_user_without_a_home_has_one_for_wandb(monkeypatch, tmp_path):
    """W&B asks for it even offline; netrc and all else find nothing of anybody's there."""
    import pwd

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    with wandb._some_home(tmp_path / "wandb"):
        assert Path.home() == tmp_path / "wandb"
        assert list(Path.home().iterdir()) == []
    with pytest.raises(RuntimeError):
        Path.home()
