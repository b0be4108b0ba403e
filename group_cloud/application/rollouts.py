"""Builds and signs directives and gets them to the factories, again and again until they answer.

Called by the roll-outs and by its own loop; its state is the database's, so a restart changes
nothing. It never decides what is rolled out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from group_cloud.application.ports import (
    Audit,
    Proposals,
    Records,
    RolloutRow,
    Rollouts,
    Sign,
    Transaction,
)
from group_cloud.domain.guardrails import expired, expiry
from group_cloud.domain.rollout import IN_FLIGHT, Kind, advance
from shared.alarm.point import Setting
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import RetryableTransportError
from shared.ids import uuid7
from shared.messages.codec import encode
from shared.messages.directives import (
    DRY_RUN,
    SETTINGS,
    AlarmSetting,
    Directive,
    SignedDirective,
    canonical,
    numbered,
    schema_of,
)
from shared.messages.subjects import BRAIN, Node
from shared.telemetry import logger

log = logger("rollouts")
RESEND_EVERY_S = 15.0


@dataclass(frozen=True, slots=True)
class Stores:
    """The tables that rollouts touch."""

    records: Records
    proposals: Proposals
    rollouts: Rollouts
    audit: Audit


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be signed for one edge."""

    plan: str
    stage: str
    kind: Kind
    site: str
    edge: str
    changes: dict[str, Setting]
    proposals: tuple[str, ...]
    actor: str
    expires_at: int | None = None
    """The roll-out's own end, where it comes before the directive's."""
    why: dict[str, Any] | None = None
    """Told to the factory with it."""


