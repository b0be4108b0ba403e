"""Keeps the brain's picture of its site up to date with the folder, without a restart.

Run as a task of the brain. A faulty version changes nothing here and is said; the edges take their
own changes over by themselves. New edges need a restart of the brain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from shared.errors import ConfigError
from shared.site.documents import Documents
from shared.site.loader import Site, load_site
from shared.site.version import site_stamp, site_version
from shared.telemetry import logger

log = logger("site")
POLL_S = 2.0


class SiteFollow:
    """One site's folder as the brain reads it."""

    def __init__(self, site: Site, documents: Path, on_version: Callable[[str], None]) -> None:
        self._site, self._documents, self._on_version = site, Documents(documents), on_version
        self.fault = ""

    async def run(self) -> None:
        """Look for changes for ever."""
        folder = self._site.folder
        seen = await asyncio.to_thread(self._stamp)
        self._on_version(await asyncio.to_thread(site_version, folder))
        while True:
            await asyncio.sleep(POLL_S)
            stamp = await asyncio.to_thread(self._stamp)
            if stamp is None or stamp == seen:
                continue
            await asyncio.sleep(POLL_S / 2)
            still = await asyncio.to_thread(self._stamp) == stamp
            if still and await self._take(folder):
                seen = stamp

    def _stamp(self) -> object | None:
        try:
            return site_stamp(self._site.folder)
        except OSError:  # files come and go while somebody copies them: look again
            return None

    async def _take(self, folder: Path) -> bool:
        """Read it anew; False when the disk did not let it be read: look again."""
        try:
            self._on_version(await asyncio.to_thread(site_version, folder))
            new = await asyncio.to_thread(load_site, folder, self._documents)
        except (ConfigError, OSError) as error:
            self.fault = str(error)
            log.error("site_refused", faults=self.fault[:2000])
            return isinstance(error, ConfigError)
        self.fault = ""
        self._site.become(new)
        log.info("site_followed", alarms=len(new.alarms), tags=len(new.tags))
        return True
