"""The page's file: what is in it is what the study says, and only as text."""

import base64
import hashlib
import json
import re
import socket
import threading
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from theta0.errors import ConfigError, shown
from theta0.report.make import make
from theta0.report.page import content, serve
from theta0.report.page.page import render
from theta0.report.page.serve import Server, _Handler
from theta0.report.study import read
from theta0.sweep.table import config_value

GRID = {"optimizer": ["adam", "sgd"], "init": ["he", "xavier"], "optimizer__lr": [0.01, 0.1]}
HOSTILE = "<script>alert(1)</script>"


def outcome(cell, seed):
    if cell["optimizer"] == "sgd" and seed == 0:
        return "diverged" if cell["init"] == "he" else "failed"
    luck = ((7 * seed) % 5) / 300
    return 0.7 + 0.03 * (cell["init"] == "he") - cell["optimizer.lr"] / 7 + luck, 0.6 + luck


@pytest.fixture
def made(compose):
    """`made(folder)`: its report."""
    return lambda folder: make(read([folder]), folder / "report", lambda words: compose(*words))


@pytest.fixture(scope="module")
def report(making_up, compose, tmp_path_factory):
    """Of a study with runs of several ends, four seeds a cell."""
    folder = making_up(tmp_path_factory.mktemp("logs") / "first", outcome, range(4), 4, **GRID)
    return make(read([folder]), folder / "report", lambda words: compose(*words))


def data_of(report):
    """What a browser would read in the page."""
    text = (report.folder / "index.html").read_text()
    (data,) = re.findall(r'<script type="application/json" id="data"[^>]*>(.*?)</script>', text)
    return json.loads(data)


def unpacked(column):
    if "numbers" in column:
        return [np.nan if value is None else value for value in column["numbers"]]
    return [column["words"][code] if code >= 0 else None for code in column["codes"]]


def decoded(data, name):
    return np.frombuffer(base64.b64decode(data["curves"]["columns"][name]), "<f4")


# -------------------------------------------------------------------------------------- its numbers


def test_every_column_is_that_of_results_csv(report):
    table = pd.read_csv(report.folder / "results.csv", dtype=str, keep_default_na=False)
    columns = data_of(report)["columns"]
    assert [column["name"] for column in columns] == list(table)
    for column in columns:
        values, told = unpacked(column), table[column["name"]]
        if "numbers" in column:
            np.testing.assert_array_equal(values, pd.to_numeric(told).to_numpy(float))
        else:
            assert values == told.replace({"True": "true", "False": "false"}).tolist()
    assert table["run"].tolist() == [path.name for path in report.study.paths]


def test_the_means_can_be_computed_from_results_csv(report):
    data = data_of(report)
    table = pd.read_csv(report.folder / "results.csv")
    done = table[table["status"] == "done"].groupby("cell")[data["metric"]]
    for cell, (mean, low, high, n) in data["cells"].items():
        values = done.get_group(cell)
        assert (mean, n) == (pytest.approx(values.mean()), len(values))
        half = data["student"][n] * values.std()
        assert (low, high) == (pytest.approx(mean - half), pytest.approx(mean + half))
    assert data["student"][4] == pytest.approx(stats.t.ppf(0.975, 3) / 2)
    assert len(data["cells"]) == 8


def test_the_curves_are_those_of_metrics_csv(report):
    data = data_of(report)
    starts = data["curves"]["starts"]
    assert (starts[0], len(starts)) == (0, len(report.study.runs) + 1)
    for folder, start, end in zip(report.study.paths, starts, starts[1:], strict=False):
        rows = pd.read_csv(folder / "metrics.csv").dropna(subset="epoch")
        assert end - start == len(rows)
        for name in ("epoch", "step", "seconds", "val/acc"):
            assert decoded(data, name)[start:end] == pytest.approx(rows[name].to_numpy(), rel=1e-6)


def test_long_curves_are_thinned_and_keep_their_ends(made_up_study, made, monkeypatch):
    monkeypatch.setattr(content, "ROWS", 25)
    report = made(made_up_study(seeds=range(4), epochs=23))
    data = data_of(report)
    assert data["curves"]["stride"] == 4  # 92 rows
    assert decoded(data, "epoch")[: data["curves"]["starts"][1]].tolist() == [3, 7, 11, 15, 19, 22]


def test_configurations_come_back_whole(made_up_study, made):
    def change(content):
        content["config"]["widths"] = [8, 8]
        if content["choices"]["init"] == "he":
            content["config"]["init"]["fan"] = {"in": True, "none": None, "empty": {}}

    report = made(made_up_study(outcome, **GRID, seeds=[1], change=change))
    configs = data_of(report)["configs"]
    varied = {column["name"]: unpacked(column) for column in configs["varied"]}
    assert configs["common"]["widths"] == "[8,8]"
    assert set(varied) == {
        "optimizer._target_", "optimizer.lr", "init._target_",
        "init.fan.in", "init.fan.none", "init.fan.empty",
    }  # fmt: skip
    for number, result in enumerate(report.study.results):
        own = {key: values[number] for key, values in varied.items() if values[number] is not None}
        assert ("init.fan.in" in own) == (result.choices["init"] == "he")
        told = configs["common"] | own
        assert told == {key: shown(config_value(result.config, key)) for key in told}
        leaves = pd.json_normalize(result.config).columns  # which forgets what is empty
        assert len(told) == len(leaves) + ("init.fan.empty" in told)


