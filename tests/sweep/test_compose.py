"""What is composed once and changed equals what Hydra composes."""

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf

from theta0.identity import config_hash, resolve, run_name
from theta0.sweep.compose import Composer

JOBS = [
    ["optimizer=sgd", "optimizer.lr=0.3", "study=s"],
    ["optimizer=sgd", "optimizer.lr=0.2", "seed=4", "study=s"],
    ["remedy=[dropout,ema]", "+model.extra=[1,2]", "~callbacks.checkpoint", "study=s"],
    ["init=rezero", "init@init.base=xavier", "init.base.gain=torch", "study=s"],
    ["hydra.sweeper.max_batch_size=2", "data=mnist", "paths.data_dir=/x", "study=s"],
]


@pytest.fixture
def composers(compose):
    """Ours, which stays for all jobs, and Hydra's."""
    root = OmegaConf.create(compose("study=s"))
    with hydra.initialize_config_dir(root.hydra.runtime.config_sources[1].path, version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        yield Composer(loader, root), lambda words: loader.load_sweep_config(root, words)


def test_it_is_what_hydra_composes(composers):
    ours, theirs = composers
    for words in JOBS:
        one, other = ours(words), theirs(words)
        assert resolve(one) == resolve(other)
        assert config_hash(one) == config_hash(other)
        assert set(one.hydra.overrides.hydra) == set(other.hydra.overrides.hydra)
        assert one.hydra.overrides.task == other.hydra.overrides.task
        assert one.hydra.job.override_dirname == other.hydra.job.override_dirname
        assert run_name(one) == run_name(other) == one.hydra.sweep.subdir


def test_what_is_not_there_is_an_error(composers):
    for word in ("optimizer.lrr=1", "optimizer=adamm", "~callbacks.nothing"):
        with pytest.raises(HydraException):
            composers[0]([word])
