"""The page in a real browser: any Chrome or Chromium there is, with its chromedriver."""

import base64
import functools
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from theta0.report.make import make
from theta0.report.study import read

pytestmark = pytest.mark.slow

BROWSERS = ("google-chrome", "google-chrome-stable", "chrome", "chromium", "chromium-browser")
HOSTILE = "<script>alert(1)<script>"  # no folder is named with a slash
GRID = {"optimizer": ["adam", "sgd"], "init": ["he", "xavier"], "optimizer__lr": [0.001, 0.1]}


def outcome(cell, seed):
    if cell["optimizer"] == "sgd" and cell["optimizer.lr"] == 0.1 and seed == 0:
        return "diverged" if cell["init"] == "he" else "failed"
    luck = ((7 * seed + len(cell["init"])) % 5) / 300
    value = 0.7 + 0.03 * (cell["init"] == "he") - cell["optimizer.lr"] / 7 + luck
    return value, value - 0.02 + luck / 3


@pytest.fixture(scope="module")
def chrome():
    """One browser for all tests."""
    options = webdriver.ChromeOptions()
    for argument in ("headless=new", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        if binary := next(filter(None, map(shutil.which, BROWSERS)), None):
            options.binary_location = binary
        elif sys.platform == "linux":  # elsewhere it is not on the path, and Selenium knows where
            raise WebDriverException("no Chrome or Chromium")
        # Without a chromedriver Selenium gets the one that fits, if there is a network.
        chrome = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    except WebDriverException as error:
        reason = f"{error.msg.splitlines()[0]}: make browser"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    yield chrome
    chrome.quit()


class Page:
    """A page in the browser, and what a person can do there."""

    def __init__(self, chrome, url):
        self.chrome = chrome
        self.screen(1200, 900)
        self.theme("light")
        chrome.get("about:blank")
        chrome.get_log("browser")  # of the page before
        chrome.get(url)
        self.wait(lambda: self.text("#count"))

    def screen(self, width, height):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def theme(self, name):
        media = {"features": [{"name": "prefers-color-scheme", "value": name}]}
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def wait(self, condition, seconds=60):
        return WebDriverWait(self.chrome, seconds, 0.05).until(lambda _: condition())

    def all(self, selector):
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        (element,) = self.all(selector)
        return element

    def text(self, selector):
        return self.one(selector).text

    def texts(self, selector):
        return self.run(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector
        )

    def run(self, script, *arguments):
        return self.chrome.execute_script(script, *arguments)

    def settle(self):
        """Until what was typed or clicked has been drawn."""
        self.chrome.execute_async_script(
            "const done = arguments[0];"
            "requestAnimationFrame(() => requestAnimationFrame(() => done()))"
        )

    def filter(self, words):
        query = self.one("#query")
        query.send_keys(Keys.CONTROL, "a")
        query.send_keys(words or Keys.DELETE)
        self.settle()
        return self.text("#count")

    def click(self, selector):
        self.run("document.querySelector(arguments[0]).click()", selector)
        self.settle()

    def press(self, *keys):
        ActionChains(self.chrome).send_keys(*keys).perform()
        self.settle()

    def until(self, act, condition, most=200):
        """Do it again and again until the condition holds."""
        for _ in range(most):
            if condition():
                return
            act()
        pytest.fail(f"not after {most} times")

    def order(self, header):
        return self.run("return document.querySelector(arguments[0]).parentNode.ariaSort", header)

    def column(self, name):
        """The texts of a column of the table of runs."""
        place = self.titles().index(name) + 1
        return self.texts(f"#table tbody tr > :nth-child({place})")

    def titles(self):
        return self.texts("#table thead th")

    def heat(self):
        """(init, optimizer): the texts in the cell, of the first heat map."""
        rows = self.run(
            "return [...document.querySelector('.heat').rows].map(row => [...row.cells].map(cell =>"
            " cell.querySelector('button') ? [...cell.querySelector('button').children].map("
            "e => e.textContent) : cell.textContent))"
        )
        optimizers = rows[0][1:]
        return {
            (init, optimizer): cell
            for init, *cells in rows[1:]
            for optimizer, cell in zip(optimizers, cells, strict=True)
        }

    def picture(self, until):
        """The page from its top to the end of an element, at three quarters, as PNG."""
        width, height = self.run(
            "const { bottom } = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [innerWidth, bottom + scrollY]",
            until,
        )
        clip = {"x": 0, "y": 0, "width": width, "height": height + 24, "scale": 0.75}
        told = self.chrome.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
        )
        return base64.b64decode(told["data"])


