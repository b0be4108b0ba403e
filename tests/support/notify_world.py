"""Services that people are told by, standing in on this machine: a mail server and chat robots."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from shared.embedded.ports import Ports


class MailServer:
    """A real SMTP server that keeps what it takes."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answer = "250 OK"
        self._controller = Controller(self, hostname="127.0.0.1", port=Ports().take(0))
        self._controller.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._controller.port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Take one mail, if it is to be taken."""
        if self.answer.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        return self.answer

    def close(self) -> None:
        """Stop listening."""
        self._controller.stop()


OK: dict[str, Any] = {
    "dingtalk": {"errcode": 0, "errmsg": "ok"}, "wecom": {"errcode": 0, "errmsg": "ok"},
    "feishu": {"code": 0, "data": {}, "msg": "success"}, "slack": "ok", "other": {},
}  # fmt: skip
"""What each service answers when it has taken a message."""


@dataclass
class Robot:
    """A chat service: checks the shape of what it is sent, as the real one would."""

    kind: str
    taken: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    tries: int = 0
    now: int = 0
    most: int = 0
    """So many at a time."""
    headers: dict[str, str] = field(default_factory=dict)
    """What it says besides."""
    answer: Callable[[int], tuple[int, Any, float]] | None = None
    """(number of the try) -> status, body (None: as if all were well), seconds before."""

    def take(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """One request."""
        self.tries, self.now = self.tries + 1, self.now + 1
        self.most = max(self.most, self.now)
        status, said, wait = self.answer(self.tries) if self.answer else (200, None, 0.0)
        time.sleep(wait)
        self.now -= 1
        if status == 200 and said is None:
            self.paths.append(path)
            self.taken.append(body)
        return status, OK[self.kind] if said is None else said

    @property
    def texts(self) -> list[str]:
        """The words of what was taken."""
        return [text_of(self.kind, each) for each in self.taken]


def text_of(kind: str, body: dict[str, Any]) -> str:
    """The words in a service's own shape; a KeyError is a message that it would refuse."""
    if kind in ("dingtalk", "wecom"):
        assert body["msgtype"] == "text"
        return body["text"]["content"]
    if kind == "feishu":
        assert body["msg_type"] == "text"
        return body["content"]["text"]
    if kind == "slack":
        return json.dumps(body, ensure_ascii=False)
    return body["data"]["text"]


class Robots:
    """One HTTP server with a robot for each first part of the path."""

    def __init__(self, **kinds: str) -> None:
        self.by_name = {name: Robot(kind) for name, kind in kinds.items()}
        robots = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                _, name, *rest = self.path.split("/", 2)
                robot = robots.by_name[name]
                robot.hosts.append(str(self.headers["host"]))
                status, said = robot.take("/" + "".join(rest), body)
                data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("content-length", str(len(data)))
                    for header, value in robot.headers.items():
                        self.send_header(header, value)
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __getitem__(self, name: str) -> Robot:
        return self.by_name[name]

    def url(self, name: str) -> str:
        """Where a robot listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{name}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
