"""The live stream as a WebSocket: the picture first, then what changes, the same frames as SSE.

A client that names its last event id goes on from there; one that fell behind is given the whole
picture anew. Nothing is taken from a client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Query, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from shared.identity.policy import User
from shared.web.auth import Accounts, allowed_stream, session_token, shown_token
from shared.web.sse import Broadcaster, StreamFrame, Viewer

LOOK_EVERY_S = 20.0
SEND_S = 15.0
"""A client that takes nothing for so long is let go."""
POLICY_VIOLATION = 1008
Snapshot = Callable[[], StreamFrame]
SocketViewer = Annotated[User, Depends(allowed_stream("view"))]


def socket_router(broadcaster: Broadcaster, snapshot: Snapshot) -> APIRouter:
    """The route /api/ws; `snapshot` is the picture as a frame with the id it stands for."""
    router = APIRouter(prefix="/api", tags=["alarms"])

    @router.websocket("/ws")
    async def stream(
        socket: WebSocket, user: SocketViewer,
        last_event_id: Annotated[str | None, Query(max_length=200)] = None,
    ) -> None:  # fmt: skip
        await socket.accept()
        place = last_event_id or socket.headers.get("last-event-id")
        viewer = Viewer(user.may("acknowledge"))
        speaking = asyncio.create_task(_speak(socket, broadcaster, viewer, snapshot, place))
        hearing = asyncio.create_task(_hear(socket))
        try:
            await asyncio.wait({speaking, hearing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (speaking, hearing):
                task.cancel()
            await asyncio.gather(speaking, hearing, return_exceptions=True)
        if socket.client_state is WebSocketState.CONNECTED:
            await socket.close(POLICY_VIOLATION)

    return router


async def _hear(socket: WebSocket) -> None:
    """Until the client leaves; what it says is not listened to."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _speak(
    socket: WebSocket, broadcaster: Broadcaster, viewer: Viewer, snapshot: Snapshot,
    place: str | None,
) -> None:  # fmt: skip
    loop = asyncio.get_running_loop()
    looked = loop.time()
    frames = cast(Any, broadcaster.frames_for(viewer, last_event_id=place))
    async with aclosing(frames) as stream:
        async for frame in stream:
            if loop.time() - looked > LOOK_EVERY_S:
                looked = loop.time()
                if await _gone(socket):
                    return
            if not await _said(socket, frame):
                return
            if frame.event == "resync":
                viewer.forget()  # all of it is older than the picture that goes out now
                if not await _said(socket, snapshot()):
                    return


async def _said(socket: WebSocket, frame: StreamFrame) -> bool:
    try:
        async with asyncio.timeout(SEND_S):
            await socket.send_text(frame.text)
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        return False
    return True


async def _gone(socket: WebSocket) -> bool:
    accounts: Accounts = socket.app.state.accounts
    return await accounts.gone(session_token(socket), shown_token(socket), "view")