@pytest.fixture(scope="module")
def made(compose):
    return lambda folder: make(read([folder]), folder / "report", lambda words: compose(*words))


@pytest.fixture(scope="module")
def report(making_up, made, tmp_path_factory):
    """A report on 40 runs whose ends differ, one of which has a hostile name."""

    def change(content):
        content["config"][HOSTILE] = HOSTILE

    folder = making_up(
        tmp_path_factory.mktemp("logs") / "first", outcome, range(5), 4, change=change, **GRID
    )
    for path in folder.glob("*/result.json"):
        (path.parent / "run.log").write_text(f"a line of {path.parent.name}\nits <b>end</b>\n")
        if json.loads(path.read_text())["status"] == "diverged":
            (path.parent / "metrics.csv").write_text("step,epoch,val/acc,seconds\n10,0,0.5,1\n")
    path = max(folder.glob("sgd-*/result.json"))
    result = json.loads(path.read_text())
    result["run"] = HOSTILE
    path.write_text(json.dumps(result))
    return made(folder)


@pytest.fixture
def page(chrome, report):
    page = Page(chrome, (report.folder / "index.html").as_uri())
    yield page
    assert page.chrome.get_log("browser") == []


@pytest.fixture
def table(report):
    return pd.read_csv(report.folder / "results.csv")


def test_the_summary_comes_first(page, report):
    assert page.text("h1") == "first"
    assert page.text("#facts").startswith("40 runs: 38 done, ")
    for line in report.findings:
        assert line in page.text("#summary")
    (recommended,) = report.recommendations
    assert f"Use {recommended.choice}" in page.text("#summary")
    assert f"Confidence: {recommended.sure}" in page.text("#summary")
    for caveat, line in zip(report.caveats, page.texts("#warnings li"), strict=True):
        assert line == f"{caveat.kind.replace('_', ' ')} {caveat.text}"
    order = page.run("return [...document.querySelectorAll('section')].map(e => e.id)")
    assert order[:3] == ["summary", "warnings", "filter"]
    assert page.text("#count") == "All 40 runs"


def test_the_heat_map_tells_the_means(page, report, table):
    heat = page.heat()
    for _, arm in report.statistics.arms.iterrows():
        value, interval, n, *ends = heat[arm["init"], arm["optimizer"]]
        assert value.removesuffix(" highest") == f"{100 * arm['mean']:.1f}"
        assert interval == f"[{100 * arm['mean_low']:.1f}, {100 * arm['mean_high']:.1f}]"
        assert n == f"n = 5 · lr {arm['optimizer.lr']:g}"
        assert ends == []
        assert value.endswith(" highest") == (arm["mean"] == report.statistics.arms["mean"].max())


def test_cells_of_the_heat_map_are_as_high_as_their_row(page):
    page.filter("lr=0.1")
    heights = page.run(
        "return [...document.querySelector('.heat').tBodies[0].rows].map(row =>"
        " [...row.querySelectorAll('button')].map(e => e.getBoundingClientRect().height))"
    )
    assert len(page.texts(".heat .ends")) == 2  # which take a line more
    assert all(len(set(row)) == 1 and len(row) == 2 for row in heights)


