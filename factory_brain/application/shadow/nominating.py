"""Which alarm points are counted: the group's signed nominations, else this factory's worst ones.

Woken by the group's notice, at start and every few minutes. It changes no setting: a nomination
only says what is counted. What it accepted is kept, so a restart forgets nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from factory_brain.application.ports import Audit
from factory_brain.application.shadow.ports import Points
from factory_brain.domain.shadow import DAY_MS, countable, worst
from shared.alarm.definition import AlarmDefinition
from shared.alarm.grid import Grid
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import ContractError, Rejected, RetryableTransportError
from shared.messages.codec import decode
from shared.messages.nominations import (
    KEY,
    MOST_POINTS,
    SCHEMA,
    Nomination,
    Nominations,
    SignedNominations,
    read,
)
from shared.messages.subjects import BRAIN, CLOUD_DOMAIN, Node
from shared.security import verifies
from shared.telemetry import logger

log = logger("shadow")
EVERY_S = 300.0
WINDOW_MS = 7 * DAY_MS
"""The alarms of a week say which points are the worst."""
REMEMBERED = 256
ACTOR = "group"


@dataclass(frozen=True, slots=True)
class Plant:
    """The site as far as nominations are concerned."""

    site: str
    edges: tuple[str, ...]
    definitions: dict[str, AlarmDefinition]
    budget: int
    """Alarm points of one edge."""


def authentic(
    plant: Plant, release: Ed25519PublicKey, edge: str, encoded: bytes
) -> Nominations | Rejected:
    """The nominations, if the group signed them and for this very edge."""
    try:
        signed = decode(encoded, SignedNominations)
    except ContractError as error:
        return Rejected("unreadable", {"error": str(error)})
    if not verifies(release, signed.signature, signed.payload):
        return Rejected("release_signature_invalid")
    try:
        found = read(signed.payload)
    except ContractError as error:
        return Rejected("unreadable", {"error": str(error)})
    if found.schema != SCHEMA:
        return Rejected("unknown_schema", {"schema": found.schema})
    if (found.site, found.edge) != (plant.site, edge) or edge not in plant.edges:
        return Rejected("other_target", {"site": found.site, "edge": found.edge})
    return found


def permitted(
    definitions: dict[str, AlarmDefinition], edge: str, items: Iterable[Nomination], budget: int
) -> list[Nomination]:
    """What of it this factory counts: tunable points of this edge, once each, within the budget."""
    kept: dict[str, Nomination] = {}
    for item in items:
        definition = definitions.get(item.alarm)
        fits = definition is not None and definition.edge == edge and countable(definition)
        if fits and item.alarm not in kept and (not item.grid or _grid_of(item, definition)):
            kept[item.alarm] = item
        if len(kept) == min(budget, MOST_POINTS):
            break
    return list(kept.values())


def _grid_of(item: Nomination, definition: AlarmDefinition | None) -> bool:
    try:
        grid = Grid.from_dict(item.grid)
    except ValueError:
        return False
    # What the engineer does not allow need not be counted.
    return (
        definition is not None
        and grid.side == definition.side
        and {*grid.filters} <= {"raw", definition.setting.filter, *definition.bounds.filters}
    )


class Nominating:
    """Keeps the nominated points in order."""

    def __init__(
        self, plant: Plant, bus: Bus, clock: Clock, release: Ed25519PublicKey, points: Points,
        audit: Audit,
    ) -> None:  # fmt: skip
        self._plant, self._bus, self._clock = plant, bus, clock
        self._release, self._points, self._audit = release, points, audit
        self._node = Node(plant.site, BRAIN)
        self._wake = asyncio.Event()
        self._told: OrderedDict[bytes, None] = OrderedDict()
        self.refused = 0
        """Nominations that were no good."""

    def wake(self) -> None:
        """The group may have something new."""
        self._wake.set()

    async def listen(self) -> None:
        """Hear the group's notices."""

        async def on_notice(_: str, __: bytes) -> bytes | None:
            self.wake()
            return None

        await self._bus.subscribe(self._node.directive, on_notice)

    async def run(self) -> None:
        """Take nominations for ever."""
        while True:
            self._wake.clear()
            try:
                await self.take()
            except RetryableTransportError as error:
                log.info("nominations_unreachable", error=str(error))
            await self.choose()
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def take(self) -> None:
        """Read the own bucket and accept what is new in it."""
        data = await self._bus.bucket_get(self._node.directive_bucket, KEY, CLOUD_DOMAIN)
        if data is None:
            return
        try:
            bundle = decode(data, dict[str, bytes])
        except ContractError as error:
            await self._refuse("", data, Rejected("unreadable", {"error": str(error)}))
            return
        for edge, encoded in sorted(bundle.items()):
            await self._one(edge, encoded)

    async def _one(self, edge: str, encoded: bytes) -> None:
        found = authentic(self._plant, self._release, edge, encoded)
        now = self._clock.now_ms()
        if not isinstance(found, Rejected) and now >= found.expires_at:
            found = Rejected("expired", {"expires_at": found.expires_at})
        if isinstance(found, Rejected):
            await self._refuse(edge, encoded, found)
            return
        known = await self._points.order(edge)
        if known is not None and known[0] == found.counter:
            return
        if found.counter < 1 or (known is not None and known[0] > found.counter):
            newest = known[0] if known else 0
            await self._refuse(edge, encoded, Rejected("counter_replayed", {"newest": newest}))
            return
        await self._accept(edge, encoded, found, now)

    async def _accept(self, edge: str, encoded: bytes, found: Nominations, now: int) -> None:
        items = permitted(self._plant.definitions, edge, found.items, self._plant.budget)
        async with self._points.transaction() as tx:
            if not await self._points.accept(
                tx, edge, found.counter, found.expires_at, encoded, now
            ):
                return
            await self._points.replace(tx, edge, "group", items, now)
            await self._audit(
                tx, now, ACTOR, "nominations_accepted", edge,
                {"counter": found.counter, "points": len(items), "asked": len(found.items)},
            )  # fmt: skip
        log.info(
            "nominations_accepted", edge=edge, counter=found.counter, points=len(items),
            left_out=len(found.items) - len(items),
        )  # fmt: skip

    async def choose(self) -> None:
        """Choose by ourselves, once a day, for the edges of which the group says nothing."""
        now, raised = self._clock.now_ms(), None
        for edge in self._plant.edges:
            order = await self._points.order(edge)
            if order is not None and now < order[1]:
                continue
            chosen = await self._points.chosen_at(edge)
            if chosen is not None and 0 <= now - chosen < DAY_MS:
                continue
            if raised is None:
                raised = await self._points.raised(now - WINDOW_MS)
            names = worst(raised, self._plant.definitions, edge, self._plant.budget)
            items = [Nomination(alarm=alarm, reason="worst") for alarm in names]
            if not items:
                continue  # nothing to count yet: looked at again at the next round
            async with self._points.transaction() as tx:
                await self._points.replace(tx, edge, "site", items, now)

    async def _refuse(self, edge: str, encoded: bytes, why: Rejected) -> None:
        """Said once for each bytes, whatever is sent how often."""
        key = hashlib.blake2b(edge.encode() + b"/" + encoded, digest_size=16).digest()
        if key in self._told:
            return
        self._told[key] = None
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self.refused += 1
        log.error("nominations_refused", edge=edge, code=why.code)
        async with self._points.transaction() as tx:
            await self._audit(
                tx, self._clock.now_ms(), ACTOR, "nominations_refused", edge[:64],
                {"code": why.code, **why.params},
            )  # fmt: skip
