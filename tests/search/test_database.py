"""One database for several processes, of which any may die at any time."""

import math
import threading

import pytest
from filelock import FileLock
from sqlalchemy.exc import OperationalError

from theta0.errors import ConfigError

SPACE = ("optimizer=adam,sgd", "optimizer.lr=search_space")
BEST = {"adam": 0.9, "sgd": 0.8}


def value(words):
    return BEST[dict(word.split("=", 1) for word in words)["optimizer"]]


def states(search):
    return [trial.state.name for trial in search.trials()]


def test_the_number_of_trials_is_the_study_s(search):
    first = search(*SPACE, n_trials=5)
    first.go_on(value)
    first.go_on(value)
    assert states(first) == ["COMPLETE"] * 5
    more = search(*SPACE, n_trials=8)
    more.go_on(value)
    fewer = search(*SPACE, n_trials=3)
    fewer.go_on(value)
    assert states(fewer) == ["COMPLETE"] * 8


def test_an_orphan_is_adopted_with_its_parameters(search):
    made = search(*SPACE, n_trials=4)
    dying = made.open()
    with dying.at_work():
        (lost,) = dying.ask()
    heir = made.open()
    with heir.at_work():
        (adopted,) = heir.ask()
    assert adopted.trial.number == lost.trial.number
    assert adopted.words == lost.words
    made.go_on(value)
    assert states(made) == ["COMPLETE"] * 4


def test_the_trials_of_the_living_are_left_to_them(search):
    made = search(*SPACE, n_trials=3)
    one, other = made.open(), made.open()
    with one.at_work(), other.at_work():
        numbers = [asked.trial.number for database in (one, other, one) for asked in database.ask()]
        assert numbers == [0, 1, 2]
        assert other.ask() == []
    assert not list((made.folder / ".search").glob("*[0-9a-f]" * 9))


def test_a_trial_of_which_half_was_written_is_completed(search):
    """Killed between asking for it, owning it and drawing its parameters."""
    made = search(*SPACE, n_trials=3, defaults_first=False)
    study = made.open().study
    study.ask()
    study.enqueue_trial({"optimizer": "sgd"})
    made.go_on(value)
    trials = made.trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    assert all(f"optimizer.lr[{trial.params['optimizer']}]" in trial.params for trial in trials)
    whole = search(*SPACE, n_trials=1, folder="whole", defaults_first=False)
    whole.go_on(value)
    assert trials[0].params == whole.trials()[0].params


@pytest.mark.parametrize(
    ("status", "state", "values"),
    [
        ("pruned", "PRUNED", None),
        ("failed", "FAIL", None),
        ("diverged", "COMPLETE", [-math.inf]),
        ("interrupted", "RUNNING", None),
        ("running", "RUNNING", None),
    ],
)
def test_what_is_told_of_a_run_s_end(search, status, state, values):
    made = search(*SPACE, n_trials=1)
    made.go_on(lambda words: status)
    (trial,) = made.trials()
    assert (trial.state.name, trial.values) == (state, values)


def test_a_job_without_a_result_has_failed(search):
    made = search(*SPACE, n_trials=1)
    database = made.open()
    with database.at_work():
        (asked,) = database.ask()
        asked.identify("0", "never")
        assert database.tell(asked) is False
    assert states(made) == ["FAIL"]


def test_what_failed_is_done_once_more_where_that_is_asked(search):
    made = search(*SPACE, n_trials=3)
    made.go_on(lambda words: "failed" if value(words) == 0.9 else 0.8)
    made.go_on(value)
    assert states(made) == ["FAIL", "COMPLETE", "FAIL"]
    again = search(*SPACE, n_trials=3, rerun="failed")
    again.go_on(lambda words: "failed")
    assert states(again) == ["FAIL", "COMPLETE", "FAIL", "FAIL", "FAIL"]
    again.go_on(value)
    trials = again.trials()
    assert [trial.state.name for trial in trials[-2:]] == ["COMPLETE"] * 2
    assert [trial.params for trial in trials[5:]] == [trials[0].params, trials[2].params]
    assert len(trials) == 7
    more = search(*SPACE, n_trials=4)
    more.go_on(value)
    assert len(more.trials()) == 8


