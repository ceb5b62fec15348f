"""A stand-in for the W&B server: what wandb 0.31 says to it over HTTP, in this process's memory."""

import contextlib
import gzip
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class Request(NamedTuple):
    """A request as it came, and the GraphQL operation that it asks for, or ""."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    operation: str


@dataclass
class View:
    """A saved workspace: `name` is in its address, `title` is what people read."""

    id: str
    name: str
    project: str
    title: str
    spec: dict[str, Any]


@dataclass
class Run:
    """What the server holds of a run.

    Attributes:
        config: values by key, without W&B's own.
        lines: each streamed file's lines by their number.
        exit_codes: one a process that said it had ended.
    """

    id: str
    project: str
    name: str = ""
    group: str = ""
    job_type: str = ""
    sweep: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    started: bool = False
    lines: dict[str, dict[int, str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_codes: list[int] = field(default_factory=list)

    def file(self, name: str) -> list[Any]:
        """A JSON-lines file, parsed, in the order of its line numbers."""
        return [json.loads(line) for _, line in sorted(self.lines.get(name, {}).items())]

    @property
    def history(self) -> list[dict[str, Any]]:
        return self.file("wandb-history.jsonl")

    @property
    def summary(self) -> dict[str, Any]:
        return (self.file("wandb-summary.json") or [{}])[-1]


class WandbServer:
    """Listens on a free port of this machine; `outage` says how it fails.

    Attributes:
        environment: what a program needs to speak to it and to no other, and to write nothing
            into a person's home.
        runs: by id.
        requests: every one since the start.
        sweeps: by id: the sweep's YAML, parsed.
        views: saved workspaces, by id.
        outage: None; "silent": takes connections and never answers; "drop": closes them; or the
            status that every request is answered with.
    """

    ENTITY = "someone"
    KEY = "5ec2e7" + "0123456789abcdef" * 2 + "5e"

    def __init__(self, home: Path) -> None:
        self.runs: dict[str, Run] = {}
        self.requests: list[Request] = []
        self.sweeps: dict[str, dict[str, Any]] = {}
        self.views: dict[str, View] = {}
        self.outage: str | int | None = None
        self._queues: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        handler = type("Handler", (_Handler,), {"wandb": self})
        self._http = _Quiet(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self.environment = {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": self.KEY}
        self.environment |= dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(home))
        self.environment["NETRC"] = str(home / "netrc")
        self.environment["WANDB_INIT_TIMEOUT"] = "120"  # the machine may be busy

    @contextlib.contextmanager
    def running(self) -> Iterator["WandbServer"]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    @property
    def one(self) -> Run:
        (run,) = self.runs.values()
        return run

    # ------------------------------------------------------------------------------- GraphQL

    def answer(self, operation: str, said: dict[str, Any]) -> dict[str, Any] | None:
        """The data of a GraphQL operation, None for one that is not known."""
        known = getattr(self, f"_{operation}", None)
        with self._lock:
            return known(said) if known is not None else None

    def _Viewer(self, said: dict[str, Any]) -> dict[str, Any]:
        teams = {"edges": [{"node": {"name": self.ENTITY}}]}
        return {
            "viewer": {
                "id": "VXNlcjox", "entity": self.ENTITY, "username": self.ENTITY, "teams": teams,
                "admin": False, "flags": "{}",
            }
        }  # fmt: skip

    def _UpsertBucket(self, said: dict[str, Any]) -> dict[str, Any]:
        new = said["name"] not in self.runs
        run = self.runs.setdefault(said["name"], Run(said["name"], said["project"]))
        run.started = True
        names = {"displayName": "name", "groupName": "group", "jobType": "job_type"}
        for theirs, ours in (*names.items(), ("sweep", "sweep"), ("tags", "tags")):
            if said.get(theirs):
                setattr(run, ours, said[theirs])
        if said.get("config"):
            config = json.loads(said["config"]).items()
            run.config = {key: entry["value"] for key, entry in config if key != "_wandb"}
        bucket = {
            "id": f"bucket-{run.id}", "name": run.id, "displayName": run.name, "description": "",
            "config": "{}", "sweepName": run.sweep or None, "project": self._project(run.project),
            "historyLineCount": len(run.history),
        }  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": new}}

    def _project(self, name: str) -> dict[str, Any]:
        entity = {"id": "entity", "name": self.ENTITY}
        return {"id": f"project-{name}", "name": name, "entity": entity}

    def _RunResumeStatus(self, said: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(said["name"])
        if run is None or not run.started:
            return {"model": {**self._project(said["project"]), "bucket": None}}
        tails = {
            f"{name}Tail": json.dumps([json.dumps(row) for row in run.file(file)[-1:]])
            for name, file in (("history", "wandb-history.jsonl"), ("events", "wandb-events.jsonl"))
        }
        bucket = {
            "id": f"bucket-{run.id}", "name": run.id, "displayName": run.name, "tags": run.tags,
            "summaryMetrics": json.dumps(run.summary), "wandbConfig": '{"t": 1}',
            "config": json.dumps({key: {"value": value} for key, value in run.config.items()}),
            "historyLineCount": len(run.history),
            "eventsLineCount": len(run.lines.get("wandb-events.jsonl", {})),
            "logLineCount": len(run.lines.get("output.log", {})),
            **tails,
        }  # fmt: skip
        return {"model": {**self._project(run.project), "bucket": bucket}}

    def _CreateRunFiles(self, said: dict[str, Any]) -> dict[str, Any]:
        files = [
            {"name": name, "uploadUrl": f"{self.url}/storage/{said['run']}/{name}"}
            for name in said["files"]
        ]
        created = {"runID": said["run"], "uploadHeaders": [], "files": files}
        return {"createRunFiles": created}

    # -------------------------------------------------------------------------------- sweeps

    def _UpsertSweep(self, said: dict[str, Any]) -> dict[str, Any]:
        """A grid: its points wait for an agent."""
        name = f"sweep{len(self.sweeps)}"
        self.sweeps[name] = sweep = yaml.safe_load(said["config"])
        values = {
            key: entry["values"] if "values" in entry else [entry["value"]]
            for key, entry in sweep["parameters"].items()
        }
        points = [dict(zip(values, point, strict=True)) for point in product(*values.values())]
        self._queues[name] = [
            {
                "type": "run", "run_id": f"{name}run{number}", "program": sweep["program"],
                "args": {key: {"value": value} for key, value in point.items()},
            }
            for number, point in enumerate(points)
        ]  # fmt: skip
        upserted = {"name": name, "project": self._project(said["projectName"])}
        return {"upsertSweep": {"sweep": upserted, "configValidationWarnings": []}}

    def _SweepWithRuns(self, said: dict[str, Any]) -> dict[str, Any]:
        sweep = self.sweeps[said["sweep"]]
        told = {"id": said["sweep"], "name": said["sweep"], "config": yaml.safe_dump(sweep)}
        return {"project": {"sweep": {**told, "state": "RUNNING", "runs": {"edges": []}}}}

    def _CreateAgent(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"createAgent": {"agent": {"id": said["sweep"]}}}  # one agent a sweep

    def _Heartbeat(self, said: dict[str, Any]) -> dict[str, Any]:
        """One point at a time, then the end."""
        commands = []
        if not json.loads(said["runState"]):
            queue = self._queues[said["id"]]
            commands = [queue.pop(0) if queue else {"type": "exit"}]
        heartbeat = {"agent": {"id": said["id"]}, "commands": json.dumps(commands)}
        return {"agentHeartbeat": heartbeat}

    # ----------------------------------------------------------------------------- workspaces

    def _UpsertView2(self, said: dict[str, Any]) -> dict[str, Any]:
        """Without an id it is a new one."""
        new = "id" not in said
        key = f"view-{len(self.views)}" if new else said["id"]
        told = (said["name"], said["projectName"], said["displayName"], json.loads(said["spec"]))
        self.views[key] = View(key, *told)
        return {"upsertView": {"view": {"id": key, "name": said["name"]}, "inserted": new}}

    def _View(self, said: dict[str, Any]) -> dict[str, Any]:
        found = [
            {"id": view.id, "displayName": view.title, "spec": json.dumps(view.spec)}
            for view in self.views.values()
            if (view.project, view.name) == (said["projectName"], said["viewName"])
        ]
        return {"project": {"allViews": {"edges": [{"node": node} for node in found]}}}

    # -------------------------------------------------------------------------------- streams

    def stream(self, run_id: str, said: dict[str, Any]) -> None:
        """Lines of a run's files from an offset on: what stood there is replaced."""
        with self._lock:
            run = self.runs[run_id]
            for name, chunk in (said.get("files") or {}).items():
                lines = run.lines.setdefault(name, {})
                if name == "wandb-summary.json":
                    lines.clear()
                lines.update(enumerate(chunk["content"], start=chunk["offset"]))
            if said.get("complete"):
                run.exit_codes.append(said["exitcode"])

    def upload(self, run_id: str, name: str, content: bytes) -> None:
        with self._lock:
            self.runs[run_id].files[name] = content


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """wandb resets its connections when it is done."""


