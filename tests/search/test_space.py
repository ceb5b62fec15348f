"""Hydra's overrides as Optuna's distributions."""

from pathlib import Path

import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from theta0.errors import ConfigError
from theta0.search.space import distribution, ends
from theta0.sweep.axes import check_axes

PRESETS = Path(__file__).parents[2] / "configs" / "search"
LOG = {"log": True}
TABLE = {
    "init=xavier,he": CategoricalDistribution(["he", "xavier"]),
    "init=choice(he)": CategoricalDistribution(["he"]),
    "init=shuffle(choice(he,xavier,he))": CategoricalDistribution(["he", "xavier"]),
    "init=glob(xavier*)": CategoricalDistribution(["xavier", "xavier_normal"]),
    "optimizer.lr=0.1,1e-2": CategoricalDistribution(["0.01", "0.1"]),
    "model.widths=[64],[64,32]": CategoricalDistribution(["[64,32]", "[64]"]),
    "trainer.max_epochs=range(2,6)": IntDistribution(2, 5),
    "trainer.max_epochs=range(10,2,-3)": IntDistribution(4, 10, step=3),
    "model.dropout=range(0,0.5,0.25)": FloatDistribution(0.0, 0.25, step=0.25),
    "model.dropout=interval(0,0.5)": FloatDistribution(0.0, 0.5),
    "optimizer.lr=tag(log,interval(1e-5,1e-1))": FloatDistribution(1e-5, 1e-1, **LOG),
    "data.batch_size=int(interval(16,256))": IntDistribution(16, 256),
    "data.batch_size=tag(log,int(interval(16,256)))": IntDistribution(16, 256, **LOG),
}


@pytest.mark.parametrize(("override", "expected"), TABLE.items())
def test_an_override_is_a_distribution(space, override, expected):
    (parsed,) = space.composer.parser.parse_overrides([override])
    assert distribution(parsed) == expected


WRONG = {
    "optimizer.lr=interval(1,0.1)": "holds no value",
    "seed=range(3,3)": "holds no value",
    "optimizer.lr=tag(log,interval(0,1))": "values are greater than 0",
    "optimizer.lr=tag(lag,interval(0.1,1))": "tag lag: log is the only one",
    "seed=tag(log,range(1,9))": "only an interval",
}


@pytest.mark.parametrize(("override", "line"), WRONG.items())
def test_a_range_without_sense_is_told_in_a_line(space, override, line):
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as error:
        ends(space.composer.parser.parse_override(override))
    assert line in str(error.value)


def test_what_cannot_be_searched_is_told_in_a_line(space):
    with pytest.raises(ConfigError, match=r"^hydra/sweeper=optuna: nothing to search[^\n]*$"):
        space("seed=1")
    with pytest.raises(ConfigError, match=r"^init.gain=search_space: .* no search_space: {gain:"):
        space("init.gain=search_space")
    with pytest.raises(ConfigError, match=r"^optimizer.lr=0.0: must be greater than 0$"):
        space("optimizer.lr=interval(0,1)")


UNFIT = [
    (("init=he,xavier", "data.batch_size=range(16,19)"), {"sampler": "cmaes"}, "init is a choice"),
    (("data.batch_size=range(16,19)",), {"sampler": "cmaes"}, "two numbers or more"),
    (("optimizer.lr=interval(0.1,1)",), {"sampler": "grid"}, "optimizer.lr is an interval"),
    (("init=he,xavier",), {"balance": "int"}, "allowed: init; did you mean init?"),
]


@pytest.mark.parametrize(("overrides", "options", "line"), UNFIT)
def test_what_a_sampler_cannot_do_is_told_in_a_line(space, overrides, options, line):
    with pytest.raises(ConfigError) as error:
        space(*overrides, **options)
    assert line in str(error.value)


def test_each_optimizer_has_its_own_range(space):
    """As its file says, and as a parameter of its own."""
    found = space("optimizer=sgd,adam", "optimizer.lr=search_space")
    ranges = {
        name: distribution(override)
        for axis in found.axes
        for name, override in axis.names().items()
    }
    assert ranges == {
        "optimizer": CategoricalDistribution(["adam", "sgd"]),
        "optimizer.lr[adam]": FloatDistribution(1e-5, 1e-1, log=True),
        "optimizer.lr[sgd]": FloatDistribution(1e-3, 1.0, log=True),
    }
    assert found.words()["optimizer.lr"] == [
        f"optimizer.lr={lr}" for lr in ("1e-05", "0.1", "0.001", "1.0")
    ]


def test_a_single_optimizer_needs_no_parameter_of_its_own(space):
    (axis,) = space("optimizer=sgd", "optimizer.lr=search_space").axes
    assert axis.names().keys() == {"optimizer.lr"}
    (axis,) = space("search_space.lr=[0.1,0.2]", "optimizer.lr=search_space").axes
    assert distribution(axis.ranges[""]) == FloatDistribution(0.1, 0.2, log=True)


def test_the_last_word_counts(space):
    params = {"optimizer": "adam,sgd", "init": "he,xavier"}
    found = space("optimizer=lion", "seed=1", "seed=0,1", params=params)
    assert [axis.key for axis in found.axes] == ["init"]
    assert found.repeats == {"seed": ["seed=0", "seed=1"]}
    assert found.fixed == ["optimizer=lion"]


def test_what_a_run_has_by_default(space):
    """Where the space holds it; weight decay is 0 under Adam and 0.01 under AdamW."""
    found = space(
        "optimizer=adam,adamw",
        "optimizer.lr=search_space",
        "optimizer.weight_decay=1e-2,1e-1",
        "init=he,xavier",
        "data.batch_size=range(32,128,32)",
        "model.dropout=interval(0,0.5)",
    )
    assert found.defaults == {
        "adamw": {
            "optimizer": "adamw", "optimizer.lr[adamw]": 0.001, "optimizer.weight_decay": "0.01",
            "init": "he", "data.batch_size": 64, "model.dropout": 0.0,
        }
    }  # fmt: skip


def test_a_point_of_the_unit_cube(space):
    """Each half of a coordinate is one of two choices; the middle of a logarithmic range."""
    found = space(
        "optimizer=sgd,adam", "optimizer.lr=search_space",
        "trainer.max_epochs=range(10,20,5)",
        "data.batch_size=tag(log,int(interval(1,3)))",
    )  # fmt: skip
    keys = [axis.key for axis in found.axes]
    assert keys == ["optimizer", "trainer.max_epochs", "data.batch_size", "optimizer.lr"]
    assert found.at([0.49, 0.49, 0.0, 0.5], {}) == {
        "optimizer": "adam", "trainer.max_epochs": 10, "data.batch_size": 1,
        "optimizer.lr[adam]": 1e-3,
    }  # fmt: skip
    assert found.at([0.0, 0.5, 0.999, 0.0], {"optimizer": "sgd"}) == {
        "optimizer": "sgd", "trainer.max_epochs": 15, "data.batch_size": 3,
        "optimizer.lr[sgd]": 1e-3,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("preset", sorted({p.stem for p in PRESETS.glob("*.yaml")} - {"none"}))
def test_a_preset_is_sound(space, preset):
    """Each value of each axis; every optimizer's default is in the space."""
    params = yaml.safe_load((PRESETS / f"{preset}.yaml").read_text())["hydra"]["sweeper"]["params"]
    found = space(params=params)
    check_axes(space.composer, found.words())
    assert list(found.defaults) == sorted(params["optimizer"].split(","))
