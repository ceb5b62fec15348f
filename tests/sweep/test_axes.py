"""A sweep's cells, checked before the first one starts."""

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf

from theta0.errors import ConfigError
from theta0.sweep import axes as sweep_axes
from theta0.sweep.axes import check_axes
from theta0.sweep.compose import Composer


@pytest.fixture(scope="module")
def composer(compose):
    root = OmegaConf.create(compose("study=s", "data=digits"))
    with hydra.initialize_config_dir(root.hydra.runtime.config_sources[1].path, version_base="1.3"):
        yield Composer(GlobalHydra.instance().config_loader(), root)


def axes(**values):
    """`axes(seed=[0, 1])`; a key's dots are written `__`."""
    return {
        (key := name.replace("__", ".")): [f"{key}={value}" for value in listed]
        for name, listed in values.items()
    }


@pytest.mark.parametrize(
    ("swept", "line"),
    [
        # each value is allowed beside the first of the others
        ({"optimizer": ["adam", "lbfgs"], "accumulate": [1, 2]}, "accumulate=2: must be 1"),
        ({"init": ["he", "mup"], "optimizer": ["adam", "rprop"]}, "init=mup: has no rule"),
        ({"init__bias": ["constant", "zeros"], "init__bias_value": [0, 0.5]},
         "init.bias_value=0.5: init.bias=zeros takes no value"),
        ({"optimizer": ["momentum", "schedule_free_sgd"], "optimizer__momentum": [0.5, 0]},
         "optimizer.momentum=0: must be greater than 0"),
        # some of the options have the key
        ({"init": ["he", "mup"], "init__base_width": [8]},
         "init.base_width=8: init=he: no such key; init=mup: there it is: sweep them apart"),
        ({"optimizer": ["adam", "adamw", "lion"], "optimizer__eps": [1e-8]},
         "optimizer.eps=1e-08: optimizer=lion: no such key; optimizer=adam, "),
    ],
)  # fmt: skip
def test_no_cell_of_the_product_is_wrong(composer, swept, line):
    with pytest.raises(ConfigError) as refused:
        check_axes(composer, axes(**swept))
    assert str(refused.value).startswith(line)


def test_a_key_that_all_of_the_options_have_is_allowed(composer):
    swept = axes(optimizer=["momentum", "nesterov"], optimizer__momentum=[0.8])
    assert check_axes(composer, swept)["optimizer"]["momentum"] == 0.8


def test_a_key_that_none_of_the_options_has_is_unknown(composer):
    with pytest.raises(HydraException, match=r"Could not override 'optimizer\.lrr'"):
        check_axes(composer, axes(optimizer=["momentum", "nesterov"], optimizer__lrr=[1]))


def test_ten_thousand_cells_are_not_ten_thousand_checks(composer, monkeypatch):
    """Seeds and numbers of one component alone are looked at one by one."""
    checked = []
    check = sweep_axes.check
    monkeypatch.setattr(sweep_axes, "check", lambda c: checked.append(c) or check(c))
    check_axes(
        composer, axes(optimizer=["sgd", "momentum", "adam"], optimizer__lr=[0.1, 0.2, 0.3, 0.4],
                       init=["he", "xavier"], seed=range(20), seeds__split=range(20)),
    )  # fmt: skip
    assert len(checked) == 3 * 2 + 2 * 3 + 19 + 19  # of 9,600


def test_of_a_product_too_large_all_pairs_are_looked_at(composer, monkeypatch):
    monkeypatch.setattr(sweep_axes, "MOST", 3)
    with pytest.raises(ConfigError, match=r"^accumulate=2: must be 1"):
        check_axes(
            composer, axes(init=["he", "zeros"], optimizer=["adam", "lbfgs"], accumulate=[1, 2])
        )
