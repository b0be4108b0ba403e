"""The HTTP scenarios of Open Workflow's conformance kit, on loopback: check 8's other half.

Source: open-workflow-specification/specification `ctk/features/`, commit 4d42471, DSL 1.0.3.
`try.feature` lines 10-49 and 54-88, `call.feature` lines 10-34, 39-64 and 67-93. The pet shop and
httpbin are a server on this machine, asked through the brain's own HTTP adapter; what a scenario
expects of the answer is checked word for word. `SCENARIOS` accounts for all 21.
"""

from __future__ import annotations

import asyncio
import base64
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from factory_brain.adapters.outward import Outside
from factory_brain.adapters.outward_http import HttpCalls
from shared.playbook.journal import Effect
from shared.site.model import EndpointSpec
from tests.published import test_open_workflow_ctk as offline
from tests.support.playbook_memory import Result, World, book, finish

HERE = "here"
SCENARIOS = {
    "branch.feature": {"Fork Task With Competing Concurrent Sub Tasks": "test_branch"},
    "call.feature": {
        "Call HTTP With Content Output": HERE, "Call HTTP With Response Output": HERE,
        "Call HTTP Using Basic Authentication": HERE,
        "Call OpenAPI With Content Output":
            "left out: the language has no OpenAPI; an http step names method and path itself",
        "Call OpenAPI With Response Output":
            "left out: the language has no OpenAPI; an http step names method and path itself",
    },
    "data-flow.feature": {"Input Filtering": "test_data_flow_input",
                          "Output Filtering": "test_data_flow_output",
                          "Use Non-object Output": "test_data_flow_non_object"},
    "do.feature": {"Task With Sequential Sub Tasks": "test_do_task"},
    "emit.feature": {"Emit Task": "test_emit_task"},
    "flow.feature": {
        "Implicit Sequence Flow": "test_flow_implicit",
        "Explicit Sequence Flow": "left out: a jump to a named task; the language has none",
    },
    "for.feature": {"For Task": "test_for_task"},
    "raise.feature": {"Raise task with inline error": "test_raise_task"},
    "set.feature": {"Set Task": "test_set_task"},
    "switch.feature": {"Switch task with matching case": "test_switch_task",
                       "Switch task with implicit default case": "test_switch_task",
                       "Switch task with explicit default case": "test_switch_task"},
    "try.feature": {"Try Handle Caught Error": HERE, "Try Raise Uncaught Error": HERE},
}  # fmt: skip
PETS = [{"id": 1, "name": "Rex", "status": "available"},
        {"id": 2, "name": "Milou", "status": "sold"}]  # fmt: skip
LOGIN = base64.b64encode(b"serverless-workflow:conformance-test").decode()


class PetShop(BaseHTTPRequestHandler):
    """What petstore.swagger.io and httpbin.org answer to these requests."""

    def do_GET(self) -> None:
        """Answer by path."""
        if self.path == "/v2/pet/findByStatus?status=available":
            return self._say(200, [pet for pet in PETS if pet["status"] == "available"])
        if found := re.fullmatch(r"/v2/pet/(\d+)", self.path):
            return self._say(200, PETS[int(found[1]) - 1])
        if self.path == "/basic-auth/serverless-workflow/conformance-test":
            well = self.headers.get("authorization") == f"Basic {LOGIN}"
            return self._say(200 if well else 401, {"authenticated": well})
        return self._say(404, {"code": 404, "type": "unknown"})

    def _say(self, status: int, body: Any) -> None:
        data = msgspec.json.encode(body)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """The address of the pet shop."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), PetShop)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)
    server.server_close()


def endpoint(url: str, **headers: str) -> EndpointSpec:
    """An endpoint of the site's binding."""
    return EndpointSpec.model_validate({"url": url, "private": True, "headers": headers})


