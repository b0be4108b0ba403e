"""Gives every edge the offline parts of the playbooks that answer its alarms.

Runs beside the engine: an edge that reports another version than the released one is sent it.
Decides nothing about runs.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from factory_brain.application.fleet import FleetView
from factory_brain.domain.triggers.index import alarms_of
from shared.bus.port import Bus
from shared.errors import ContractError, RetryableTransportError
from shared.messages.codec import decode, encode
from shared.messages.control import CommandRequest, CommandResult, Fragment, Fragments
from shared.messages.subjects import Node
from shared.playbook.model import Playbook
from shared.playbook.site_inputs import given
from shared.site.loader import Site
from shared.telemetry import logger

log = logger("fragments")
LOOK_S = 2.0
ANSWER_S = 5.0
RETRY_S = 15.0


class FragmentSender:
    """Keeps the edges' offline parts as released."""

    def __init__(
        self, name: str, bus: Bus, fleet: FleetView, site: Site,
        released: Callable[[], list[Playbook]],
    ) -> None:  # fmt: skip
        self._site, self._bus, self._fleet = name, bus, fleet
        self._files, self._released = site, released
        self._not_before: dict[str, float] = {}

    async def run(self) -> None:
        """Look for ever."""
        while True:
            for edge in self._fleet.edges:
                await self._look(edge)
            await asyncio.sleep(LOOK_S)

    async def _look(self, edge: str) -> None:
        held = self._fleet.fragments(edge)
        wanted = self.of_edge(edge)
        loop = asyncio.get_running_loop()
        if held is None or held == wanted.version or loop.time() < self._not_before.get(edge, 0):
            return
        self._not_before[edge] = loop.time() + RETRY_S
        node = Node(self._site, edge)
        request = encode(CommandRequest(fragments=wanted))
        try:
            answer = await self._bus.request_down(node, node.command, request, ANSWER_S)
            result = decode(answer, CommandResult)
        except (RetryableTransportError, ContractError) as error:
            log.warning("fragments_unanswered", edge=edge, error=str(error))
            return
        log.info("fragments_sent", edge=edge, outcome=result.outcome, version=wanted.version)

    def of_edge(self, edge: str) -> Fragments:
        """What an edge should hold; an edge without any holds the empty version."""
        items = []
        for book in self._released():
            codes = self._codes(book, edge)
            if book.offline is not None and any(codes.values()):
                document = self._filled(book).model_dump_json(by_alias=True).encode()
                items.append(
                    Fragment(
                        playbook=book.playbook, version=book.version, document=document,
                        codes=codes,
                    )
                )  # fmt: skip
        items.sort(key=lambda item: item.playbook)
        parts = b"\0".join(encode(item) for item in items)
        digest = hashlib.sha256(parts).hexdigest()[:12]
        return Fragments(version=digest if items else "", items=items)

    def _codes(self, book: Playbook, edge: str) -> dict[str, list[str]]:
        """What the playbook's triggers name -> this edge's alarms."""
        alarms, codes = self._files.alarms, self._files.bindings.alarms
        return {
            trigger.alarm: sorted(
                alarm for alarm in alarms_of(trigger.alarm, codes)
                if alarm in alarms and alarms[alarm].edge == edge
            )
            for trigger in book.triggers if trigger.alarm
        }  # fmt: skip

    def _filled(self, book: Playbook) -> Playbook:
        """The document with the site's values for its inputs."""
        values = given(book, self._files.bindings.inputs.get(book.playbook, {}))
        inputs = {
            name: spec.model_copy(update={"default": values[name]})
            for name, spec in book.inputs.items()
        }
        return book.model_copy(update={"inputs": inputs})
