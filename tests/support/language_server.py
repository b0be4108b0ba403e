"""A YAML editor without a screen: yaml-language-server spoken to over its standard input.

Used by the completion test; opens no socket and ends its process.
"""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from shared.paths import ROOT

SERVER = (
    ROOT / "shared" / "console" / "node_modules" / "yaml-language-server" / "bin"
    / "yaml-language-server"
)  # fmt: skip


def missing() -> str:
    """Why it cannot run here; empty if it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    return "" if SERVER.exists() else "shared/console/node_modules lacks yaml-language-server"


class Editor:
    """One running language server with one schema for every file."""

    def __init__(self, schema: Path) -> None:
        self._schema, self._id, self._buffer = schema, 0, b""
        self._published: dict[str, list[dict[str, Any]]] = {}
        self._process = subprocess.Popen(
            ["node", str(SERVER), "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self) -> Editor:
        self.ask("initialize", {
            "processId": None, "rootUri": None, "capabilities": {
                "workspace": {"configuration": True, "didChangeConfiguration": {}},
                "textDocument": {"completion": {"completionItem": {"snippetSupport": False}}},
            },
        })  # fmt: skip
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": self._settings()})
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            self.ask("shutdown", None, seconds=5)
            self._tell("exit", None)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    def _settings(self) -> dict[str, Any]:
        return {
            "yaml": {
                "schemas": {self._schema.as_uri(): "*.yaml"}, "schemaStore": {"enable": False},
                "completion": True, "validate": True, "kubernetesCRDStore": {"enable": False},
            },
        }  # fmt: skip

    def complete(self, uri: str, text: str) -> list[str]:
        """What is offered where the text has a `|`."""
        before, _, after = text.partition("|")
        self._open(uri, before + after)
        line = before.count("\n")
        place = {"line": line, "character": len(before) - before.rfind("\n") - 1}
        until = time.monotonic() + 15
        while True:  # its settings are taken in a moment after it has started
            told = self.ask("textDocument/completion", {
                "textDocument": {"uri": uri}, "position": place})  # fmt: skip
            found = [item["label"] for item in (told or {}).get("items", [])]
            if found or time.monotonic() > until:
                return found
            time.sleep(0.1)

    def hover(self, uri: str, text: str) -> str:
        """What is shown over the place where the text has a `|`."""
        before, _, after = text.partition("|")
        self._open(uri, before + after)
        place = {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}
        until = time.monotonic() + 15
        while True:
            told = self.ask("textDocument/hover", {
                "textDocument": {"uri": uri}, "position": place})  # fmt: skip
            if told or time.monotonic() > until:
                return str((told or {}).get("contents", ""))
            time.sleep(0.1)

    def complaints(self, uri: str, text: str, seconds: float = 20) -> list[dict[str, Any]]:
        """What the editor would underline."""
        self._open(uri, text)
        until = time.monotonic() + seconds
        while uri not in self._published and time.monotonic() < until:
            self._handle(self._read(until))
        return self._published[uri]

    def _open(self, uri: str, text: str) -> None:
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})

    def ask(self, method: str, params: Any, seconds: float = 30) -> Any:
        """A request and its answer."""
        self._id += 1
        self._send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        until = time.monotonic() + seconds
        while True:
            message = self._read(until)
            if message.get("id") == self._id and "method" not in message:
                assert "error" not in message, message
                return message.get("result")
            self._handle(message)

    def _handle(self, message: dict[str, Any]) -> None:
        """What the server asks or tells meanwhile."""
        if message.get("method") == "textDocument/publishDiagnostics":
            self._published[message["params"]["uri"]] = message["params"]["diagnostics"]
        if "id" not in message or "method" not in message:
            return
        result: Any = None
        if message["method"] == "workspace/configuration":
            all_of = {**self._settings(), "http": {}, "[yaml]": {}, "editor": {}, "files": {}}
            items = message["params"]["items"]
            result = [all_of.get(item.get("section", ""), {}) for item in items]
        self._send({"jsonrpc": "2.0", "id": message["id"], "result": result})

    def _tell(self, method: str, params: Any) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _read(self, until: float) -> dict[str, Any]:
        while True:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if found:
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                if len(rest) >= length:
                    self._buffer = rest[length:]
                    return json.loads(rest[:length])
            self._more(until)

    def _more(self, until: float) -> None:
        out = self._process.stdout
        assert out is not None
        ready, _, _ = select.select([out], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise TimeoutError("the language server does not answer")
        data = out.read1(65536)  # type: ignore[union-attr]
        if not data:
            raise TimeoutError("the language server has ended")
        self._buffer += data
