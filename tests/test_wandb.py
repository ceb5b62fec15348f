"""W&B without a network: what lies in the offline files, and where they lie."""

import os
import struct
from pathlib import Path

import pytest

from theta0.tracking import wandb as ours

BLOCK = 32 * 1024


def records(path):
    """Every record of a .wandb file: a 7-byte header, then LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, position, parts, found = path.read_bytes(), 7, b"", []
    assert content[:4] == b":W&B"
    while position + 7 <= len(content):
        left = BLOCK - position % BLOCK
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        if kind == 0:
            break
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # full, or the last of several
            record = Record()
            record.ParseFromString(parts)
            found.append(record)
            parts = b""
    return found


def read(folder):
    """One offline run: its name and group, config, history rows, summary and exit code."""
    import json

    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    said = {"config": {}, "history": [], "summary": {}, "exit": None}

    def plain(items):
        return {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items}

    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            said |= {"name": run.display_name, "group": run.run_group, "project": run.project}
            said["config"] |= plain(run.config.update)
        elif kind == "config":
            said["config"] |= plain(record.config.update)
        elif kind == "history":
            said["history"].append(plain(record.history.item))
        elif kind == "summary":
            said["summary"] |= plain(record.summary.update)
        elif kind == "exit":
            said["exit"] = record.exit.exit_code
    return said


@pytest.mark.slow
def test_every_job_is_one_offline_run(start, wait, broken_model, tmp_path):
    """No key, no mode, no stdin; the second of three jobs fails."""
    model, user = broken_model
    environment = {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(user)}
    environment |= {"XDG_CONFIG_HOME": str(tmp_path / "home"), "NETRC": str(tmp_path / "netrc")}
    (tmp_path / "home").mkdir()
    process = start(
        tmp_path, "-m", "trainer=cpu", "data=digits", "trainer.max_epochs=2", "model.widths=[16]",
        "study=s", model, "++model.raise_at=0,25,99999", "optimizer.lr=0.004", "tags=[mine]",
        env=environment,
    )  # fmt: skip
    ran = wait(tmp_path, process)
    assert ran.code == 1, ran.out + ran.err
    results = {r.config["model"]["raise_at"]: r for r in ran.results("s")}
    assert [results[at].status for at in (0, 25, 99999)] == ["done", "failed", "done"]
    assert len(list(tmp_path.rglob("*.wandb"))) == 3
    for raise_at, result in results.items():
        said = read(ran.folder(result))
        assert said["name"] == result.run
        assert (said["group"], said["project"]) == ("s", "theta0")
        config = said["config"]
        assert config["optimizer"]["lr"] == 0.004
        assert config["seed"] == 0
        assert config["config_hash"] == result.config_hash
        assert config["choices"]["optimizer"] == "adamw"
        words = config["cell"].split("|")
        assert words[:2] == ["adamw", "he"]
        assert f"model.raise_at={raise_at}" in words
        epochs = [row for row in said["history"] if "val/acc" in row]
        if raise_at == 25:
            assert said["exit"] == 1
            assert said["summary"]["status"] == "failed"
            assert [row["epoch"] for row in epochs] == [0]
        else:
            assert said["exit"] == 0
            assert said["summary"]["status"] == "done"
            assert [row["epoch"] for row in epochs] == [0, 1]
            assert epochs[-1]["val/acc"] == pytest.approx(result.last_metrics["val/acc"])
            assert said["summary"]["chosen/test/acc"] == pytest.approx(result.metrics["test/acc"])


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No trace of W&B in the environment, and a home that is empty."""
    for key in [key for key in os.environ if key.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Path.home() == tmp_path
    return tmp_path


@pytest.mark.parametrize("mode", ["online", "offline", "disabled"])
def test_the_mode_is_as_told(nowhere, monkeypatch, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert ours._mode() == mode


def test_offline_without_a_key(nowhere):
    assert ours._mode() == "offline"


def test_online_with_a_key_in_the_environment(nowhere, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert ours._mode() == "online"


@pytest.mark.parametrize(
    ("machine", "base_url", "mode"),
    [
        ("api.wandb.ai", None, "online"),
        ("github.com", None, "offline"),
        ("wandb.example.org", "https://wandb.example.org", "online"),
        ("wandb.example.org", None, "offline"),
    ],
)
@pytest.mark.parametrize("elsewhere", [True, False])
def test_online_with_a_key_in_netrc(nowhere, monkeypatch, machine, base_url, mode, elsewhere):
    path = nowhere / ("other" if elsewhere else ".netrc")
    path.write_text(f"machine {machine}\n  login user\n  password {'0' * 40}\n")
    path.chmod(0o600)
    if elsewhere:
        monkeypatch.setenv("NETRC", str(path))
    if base_url:
        monkeypatch.setenv("WANDB_BASE_URL", base_url)
    assert ours._mode() == mode


def test_a_netrc_that_cannot_be_read_counts_as_none(nowhere):
    (nowhere / ".netrc").write_text("machine\n")
    assert ours._mode() == "offline"