def test_several_objectives(search):
    """A cost is one of them; what diverged is the worst by each."""
    aims = {"val/acc": "max", "cost.parameters": "min"}
    made = search(*SPACE, n_trials=4, sampler="nsga2", aims=aims)
    made.go_on(lambda words: value(words) if value(words) == 0.9 else "diverged")
    for trial in made.trials():
        if trial.params["optimizer"] == "adam":
            assert trial.values == [0.9, trial.number]
        else:
            assert trial.values == [-math.inf, math.inf]


CHANGES = {
    "space.init was null and is": {"arguments": (*SPACE, "init=he,xavier")},
    "objectives.val/acc was max and is min": {"aims": {"val/acc": "min"}},
    "config.seed was 0 and is 1": {"seed": 1},
}


@pytest.mark.parametrize("line", CHANGES)
def test_another_search_is_refused_in_a_line(search, line):
    search(*SPACE).open()
    changes = dict(CHANGES[line])
    other = search(*changes.pop("arguments", SPACE))
    other.aims, other.plain = changes.pop("aims", other.aims), other.plain | changes
    with pytest.raises(ConfigError, match=r"^study=s: holds another search: [^\n]*$") as error:
        other.open()
    assert line in str(error.value)


def test_another_sampler_may_go_on(search):
    search(*SPACE, n_trials=3).go_on(value)
    other = search(*SPACE, n_trials=5, sampler="random", batch_size=2)
    other.go_on(value)
    assert states(other) == ["COMPLETE"] * 5


def test_a_database_of_something_else_is_refused_in_a_line(search):
    made = search(*SPACE)
    (made.folder / "optuna.db").write_text("not a database at all, and long enough to be read" * 9)
    with pytest.raises(ConfigError, match=r"optuna.db: cannot be read as a search's: [^\n]*$"):
        made.open()


def test_a_run_that_another_process_has_is_waited_for(search):
    """Two trials may be one run: what it came to is told when it is over."""
    made = search(*SPACE, n_trials=1)
    database = made.open()
    with database.at_work():
        (asked,) = database.ask()
        made.end(asked, 0.7)
        lock = FileLock(made.folder / "run0" / ".lock")
        lock.acquire()
        telling = threading.Thread(target=database.tell, args=(asked,))
        telling.start()
        telling.join(0.2)
        assert telling.is_alive()
        lock.release()
        telling.join(10)
    assert made.trials()[0].values == [0.7]


def test_a_full_disk_is_an_error_of_the_disk(search, monkeypatch):
    """Which ends the search in order; the same command goes on."""
    made = search(*SPACE, n_trials=2)
    database = made.open()

    def full(*arguments, **settings):
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    with database.at_work(), monkeypatch.context() as patch:
        patch.setattr(database.study, "ask", full)
        with pytest.raises(OSError, match=r"s/optuna.db: .*database or disk is full$"):
            database.ask()
    made.go_on(value)
    assert states(made) == ["COMPLETE"] * 2


@pytest.mark.parametrize(
    ("key", "strange"),
    [
        ("owner", "/elsewhere"),
        ("owner", "../../elsewhere"),
        ("owner", ["0" * 32]),
        ("run", "../elsewhere"),
        ("run", ".."),
        ("run", "a\x1b[2Jb"),
        ("run", 7),
        ("again", "0"),
        ("config_hash", {}),
    ],
)
def test_names_in_a_database_are_names(search, tmp_path, key, strange):
    """A lock's path is made of an owner and deleted; a run's is locked and read."""
    kept = tmp_path / "elsewhere"
    kept.write_text("kept")
    strange = str(kept) if strange == "/elsewhere" else strange
    made = search(*SPACE, n_trials=3)
    database = made.open()
    with database.at_work():
        (asked,) = database.ask()
    asked.trial.set_user_attr(key, strange)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=rf"cannot be read: trial 0: {key}=.* is none$") as error:
        made.open()
    assert "\x1b" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert kept.read_text() == "kept"


@pytest.mark.parametrize("lr", ["0.1; x", "1e-3", 7.0, -1, None])
def test_parameters_that_the_search_does_not_hold(search, lr):
    made = search("optimizer=adam", "optimizer.lr=tag(log,interval(1e-4,1e-1))", n_trials=3)
    made.open().study.enqueue_trial({"optimizer.lr": lr})
    database = made.open()
    with database.at_work(), pytest.raises(ConfigError, match="cannot be read: trial 0: "):
        database.ask()
