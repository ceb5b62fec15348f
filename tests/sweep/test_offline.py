"""The printed `wandb sync` command, and what bash makes of it."""

import subprocess

from theta0.sweep.offline import sync_command


def offline_run(study, name, run, synced=False):
    folder = study / name / "wandb" / f"offline-run-20260101_000000-{run}"
    folder.mkdir(parents=True)
    (folder / f"run-{run}.wandb").touch()
    if synced:
        (folder / f"run-{run}.wandb.synced").touch()


def test_nothing_waits(tmp_path):
    assert sync_command(tmp_path, runs="*/") is None
    offline_run(tmp_path, "adam", "a", synced=True)
    offline_run(tmp_path / ".replaced", "adam", "b")
    (tmp_path / "adam" / "wandb" / "run-20260101_000000-c").mkdir()
    assert sync_command(tmp_path, runs="*/") is None


def test_bash_reads_it_as_the_folders(tmp_path):
    study = tmp_path / "a study's $HOME"
    offline_run(study, "adam", "a")
    offline_run(study, "sgd", "b")
    for folder, runs, expected in ((study, "*/", "ab"), (study / "sgd", "", "b")):
        command = sync_command(folder, runs)
        assert command.startswith("wandb sync --yes ")
        words = command.removeprefix("wandb sync --yes ")
        said = subprocess.run(["bash", "-c", f"printf '%s\\n' {words}"], capture_output=True)
        found = said.stdout.decode().splitlines()
        assert [name[-1] for name in found] == list(expected)
        assert all(name.startswith(f"{folder}/") for name in found)
