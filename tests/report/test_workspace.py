"""The team's workspace, as a stand-in for the W&B server gets it over HTTP."""

import json

import numpy as np
import pytest
from matplotlib.image import imsave

import theta0.report.figures
from theta0.errors import ConfigError
from theta0.report.report import Report
from theta0.report.statistics import analyse
from theta0.report.study import read
from theta0.report.tables import tables
from theta0.report.workspace import publish

GRID = {"init": ["he", "xavier"], "optimizer__lr": [0.01, 0.1], "data__batch_size": [32, 64]}
ASKED = "wandb.workspace=true"


def logged(project="p", entity=None):
    """The change to a run that was logged to W&B."""

    def change(content):
        told = {"project": project, "entity": entity, "group": content["study"], "tags": []}
        content["config"]["logger"] = {"_target_": "theta0.tracking.wandb_logger", **told}

    return change


@pytest.fixture
def folder(made_up_study):
    return made_up_study(seeds=[0], change=logged(), **GRID)


def draw(study, statistics, folder):
    """A figure, in place of those that take seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    imsave(folder / "heat_map.png", np.zeros((2, 3)))


@pytest.fixture
def report(in_process, tmp_path, wandb_server, monkeypatch):
    """`report("study=first", ...)` in tmp_path."""
    monkeypatch.setattr(theta0.report.figures, "draw", draw)

    def report(*words, **environment):
        env = wandb_server.environment | environment
        return in_process(tmp_path, ASKED, *words, program="report.py", env=env)

    return report


@pytest.fixture
def refused(wandb_server, tmp_path):
    """`refused(study)`: why there is no workspace of it."""

    def refused(folder, where=None):
        study = read([folder], where=where)
        with pytest.raises(ConfigError) as refusal:
            publish(Report(study, analyse(study), [], [], [], folder / "report"))
        (line,) = str(refusal.value).splitlines()
        assert line.startswith(f"{ASKED}: ")
        return line.removeprefix(f"{ASKED}: ")

    return refused


def panels(view):
    """By section."""
    bank = view.spec["section"]["panelBankConfig"]["sections"]
    return {section["name"]: section["panels"] for section in bank}


def test_a_study_at_w_and_b(wandb_server, folder, report, tmp_path):
    ran = report("study=first")
    assert (ran.code, ran.err) == (0, "")
    has_the_view(wandb_server, ran.out.splitlines()[-1])
    has_the_run(wandb_server, read([folder]), folder / "report/figures/heat_map.png")
    assert not list(folder.rglob("wandb"))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if wandb_server.KEY.encode() in path.read_bytes()] == []


def has_the_view(wandb_server, address):
    (view,) = wandb_server.views.values()
    assert (view.title, view.project) == ("first", "p")
    assert address.startswith("workspace: http://127.0.0.1")
    assert address.endswith(f"/someone/p?nw={view.name.removeprefix('nw-').removesuffix('-v')}")

    (runs,) = view.spec["section"]["runSets"]
    (group,) = runs["filters"]["filters"]
    assert group["key"] == {"section": "run", "name": "group"}
    assert (group["op"], group["value"], group["disabled"]) == ("IN", ["first"], False)
    assert runs["grouping"] == [{"section": "config", "name": "cell.value"}]

    shown = panels(view)
    assert list(shown) == ["Choices", "Curves", "Figures", "Tables"]
    (choices,) = shown["Choices"]
    assert choices["viewType"] == "Parallel Coordinates Plot"
    columns = choices["config"]["columns"]
    assert [(c["displayName"], c["accessor"], c.get("log")) for c in columns] == [
        ("init", "config:choices.value.init", False),
        ("data.batch_size", "config:data.value.batch_size", False),
        ("optimizer.lr", "config:optimizer.value.lr", True),
        ("val/acc", "summary:chosen/val/acc", None),
        ("test/acc", "summary:chosen/test/acc", None),
    ]
    (curves,) = shown["Curves"]
    assert curves["viewType"] == "Run History Line Plot"
    config = curves["config"]
    assert (config["xAxis"], config["metrics"], config["limit"]) == ("_step", ["val/acc"], 100)
    assert (config["groupBy"], config["groupAgg"]) == ("cell.value", "mean")
    assert config["groupArea"] == "stddev"


def has_the_run(wandb_server, study, picture):
    run = wandb_server.one
    assert (run.project, run.group, run.job_type) == ("p", "first", "report")
    assert run.name == "report of first"
    assert run.exit_codes == [0]

    expected = tables(study, analyse(study))
    shown = panels(*wandb_server.views.values())
    assert len(shown["Tables"]) == len(expected) >= 4
    assert [panel["config"]["mediaKeys"] for panel in shown["Figures"]] == [["figures/heat_map"]]
    (row,) = run.history
    for (key, table), panel in zip(expected.items(), shown["Tables"], strict=True):
        assert f'"tables/{key}"' in json.dumps(panel["config"])
        held = json.loads(run.files[row[f"tables/{key}"]["path"]])
        assert (held["columns"], held["data"]) == (table.header, table.rows)
    assert run.files[row["figures/heat_map"]["path"]] == picture.read_bytes()


def test_a_second_call_changes_both_and_makes_no_second_one(
    wandb_server, folder, made_up_study, report
):
    report("study=first")
    (before,) = wandb_server.views.values()
    before.title = "Ours"
    bank = before.spec["section"]["panelBankConfig"]
    bank["sections"].append({**bank["sections"][0], "name": "Mine"})
    made_up_study(seeds=[0], change=logged(), init=["lecun"], optimizer__lr=[0.001])

    ran = report("study=first")
    assert (ran.code, ran.err) == (0, "")
    (view,) = wandb_server.views.values()
    assert (view.id, view.name, view.title) == (before.id, before.name, "Ours")
    assert list(panels(view)) == ["Choices", "Curves", "Figures", "Tables", "Mine"]
    run = wandb_server.one
    first, second = (
        json.loads(run.files[row["tables/cells"]["path"]])["data"] for row in run.history
    )
    assert len(second) == len(first) + 1
    assert run.summary["tables/cells"]["path"] == run.history[-1]["tables/cells"]["path"]


def test_studies_together(wandb_server, made_up_study, report):
    for name in ("first", "second"):
        made_up_study(name=name, seeds=[0], change=logged(), data=[name])
    ran = report("study=[first,second]")
    assert (ran.code, ran.err) == (0, "")
    (view,) = wandb_server.views.values()
    (group,) = view.spec["section"]["runSets"][0]["filters"]["filters"]
    assert group["value"] == ["first", "first-second", "second"]
    assert wandb_server.one.group == view.title == "first-second"


def test_without_a_key_the_rest_is_there(wandb_server, folder, report):
    ran = report("study=first", WANDB_API_KEY="")
    assert ran.code == 2
    assert ran.out.splitlines()[-1] == "everything is in logs/first/report"
    assert (folder / "report" / "index.html").exists()
    assert ran.err == (
        f"theta0: {ASKED}: no key for W&B: set WANDB_API_KEY, or do `wandb login` once\n"
    )
    assert wandb_server.requests == []


def test_offline_the_tables_wait(wandb_server, folder, refused, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    for _ in range(2):
        line = refused(folder)
    assert line == (
        "WANDB_MODE is offline, and a workspace is made online; the tables wait:"
        f" wandb sync --yes {folder}/report/wandb/offline-run-*"
    )
    (run,) = folder.glob("report/wandb/offline-run-*")
    files = [path for path in run.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".wandb", ".json"}
    assert [path for path in files if wandb_server.KEY.encode() in path.read_bytes()] == []
    assert wandb_server.requests == []


def test_without_w_and_b(folder, refused, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert refused(folder) == "WANDB_MODE is disabled"
    assert not (folder / "report").exists()


@pytest.mark.parametrize("outage", ["drop", 401])
def test_a_server_that_does_not_answer(wandb_server, folder, refused, monkeypatch, outage):
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")
    wandb_server.outage = outage
    line = refused(folder)
    assert line.startswith(f"W&B at {wandb_server.url}: ")
    assert wandb_server.KEY not in line
    assert wandb_server.requests != []


def test_a_mode_that_is_none(folder, refused, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "onlin")
    assert refused(folder).startswith("WANDB_MODE, or another variable of W&B: 1 validation error")


def test_a_key_that_is_none(wandb_server, folder, refused, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    assert refused(folder).startswith(f"W&B at {wandb_server.url}: WANDB_API_KEY invalid")
    assert wandb_server.requests == []


def test_it_is_not_clear_where(made_up_study, refused):
    folder = made_up_study(seeds=[0])
    assert refused(folder) == "no run has logger=wandb: wandb.project=... says where to"
    made_up_study(init=["xavier"], seeds=[0], change=logged("p"))
    made_up_study(init=["lecun"], seeds=[0], change=logged("q", "lab"))
    assert refused(folder) == (
        "its runs are in lab/q, your own/p: choose by wandb.project=... and wandb.entity=..."
    )
    assert refused(folder, "init == 'xavier'") == (
        "a workspace shows whole studies: leave out where=..."
    )