class Dispatch:
    """Directives from the decision to the factory's answer."""

    def __init__(self, stores: Stores, bus: Bus, clock: Clock, sign: Sign) -> None:
        self._stores, self._rollouts = stores, stores.rollouts
        self._bus, self._clock, self._sign = bus, clock, sign
        self._wake = asyncio.Event()
        self.on_change: Callable[[], None] = lambda: None

    def wake(self) -> None:
        """Something new waits to be sent."""
        self._wake.set()

    async def welcome(self, site: str) -> None:
        """A brain has registered: it may read its bucket, even while there is nothing in it."""
        try:
            await self._bus.ensure_bucket(Node(site, BRAIN).directive_bucket)
        except RetryableTransportError as error:
            log.warning("bucket_not_made", site=site, error=str(error))

    async def sign(self, tx: Transaction, order: Order) -> RolloutRow:
        """The signed directive, stored in the caller's transaction.

        It carries every setting that is in force or on its way for this edge besides the new ones:
        an edge that was off reads only the newest directive. A dry run carries its own alone, a
        rollback only what the factory has let pass before.
        """
        now, rehearsal = self._clock.now_ms(), order.kind == "dry_run"
        target = numbered(order.edge, order.kind)
        counter = await self._rollouts.next_counter(tx, order.site, target)
        earlier = [] if rehearsal else await self._rollouts.of_edge(tx, order.site, order.edge)
        back = order.plan if order.kind == "rollback" else None
        kept = in_force(earlier) if back is None else proven(earlier, back)
        settings = {**kept, **order.changes}
        brought = [alarm_setting(alarm, settings[alarm]) for alarm in sorted(settings)]
        directive = Directive(
            schema=schema_of(brought),
            id=uuid7(self._clock),
            site=order.site,
            edge=order.edge,
            counter=counter,
            kind=order.kind,
            parent=earlier[-1].directive if earlier else "",
            issued_at=now,
            expires_at=min(expiry(now), order.expires_at or expiry(now)),
            settings=brought,
            proposal=order.proposals[0] if len(order.proposals) == 1 else "",
            approved_by=order.actor,
            extra={"rollout": order.plan, "stage": order.stage, **(order.why or {})},
        )
        payload = canonical(directive)
        row = RolloutRow(
            directive=directive.id, plan=order.plan, stage=order.stage, kind=order.kind,
            proposals=order.proposals, site=order.site, edge=order.edge, counter=counter,
            status="signed", changes=order.changes, payload=payload,
            signature=self._sign(payload), expires_at=directive.expires_at, at=now,
        )  # fmt: skip
        await self._rollouts.save(tx, row)
        await self._record(tx, row, order.actor)
        return row

    async def run(self) -> None:
        """Put all newest directives once (the broker may have lost its disk), then keep sending."""
        put = False
        while True:
            try:
                if not put:
                    for site in await self._rollouts.sites():
                        await self._put(site)
                    put = True
                await self.send_unheard()
            except RetryableTransportError as error:
                log.warning("directive_not_sent", error=str(error))
            try:
                async with asyncio.timeout(RESEND_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                continue
            finally:
                self._wake.clear()

    async def send_unheard(self) -> None:
        """Send what no factory has answered yet; what has expired is given up."""
        now = self._clock.now_ms()
        sites: list[str] = []
        for row in await self._rollouts.unheard():
            if expired(row.expires_at, now):
                await self._change(row, "refuse", code="expired")
                continue
            if row.status == "waiting":
                continue  # it has come, a person there decides
            if row.site not in sites:
                sites.append(row.site)
            if row.status == "signed":
                # Marked first: an answer to what was never sent is no answer.
                await self._change(row, "send")
        for site in sites:
            await self._put(site)
            await self._bus.publish(Node(site, BRAIN).directive, b"")

    async def _put(self, site: str) -> None:
        """Write the newest directive of every edge of `site` into its brain's bucket."""
        node = Node(site, BRAIN)
        await self._bus.ensure_bucket(node.directive_bucket)
        for key in (SETTINGS, DRY_RUN):
            newest = await self._rollouts.newest_by_edge(site, dry_run=key == DRY_RUN)
            if not newest and key == DRY_RUN:
                continue
            value = {
                edge: encode(SignedDirective(payload=row.payload, release_signature=row.signature))
                for edge, row in newest.items()
            }
            await self._bus.bucket_put(node.directive_bucket, key, encode(value))

    async def _change(self, row: RolloutRow, trigger: str, code: str | None = None) -> None:
        async with self._stores.records.transaction() as tx:
            # Between reading and now the factory may have answered: look again, locked.
            held = await self._rollouts.get(tx, row.directive)
            status = advance(held.status, trigger) if held else None
            if held is None or status is None:
                return
            moved = replace(held, status=status, code=code, at=self._clock.now_ms())
            await self._rollouts.save(tx, moved)
            await self._record(tx, moved, "group")
        self.on_change()

    async def _record(self, tx: Transaction, row: RolloutRow, actor: str) -> None:
        data: dict[str, Any] = {
            "counter": row.counter, "site": row.site, "edge": row.edge, "kind": row.kind,
            "alarms": sorted(row.changes), "plan": row.plan, "stage": row.stage,
            "proposals": list(row.proposals), "code": row.code,
        }  # fmt: skip
        await self._stores.audit(tx, row.at, actor, f"directive_{row.status}", row.directive, data)


def in_force(rows: list[RolloutRow]) -> dict[str, Setting]:
    """What an edge runs or is to run by directives, of all it was ever sent in order."""
    found: dict[str, Setting] = {}
    for row in rows:
        if row.status not in ("refused", "rolled_back"):
            kept = row.changes.keys() - set(row.withdrawn)
            found |= {alarm: row.changes[alarm] for alarm in kept}
    return found


def proven(rows: list[RolloutRow], plan: str) -> dict[str, Setting]:
    """What a rollback of `plan` may carry besides its own: nothing that still wants a consent.

    Not this roll-out's own change, though the plant forbids its old setting by name; and of other
    roll-outs nothing under way, nor what that is to replace: the edge may run it already.
    """
    others = [row for row in rows if (row.plan, row.kind) != (plan, "settings")]
    open_ = [row for row in others if row.kind == "settings" and row.status in IN_FLIGHT]
    undecided = {alarm for row in open_ for alarm in row.changes}
    settled = in_force([row for row in others if row not in open_])
    return {alarm: each for alarm, each in settled.items() if alarm not in undecided}


def alarm_setting(alarm: str, setting: Setting) -> AlarmSetting:
    """One alarm's setting as a directive carries it."""
    return AlarmSetting(
        alarm=alarm,
        limit=setting.limit,
        deadband=setting.deadband,
        on_delay_s=setting.on_delay_ms / 1000,
        off_delay_s=setting.off_delay_ms / 1000,
        filter="" if setting.filter == "raw" else setting.filter,
    )
