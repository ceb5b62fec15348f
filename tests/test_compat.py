"""Hydra, made faster, composes and lists what it does as it comes."""

import contextlib
from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from theta0 import compat
from theta0.identity import register_resolvers

CONFIGS = str(Path(__file__).parents[1] / "configs")


@pytest.fixture
def loader(monkeypatch):
    """A function that gives a new loader of Hydra's: as it comes, or made faster."""
    for name in ("get_group_options", "load_configuration"):
        monkeypatch.setattr(ConfigLoaderImpl, name, getattr(ConfigLoaderImpl, name))
    monkeypatch.setattr(compat.omegaconf._utils, "get_yaml_loader", compat._original_yaml_loader)
    register_resolvers()

    def loader(faster):
        ConfigLoaderImpl.get_group_options = compat._original_options
        ConfigLoaderImpl.load_configuration = compat._original_load
        if faster:
            compat.start_hydra_faster()
        GlobalHydra.instance().clear()
        return Hydra.create_main_hydra2("train", create_config_search_path(CONFIGS)).config_loader

    yield loader
    GlobalHydra.instance().clear()


def started(loader, words, mode):
    """As a program composes: once for `hydra.mode`, and then for good; or the error's text."""
    with contextlib.suppress(HydraException):
        loader.load_configuration("train", words, RunMode.MULTIRUN, validate_sweep_overrides=False)
    try:
        config = loader.load_configuration("train", [*words, f"hydra.mode={mode.name}"], mode)
    except HydraException as error:
        return str(error)
    return OmegaConf.to_yaml(config)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (RunMode.RUN, []),
        (RunMode.RUN, ["optimizer=sgd", "+tags.0=x", "seed=3"]),
        (RunMode.MULTIRUN, ["optimizer=adam,sgd", "init=he,xavier", "seed=range(3)"]),
        (RunMode.RUN, ["optimizer=adam,sgd"]),
        (RunMode.RUN, ["optimizer.lrr=1"]),
        (RunMode.RUN, ["optimizer=adm"]),
        (RunMode.RUN, ["init=he", "init=xavier"]),
    ],
)
def test_a_program_composes_the_same(loader, mode, words):
    assert started(loader(faster=True), words, mode) == started(loader(False), words, mode)


def test_a_program_composes_once(loader, monkeypatch):
    faster, composed = loader(faster=True), []

    def count(self, *arguments, **named):
        composed.append(arguments)
        return original(self, *arguments, **named)

    original = ConfigLoaderImpl._load_configuration_impl
    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", count)
    started(faster, ["seed=1"], RunMode.RUN)
    started(faster, ["optimizer=adm"], RunMode.RUN)
    assert len(composed) == 2


def test_groups_are_listed_the_same(loader):
    groups = ("", "optimizer", "hydra", "hydra/launcher", "no_such_group")

    def listed(loader):
        return [
            loader.get_group_options(group, kind)
            for kind in (ObjectType.CONFIG, ObjectType.GROUP)
            for group in groups * 2
        ]

    assert listed(loader(faster=True)) == listed(loader(False))
