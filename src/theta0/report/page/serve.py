"""The page on the loopback address, which follows the study's files."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from theta0.errors import ConfigError, first_line
from theta0.report.page.page import embedded, render, version
from theta0.report.report import Report

ADDRESS = "127.0.0.1"
WATCHED = ("result.json", "metrics.csv", "run.log")


def serve(report: Report, again: Callable[[], Report], folders: Sequence[Path], port: int) -> None:
    """Serve a report, made `again` whenever a run's files change, until Ctrl-C.

    Raises ConfigError if the port cannot be had; 0 takes one that is free.
    """
    try:
        server = Server(port)
    except OSError as error:
        raise ConfigError(f"report.port={port}: {error.strerror}: choose another one") from None
    server.show(report)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"the page is at {server.url} and follows the study; Ctrl-C ends it", flush=True)
    # What changed while the report was being made is not known: it is made once more.
    seen: dict[Path, tuple[int, int]] = {}
    pause = 1.0
    try:
        while True:
            time.sleep(pause)
            if (state := _state(folders)) == seen:
                continue
            seen, started = state, time.monotonic()
            try:
                server.show(again())
            except (ConfigError, OSError, ValueError) as error:
                print(f"theta0: {first_line(error)}; the page is as before", file=sys.stderr)
            pause = max(1.0, time.monotonic() - started)  # the sweep keeps half of a core at least
    except SystemExit as end:  # of theta0.signals, in which the program is
        if end.code != 128 + signal.SIGINT:
            raise
        print("\rno longer served; the page stays in", report.folder / "index.html")
    finally:
        server.shutdown()
        server.server_close()


class Server(ThreadingHTTPServer):
    """Three resources: the page, its data, and the version of these.

    Bound to the loopback address; a request that names another host (a web site that made its name
    point here) is refused.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__((ADDRESS, port), _Handler)
        self.url = f"http://{ADDRESS}:{self.server_port}/"
        self.hosts = {f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")}
        self.resources: dict[str, tuple[str, bytes]] = {}

    def show(self, report: Report) -> None:
        """Serve a report's page from now on."""
        data = embedded(report)
        self.resources = {
            "/": ("text/html", render(report.study.name, data).encode()),
            "/data.json": ("application/json", data.encode()),
            "/version": ("text/plain", version(data).encode()),
        }

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away in the middle is nothing to tell."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 10
    """Seconds that a connection may say nothing, before it is closed."""

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.hosts:
            self.send_error(403)
            return
        kind, body = self.server.resources.get(self.path.partition("?")[0], ("", b""))
        if not kind:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Each request is nothing to tell."""


def _state(folders: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    """When each of the runs' files was last written, and its size."""
    found = {}
    for folder in folders:
        for path in (path for name in WATCHED for path in folder.glob(f"*/{name}")):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found[path] = (stat.st_mtime_ns, stat.st_size)
    return found
