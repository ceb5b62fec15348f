"""README.md and docs/ are right: each command in a bash block works, each option is in the table.

A block's commands run in order, through bash, in a fresh copy of the project that holds the files
shown under the same heading. Runs are cut to one epoch without W&B, so that this takes minutes and
not hours; a command that says otherwise is left as it is.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fork_server import fork_server

from theta0.diagnostics.record import COLUMNS

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
TEXT = PAGES["README.md"]
ELSEWHERE = {"The report 1"}
"""Blocks that a test of their own runs: tests/report/test_mnist5k.py."""
FAST = {"Two commands 1", "Tests 1", "Look before you run 1"}
FIRST = next(line for line in TEXT.splitlines() if line.endswith(" study=first"))


def sections(text: str) -> dict[str, str]:
    """title: body of each section, the first one being the page's own."""
    parts = text.removeprefix("# ").split("\n## ")
    return dict(part.partition("\n")[::2] for part in parts)


SECTIONS = sections(TEXT)


def blocks():
    """One case a bash block: its section's body and its commands."""
    for page, text in PAGES.items():
        for title, body in sections(text).items():
            found = re.findall(r"^```bash\n(.*?)^```$", body, flags=re.MULTILINE | re.DOTALL)
            for number, block in enumerate(found, start=1):
                name = f"{title} {number}" if page == "README.md" else f"{page}: {title} {number}"
                if name in ELSEWHERE:
                    continue
                kind = pytest.mark.lora if "finetune=lora" in block else pytest.mark.slow
                marks = () if name in FAST else (kind,)
                yield pytest.param(body, block.splitlines(), id=name, marks=marks)


def files(body: str) -> dict[str, str]:
    """path: content of each file that a section shows under its name."""
    return dict(re.findall(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```$", body, re.MULTILINE | re.DOTALL))


def environment() -> dict[str, str]:
    ours = ("THETA0_", "HYDRA_", "SLURM_", "TORCHELASTIC_", "WANDB_", "WORLD_SIZE", "PYTHONPATH")
    found = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    found["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found["WANDB_MODE"] = "offline"
    if data := os.environ.get("THETA0_DATA"):
        found["THETA0_DATA"] = str(Path(data).resolve())
    return found


ENVIRONMENT = environment()


def shortened(command: str) -> str:
    if "src/train.py" not in command or re.search(r"--help|--cfg", command):
        return command
    if "logger=" not in command:
        command += " logger=none"
    if not re.search(r"max_epochs=|debug=|study=first", command):  # the name holds their hash
        command += " trainer.max_epochs=1"
    return command


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    imports = "import hydra, lightning, matplotlib.figure, pandas, torch, torchmetrics, wandb"
    with fork_server(tmp_path_factory.mktemp("server"), imports, ENVIRONMENT) as server:
        yield server


@pytest.fixture
def bash(tmp_path, server):
    """`bash(command)`: the finished process, in a copy of the project."""
    return bash_in(tmp_path, server)


@pytest.fixture(scope="module")
def first(tmp_path_factory, server):
    """The folder of the study that the README begins with, trained once."""
    here = tmp_path_factory.mktemp("first")
    process = bash_in(here, server)(shortened(FIRST))
    assert process.returncode == 0, process.stderr
    return here / "logs" / "first"


def bash_in(here, server):
    """bash reads each command; a program of src/ is run by the server, in bash's words."""
    for folder in ("src", "configs", "tests", "docs"):
        shutil.copytree(ROOT / folder, here / folder, symlinks=True)
    shutil.copy(ROOT / "pyproject.toml", here)

    def bash(command: str) -> subprocess.CompletedProcess[str]:
        def run(text):
            return subprocess.run(
                ["bash", "-c", text],
                cwd=here,
                env=ENVIRONMENT,
                capture_output=True,
                text=True,
                timeout=300,
            )

        if not re.match(r"python src/\w+\.py( [^|;&<>]*)?$", command):
            return run(command)
        words = run(f"printf '%s\\0' {command.removeprefix('python ')}").stdout.split("\0")[:-1]
        return server(here, words, ENVIRONMENT)

    return bash


@pytest.mark.parametrize(("section", "commands"), blocks())
def test_commands(section, commands, bash, tmp_path, request):
    if any(re.search(r"data=mnist\b", c) for c in commands) and "THETA0_DATA" not in os.environ:
        pytest.skip("needs THETA0_DATA")
    for path, content in files(section).items():
        (tmp_path / path).write_text(content)
    if any("logs/first" in command for command in commands):
        shutil.copytree(request.getfixturevalue("first"), tmp_path / "logs" / "first")
    for command in commands:
        if target := re.fullmatch(r"make ([a-z-]+)", command):
            assert re.search(rf"^{target[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
            continue
        process = bash(shortened(command))
        assert process.returncode == 0, f"{command}\n{process.stdout}{process.stderr}"


def test_the_fast_blocks_are_here():
    assert {case.id for case in blocks()} >= FAST


def test_bad_input_is_told_as_shown(bash):
    """The exit code and the line beneath each command of that console block."""
    block = re.search(
        r"^```console\n(.*?)^```$", SECTIONS["Look before you run"], re.MULTILINE | re.DOTALL
    )
    assert block is not None
    pairs = re.findall(r"^\$ (.+)\n(.+)$", block[1], flags=re.MULTILINE)
    assert len(pairs) == 2
    for command, line in pairs:
        process = bash(command)
        assert (process.returncode, process.stderr) == (2, f"{line}\n")


def test_the_first_sweep_prints_runs_of_the_names_shown(compose):
    """The names hold a hash of the whole configuration: a changed default changes them."""
    shown = set(re.findall(r"\b\w+-\w+-s0-[0-9a-f]{10}\b", "".join(PAGES.values())))
    found = set()
    for optimizer in ("adam", "adamw"):
        for init in ("xavier", "he"):
            config = compose(f"optimizer={optimizer}", f"init={init}", "study=first")
            found.add(Path(config.hydra.sweep.subdir).name)
    assert shown == found


def test_every_option_is_in_the_table():
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", SECTIONS["The groups"], flags=re.MULTILINE)
    told = {group: sorted(re.findall(r"`(\w+)`", options)) for group, options in rows}
    here = {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in (ROOT / "configs").iterdir()
        if folder.is_dir() and folder.name != "hydra"
    }
    assert told == here


def test_the_default_options_are_bold(compose):
    bold = dict(
        re.findall(r"^\| `(\w+)` \| .*?\*\*`(\w+)`\*\*", SECTIONS["The groups"], re.MULTILINE)
    )
    choices = compose().hydra.runtime.choices
    assert bold == {group: choices[group] for group in bold}


def test_every_page_and_every_column_of_diagnostics_is_told():
    for page in PAGES.keys() - {"README.md"}:
        assert f"]({page})" in SECTIONS["More to read"]
    cells = re.findall(r"^\| (`.+?) \|", PAGES["docs/diagnostics.md"], flags=re.MULTILINE)
    told = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert [name for name in told if name in COLUMNS] == list(COLUMNS)