def test_errors_and_the_end_of_logs(made_up_study, made):
    folder = made_up_study(outcome, **GRID, seeds=[0])
    for run in (path.parent for path in folder.glob("*/result.json")):
        (run / "run.log").write_text("".join(f"line {n} of {run.name}\n" for n in range(500)))
    report = made(folder)
    data = data_of(report)
    failed = report.study.runs.index[report.study.runs["status"] == "failed"]
    assert sorted(data["errors"]) == sorted(map(str, failed))
    error = data["errors"][str(failed[0])]
    assert error == {
        "type": "RuntimeError", "message": "it went wrong\nand more", "traceback": "...",
    }  # fmt: skip
    for run, log in zip(report.study.runs["run"], data["logs"], strict=True):
        assert re.fullmatch(rf"(line \d+ of {re.escape(run)}\n)+", log)
        assert log.endswith(f"line 499 of {run}\n")
        assert 2900 < len(log) <= content.TAIL


@pytest.mark.parametrize("end", ["failed", "running"])
def test_a_study_in_which_nothing_is_done_has_a_page(made_up_study, made, end):
    data = data_of(made(made_up_study(lambda cell, seed: end)))
    assert data["recommendations"] == []
    assert {unpacked(c)[0] for c in data["columns"] if c["name"] == "status"} == {end}
    assert list(data["cells"].values()) == [[None, None, None, 0]]


# --------------------------------------------------------------------------------- text stays text


def test_no_text_of_a_run_is_markup(made_up_study, made):
    """Name, option, key, value, error and log: all of them in the data, which cannot be left."""
    folder = made_up_study(init=["he", "<b>&amp;"], seeds=range(2))
    for path in folder.glob("*/result.json"):
        (path.parent / "run.log").write_text(HOSTILE)
        result = json.loads(path.read_text())
        result["config"][HOSTILE] = HOSTILE + "<!--<script>"
        result["error"] = dict.fromkeys(("type", "message", "traceback"), HOSTILE)
        path.write_text(json.dumps(result | {"status": "failed"}))
    report = made(folder)
    text = (report.folder / "index.html").read_text()
    assert len(re.findall("<script", text)) == len(re.findall("</script", text)) == 2
    assert "<b>&amp;" not in text
    data = data_of(report)
    assert data["configs"]["common"][HOSTILE] == HOSTILE + "<!--<script>"
    assert data["logs"][0] == data["errors"]["0"]["message"] == HOSTILE


def test_a_study_s_name_is_escaped():
    assert "<title>&lt;b&gt; &amp; {{data}} · theta0</title>" in render("<b> & {{data}}", "{}")


def test_the_file_needs_nothing_else_and_lets_nothing_else_act():
    text = render("first", "{}")
    assert set(re.findall(r"https?://[^\s\"'`]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\bsrc=|@import|url\((?!#)", text)
    (policy,) = re.findall('Content-Security-Policy" content="([^"]+)"', text)
    assert policy.startswith("default-src 'none'; ")
    for element, directive in (("style", "style-src"), ("script", "script-src")):
        (source,) = re.findall(f"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy
    assert "innerHTML" not in text


# ------------------------------------------------------------------------------------- it is served


@pytest.fixture
def server(report):
    server = Server(0)
    server.show(report)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def get(server, path, **headers):
    return urllib.request.urlopen(urllib.request.Request(server.url + path, headers=headers))


def test_what_is_served(server, made_up_study, made):
    page = get(server, "").read().decode()
    version = get(server, "version").read().decode()
    data = json.loads(get(server, "data.json").read())
    assert f'data-version="{version}"' in page
    assert data["study"] == "first"

    server.show(made(made_up_study(lambda cell, seed: "running", name="more")))
    assert get(server, "version").read().decode() != version
    assert json.loads(get(server, "data.json").read())["study"] == "more"


def test_nothing_else_is_served_and_nobody_else(server):
    assert server.server_address[0] == "127.0.0.1"
    for path in ("results.csv", "../results.csv", "index.html"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(server, path)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(server, "data.json", Host=f"elsewhere.example:{server.server_port}")
    assert get(server, "", Host=f"localhost:{server.server_port}").status == 200


def test_a_port_that_is_taken_is_told(report):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"^report\.port={port}: Address already in use: choose "
        ):
            serve(report, lambda: report, [report.folder.parent], port)


def test_a_bad_port_is_told(made_up_study, in_process, tmp_path):
    made_up_study(seeds=[0])
    ran = in_process(
        tmp_path, "study=first", "report.serve=true", "report.port=70000", program="report.py"
    )
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "theta0: report.port=70000: must be less than 65536\n"


def test_a_connection_that_says_nothing_is_closed(server, monkeypatch):
    assert _Handler.timeout == 10
    monkeypatch.setattr(_Handler, "timeout", 0.01)
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as silent:
        assert silent.recv(1) == b""
