import errno
import os

import pytest
import yaml

from theta0.sweep.commands import record_command


@pytest.fixture
def command(compose, tmp_path):
    """A function: the configuration of a command of study `first`."""
    return lambda *words: compose(f"paths.log_dir={tmp_path}", "study=first", *words)


def test_commands_are_appended_and_never_rewritten(command, tmp_path):
    record_command(command("hydra/launcher=basic", "hydra.sweeper.max_batch_size=2"), multirun=True)
    before = (tmp_path / "first" / "commands.yaml").read_text()
    record_command(command("seed=1"), multirun=False)
    after = (tmp_path / "first" / "commands.yaml").read_text()
    assert after.startswith(before)
    entries = yaml.safe_load(after)
    where = [f"paths.log_dir={tmp_path}", "study=first"]
    assert [entry["overrides"] for entry in entries] == [
        [*where, "hydra/launcher=basic", "hydra.sweeper.max_batch_size=2"],
        [*where, "seed=1"],
    ]
    assert [entry["multirun"] for entry in entries] == [True, False]


def test_half_an_entry_is_taken_back(command, tmp_path, monkeypatch):
    """A disk that is full takes a part of what is written to it."""
    record_command(command("seed=1"), multirun=False)
    path = tmp_path / "first" / "commands.yaml"
    before = path.read_text()

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, content):
            return self.file.write(content[:20])

    real = type(path).open
    monkeypatch.setattr(type(path), "open", lambda *a, **b: Full(real(*a, **b)))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        record_command(command("seed=2"), multirun=False)
    monkeypatch.undo()
    assert path.read_text() == before