def test_the_filter_reaches_everything(page, table):
    assert page.filter("sgd done") == "18 of 40 runs"
    assert {optimizer for _, optimizer in page.heat()} == {"sgd"}
    assert set(page.column("optimizer")) == {"sgd"}
    assert len(page.column("run")) == 18
    assert len(page.texts(".legend tbody tr")) == 2
    assert page.one("#parallel svg").get_attribute("aria-label").startswith("18 runs over ")

    assert page.filter("nothing has this") == "0 of 40 runs"
    assert page.texts("#table tbody tr") == []
    page.click("button[type=reset]")
    assert page.text("#count") == "All 40 runs"


def test_a_filter_by_values_and_what_is_computed_anew(page, table):
    """Where the filter takes the better rate, and a seed, away: the numbers of what is left."""
    for column, value in (("optimizer.lr", "0.001"), ("seed", "4")):
        page.click(f"[id='pick-{column}']")
        page.click(f"[id='pick-{column}-{value}']")
    assert page.text("#count") == "16 of 40 runs"
    assert page.text("[id='pick-optimizer.lr']") == "optimizer.lr: 1 of 2"
    left = table[(table["optimizer.lr"] == 0.1) & (table["seed"] != 4)]
    done = left[left["status"] == "done"]
    for (init, optimizer), (value, interval, n, *ends) in page.heat().items():
        values = 100 * done[(done["init"] == init) & (done["optimizer"] == optimizer)]["test/acc"]
        half = {3: 4.302653, 4: 3.182446}[len(values)] * values.std() / np.sqrt(len(values))
        assert value.removesuffix(" highest") == f"{values.mean():.1f}"
        assert interval == f"[{values.mean() - half:.1f}, {values.mean() + half:.1f}]"
        assert n == f"n = {len(values)} · lr 0.1"
        lost = {"he": ["⚠ 1 diverged"], "xavier": ["⚠ 1 failed"]}[init]
        assert ends == (lost if optimizer == "sgd" else [])


def test_a_list_of_choices_closes(page):
    opened = "return [...document.querySelectorAll('.pick[open]')].map(e => e.dataset.column)"
    page.click("[id='pick-init']")
    page.click("[id='pick-init-he']")
    assert page.run(opened) == ["init"]
    page.click("[id='pick-seed']")
    assert page.run(opened) == ["seed"]
    page.one("[id='pick-seed-2']").send_keys(Keys.ESCAPE)
    assert page.run(opened) == []
    assert page.run("return document.activeElement.id") == "pick-seed"
    page.click("[id='pick-seed']")
    page.click("h1")
    assert page.run(opened) == []


def test_a_filter_by_a_range(page, table):
    page.click("[id='pick-test/acc']")
    page.one("[id='pick-test/acc-low']").send_keys("71.5")
    page.settle()
    assert page.text("#count") == f"{(table['test/acc'] >= 0.715).sum()} of 40 runs"


def test_dragging_along_an_axis_filters(page, table):
    page.run("document.querySelector('#parallel').scrollIntoView({block: 'center'})")

    def drag(column, start, end):
        handle = page.one(f".handle[data-column='{column}']")
        height = handle.size["height"]
        actions = ActionChains(page.chrome)
        actions.move_to_element_with_offset(handle, 0, int((start - 0.5) * height))
        actions.click_and_hold().move_by_offset(0, int((end - start) * height)).release().perform()
        page.settle()
        return page.text("#count")

    assert drag("optimizer", 0.02, 0.4) == "20 of 40 runs"  # its upper end
    assert set(page.column("optimizer")) == {"sgd"}
    assert drag("optimizer", 0.5, 0.5) == "All 40 runs"
    upper = (table["test/acc"].min() + table["test/acc"].max()) / 2
    told = int(drag("test/acc", 0.0, 0.5).split()[0])
    assert abs(told - (table["test/acc"] >= upper).sum()) <= 2  # of a pixel or two
    assert 0 < told < 38


