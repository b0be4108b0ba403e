"""Puts signed models into the factories' buckets until each has answered, and takes the answers.

Run by the cloud; its state is the tables', so a restart changes nothing. It decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from group_cloud.application.ports import Audit, Records, Transaction
from group_cloud.application.warning.ports import WarningRows
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import RetryableTransportError
from shared.messages.codec import encode
from shared.messages.subjects import BRAIN, Node
from shared.messages.warning import (
    KEY,
    MAX_BAG_BYTES,
    MOST,
    SignedWarning,
    WarningBag,
    WarningReport,
)
from shared.telemetry import logger

log = logger("warning")
AGAIN_S = 30.0
ANSWERS = ("applied", "refused")
MARGIN_BYTES = 1_024
"""What the bag itself takes."""


class WarningSending:
    """Early warning's way down and its answers."""

    def __init__(
        self, rows: WarningRows, records: Records, bus: Bus, clock: Clock, audit: Audit
    ) -> None:
        self._rows, self._records, self._bus = rows, records, bus
        self._clock, self._audit = clock, audit
        self._wake = asyncio.Event()
        self._heard: set[str] = set()
        self.on_change: Callable[[], None] = lambda: None

    def wake(self) -> None:
        """Something was signed."""
        self._wake.set()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            self._wake.clear()
            try:
                await self.send()
            except RetryableTransportError as error:
                log.warning("warning_push_not_sent", error=str(error))
            try:
                async with asyncio.timeout(AGAIN_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def send(self) -> None:
        """Every factory's unanswered pushes into its bag; an answered bag is emptied."""
        # Taken before anything is waited for: an answer that comes meanwhile is heard again.
        heard, self._heard = self._heard, set()
        try:
            sites = {each.site for each in await self._rows.unheard()} | heard
            for site in sorted(sites):
                await self._put(site)
                heard.discard(site)
        finally:
            self._heard |= heard  # whose bag could not be written

    async def _put(self, site: str) -> None:
        node, pushes, size = Node(site, BRAIN), list[SignedWarning](), MARGIN_BYTES
        for each in (await self._rows.unheard(site))[:MOST]:
            size += len(each.payload) + len(each.signature)
            if pushes and size > MAX_BAG_BYTES:
                break
            if each.status == "signed":
                # Marked first: an answer to what was never sent is no answer.
                async with self._records.transaction() as tx:
                    held = await self._rows.push(tx, each.id)
                    if held is None or held.status in ANSWERS:
                        continue
                    if held.status == "signed":
                        sent = replace(held, status="sent", at=self._clock.now_ms())
                        await self._rows.save_push(tx, sent)
            pushes.append(SignedWarning(payload=each.payload, signature=each.signature))
        await self._bus.ensure_bucket(node.directive_bucket)
        await self._bus.bucket_put(node.directive_bucket, KEY, encode(WarningBag(pushes=pushes)))
        if pushes:
            await self._bus.publish(node.directive, b"")
            self.on_change()

    async def take(self, tx: Transaction, site: str, told: WarningReport, at: int) -> None:
        """A factory says what it did with a push, in the ingest's transaction."""
        if told.site != site or told.status not in ANSWERS:
            log.error("foreign_record", source=site, claims=told.site, status=told.status)
            return
        if not told.push:
            await self._audit(
                tx, at, f"site:{site}", "warning_push_not_genuine", site,
                {"code": told.code, "params": told.params},
            )  # fmt: skip
            return
        found = await self._rows.push(tx, told.push)
        if found is None or (found.site, found.counter) != (site, told.counter):
            log.warning("warning_report_unmatched", site=site, push=told.push)
            return
        if found.status != "sent":
            return  # answered before
        await self._audit(
            tx, at, f"site:{site}", f"warning_push_{told.status}", told.push,
            {"site": site, "counter": told.counter, "kind": found.kind, "code": told.code,
             "params": told.params},
        )  # fmt: skip
        await self._rows.save_push(
            tx, replace(found, status=told.status, code=told.code, params=told.params, at=at)
        )
        self._heard.add(site)
        self._wake.set()
        self.on_change()
