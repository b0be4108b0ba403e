"""Keeps the brain's picture of its site up to date with the folder, without a restart.

Run as a task of the brain. A faulty version changes nothing here and is said; the edges take their
own changes over by themselves. New edges need a restart of the brain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from shared.errors import ConfigError
from shared.site.documents import Documents
from shared.site.loader import Site, load_site
from shared.site.version import site_stamp, site_version
from shared.telemetry import logger

log = logger("site")
POLL_S = 2.0
MOST_NAMES = 100
OnTaken = Callable[[str, dict[str, Any]], Awaitable[None]]
"""Told the version that runs now, and what changed with it (nothing at the start)."""


class SiteFollow:
    """One site's folder as the brain reads it."""

    def __init__(self, site: Site, documents: Path, on_version: Callable[[str], None]) -> None:
        self._site, self._documents, self._on_version = site, Documents(documents), on_version
        self.fault = ""
        self.on_taken: list[OnTaken] = []

    async def run(self) -> None:
        """Look for changes for ever."""
        folder = self._site.folder
        seen = await asyncio.to_thread(self._stamp)
        version = await asyncio.to_thread(site_version, folder)
        self._on_version(version)
        await self._tell(version, {})
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
            version = await asyncio.to_thread(site_version, folder)
            self._on_version(version)
            new = await asyncio.to_thread(load_site, folder, self._documents)
        except (ConfigError, OSError) as error:
            self.fault = str(error)
            log.error("site_refused", faults=self.fault[:2000])
            return isinstance(error, ConfigError)
        self.fault = ""
        changes = _changes(self._site, new)
        self._site.become(new)
        log.info("site_followed", alarms=len(new.alarms), tags=len(new.tags))
        await self._tell(version, changes)
        return True

    async def _tell(self, version: str, changes: dict[str, Any]) -> None:
        for listener in self.on_taken:
            await listener(version, changes)


def _changes(old: Site, new: Site) -> dict[str, Any]:
    """Which alarms and tags came, went or are others now; bounded, with the number of each."""
    found: dict[str, Any] = {}
    for kind, before, after in (
        ("alarms", old.alarms, new.alarms), ("tags", old.tags, new.tags),
    ):  # fmt: skip
        lists = {
            "added": sorted(after.keys() - before.keys()),
            "removed": sorted(before.keys() - after.keys()),
            "changed": sorted(n for n in after if n in before and after[n] != before[n]),
        }
        for what, names in lists.items():
            if names:
                found[f"{kind}_{what}"] = {"count": len(names), "names": names[:MOST_NAMES]}
    return found