@pytest.mark.parametrize("column", ["test/acc (%)", "run", "optimizer.lr"])
def test_sorting(page, table, column):
    name = column.removesuffix(" (%)")
    header = f"[id='sort-{name}']"
    for ascending in (True, False):
        wanted = "ascending" if ascending else "descending"
        page.until(lambda: page.click(header), lambda: page.order(header) == wanted)  # noqa: B023
        values = [float(value) for value in page.column(column) if value != "–"] if (
            table[name].dtype.kind == "f"
        ) else [value.casefold() for value in page.column(column)]  # fmt: skip
        known = table[name].dropna()
        assert len(values) == len(known)
        if known.dtype.kind == "f":
            assert values == sorted(values, reverse=not ascending)
        else:
            words = [value.partition("-")[0] for value in values]
            assert words == sorted(words, reverse=not ascending)  # <script>..., adam, sgd
            assert len(set(words)) == 3
    sorted_by = page.run("return document.querySelectorAll('[aria-sort]').length")
    assert sorted_by == 1
    if name == "test/acc":  # what has no value comes last, whichever way
        assert page.column(column)[-2:] == ["–", "–"]


def test_columns_are_chosen(page):
    assert "cost.steps" not in page.titles()
    page.click("#choose summary")
    page.click("#choose input[value='cost.steps']")
    assert set(page.column("cost.steps")) == {"40"}
    page.click("#choose input[value='status']")
    assert "status" not in page.titles()


def test_a_run_its_configuration_its_log_and_its_error(page, report):
    page.filter("failed")
    (name,) = page.column("run")
    page.click("#table tbody button")
    dialog = "dialog[open]"
    assert page.text(f"{dialog} h2") == name
    assert page.texts(f"{dialog} .error") == ["RuntimeError: it went wrong\nand more"]
    assert page.texts(f"{dialog} pre") == ["...", f"a line of {name}\nits <b>end</b>\n"]
    keys = page.texts(".config tbody th")
    assert keys == sorted(keys)
    assert {"optimizer.lr", "init._target_", "seed"} < set(keys)

    other = next(r for r in report.study.results if r.choices["optimizer"] == "adam")
    Select(page.one("#against")).select_by_visible_text(other.run)
    page.settle()
    rows = page.run(
        "return [...document.querySelectorAll('.config tbody tr')].map("
        "row => [...row.cells].map(cell => cell.textContent))"
    )
    assert rows == [
        ["init._target_", "made.up.xavier", "made.up.he"],
        ["optimizer._target_", "made.up.sgd", "made.up.adam"],
        ["optimizer.lr", "0.1", "0.001"],
    ]


def test_curves_can_be_read_off(page, report):
    """The mean of an epoch over the runs that are done, with Student's interval."""
    curves = report.study.curves.merge(report.study.runs[["study", "run", "cell", "status"]])
    best = report.statistics.arms.iloc[0]
    values = 100 * curves[(curves["cell"] == best["cell"]) & (curves["epoch"] == 1)]["val/acc"]
    page.run("document.querySelector('#curves').focus()")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.texts(".legend thead th")[1] == "val/acc (%), at 1"
    first = page.texts(".legend tbody tr:first-child > *")
    assert first == [
        f" {best['optimizer']} + {best['init']}",
        f"{values.mean():.2f}",
        f"± {2.776445 * values.std() / np.sqrt(5):.2f}",
        "5",
    ]
    Select(page.one("#curve-by")).select_by_value("seconds")
    Select(page.one("#curve-of")).select_by_value("cell")
    page.click("#curve-log")
    page.click("#curve-each")
    assert len(page.texts(".legend tbody tr")) == 8
    assert "seconds of fit" in page.texts("#curves text")
    assert len(page.all("#curves .thin")) == 8
    crosses = [line.get_attribute("d") for line in page.all("#curves .line")]
    assert "".join(crosses).count("M") == 1  # of the one that diverged
    assert page.text("#curves-note").startswith("Lines: runs; a cross: it diverged there.")


