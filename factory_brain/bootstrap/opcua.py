"""Wires the OPC UA server: the brain's alarms as conditions, where `opcua_url` is set."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

import asyncpg

from factory_brain.application.opcua_alarms import FactoryAlarms, Known
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.warning_words import is_own
from shared.opcua.listening import where

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain
    from shared.opcua.server import OpcuaServer


async def wire(brain: Brain) -> OpcuaServer | None:
    """Serve the alarms upward; after the news of other brains, which it follows too."""
    settings = brain.settings
    if not settings.opcua_url:
        return None
    place = where(
        settings.opcua_url, settings.opcua_certificate_file, settings.opcua_key_file,
        brain.site.info.site,
    )  # fmt: skip
    # The library is loaded only where it is used, and beside the loop: it is large.
    await asyncio.to_thread(import_module, "shared.opcua.server")
    from factory_brain.adapters.opcua_door import Door
    from shared.opcua.server import OpcuaServer

    async def newest(alarm: str) -> Occurrence | None:
        try:
            return await brain.alarms.newest(alarm)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return None  # asked again with the next look

    door = Door(brain.accounts, brain.clock, settings.opcua_anonymous)
    known = Known(lambda: brain.live.occurrences, newest, door.user)
    server = OpcuaServer(place, brain.clock, door, FactoryAlarms(brain.site, brain.desk, known))

    async def on_occurrence(occurrence: Occurrence, moved: bool) -> None:
        if not is_own(occurrence.alarm):
            server.changed(occurrence.alarm, occurrence)

    brain.ingest.on_occurrence.append(on_occurrence)
    brain.desk.on_occurrence.append(on_occurrence)
    brain.news.on_occurrence.append(on_occurrence)
    brain.service.run("opcua-server", server.run)
    brain.service.on_close("opcua-server", server.close)
    return server
