"""What the defaults reach on real data: numbers a newcomer can hold the project to."""

import os
from pathlib import Path

import pytest

DATA = os.environ.get("THETA0_DATA", "")


@pytest.mark.slow
def test_the_first_sweep(in_process, tmp_path):
    ran = in_process(
        tmp_path, "-m", "data=mnist5k", "optimizer=adam,adamw", "init=xavier,he", "study=first"
    )
    results = ran.results("first")
    assert ran.code == 0 and len(results) == 4
    assert all(result.metrics["test/acc"] >= 0.91 for result in results)
    commands = (tmp_path / "logs" / "first" / "commands.yaml").read_text()
    assert "optimizer=adam,adamw" in commands


@pytest.mark.slow
@pytest.mark.skipif(
    not (Path(DATA) / "MNIST" / "raw").is_dir() or not DATA,
    reason="THETA0_DATA names no folder of MNIST",
)
def test_mnist_in_five_epochs(in_process, tmp_path):
    arguments = ("data=mnist", "optimizer=adamw", "init=he", "trainer.max_epochs=5")
    ran = in_process(tmp_path, *arguments, env={"THETA0_DATA": DATA})
    assert ran.one().metrics["test/acc"] >= 0.975
