"""Filters as a person writes them."""

import pytest

from theta0.errors import ConfigError
from theta0.report.study import read


@pytest.fixture
def study(made_up_study):
    def outcome(cell, seed):
        return "failed" if cell["optimizer"] == "sgd" and seed == 1 else 0.5 + seed / 10

    return made_up_study(
        outcome, optimizer=["adam", "sgd"], init=["he", "xavier"], optimizer__lr=[0.01, 0.1],
        seeds=range(3),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("init in ('he', 'xavier') and lr < 0.1", 12),
        ('init == "he"', 12),
        ("optimizer.lr >= 0.1 and not seed == 0", 8),
        ("val/acc > 0.55", 12),  # 0.6 and 0.7; failed ones have no accuracy, so none of them
        ("val/acc - 0.05 > test/acc or status == 'failed'", 4),
        ("0.01 <= lr < 0.1", 12),
        ("val/acc != 0.6", 16),  # nor is what failed
        ("not val/acc > 0.55", 8),
        ("optimizer != 'sgd' and lr == 1e-2", 6),
        ("cost.steps == 30 and fit_seconds == 3", 24),
        ("data_dir == 'data'", 24),  # a key of the configuration that is no column
        ("init.str == 'x' or init == 'he'", None),
    ],
)
def test_what_is_left(study, where, count):
    if count is None:
        with pytest.raises(ConfigError, match=r"no column init\.str"):
            read([study], where)
    else:
        found = read([study], where)
        assert (len(found.runs), len(found.results), found.total) == (count, count, 24)
        assert [r.run for r in found.results] == found.runs["run"].tolist()


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("lrr < 0.1", "where=lrr < 0.1: no column lrr (a text stands in quotes); there are: stu"),
        ("init == he", "where=init == he: no column he (a text stands in quotes); there are: "),
        ("lr <", "where=lr <: cannot be read: invalid syntax"),
        ("lr", "where=lr: must be a comparison, such as lr < 0.1"),
        ("lr = 0.1", "where=lr = 0.1: must be a comparison, such as lr < 0.1"),
        ("1 < 2", "where=1 < 2: must be a comparison, such as lr < 0.1"),
        ("lr < 'a'", "where=lr < 'a': cannot be read: "),
        ("seed == 9", "where=seed == 9: none of the 24 runs is left"),
        ("dir == 'x'", "where=dir == 'x': no column dir "),
        ("epoch == 1 or acc > 2", "where=epoch == 1 or acc > 2: no column acc "),
        ("order == 0 or init == 0 or split == 0 or noise == 0 or metric == 0 or seeds == 0",
         "where=order == 0 or init == 0 or split == 0"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_a_line(study, where, line):
    with pytest.raises(ConfigError) as error:
        read([study], where)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_a_near_miss_is_suggested(study):
    with pytest.raises(ConfigError, match=r"; did you mean optimizer\.lr\?$"):
        read([study], "optimzer.lr < 1")


def test_what_may_be_several_columns_is_asked_for(study):
    with pytest.raises(ConfigError, match=r"steps may be|_target_ may be .* or "):
        read([study], "_target_ == 'x'")


@pytest.mark.parametrize(
    "where",
    [
        "__import__('os').system('touch harm') == 0",
        "@pd.compat.os.system('touch harm') == 0",
        "lr.__class__ == 1",
        "lr .__class__ == 1",
        "'x'.__class__.__mro__ == 1",
        "(lr).to_csv('harm') == 1",
        "`lr` < 1",
        "[x for x in (1,)] == lr",
        "(lambda: 1)() == lr",
        "study.map(print) == 1",
    ],
)
def test_an_expression_can_call_nothing(study, where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        read([study], where)
    assert not (tmp_path / "harm").exists()