def world(
    shop: str, folder: Path, steps: list[dict[str, Any]], inputs: dict[str, Any], **headers: str
) -> World:
    """A run whose requests really go out."""
    found = {"pets": endpoint(f"{shop}/v2"), "bin": endpoint(shop, **headers)}
    outside = Outside("T", found, {}, folder)

    def asked(effect: Effect, _: World) -> Result:
        async def ask() -> Result:
            calls = HttpCalls(outside)
            try:
                said = dict(await calls.call(
                    effect.data["endpoint"], effect.data.get("method", "GET"), effect.data["path"],
                    effect.data.get("body"), effect.path, 10.0,
                ))  # fmt: skip
            finally:
                await calls.close()
            if "kind" in said:
                return "failed", said
            if not 200 <= said["status"] < 300:
                return "failed", {"kind": f"http_{said['status']}", **said}
            return "done", said

        return asyncio.run(ask())

    return World(book(steps), results=asked, more={"inputs": inputs})


def get(name: str, where: str, path: str) -> dict[str, Any]:
    return {"id": name, "http": {"endpoint": where, "path": path}}


def test_check_08_all_21_scenarios_are_accounted_for() -> None:
    told = [said for feature in SCENARIOS.values() for said in feature.values()]
    assert len(told) == 21
    left_out = [said for said in told if said.startswith("left out: ")]
    assert len(left_out) == 3
    assert told.count(HERE) == 5
    theirs = [said for said in told if said != HERE and said not in left_out]
    assert len(theirs) == 13
    for said in theirs:
        assert any(name.startswith(said) for name in vars(offline)), said


def test_check_08_call_http_with_content_output(shop: str, tmp_path: Path) -> None:
    steps = [get("find-pet", "pets", "pet/findByStatus?status=${inputs.status}"),
             {"id": "out", "set": {"first": "${steps['find-pet'].json[0]}"}}]  # fmt: skip
    run = world(shop, tmp_path, steps, {"status": "available"})
    assert finish(run).status == "success"
    assert set(run.journal()["/steps/out"].data["first"]) == {"id", "name", "status"}


def test_check_08_call_http_with_response_output(shop: str, tmp_path: Path) -> None:
    run = world(shop, tmp_path, [get("get-pet", "pets", "pet/${inputs.petId}")], {"petId": 1})
    assert finish(run).status == "success"
    data = run.journal()["/steps/get-pet"].data
    assert data["status"] == 200  # `statusCode`; the request is in the journal, headers are not
    assert set(data["json"]) == {"id", "name", "status"}  # `content`


def test_check_08_call_http_using_basic_authentication(shop: str, tmp_path: Path) -> None:
    (tmp_path / "bin-login").write_text(LOGIN, encoding="utf-8")
    (tmp_path / "bin-login").chmod(0o600)
    steps = [get("login", "bin", "basic-auth/${inputs.username}/${inputs.password}")]
    inputs = {"username": "serverless-workflow", "password": "conformance-test"}
    run = world(shop, tmp_path, steps, inputs, authorization="Basic secret:bin-login")
    assert finish(run).status == "success"
    assert LOGIN not in str(run.rows)  # the binding's secret, not the playbook's
    bare = world(shop, tmp_path, steps, inputs)
    assert finish(bare).status == "failure"
    assert bare.journal()["/error"].data["kind"] == "http_401"


@pytest.mark.parametrize(("status", "ends"), [(404, "success"), (503, "failure")])
def test_check_08_try_over_http(shop: str, tmp_path: Path, status: int, ends: str) -> None:
    told = {"type": "${error.kind}", "instance": "${error.path}", "title": "${error.reason}"}
    handler = {"when": f"error.kind == 'http_{status}'",
               "steps": [{"id": "set-error", "set": told}]}  # fmt: skip
    body = [get("get-pet", "pets", "pet/getPetByName/${inputs.petName}")]
    steps = [{"id": "try-get-pet", "try": {"steps": body, "catch": [handler]}}]
    run = world(shop, tmp_path, steps, {"petName": "Milou"})
    assert finish(run).status == ends
    if status == 404:
        error = run.journal()["/steps/try-get-pet/catch/0/set-error"].data
        assert error["type"] == "http_404"
        assert error["instance"] == "/steps/try-get-pet/try/get-pet"
    else:
        assert run.journal()["/error"].data["path"] == "/steps/try-get-pet/try/get-pet"
