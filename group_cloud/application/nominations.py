"""Signs what each edge shall count in shadow and puts it where its factory reads.

Run by the cloud once an hour and when a roll-out enters its shadow; its state is the database's.
It changes no setting: nominations and directives are told apart by what is signed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from group_cloud.application.ports import Audit, Sign, Transaction
from group_cloud.domain.nomination import NUISANCE, WORST, Grounds, Nominee, Spot, choose
from shared.alarm.point import Setting
from shared.alarm.shadow import setting_data
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import RetryableTransportError
from shared.messages.codec import encode
from shared.messages.nominations import (
    KEY,
    MOST_POINTS,
    Nomination,
    Nominations,
    SignedNominations,
    canonical,
)
from shared.messages.subjects import BRAIN, Node
from shared.telemetry import logger

log = logger("nominations")
DAY_MS = 86_400_000
WINDOW_DAYS = 7
TTL_MS = 7 * DAY_MS
RENEW_MS = 2 * DAY_MS
"""Nominations that are as they were are signed anew when less than this is left."""
EVERY_S = 3600.0
AT_LEAST_S = 1.0
"""Between two rounds, however much is going on."""
AFTER_FAILURE_S = 15.0


@dataclass(frozen=True, slots=True)
class Issued:
    """Signed nominations of one edge."""

    counter: int
    fingerprint: str
    payload: bytes
    signature: bytes
    at: int
    expires_at: int


class NominationRows(Protocol):
    """What the tables say (see `adapters/postgres/nomination_store.py`)."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits at the end of the block."""
        ...

    async def sites(self) -> list[str]:
        """Factories whose alarm points are known."""
        ...

    async def edges(self, site: str) -> list[str]:
        """The edges of a factory that have alarm points."""
        ...

    async def grounds(self, site: str, now: int, days: int) -> Grounds:
        """What speaks for a factory's points."""
        ...

    async def issued(self, site: str) -> dict[str, Issued]:
        """edge -> its newest signed nominations."""
        ...

    async def next_counter(self, tx: Transaction, /, site: str, edge: str) -> int:
        """The edge's next number."""
        ...

    async def save(self, tx: Transaction, /, site: str, edge: str, issued: Issued) -> None:
        """Keep the newest nominations of an edge."""
        ...


async def _no_trials(_: str) -> dict[Spot, Setting]:
    """No roll-out is in its shadow."""
    return {}


class Nominator:
    """Nominates for all factories."""

    def __init__(
        self, rows: NominationRows, bus: Bus, clock: Clock, sign: Sign, audit: Audit
    ) -> None:
        self._rows, self._bus, self._clock = rows, bus, clock
        self._sign, self._audit = sign, audit
        self._wake = asyncio.Event()
        self.trials: Callable[[str], Awaitable[dict[Spot, Setting]]] = _no_trials
        """Asked with a site for the settings that a roll-out has in shadow."""
        self.every_s = EVERY_S

    def wake(self) -> None:
        """Something new is on trial."""
        self._wake.set()

    async def run(self) -> None:
        """Nominate for ever."""
        while True:
            self._wake.clear()
            wait = self.every_s if await self._round() else AFTER_FAILURE_S
            await asyncio.sleep(AT_LEAST_S)
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _round(self) -> bool:
        try:
            for site in await self._rows.sites():
                await self.nominate(site)
        except RetryableTransportError as error:
            log.warning("nominations_not_sent", error=str(error))
            return False
        return True

    async def nominate(self, site: str) -> None:
        """Choose for one factory, sign what has changed, put what stands."""
        now = self._clock.now_ms()
        grounds = await self._rows.grounds(site, now, WINDOW_DAYS)
        trials = await self.trials(site)
        chosen = choose(replace(grounds, candidates=trials), MOST_POINTS)
        standing, news = await self._rows.issued(site), False
        for edge in await self._rows.edges(site):
            nominees = chosen.get(edge, [])
            known = standing.get(edge)
            if not nominees and known is None:
                continue
            print_ = fingerprint(nominees)
            if known is not None and _stands(known, print_, now):
                continue
            standing[edge] = await self._issue(site, edge, nominees, print_, now)
            news = True
        if standing:
            await self._put(site, standing, news)

    async def _issue(
        self, site: str, edge: str, nominees: list[Nominee], print_: str, now: int
    ) -> Issued:
        async with self._rows.transaction() as tx:
            counter = await self._rows.next_counter(tx, site, edge)
            payload = canonical(
                Nominations(
                    site=site, edge=edge, counter=counter, issued_at=now, expires_at=now + TTL_MS,
                    items=[_item(each) for each in nominees],
                )
            )  # fmt: skip
            issued = Issued(counter, print_, payload, self._sign(payload), now, now + TTL_MS)
            await self._audit(
                tx, now, "group", "nominations_signed", f"{site}/{edge}",
                {"counter": counter, "points": len(nominees)},
            )  # fmt: skip
            await self._rows.save(tx, site, edge, issued)
        return issued

    async def _put(self, site: str, standing: dict[str, Issued], news: bool) -> None:
        """Every time: the broker may have lost its disk, and the same bytes change nothing."""
        node = Node(site, BRAIN)
        bundle = {
            edge: encode(SignedNominations(payload=each.payload, signature=each.signature))
            for edge, each in standing.items()
        }
        await self._bus.ensure_bucket(node.directive_bucket)
        await self._bus.bucket_put(node.directive_bucket, KEY, encode(bundle))
        if news:
            await self._bus.publish(node.directive, b"")


def fingerprint(nominees: list[Nominee]) -> str:
    """A name for these very nominations: first what is urgent in it, then all of it."""
    urgent = [each for each in nominees if each.reason not in (WORST, NUISANCE)]
    return f"{_digest(urgent)}:{_digest(nominees)}"


def _digest(nominees: list[Nominee]) -> str:
    items = sorted((_item(each) for each in nominees), key=lambda item: item.alarm)
    plain = msgspec.msgpack.encode(items, order="deterministic")
    return hashlib.blake2b(plain, digest_size=8).hexdigest()


def _stands(known: Issued, print_: str, now: int) -> bool:
    """Whether nothing need be signed: who floods or annoys most may change places all day long."""
    if known.expires_at - now <= RENEW_MS:
        return False
    if known.fingerprint == print_:
        return True
    urgent = known.fingerprint.partition(":")[0] != print_.partition(":")[0]
    return not urgent and now - known.at < DAY_MS


def _item(nominee: Nominee) -> Nomination:
    candidate = setting_data(nominee.candidate) if nominee.candidate is not None else {}
    return Nomination(alarm=nominee.spot.alarm, reason=nominee.reason, candidate=candidate)
