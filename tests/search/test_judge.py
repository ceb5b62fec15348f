"""A run tells its trial how it does, and is told when to end."""

import warnings

import pytest
from optuna.pruners import SuccessiveHalvingPruner

from theta0.search.judge import Judge

SPACE = ("optimizer=adam,sgd", "optimizer.lr=search_space")


@pytest.fixture
def under_way(search):
    """`under_way(n_trials=3)`: (the study's folder, the config_hash of each trial under way)."""

    def under_way(**options):
        made = search(*SPACE, batch_size=options["n_trials"], **options)
        digests = []
        for asked in made.open().ask():
            digests.append(f"{asked.trial.number:064}")
            asked.identify(digests[-1], f"run{asked.trial.number}")
        return made, digests

    return under_way


def judge(made, digest, min_epochs=1):
    pruner = SuccessiveHalvingPruner(min_resource=min_epochs, reduction_factor=2)
    return Judge(made.folder, digest, pruner)


def test_the_better_half_goes_on(under_way):
    """At epochs 1, 2 and 4; the first run there always does."""
    made, digests = under_way(n_trials=3, defaults_first=False)
    judges = [judge(made, digest) for digest in digests]
    assert [j.report(1, acc) for j, acc in zip(judges, (0.5, 0.4, 0.6), strict=True)] == [
        False,
        True,
        False,
    ]
    assert judges[0].report(2, 0.7) is False
    assert judges[2].report(2, 0.6) is True
    assert [judges[0].report(epoch, 0.1) for epoch in (3, 4)] == [False, False]
    assert [judge(made, digest).pruned for digest in digests] == [False, True, True]
    reports = [trial.intermediate_values for trial in made.trials()]
    assert reports == [{1: 0.5, 2: 0.7, 3: 0.1, 4: 0.1}, {1: 0.4}, {1: 0.6, 2: 0.6}]


def test_every_run_has_its_first_epochs(under_way):
    made, digests = under_way(n_trials=2, defaults_first=False)
    judges = [judge(made, digest, min_epochs=2) for digest in digests]
    assert [[j.report(e, acc) for e in (1, 2)] for j, acc in zip(judges, (1, 0), strict=True)] == [
        [False, False],
        [False, True],
    ]


def test_a_run_that_continues_reports_again(under_way):
    made, digests = under_way(n_trials=1, defaults_first=False)
    judge(made, digests[0]).report(1, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = judge(made, digests[0])
        assert again.report(1, 0.9) is False
        assert again.report(2, 0.6) is False
    assert made.trials()[0].intermediate_values == {1: 0.5, 2: 0.6}


def test_defaults_are_never_pruned(under_way):
    made, digests = under_way(n_trials=3)
    judges = [judge(made, digest) for digest in digests]
    told = [j.report(1, acc) for j, acc in zip(judges, (0.9, 0.1, 0.2), strict=True)]
    assert told == [False, False, True]


def test_a_run_that_is_no_trial(under_way, tmp_path):
    made, digests = under_way(n_trials=1)
    with pytest.raises(ValueError, match="has no trial of this run under way"):
        judge(made, "0" * 63 + "9")
    with pytest.raises(ValueError, match="there is no search in"):
        Judge(tmp_path, digests[0], SuccessiveHalvingPruner())
    assert not (tmp_path / "optuna.db").exists()
