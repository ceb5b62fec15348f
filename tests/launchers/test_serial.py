"""`hydra/launcher=serial`: what Hydra's own launcher leaves, composed once a choice of options."""

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.utils import JobStatus

import theta0.run
from theta0.launchers.sweep import Sweep


@pytest.fixture
def sweep(in_process, tmp_path, monkeypatch):
    """A function: a sweep in a folder, whose runs are done at once; (what it left, what its
    jobs returned, how often Hydra composed)."""

    def perform(folder, config, result):
        result = result.model_copy(update={"status": "done"})
        result.write(folder)
        return result

    monkeypatch.setattr(theta0.run, "perform", perform)
    do, compose = Sweep.run, ConfigLoaderImpl.load_sweep_config
    returned, composed = [], []

    def noted(notes, does, *given, **more):
        notes.append(does(*given, **more))
        return notes[-1]

    monkeypatch.setattr(Sweep, "run", lambda *job, **how: noted(returned, do, *job, **how))
    monkeypatch.setattr(
        ConfigLoaderImpl, "load_sweep_config", lambda *asked: noted(composed, compose, *asked)
    )

    def sweep(name, *words):
        del returned[:], composed[:]
        ran = in_process(tmp_path / name, "-m", "study=s", "optimizer=adam,sgd", *words)
        assert ran.code == 0, ran.err
        return ran, list(returned), len(composed)

    return sweep


def test_many_seeds_are_composed_as_often_as_few(sweep):
    _, _, few = sweep("few", "seed=0")
    ran, returned, many = sweep("many", "seed=range(5)")
    assert many == few
    assert len(ran.results("s")) == len(returned) == 10
    for one in returned:
        assert (one.cfg, one.hydra_cfg) == (None, None)
        assert one.status == JobStatus.COMPLETED and one.return_value == float("-inf")


def files(ran):
    """What each run's .hydra holds, without what names the launcher."""
    left = {}
    for path in sorted(ran.here.glob("logs/s/*/.hydra/*.yaml")):
        content = yaml.safe_load(path.read_text().replace(str(ran.here), "HERE"))
        if path.name == "hydra.yaml":
            for key in ("launcher", "overrides"):
                del content["hydra"][key]
            del content["hydra"]["runtime"]["choices"]["hydra/launcher"]
        left[f"{path.parents[1].name}/{path.name}"] = content
    return left


def test_hydra_keeps_the_same_of_each_run(sweep):
    words = ("remedy=[dropout,ema]", "optimizer.lr=0.1")
    serial, _, _ = sweep("serial", *words)
    basic, _, _ = sweep("basic", *words, "hydra/launcher=basic")
    assert files(serial) == files(basic)
    assert len(files(serial)) == 2 * 3
