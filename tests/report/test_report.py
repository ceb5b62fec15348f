"""The program: what a person types, what it writes and says."""

import math
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

import theta0.report.figures
import theta0.report.make
from theta0.cli import _verbatim
from theta0.report.statistics import analyse
from theta0.report.study import read
from theta0.results import Result
from theta0.sweep.callback import StudyCallback

ROOT = Path(__file__).parents[2]


@pytest.fixture
def report(in_process, tmp_path, monkeypatch):
    """`report("study=first", ...)` in tmp_path, where made-up studies are in logs/.

    It draws no figures, which take seconds and have tests of their own.
    """
    monkeypatch.setattr(theta0.report.figures, "draw", lambda *_: None)
    return lambda *words, **options: in_process(tmp_path, *words, program="report.py", **options)


def two_by_two(cell, seed):
    he = cell["init"] == "he"
    return 0.8 + 0.05 * he + 0.003 * ((seed * (3 + he)) % 5)


GRID = {"optimizer": ["adam", "sgd"], "init": ["he", "xavier"]}


@pytest.mark.parametrize("study", ["first", "logs/first/"])
def test_a_study_is_named_by_its_folder_or_its_name(made_up_study, report, tmp_path, study):
    made_up_study(two_by_two, **GRID)
    ran = report(f"study={study}", "trust=[made]")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].startswith("Highest mean test/acc: ")
    assert any(line.startswith("Use ") for line in lines)
    assert any(line.startswith("Confidence: ") for line in lines)
    assert lines[-1] == "everything is in logs/first/report"
    folder = tmp_path / "logs" / "first" / "report"
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert written >= {
        "results.csv", "results.parquet", "finding.md", "experiment/recommended.yaml",
        "tables/grid.tex", "tables/arms.md", "tables/cells.csv", "tables/profiles.csv",
    }  # fmt: skip
    for beside in (folder, folder.parent):
        assert len(pd.read_csv(beside / "results.csv")) == 20
        assert len(pd.read_parquet(beside / "results.parquet")) == 20


def test_all_of_it_on_one_page(made_up_study, report, tmp_path):
    def outcome(cell, seed):
        return "diverged" if cell["optimizer"] == "sgd" and seed == 0 else two_by_two(cell, seed)

    made_up_study(outcome, **GRID)
    report("study=first", "where=optimizer in ('sgd', 'adam')")
    page = (tmp_path / "logs/first/report/finding.md").read_text()
    titles = [line for line in page.splitlines() if line.startswith("#")]
    assert titles[:5] == [
        "# Study first", "## Runs", "## Finding", "## Recommendation", "## Warnings",
    ]  # fmt: skip
    assert "- 20 runs: 18 done, 2 diverged.\n" in page
    assert "- Of 20 runs those where optimizer in ('sgd', 'adam').\n" in page
    assert "- diverged: 2 of 20 runs diverged (sgd + he: 1 and sgd + xavier: 1)." in page
    assert "| init | adam | sgd |" in page