class _Handler(BaseHTTPRequestHandler):
    """Takes requests to a WandbServer."""

    wandb: WandbServer
    protocol_version = "HTTP/1.1"

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        said = json.loads(body) if self.path == "/graphql" else {}
        operation = said.get("operationName") or ""
        if not operation and (
            found := re.match(r"\s*(?:query|mutation) (\w+)", said.get("query", ""))
        ):
            operation = found[1]
        self.wandb.requests.append(
            Request(self.command, self.path, dict(self.headers), body, operation)
        )
        match self.wandb.outage:
            case "silent":
                self.wandb._over.wait()
                self.close_connection = True
            case "drop":
                self.close_connection = True
            case int(status):
                self._send(status, {"error": "out of order"})
            case _:
                self._answer(operation, said.get("variables") or {}, body)

    do_GET = do_POST = do_PUT = do_HEAD = _take

    def _answer(self, operation: str, said: dict[str, Any], body: bytes) -> None:
        parts = self.path.strip("/").split("/")
        if self.path == "/graphql":
            data = self.wandb.answer(operation, said)
            unknown = {"data": None, "errors": [{"message": f"Unknown operation {operation}"}]}
            self._send(200, {"data": data} if data is not None else unknown)
        elif parts[0] == "files" and parts[-1] == "file_stream":
            self.wandb.stream(parts[-2], json.loads(body))
            self._send(200, {})
        elif parts[0] == "storage":
            self.wandb.upload(parts[1], "/".join(parts[2:]), body)
            self._send(200, {})
        else:
            self._send(404, {"error": "not here"})

    def _send(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing on stderr."""
