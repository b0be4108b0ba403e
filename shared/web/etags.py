"""Entity tags: answers that have not changed are not sent again, and no change is lost unseen.

An ASGI layer gives every JSON answer to a GET its tag and answers `If-None-Match`; routes that
change what others may change too call `if_match`.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.web.boundary import refuse
from shared.web.problem import ProblemError

LARGEST = 4_194_304
"""A longer answer goes out as it is made, without a tag."""
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match", max_length=1000,
        description="改的是看到的那一版，否则 412。 Only if it is still as it was read; else 412.",
    ),
]  # fmt: skip


def tag_of(content: bytes) -> str:
    """The tag of some bytes."""
    return f'"{hashlib.blake2b(content, digest_size=16).hexdigest()}"'


def etag_of(shape: BaseModel, *ignoring: str) -> str:
    """The tag of a resource that people change, as its GET gives it and `if_match` wants it.

    `ignoring` names what only says how late it is: it changes without anybody changing anything.
    """
    shown = shape.model_dump(mode="json")
    return tag_of(repr(_without(shown, ignoring) if ignoring else shown).encode())


def _without(shown: Any, names: tuple[str, ...]) -> Any:
    if isinstance(shown, dict):
        return {name: _without(value, names) for name, value in shown.items() if name not in names}
    return [_without(each, names) for each in shown] if isinstance(shown, list) else shown


def if_match(wanted: str | None, tag: str) -> None:
    """Refuse with 412 unless the resource is as the caller last read it (or it did not say)."""
    if wanted is not None and not _names(wanted, tag, weak=False):
        raise ProblemError(412, "precondition_failed")


def _names(header: str, tag: str, *, weak: bool = True) -> bool:
    """Whether a list of tags holds this one; only a cache may compare weak ones."""
    for each in header.split(","):
        shown = each.strip()
        if shown == "*" or shown == tag or (weak and shown.removeprefix("W/") == tag):
            return True
    return False


def _accepts(accept: str, media: str) -> bool:
    """Whether a reader takes this kind of answer (ranges with q=0 are refusals)."""
    if not accept.strip():
        return True
    kind = media.partition("/")[0]
    for each in accept.lower().split(","):
        name, _, rest = each.strip().partition(";")
        if rest.replace(" ", "").rstrip("0.") == "q=":
            continue
        if name.strip() in ("*/*", f"{kind}/*", media):
            return True
    return False


class Conditional:
    """Tags, 304 and 406 of GET requests below /api."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        asked = (scope["type"], scope.get("method"))
        if asked != ("http", "GET") or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
        else:
            answer = _Answer(Headers(scope=scope), send)
            try:
                await self._app(scope, receive, answer.take)
            except Exception:
                if not answer.refused:
                    raise
            if answer.refused:
                problem = ProblemError(406, "not_acceptable", offered=answer.media)
                await refuse(scope, receive, send, problem)


class _Refused(OSError):
    """Ends an answer that nobody takes: as one whose reader has gone, which every route knows."""


class _Answer:
    """One answer on its way: held back until it is whole, if it is short JSON."""

    def __init__(self, asked: Headers, send: Send) -> None:
        self._asked, self._send = asked, send
        self._start: Message | None = None
        self._body: list[bytes] = []
        self._size = 0
        self.media = ""
        self.refused = False

    async def take(self, message: Message) -> None:
        """A piece of it."""
        if self.refused:
            if message.get("more_body"):
                raise _Refused  # a stream would go on for ever, and its viewer count as attending
        elif message["type"] == "http.response.start":
            await self._begin(message)
        elif self._start is None:
            await self._send(message)
        else:
            await self._more(message)

    async def _begin(self, message: Message) -> None:
        headers = Headers(raw=message["headers"])
        self.media = headers.get("content-type", "").partition(";")[0].strip().lower()
        if message["status"] != 200 or not self.media:
            await self._send(message)
        elif not _accepts(self._asked.get("accept", ""), self.media):
            self.refused = True
        elif self.media == "application/json":
            self._start = message
        else:
            await self._send(message)

    async def _more(self, message: Message) -> None:
        assert self._start is not None
        self._body.append(message.get("body", b""))
        self._size += len(self._body[-1])
        if self._size > LARGEST:
            start, self._start = self._start, None
            await self._send(start)
            await self._send({**message, "body": b"".join(self._body)})
        elif not message.get("more_body"):
            await self._end(self._start, b"".join(self._body))

    async def _end(self, start: Message, body: bytes) -> None:
        headers = MutableHeaders(scope=start)
        tag = headers.setdefault("etag", tag_of(body))
        headers.setdefault("cache-control", "private, no-cache")
        if _names(self._asked.get("if-none-match", ""), tag):
            for name in ("content-length", "content-type"):
                del headers[name]
            start, body = {**start, "status": 304, "headers": headers.raw}, b""
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})