def test_a_filter_stands_in_the_shell_as_it_is(made_up_study, tmp_path):
    """Through bash: parentheses, quotes of both kinds, comparisons; nothing else is imported."""
    made_up_study(two_by_two, **GRID, optimizer__lr=[0.01, 0.1], seeds=range(2))
    words = """study=first where="init in ('he', 'xavier') and lr < 0.1 and optimizer == 'adam'" """
    program = (
        "import runpy, sys; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__'); "
        "heavy = {'torch', 'lightning', 'wandb', 'optuna'} & sys.modules.keys(); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {ROOT}/src/report.py {words}', sys.executable, program],
        cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    runs = pd.read_csv(tmp_path / "logs/first/report/results.csv")
    assert len(runs) == 4
    assert set(runs["optimizer"]) == {"adam"}
    assert set(runs["optimizer.lr"]) == {0.01}
    assert not (tmp_path / "logs/first/results.csv").exists()  # that is for all runs


@pytest.mark.parametrize(
    "where", ["lr < 0.1", r"init != 'a\'", 'x == "it\'s"', "a\\\\b'c\\", "(a, [b], {c: d}) = ~$"]
)
def test_what_stands_behind_where_is_one_text(where):
    (override,) = OverridesParser.create().parse_overrides([_verbatim(f"where={where}", ["where"])])
    assert override.value() == where


@pytest.mark.parametrize("word", ["where=null", "where=", "wherever=a(b", "study=[a,b]", "--cfg"])
def test_other_words_are_left_as_they_are(word):
    assert _verbatim(word, ["where"]) == word


def test_several_studies(made_up_study, report, tmp_path):
    made_up_study(two_by_two, optimizer=["adam"], init=["he"])
    made_up_study(two_by_two, name="more", optimizer=["sgd"], init=["he"])
    ran = report("study=[first,logs/more]")
    assert (ran.code, ran.err) == (0, "")
    folder = tmp_path / "logs" / "report-first-more"
    assert pd.read_csv(folder / "results.csv")["study"].tolist() == ["first"] * 5 + ["more"] * 5
    assert (folder / "finding.md").read_text().startswith("# Study first-more\n")
    ran = report("study=[first,more]", "folder=paper")
    assert ran.out.splitlines()[-1] == "everything is in paper"
    assert (tmp_path / "paper" / "tables" / "arms.tex").exists()


def test_the_same_seed_gives_the_same_numbers(made_up_study):
    study = read([made_up_study(lambda cell, seed: math.sin(7 * seed), seeds=range(9))])
    first, again, other = (analyse(study, seed=seed) for seed in (0, 0, 1))
    for name, table in vars(first).items():
        pd.testing.assert_frame_equal(table, getattr(again, name))
    (first,), (other,) = (found.cells.to_dict("records") for found in (first, other))
    assert first["mean"] == other["mean"]
    assert first["mean_low"] != other["mean_low"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "study: a value is required: study=..."),
        (
            "study=frist",
            "study=frist: no such folder; in logs: allowed: first; did you mean first?",
        ),
        ("study=logs", "study: logs has no runs: there is no result.json below it"),
        ("study=empty", "study: logs/empty has no runs: there is no result.json below it"),
        ("study=[]", "study=[]: must be a study's folder or its name, or a list of them"),
        ("study=first seed=x", "seed=x: must be a valid integer"),
        ("study=first sede=1", "sede=1: unknown key; allowed: "),
        ("study=first mode=most", "mode=most: allowed: min, max"),
        ("study=first metric=test/f1", "metric=test/f1: allowed: test/acc, val/acc, val/loss"),
        ("study=first compare=[lr]", "compare=[lr]: no key that was swept; allowed: optimizer.lr"),
        ("study=first where=lr<", "where=lr<: cannot be read: invalid syntax"),
    ],
)
def test_mistakes_are_told_in_a_line(made_up_study, report, tmp_path, words, line):
    made_up_study(two_by_two, seeds=[0], optimizer__lr=[0.1, 1.0])
    (tmp_path / "logs" / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    ran = report(*words.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.removeprefix("theta0: ").startswith(line)
    assert len(ran.err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_mistake_is_told_before_anything_heavy_is_imported(tmp_path):
    program = (
        "import runpy, sys\n"
        "try: runpy.run_path(sys.argv[1], run_name='__main__')\n"
        "finally: print({'pandas', 'scipy', 'matplotlib', 'torch'} & sys.modules.keys())"
    )
    words = ["-c", program.replace("sys.argv[1]", repr(f"{ROOT}/src/report.py")), "study=none"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True,
        env={"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "set()\n")


def test_a_run_is_no_study(made_up_study, report):
    folder = made_up_study(two_by_two, seeds=[0])
    (run,) = folder.iterdir()
    ran = report(f"study={run}")
    assert (ran.code, ran.err) == (2, f"theta0: study: {run} is a run; its study is {folder}\n")


def test_a_broken_result_is_told_and_the_rest_reported(made_up_study, report, tmp_path):
    folder = made_up_study(two_by_two, **GRID)
    broken = sorted(folder.glob("*/result.json"))[3]
    broken.write_text(broken.read_text()[:-100])
    ran = report("study=first")
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert line.startswith(f"theta0: {broken.relative_to(tmp_path)}: cannot be read: ")
    assert f"broken: {broken.relative_to(tmp_path)}: cannot be read: " in ran.out
    assert len(pd.read_csv(folder / "report" / "results.csv")) == 19


def test_a_study_in_which_nothing_went_well(made_up_study, report, tmp_path):
    """Every way to end but well."""
    ends = ["failed", "diverged", "pruned", "running", "interrupted"]
    folder = made_up_study(lambda cell, seed: ends[seed], **GRID)
    ran = report("study=first")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("No run is done.\n")
    for kind in ("failed", "diverged", "pruned", "unfinished"):
        assert f"{kind}: " in ran.out
    assert not (folder / "report" / "experiment").exists()


def test_the_end_of_a_sweep_reports(in_process, tmp_path):
    ran = in_process(
        tmp_path, "-m", "optimizer=adam", "init=he,xavier", "seed=0,1", "study=s",
        "trainer.max_epochs=1", report=True,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    folder = tmp_path / "logs" / "s"
    assert len(pd.read_csv(folder / "results.csv")) == 4
    assert len(pd.read_parquet(folder / "results.parquet")) == 4
    assert (folder / "report" / "finding.md").exists()
    assert "Highest mean test/acc: adam + " in ran.out
    assert "tables and more are in logs/s/report\n" in ran.out

    # And its recommendation is ready to run.
    best = pd.read_csv(folder / "report/tables/arms.csv").sort_values("selection")["init"].iloc[-1]
    again = in_process(
        tmp_path, "experiment=recommended", "study=again", "seed=1", "--config-dir", "logs/s/report"
    )
    assert again.code == 0, again.err
    (path,) = (tmp_path / "logs" / "again").glob("*/result.json")
    result = Result.read(path.parent)
    (same,) = (r for r in ran.results("s") if r.run == result.run)
    assert result.choices["init"] == best
    assert (result.config_hash, result.metrics) == (same.config_hash, same.metrics)


SHORT = ("-m", "study=s", "trainer.max_epochs=1", "trainer.limit_train_batches=2")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (KeyError("cell"), "KeyError: 'cell'"),
    ],
)
def test_a_sweep_ends_as_it_should_without_its_report(
    in_process, tmp_path, monkeypatch, error, line
):
    def fail(*_):
        raise error

    monkeypatch.setattr(theta0.report.make, "make", fail)
    ran = in_process(tmp_path, *SHORT, report=True)
    assert ran.code == 1
    *_, told, last = ran.out.splitlines()
    assert told == f"no report: {line}"
    assert last == "everything is in logs/s: a folder a run, and results.csv"
    assert len(pd.read_csv(tmp_path / "logs" / "s" / "results.csv")) == 1
    assert "Traceback" not in ran.out + ran.err


def test_runs_of_which_there_is_no_one_report_have_not_failed(in_process, tmp_path):
    in_process(tmp_path, *SHORT)
    words = (*SHORT, "objective={metric: val/loss, mode: min}")
    ran = in_process(tmp_path, *words, report=True)
    assert ran.code == 0, ran.err
    assert "\nno report: study: its runs have several objectives (" in ran.out
    assert len(pd.read_csv(tmp_path / "logs" / "s" / "results.csv")) == 2


def test_a_claim_that_cannot_be_judged_ends_a_sweep_with_code_1(made_up_study, capsys):
    folder = made_up_study(init=["he", "xavier"], seeds=[0])
    claim = {"says": "He wins", "of": {"init": "he"}, "over": {"init": "xavier"}, "margin": 0.0}
    sweep = {"sweep": {"dir": str(folder)}, "sweeper": {"_target_": "their.own"}}
    claims = [claim | {"value": value} for value in ("test/acc", "test/ac")]
    config = OmegaConf.create({"study": "first", "hydra": sweep, "claims": claims})
    with pytest.raises(SystemExit) as end:
        StudyCallback().on_multirun_end(config)
    assert end.value.code == 1
    out = capsys.readouterr().out
    assert "claim holds: He wins (" in out
    assert "claim open: He wins (adam-he-s0-" in out
    assert "did you mean test/acc?" in out