def test_by_keyboard_alone(page):
    page.press(Keys.TAB)
    assert page.run("return document.activeElement.className") == "skip"
    page.press(Keys.ENTER)
    assert page.run("return document.activeElement.id") == "runs"
    focus = "return document.activeElement"
    tab = functools.partial(page.press, Keys.TAB)
    page.until(tab, lambda: page.run(f"{focus}.id").startswith("sort-"))
    page.press(Keys.ENTER)
    assert page.run("return document.activeElement.id") == "sort-run"  # it stays where it was
    assert page.text("#table [aria-sort=ascending]").startswith("run")
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert page.run(outline) == "solid"
    page.until(tab, lambda: page.run(f"{focus}.className") == "link")
    name = page.run("return document.activeElement.textContent")
    page.press(Keys.ENTER)
    assert page.text("dialog[open] h2") == name
    page.press(Keys.ESCAPE)
    assert page.all("dialog[open]") == []
    assert page.run("return document.activeElement.textContent") == name


def test_whoever_cannot_see_it_is_told(page):
    """Every control has a name, every table heads, and what changes is announced."""
    nameless = page.run(
        "const all = 'button, input, select, [role=region], [role=group]';"
        "return [...document.querySelectorAll(all)].filter("
        "e => !(e.textContent.trim() || e.ariaLabel || e.labels?.length"
        " || document.getElementById(e.getAttribute('aria-labelledby')))).map(e => e.outerHTML)"
    )
    assert nameless == []
    assert page.run("return document.querySelectorAll('table').length") > 3
    assert page.run("return document.querySelectorAll('table:not(:has(th[scope]))').length") == 0
    assert page.one("#count").get_attribute("aria-live") == "polite"
    assert page.run("return document.documentElement.lang") == "en"


def test_a_run_named_as_a_script_is_a_text(page):
    page.filter("alert")
    assert page.column("run") == [HOSTILE]
    page.click("#table tbody button")
    assert page.text("dialog[open] h2") == HOSTILE
    assert page.texts(".config tbody tr:first-child > *") == [HOSTILE, HOSTILE]
    assert page.run("return document.scripts.length") == 2
    page.press(Keys.ESCAPE)
    # And were there markup after all, the page's policy would not let it act.
    page.run("const s = document.createElement('script'); s.textContent = 'window.acted = 1';"
             "document.body.append(s)")  # fmt: skip
    assert page.run("return window.acted") is None
    (refused,) = page.chrome.get_log("browser")
    assert "Content Security Policy" in refused["message"]


def test_light_and_dark(page):
    ground = "return getComputedStyle(document.body).backgroundColor"
    assert page.run(ground) == "rgb(253, 253, 251)"
    page.theme("dark")
    assert page.run(ground) == "rgb(22, 24, 27)"
    page.wait(lambda: page.text("#theme") == "Light")
    page.click("#theme")
    assert page.run(ground) == "rgb(253, 253, 251)"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_numbers_in_the_heat_map_can_be_read(page, theme):
    """Contrast of at least 4.5 between a text and its ground (WCAG 2.2, 1.4.3)."""
    page.theme(theme)
    colours = page.run(
        "const pen = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});"
        "const rgb = (colour) => { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);"
        " return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3) };"
        "return [...Array(21).keys()].map(step => {"
        " const cell = document.querySelector('.cell');"
        " cell.style.setProperty('--tone', `${5 * step}%`);"
        " const style = getComputedStyle(cell);"
        " return [rgb(style.color), rgb(style.backgroundColor)] })"
    )

    def luminance(colour):
        part = np.array(colour) / 255
        linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    contrasts = []
    for pair in colours:
        low, high = sorted(map(luminance, pair))
        contrasts.append((high + 0.05) / (low + 0.05))
    assert len(contrasts) == 21
    assert min(contrasts) >= 4.5


