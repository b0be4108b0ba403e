"""The page's side of the conversation with the engine: the newest status, actions and answers.

Used by `local_api` (HTTP) and fed by `edge_node.page_child` (pipes); holds no alarm logic.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Any

from edge_node.application.ipc import OperatorAction, OperatorResult, PageAnswer, PageQuery
from shared.web.dto import AckItem, ActionResult, ItemResult
from shared.web.problem import ProblemError

ANSWER_S = 5.0
HEARTBEAT_S = 5.0
REMEMBERED = 1_000
MAX_VIEWERS = 20
MAX_QUERIES = 50


class Desk:
    """The newest status for all viewers, and the actions that wait for the engine."""

    def __init__(self, send: Callable[[OperatorAction | PageQuery], None]) -> None:
        self._send = send
        self._asking: dict[str, asyncio.Future[PageAnswer]] = {}
        self._asked = 0
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

    def on_answer(self, answer: PageAnswer) -> None:
        """The engine answered a query."""
        asking = self._asking.get(answer.id)
        if asking is not None and not asking.done():
            asking.set_result(answer)

    async def look_up(self, what: str, **args: Any) -> bytes:
        """Ask the engine; its answer as JSON, or a problem."""
        if len(self._asking) >= MAX_QUERIES:
            raise ProblemError(503, "too_many_requests")
        self._asked += 1
        query = PageQuery(id=f"q{self._asked}", what=what, args=args)
        asking: asyncio.Future[PageAnswer] = asyncio.get_running_loop().create_future()
        self._asking[query.id] = asking
        try:
            self._send(query)
            answer = await asyncio.wait_for(asking, ANSWER_S)
        except TimeoutError:
            raise ProblemError(504, "engine_did_not_answer") from None
        finally:
            del self._asking[query.id]
        if answer.code:
            status = 404 if answer.code.startswith("unknown_") else 422
            raise ProblemError(status, answer.code, **answer.params)
        return answer.json

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

    async def act(
        self, key: str, action: str, items: list[AckItem], args: dict[str, Any], actor: str
    ) -> ActionResult:
        """Pass an action on, once per key: a repetition gets the first answer."""
        task = self._answers.get(key)
        if task is None:
            task = asyncio.create_task(self._act(key, action, items, args, actor))
            self._answers[key] = task
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        # A browser that goes away must not take back what the engine may have done already.
        return await asyncio.shield(task)

    async def _act(
        self, key: str, action: str, items: list[AckItem], args: dict[str, Any], actor: str
    ) -> ActionResult:
        actions = [
            OperatorAction(
                id=f"{key}:{item.occurrence or item.alarm}", action=action, alarm=item.alarm,
                occurrence=item.occurrence, version=item.version, actor=actor, args=args,
            )
            for item in items
        ]  # fmt: skip
        results = await asyncio.gather(*(self._ask(each) for each in actions))
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
