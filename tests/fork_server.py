"""Programs run in copies of a process that has imported what they need: torch alone takes seconds.

(What a program imports of theta0 it imports itself, so a copy of the project may be run.)
"""

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess

SERVER = """
import json, os, runpy, sys, traceback
{imports}

for line in sys.stdin:
    here, environment, words, out, err = json.loads(line)
    if pid := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        continue
    os.chdir(here)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in (1, out), (2, err):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv, code = words, 0
    sys.path[0] = os.path.dirname(os.path.abspath(words[0]))
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)
"""


class ForkServer:
    """`server(here, words, environment)`: the finished program `words`, run in folder `here`."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process, self.folder = process, folder

    def __call__(
        self, here: Path, words: Sequence[str], environment: Mapping[str, str], timeout: float = 300
    ) -> CompletedProcess[str]:
        out, err = self.folder / "out", self.folder / "err"
        assert self.process.stdin is not None and self.process.stdout is not None
        job = [str(here), dict(environment), list(words), str(out), str(err)]
        print(json.dumps(job), file=self.process.stdin, flush=True)
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            raise TimeoutError(f"{words}: {out.read_text()}{err.read_text()}")
        code = int(self.process.stdout.readline())
        return CompletedProcess(list(words), code, out.read_text(), err.read_text())


@contextlib.contextmanager
def fork_server(folder: Path, imports: str, environment: Mapping[str, str]) -> Iterator[ForkServer]:
    """A server that has done these import statements; it keeps its files in `folder`."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER.format(imports=imports)],
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield ForkServer(process, folder)
        finally:
            process.kill()
