"""Wires the brain's web application, once alarms are already being received and answered.

Called last by the bootstrap; the web framework is loaded here, in a thread, and nowhere before.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

from factory_brain.web.parts import Parts

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain
    from shared.web.app import WebServer

HEAD_START_S = 2.0
SWITCH_S = 0.0005


class Serving:
    """The console's server of one brain."""

    def __init__(self, brain: Brain) -> None:
        self._brain = brain
        self._server: WebServer | None = None

    async def open(self) -> None:
        """Make the application and serve it, after what came while no brain was there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEAD_START_S):
                await self._brain.brains.began.wait()
        await asyncio.sleep(HEAD_START_S / 4)
        if self._brain.service.stopping.is_set():
            return  # told to end in the meantime
        usual = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)  # it does not hold up the loop for long at a time
        try:
            self._server = await asyncio.to_thread(self._made)
        finally:
            sys.setswitchinterval(usual)
        self._brain.service.run("web", self._server.run)

    async def close(self) -> None:
        """End the server, if it was there by then."""
        if self._server is not None:
            await self._server.close()

    def _made(self) -> WebServer:
        # Half a second of imports, and as long again for the routes.
        from factory_brain.web.app import create_app
        from shared.postgres.web_options import web_options
        from shared.web.app import WebServer
        from shared.web.auth import Place

        brain = self._brain
        info, settings = brain.site.info, brain.settings
        place = Place("factory", info.site, info.name.zh, info.name.en)
        parts = Parts(
            brain.live, brain.broadcaster, brain.desk, brain.outcomes, brain.details, brain.fleet,
            brain.trends, brain.playbooks, brain.positions.read, brain.positions.writable,
            brain.desk_parts, brain.kpi_parts, brain.link_parts,
            brain.incident_parts, brain.notify_parts, brain.health_parts,
            brain.unit_parts, brain.sinks, brain.playbook_parts, brain.faults, brain.mail,
            brain.group_playbooks, brain.directives, brain.counted, brain.warnings.view,
        )  # fmt: skip
        app = create_app(place, brain.clock, brain.accounts, parts, web_options(settings))
        return WebServer(app, settings.http_host, settings.http_port)
