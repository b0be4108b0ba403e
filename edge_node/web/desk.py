"""The page's side of the conversation with the engine: the newest status, actions and answers.

Used by `local_api` (HTTP) and fed by `edge_node.page_child` (pipes); holds no alarm logic.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from edge_node.application.ipc import OperatorAction, OperatorResult
from shared.web.dto import AckRequest, ActionResult, ItemResult

ANSWER_S = 5.0
HEARTBEAT_S = 5.0
REMEMBERED = 1_000
MAX_VIEWERS = 20


class Desk:
    """The newest status for all viewers, and the actions that wait for the engine."""

    def __init__(self, send: Callable[[OperatorAction], None]) -> None:
        self._send = send
        self._status = b""
        self._version = 0
        self._changed = asyncio.Event()
        self._waiting: dict[str, asyncio.Future[OperatorResult]] = {}
        self._answers: OrderedDict[str, asyncio.Task[ActionResult]] = OrderedDict()
        self.viewers = 0

    @property
    def status(self) -> bytes:
        """The newest status as JSON; empty before the first."""
        return self._status

    def on_status(self, body: bytes) -> None:
        """The engine sent its state."""
        self._status = body.replace(b"\n", b" ")
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def on_result(self, result: OperatorResult) -> None:
        """The engine answered an action."""
        waiting = self._waiting.get(result.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(result)

    async def frames(self) -> AsyncIterator[bytes]:
        """SSE frames of one viewer; a slow one is given the newest state, not every state."""
        seen = 0
        self.viewers += 1
        try:
            while True:
                changed = self._changed
                if self._version != seen:
                    seen = self._version
                    yield b"event: status\ndata: " + self._status + b"\n\n"
                    continue
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await changed.wait()
                except TimeoutError:
                    yield b"event: heartbeat\ndata: {}\n\n"
        finally:
            self.viewers -= 1

    async def acknowledge(self, key: str, request: AckRequest, actor: str) -> ActionResult:
        """Pass an acknowledgement on, once per key: a repetition gets the first answer."""
        task = self._answers.get(key)
        if task is None:
            task = asyncio.create_task(self._acknowledge(key, request, actor))
            self._answers[key] = task
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        # A browser that goes away must not take back what the engine may have done already.
        return await asyncio.shield(task)

    async def _acknowledge(self, key: str, request: AckRequest, actor: str) -> ActionResult:
        actions = [
            OperatorAction(
                id=f"{key}:{item.occurrence}", action="acknowledge", alarm=item.alarm,
                occurrence=item.occurrence, version=item.version, actor=actor,
                args={"comment": request.comment} if request.comment else {},
            )
            for item in request.items
        ]  # fmt: skip
        results = await asyncio.gather(*(self._ask(action) for action in actions))
        return ActionResult(results=results)

    async def _ask(self, action: OperatorAction) -> ItemResult:
        waiting: asyncio.Future[OperatorResult] = asyncio.get_running_loop().create_future()
        self._waiting[action.id] = waiting
        try:
            self._send(action)
            answer = await asyncio.wait_for(waiting, ANSWER_S)
        except TimeoutError:
            return ItemResult(
                occurrence=action.occurrence, accepted=False, code="engine_did_not_answer"
            )
        finally:
            del self._waiting[action.id]
        return ItemResult(
            occurrence=action.occurrence, accepted=answer.accepted, code=answer.code,
            params=answer.params,
        )  # fmt: skip