@pytest.mark.parametrize("width", [360, 768])
def test_on_a_phone(page, width):
    page.screen(width, 800)
    page.chrome.refresh()
    page.wait(lambda: page.text("#count"))
    page.settle()
    assert page.run("return document.documentElement.scrollWidth") == width
    assert page.filter("adam") == "20 of 40 runs"
    page.click("#table tbody button")
    box = page.run("return document.querySelector('dialog').getBoundingClientRect()")
    assert (box["left"] >= 0, box["right"] <= width) == (True, True)
    inner, outer = page.run("const d = arguments[0]; return [d.scrollWidth, d.clientWidth]",
                            page.one("dialog"))  # fmt: skip
    assert inner == outer  # nothing goes beyond it


def test_a_thousand_runs(chrome, making_up, compose, tmp_path):
    grid = GRID | {"optimizer__lr": [10.0**-n for n in range(10)]}
    folder = making_up(tmp_path / "many", outcome, range(25), 100, **grid)
    report = make(read([folder]), folder / "report", lambda words: compose(*words))
    path = report.folder / "index.html"
    assert path.stat().st_size < 8e6
    page = Page(chrome, path.as_uri())
    assert page.text("#count") == "All 1,000 runs"
    assert len(page.column("run")) == 100
    assert page.text("#more") == "Show all 1,000"
    assert page.filter("adam he") == "250 of 1,000 runs"
    assert page.filter("") == "All 1,000 runs"
    page.click("#more")
    assert len(page.column("run")) == 1000
    page.click("[id='sort-test/acc']")
    values = [float(value) for value in page.column("test/acc (%)") if value != "–"]
    assert values == sorted(values)
    page.click("#curve-each")
    assert page.all("#curves .thin")
    assert chrome.get_log("browser") == []


def test_it_follows_a_sweep(chrome, making_up, start, tmp_path):
    """New runs come, the filter stays, and Ctrl-C ends it in a line."""
    folder = making_up(tmp_path / "logs" / "first", outcome, range(2), **GRID)
    quiet = {"PYTHONWARNINGS": "ignore"}
    program = (str(Path(__file__).parents[2] / "src" / "report.py"),)
    served = start(
        tmp_path, "study=first", "report.serve=true", "report.port=0", program=program, env=quiet
    )
    lines: list[str] = []
    while not lines or " follows the study" not in lines[-1]:
        lines.append(served.stdout.readline())
        assert lines[-1], served.stderr.read()
    url = next(word for word in lines[-1].split() if word.startswith("http"))
    assert urlsplit(url).hostname == "127.0.0.1"
    page = Page(chrome, url)
    assert page.filter("adam") == "8 of 16 runs"
    page.click("[id='sort-seed']")
    making_up(folder, outcome, range(2, 4), **GRID)
    page.wait(lambda: page.text("#count") == "16 of 32 runs")
    assert page.one("#query").get_property("value") == "adam"
    assert page.one("[aria-sort]").text.startswith("seed")
    assert page.text("#live") == "· live"
    served.send_signal(signal.SIGINT)
    out, err = served.communicate(timeout=60)
    assert (served.returncode, err) == (0, "")
    ended = f"no longer served; the page stays in {Path('logs/first/report/index.html')}"
    assert out.splitlines()[-1] == ended


def test_the_picture_of_the_readme(chrome, report):
    """PICTURE=docs/images/report.png keeps it, of the study STUDY=logs/mnist5k."""
    folder = report.folder
    if study := os.environ.get("STUDY"):
        folder = Path(study).resolve() / "report"
    page = Page(chrome, (folder / "index.html").as_uri())
    picture = page.picture(until="#legend")
    assert picture.startswith(b"\x89PNG")
    assert 20_000 < len(picture) < 300_000
    if path := os.environ.get("PICTURE"):
        Path(path).write_bytes(picture)
