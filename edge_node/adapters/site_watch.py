"""Watches the site's folder and brings what may run of a change, checked in a process of its own.

Run as a task of the edge; everything that reads files happens in a thread or the child, never on
the engine's loop. Decides nothing about alarms.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from edge_node.adapters.site_copy import Candidate, compose
from shared.errors import ConfigError, StoreError
from shared.site.version import site_stamp, site_version
from shared.telemetry import logger

log = logger("site")
POLL_S = 1.0
CHECK_S = 120.0
RETRY_S = 10.0
OnCandidate = Callable[[Candidate], Awaitable[bool]]
"""Brings a candidate into force; False when that may succeed at another time."""
DOCUMENTS = "site-documents"
"""Folder of parsed documents in the edge's state folder."""


class SiteWatch:
    """The desired site of one edge."""

    def __init__(self, folder: Path, state_dir: Path, edge: str, handled: str) -> None:
        self._folder, self._state_dir, self._edge = folder, state_dir, edge
        self._handled = handled
        """Version of the folder that has been looked at already."""
        self.retry_s = RETRY_S

    async def run(self, on_candidate: OnCandidate) -> None:
        """Look for changes for ever; `on_candidate` gets each, also one that may not run."""
        seen = None
        while True:
            pause, stamp = POLL_S, await asyncio.to_thread(self._stamp)
            if stamp is not None and stamp != seen and await self._still(stamp):
                if await self._change(on_candidate):
                    seen = stamp
                else:  # what the disk did not take is tried again, without another change
                    pause = self.retry_s
            await asyncio.sleep(pause)

    def _stamp(self) -> object | None:
        try:
            return site_stamp(self._folder)
        except OSError:  # files come and go while somebody copies them: look again
            return None

    async def _still(self, stamp: object) -> bool:
        """Whether nobody is writing any more."""
        await asyncio.sleep(POLL_S / 2)
        return await asyncio.to_thread(self._stamp) == stamp

    async def _change(self, on_candidate: OnCandidate) -> bool:
        """Look at a change; False when it is to be looked at again."""
        try:
            version = await asyncio.to_thread(site_version, self._folder)
            if version == self._handled:
                return True
            found = await asyncio.to_thread(compose, self._folder, self._state_dir, self._check)
        except (OSError, StoreError) as error:
            log.error("site_unreadable", error=str(error), retry_in_s=self.retry_s)
            return False
        if not await on_candidate(found):
            return False
        self._handled = found.desired
        return True

    def _check(self, folder: Path) -> list[ConfigError]:
        """The faults of `folder`, found in a child process; called in a thread."""
        command = [
            sys.executable, "-m", "edge_node.site_child", str(folder), "--edge", self._edge,
            "--documents", str(self._state_dir / DOCUMENTS),
        ]  # fmt: skip
        try:
            ended = subprocess.run(command, capture_output=True, timeout=CHECK_S, check=False)
            faults = json.loads(ended.stdout)["faults"]
        except subprocess.TimeoutExpired:
            return [ConfigError(f"the check took more than {CHECK_S:g} s", mend="split the site")]
        except (ValueError, KeyError, OSError) as error:
            return [ConfigError(f"the check itself failed: {error!r}", mend="see the edge's log")]
        return [ConfigError(f["message"], where=f["where"], mend=f["mend"]) for f in faults]
