"""src/inspect_init.py: tables whose numbers are the measured ones, figures, and its refusals."""

import re
import struct
from pathlib import Path
from unittest import mock

import pytest

from theta0.build import build
from theta0.config import check
from theta0.diagnostics import Coordinate, Statistics, figures, measure, probe, training_loss
from theta0.diagnostics.figures import draw_coordinates, draw_layers
from theta0.diagnostics.inspection import scaled
from theta0.module import Module

ROOT = Path(__file__).parents[2]


@pytest.fixture
def inspect(in_process, tmp_path):
    """`inspect("init=he", ...)` on the digits: the program's end."""

    def inspect(*arguments):
        return in_process(tmp_path, "data=digits", *arguments, program="inspect_init.py")

    return inspect


def tables(out):
    """Each table's {layer: {column: cell}}, the columns' words joined by a space."""
    found = []
    for text in re.findall(r"┏.*?└", out, flags=re.DOTALL):
        head, body = text.split("┡")
        lines = [line.strip("┃").split("┃") for line in head.splitlines()[1:]]
        words = [" ".join(" ".join(column).split()) for column in zip(*lines, strict=True)]
        cells = [
            [cell.strip() for cell in line.strip("│").split("│")]
            for line in body.splitlines()
            if line.startswith("│")
        ]
        found.append({row[0]: dict(zip(words[1:], row[1:], strict=True)) for row in cells})
    return found


def is_png(path):
    """The signature, and a size in the header that is that of a figure."""
    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    return content.startswith(b"\x89PNG\r\n\x1a\n") and width > 600 and height > 300


def test_the_tables_show_what_is_measured(inspect, compose):
    setting = ("init=normal", "init.std=0.5", "model.activation=tanh", "model.widths=[24,20]")
    ran = inspect(*setting)
    assert (ran.code, ran.err) == (0, "")
    plain = check(compose("data=digits", *setting))
    data = build(plain["data"])
    module = Module.from_config(plain)
    module.initialise(plain["seeds"]["init"], data)
    x, y = probe(data, 256, like=next(module.network.parameters()))
    whole, *rows = measure(module.network, training_loss(module), x, y, "full")

    shown = {}
    for table in tables(ran.out):
        for layer, cells in table.items():
            shown.setdefault(layer, {}).update(cells)
    assert list(shown) == ["hidden.0", "hidden.2", "output"]
    for row in rows:
        for name, cell in shown[row.layer].items():
            value = getattr(row, name.replace(" ", "_"))
            assert cell == ("" if value is None else f"{value:.3g}"), name
    assert {"activation std", "saturated", "grad std", "noise scale", "jacobian min"} < shown[
        "hidden.0"
    ].keys()
    assert f"sharpness {whole.sharpness:.3g}:" in ran.out
    saturated = next(row for row in rows if row.saturated > 0.5)
    assert f"layer {saturated.layer}" in ran.out
    assert "of the activations are saturated" in ran.out
    assert re.search(r"hidden\.0\.weight +24x64 +64/24 +normal +- +0\.5 +0\.\d+", ran.out)


def test_figures_of_layers(inspect):
    ran = inspect("init=zeros", "model.norm=batch", "price=economy", "name=mine")
    folder = ran.here / "logs" / "inspect" / "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["layers.pdf", "layers.png"]
    assert is_png(folder / "layers.png")
    assert (folder / "layers.pdf").read_bytes().startswith(b"%PDF-")
    assert "drawn in logs/inspect/mine/layers.png and logs/inspect/mine/layers.pdf" in ran.out
    assert "(and 1 more): all units are identical" in ran.out
    assert "jacobian" not in ran.out
    assert [path.name for path in ran.here.iterdir()] == ["logs"]


def test_what_is_drawn(tmp_path):
    """Every point that was measured, and on a logarithmic axis only what has a logarithm."""
    rows = [
        Statistics(layer="", sharpness=3.0),
        Statistics(layer="a", activation_std=0.5, preactivation_std=1.0, grad_std=0.0, dead=0.25),
        Statistics(layer="b", activation_std=1e-3, preactivation_std=1e-2, grad_std=0.0, dead=0.5),
    ]
    with mock.patch.object(figures, "_save") as save:
        draw_layers(rows, "title", tmp_path / "figure")
    forward, backward, shares = save.call_args.args[0].axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in forward.lines}
    assert lines == {
        "activations": [[1, 0.5], [2, 1e-3]],
        "pre-activations": [[1, 1.0], [2, 1e-2]],
    }
    assert (forward.get_yscale(), backward.get_yscale()) == ("log", "linear")
    assert [line.get_xydata().tolist() for line in backward.lines] == [[[1, 0], [2, 0]]]
    assert [line.get_xydata().tolist() for line in shares.lines] == [[[1, 0.25], [2, 0.5]]]


