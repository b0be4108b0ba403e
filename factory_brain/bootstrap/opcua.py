"""Wires the OPC UA server: the brain's alarms as conditions, where `opcua_url` is set."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg

from factory_brain.application.opcua_alarms import AlarmBook, Spoken
from factory_brain.domain.rows import Occurrence
from shared.errors import ConfigError

if TYPE_CHECKING:
    from factory_brain.adapters.opcua_server import OpcuaServer
    from factory_brain.bootstrap import Brain


async def wire(brain: Brain) -> OpcuaServer | None:
    """Serve the alarms upward; after the news of other brains, which it follows too."""
    settings = brain.settings
    if not settings.opcua_url:
        return None
    _check(brain)
    # The library is loaded only where it is used: it is large.
    from factory_brain.adapters.opcua_server import Known, OpcuaServer, Where
    from factory_brain.adapters.opcua_sessions import Door

    async def newest(alarm: str) -> Occurrence | None:
        try:
            return await brain.alarms.newest(alarm)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return None  # asked again with the next look

    book = AlarmBook(brain.site.alarms)
    server = OpcuaServer(
        Where(settings.opcua_url, settings.opcua_certificate_file, settings.opcua_key_file),
        brain.site, brain.clock,
        Door(brain.accounts, brain.clock, settings.opcua_anonymous),
        Spoken(book, brain.desk), book,
        Known(lambda: brain.live.occurrences, newest),
    )  # fmt: skip
    brain.ingest.on_occurrence.append(server.on_occurrence)
    brain.desk.on_occurrence.append(server.on_occurrence)
    brain.news.on_occurrence.append(server.on_occurrence)
    brain.service.run("opcua-server", server.run)
    brain.service.on_close("opcua-server", server.close)
    return server


def _check(brain: Brain) -> None:
    settings = brain.settings
    url = urlsplit(settings.opcua_url)
    if url.scheme != "opc.tcp" or not url.hostname or not url.port:
        raise ConfigError(
            f"opcua_url is not an address to listen on: {settings.opcua_url!r}",
            mend="write it as opc.tcp://0.0.0.0:4841/andon",
        )
    files = (settings.opcua_certificate_file, settings.opcua_key_file)
    if (files[0] is None) != (files[1] is None):
        raise ConfigError(
            "opcua_certificate_file and opcua_key_file belong together",
            mend="set both, or neither (then nothing is encrypted)",
        )
    for path in files:
        if path is not None and not path.is_file():
            raise ConfigError(
                "cannot read the OPC UA server's certificate or key", where=str(path),
                mend="correct the path",
            )  # fmt: skip
