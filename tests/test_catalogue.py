"""Every option of `init` and of `optimizer` as a person sweeps them, and a paper's experiment."""

import os
from pathlib import Path

import pytest

CONFIGS = Path(__file__).parents[1] / "configs"
CHANCE = 0.1
SWEEP = ("data=mnist5k", "trainer.max_epochs=2", "study=s")


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def accuracies(ran, group: str) -> dict[str, float]:
    assert ran.code == 0, ran.out + ran.err
    assert {result.status for result in ran.results()} == {"done"}
    return {result.choices[group]: result.metrics["test/acc"] for result in ran.results()}


@pytest.mark.slow
def test_every_init_learns_but_zeros(in_process, tmp_path):
    names = [name for name in options("init") if name != "pretrained"]
    found = accuracies(in_process(tmp_path, "-m", *SWEEP, f"init={','.join(names)}"), "init")
    assert found.keys() == set(names)
    assert found.pop("zeros") == pytest.approx(CHANCE, abs=0.05)
    assert min(found.values()) > 5 * CHANCE, found


@pytest.mark.slow
def test_pretrained_starts_where_another_run_ended(in_process, tmp_path):
    first = in_process(tmp_path / "first", *SWEEP)
    best = first.folder(first.one()) / "checkpoints" / "best.ckpt"
    words = ("init=pretrained", f"init.path={best}", "train=false")
    second = in_process(tmp_path / "second", *SWEEP, *words).one()
    assert second.metrics["test/acc"] == first.one().metrics["test/acc"]


@pytest.mark.slow
def test_every_optimizer_learns(in_process, tmp_path):
    names = options("optimizer")
    found = accuracies(
        in_process(tmp_path, "-m", *SWEEP, f"optimizer={','.join(names)}"), "optimizer"
    )
    assert found.keys() == set(names)
    assert min(found.values()) > 5 * CHANCE, found


@pytest.mark.slow
@pytest.mark.skipif("THETA0_DATA" not in os.environ, reason="needs MNIST: set THETA0_DATA")
def test_he2015(in_process, tmp_path):
    """Every claim of the file holds; their margins stand there."""
    data = str(Path(os.environ["THETA0_DATA"]).resolve())
    ran = in_process(
        tmp_path, "experiment=he2015", "data=mnist", "logger=none", env={"THETA0_DATA": data}
    )
    assert ran.code == 0, ran.out + ran.err
    verdicts = [line for line in ran.out.splitlines() if line.startswith("claim ")]
    assert len(verdicts) == 6
    assert all(line.startswith("claim holds: ") for line in verdicts), verdicts