def test_coordinates(inspect):
    ran = inspect(
        "mode=coordinates", "init=mup", "init.output_gain=0", "optimizer=adam", "name=c", "steps=2",
        "widths=[32,64,128]", "model.widths=[10,20]",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    (table,) = tables(ran.out)
    assert table.keys() == {"hidden.0", "hidden.2", "output"}
    assert table["output"].keys() == {"step 0", "step 1", "step 2"}
    assert table["output"]["step 0"] == "0.000"
    end = {layer: float(cells["step 2"]) for layer, cells in table.items()}
    steepest = max(end, key=lambda layer: abs(end[layer]))
    keep = "keep" if abs(end[steepest]) < 0.1 else "do not keep"
    assert (
        f"after 2 steps activations {keep} their size as the width grows: the steepest slope is "
        f"{end[steepest]:.3f}, at {steepest}"
    ) in ran.out
    assert is_png(ran.here / "logs" / "inspect" / "c" / "coordinates.png")
    assert (ran.here / "logs" / "inspect" / "c" / "coordinates.pdf").exists()


def test_figures_of_coordinates(tmp_path):
    found = [
        Coordinate(layer=layer, step=step, widths=(8, 16), sizes=(1.0 + step, 2.0))
        for step in range(4)
        for layer in ("a", "b")
    ]
    with mock.patch.object(figures, "_save") as save:
        draw_coordinates(found, "title", tmp_path / "figure")
    start, end = save.call_args.args[0].axes
    assert (start.get_title(), end.get_title()) == ("θ₀", "after 3 steps")
    assert [line.get_label() for line in start.lines] == ["a: slope 1.00", "b: slope 1.00"]
    assert end.lines[0].get_xydata().tolist() == [[8, 4], [16, 2]]
    assert end.lines[0].get_label() == "a: slope -1.00"


def test_widths_in_proportion():
    model = {"widths": [100, 50, 30], "bias": True}
    assert scaled(model, 10) == {"widths": [10, 5, 3], "bias": True}
    assert scaled({"widths": [100, 1]}, 10) == {"widths": [10, 1]}
    assert scaled({"width": 64, "blocks": 2}, 128) == {"width": 128, "blocks": 2}


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ("mode=layer", 2, "mode=layer: allowed: layers, coordinates; did you mean layers?"),
        ("price=free", 2, "price=free: allowed: economy, business, full"),
        ("widths=[64]", 2, "widths=[64]: must have at least 2 items, not 1"),
        ("optimizer.lr=-1", 2, "optimizer.lr=-1: must be greater than 0"),
        (
            "name=a/b",
            2,
            "name=a/b: must be a folder's name, without slashes, spaces and control characters",
        ),
        (
            "mode=coordinates model=linear",
            2,
            "mode=coordinates: theta0.models.Linear has neither width nor widths to change",
        ),
        (
            "model._target_=nowhere.Net",
            1,
            "_target_=nowhere.Net: cannot be loaded: No module named 'nowhere'",
        ),
        (
            "init=pretrained init.path=nowhere.ckpt",
            2,
            "init.path=nowhere.ckpt: no such file",
        ),
    ],
)
def test_refusals(inspect, arguments, code, line):
    ran = inspect(*arguments.split())
    assert (ran.code, ran.out, ran.err) == (code, "", f"theta0: {line}\n")
    assert list(ran.here.iterdir()) == []


@pytest.mark.parametrize(
    ("argument", "code"), [("mode=layer", 2), ("model.widths=[0]", 2), ("--help", 0)]
)
def test_answers_that_need_no_torch(start, wait, tmp_path, argument, code):
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    program = (str(ROOT / "src" / "inspect_init.py"),)
    ran = wait(
        tmp_path, start(tmp_path, argument, program=program, env={"PYTHONPATH": str(tmp_path)})
    )
    assert ran.code == code, ran.err
    assert bool(ran.err) == bool(code)
