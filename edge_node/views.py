"""The children that show the engine's state to others: the local page and the OPC UA server.

Put together by the bootstrap. Each is a process of its own, told the status and answered; when one
ends it is started again, and the engine goes on.
"""

from __future__ import annotations

import asyncio

from edge_node.adapters.children import Child
from edge_node.application.engine import Engine
from edge_node.application.ipc import (
    FromChild,
    OperatorAction,
    PageQuery,
    PageStatus,
)
from edge_node.application.lookups import Lookups
from edge_node.settings import EdgeSettings


class Views:
    """The view children that the settings ask for."""

    def __init__(self, settings: EdgeSettings, engine: Engine, lookups: Lookups) -> None:
        self._engine, self._lookups = engine, lookups
        self._tasks: set[asyncio.Task[None]] = set()
        self.children: list[Child] = []
        if settings.page_port:
            self._add("page", _page(settings))
        if settings.opcua_url:
            self._add("opcua", _opcua(settings))
        engine.push = self._push

    def _push(self, body: bytes) -> None:
        for child in self.children:
            child.send(PageStatus(json=body))

    def _add(self, name: str, command: list[str]) -> None:
        def on_message(message: FromChild) -> None:
            if isinstance(message, OperatorAction):
                task = asyncio.create_task(self._act(child, message))
            elif isinstance(message, PageQuery):
                task = asyncio.create_task(self._look_up(child, message))
            else:
                return
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        child = Child(
            name, command, lambda: PageStatus(json=self._engine.status_now()), on_message,
            lambda why: None,
        )  # fmt: skip
        self.children.append(child)

    async def _act(self, child: Child, action: OperatorAction) -> None:
        child.send(await self._engine.act(action))

    async def _look_up(self, child: Child, query: PageQuery) -> None:
        child.send(await self._lookups.answer(query))


def _page(settings: EdgeSettings) -> list[str]:
    command = [*settings.page_command, "--port", str(settings.page_port)]
    if settings.page_password_file is not None:
        command += ["--password-file", str(settings.page_password_file)]
    return command


def _opcua(settings: EdgeSettings) -> list[str]:
    command = [*settings.opcua_command, "--url", settings.opcua_url]
    if settings.opcua_anonymous:
        command.append("--anonymous")
    for name, path in (
        ("--password-file", settings.page_password_file),
        ("--certificate", settings.opcua_certificate_file),
        ("--key", settings.opcua_key_file),
    ):
        if path is not None:
            command += [name, str(path)]
    return command
