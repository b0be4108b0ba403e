"""Moves roll-outs of playbooks on, signs pushes, gets them to the factories until they answer.

Its only state is the database: killed at any point it goes on where it was. What to do next is
decided in `domain/playbook_rollout.py`; who may begin, in the desk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from group_cloud.application.playbooks.ports import BookRows, Signed
from group_cloud.application.ports import Audit, Records, Sign, Transaction
from group_cloud.domain.playbook_rollout import (
    ENDED,
    REPORTED,
    Become,
    BookPlan,
    Hold,
    Part,
    Runs,
    Withdraw,
    advance,
    next_move,
    push_after,
)
from group_cloud.domain.playbook_rollout import Sign as SignMove
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import RetryableTransportError
from shared.ids import uuid7
from shared.messages.bodies import PlaybookPushReport
from shared.messages.codec import encode
from shared.messages.playbook_push import (
    KEY,
    MAX_BAG_BYTES,
    MOST,
    PlaybookPush,
    PushBag,
    SignedPush,
    canonical,
)
from shared.messages.subjects import BRAIN, Node
from shared.telemetry import logger

log = logger("playbook_rollouts")
LOOK_EVERY_S, SOONEST_S, AFTER_FAILURE_S = 15.0, 0.2, 10.0
MOST_MOVES = 2_000
"""Moves of one roll-out in one round; more is a fault in its rules, not work."""
GROUP = "group"


@dataclass(frozen=True, slots=True)
class Store:
    """The tables, and who writes beside them."""

    records: Records
    rows: BookRows
    audit: Audit


class BookDrive:
    """The loop of the playbooks' roll-outs."""

    def __init__(self, store: Store, bus: Bus, clock: Clock, sign: Sign) -> None:
        self._store, self._bus, self._clock, self._sign = store, bus, clock, sign
        self._wake = asyncio.Event()
        self._due: int | None = None
        self._heard: set[str] = set()
        self.on_change: Callable[[], None] = lambda: None
        self.at_commit: Callable[[str], None] = lambda point: None
        """Called before and after each commit; a test that raises here is a crash there."""

    def wake(self) -> None:
        """Something may have changed."""
        self._wake.set()

    def heard(self) -> None:
        """What a factory said was committed."""
        if self._heard:
            self.wake()

    async def run(self) -> None:
        """Drive for ever."""
        while True:
            self._wake.clear()
            wait = LOOK_EVERY_S
            try:
                await self.drive_all()
                await self.send()
            except RetryableTransportError as error:
                wait = AFTER_FAILURE_S
                log.warning("playbook_push_not_sent", error=str(error))
            if self._due is not None:
                wait = min(wait, max(SOONEST_S, (self._due - self._clock.now_ms()) / 1000))
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def drive_all(self) -> None:
        """Bring every roll-out as far as it goes now."""
        self._due = None
        for plan in await self._store.rows.going():
            moves = 0
            while await self._step(plan.id):
                moves += 1
                if moves >= MOST_MOVES:
                    log.error("playbook_rollout_runs_in_a_circle", plan=plan.id)
                    break

    async def _step(self, plan_id: str) -> bool:
        store = self._store
        async with store.records.transaction() as tx:
            plan = await store.rows.plan(tx, plan_id, free=True)
            moved = False
            if plan is not None and plan.state not in ENDED:
                moved = await self._move(tx, plan)
            self.at_commit("before")
        self.at_commit("after")
        if moved:
            self.on_change()
        return moved

    async def _move(self, tx: Transaction, plan: BookPlan) -> bool:
        now = self._clock.now_ms()
        parts = await self._store.rows.parts(tx, plan.id)
        move = next_move(plan, parts, await self._runs(tx, plan, parts), now)
        match move:
            case Hold():
                if move.until is not None and (self._due is None or move.until < self._due):
                    self._due = move.until
                if plan.hold != move.code:
                    await self._store.rows.save(tx, replace(plan, hold=move.code))
                    self.on_change()
                return False
            case SignMove():
                await self.sign(tx, plan, move.site, move.kind, move.restores)
            case Withdraw():
                part = next(each for each in parts if each.id == move.push)
                await self._push_becomes(tx, part, "withdraw", GROUP, plan.id)
            case Become():
                await self.become(tx, plan, move, GROUP)
        return True

    async def _runs(
        self, tx: Transaction, plan: BookPlan, parts: list[Part]
    ) -> dict[str, Runs]:  # fmt: skip
        if plan.state not in ("canary", "all", "paused"):
            return {}
        found = {}
        for part in parts:
            if part.kind != "rollback" and part.status == "applied":
                found[part.site] = await self._store.rows.runs(
                    tx, plan.playbook, part.site, part.at, plan.sites
                )
        return found

    async def become(self, tx: Transaction, plan: BookPlan, move: Become, actor: str) -> BookPlan:
        """Move the life cycle; raises ValueError where the machine does not allow it."""
        state, now = advance(plan.state, move.trigger), self._clock.now_ms()
        if state is None:
            raise ValueError(f"{move.trigger} has no meaning in {plan.state}")
        moved = replace(plan, state=state, at=now, stage_at=now, hold="")
        if move.trigger == "pause":
            moved = replace(moved, resumes=plan.state, stage_at=plan.stage_at)
        elif move.trigger.startswith("resume"):
            moved = replace(moved, stage_at=plan.stage_at)
        if move.code:
            moved = replace(moved, code=move.code, params=dict(move.params))
        await self._store.rows.save(tx, moved)
        data = {
            "before": {"state": plan.state}, "after": {"state": state}, "code": move.code,
            "params": dict(move.params), "playbook": plan.playbook, "version": plan.version,
        }  # fmt: skip
        await self._store.audit(tx, now, actor, f"playbook_rollout_{state}", plan.id, data)
        log.info("playbook_rollout_moved", plan=plan.id, state=state, code=move.code)
        return moved

    async def sign(
        self, tx: Transaction, plan: BookPlan, site: str, kind: str, restores: str
    ) -> None:
        """One push for one factory, under its next number."""
        rows, now = self._store.rows, self._clock.now_ms()
        text = ""
        if kind == "release":
            variant = await rows.variant(plan.playbook, plan.version)
            assert variant is not None, "a version that the group keeps is never taken away"
            text = variant.text
        push = PlaybookPush(
            id=uuid7(self._clock), site=site, counter=await rows.next_counter(tx, site),
            kind=kind,  # type: ignore[arg-type]
            playbook=plan.playbook, version=(plan.version or 0) if kind == "release" else 0,
            text=text, inputs=dict(plan.inputs) if kind == "inputs" else {}, restores=restores,
            issued_at=now, expires_at=plan.expires_at, rollout=plan.id,
            approved_by=plan.agreed_by, reason=plan.reason,
        )  # fmt: skip
        payload = canonical(push)
        part = Part(push.id, site, push.counter, kind, "signed", now, restores)
        await rows.add_push(tx, Signed(part, plan.id, payload, self._sign(payload)))
        await self._store.audit(
            tx, now, plan.agreed_by or GROUP, "playbook_push_signed", push.id,
            {"site": site, "counter": push.counter, "kind": kind, "playbook": plan.playbook,
             "version": plan.version, "rollout": plan.id},
        )  # fmt: skip

    async def _push_becomes(
        self, tx: Transaction, part: Part, trigger: str, actor: str, plan: str, **changes: Any
    ) -> bool:
        status = push_after(part.status, trigger)
        if status is None:
            return False
        moved = replace(part, status=status, at=self._clock.now_ms(), **changes)
        await self._store.rows.save_push(tx, moved)
        await self._store.audit(
            tx, moved.at, actor, f"playbook_push_{status}", part.id,
            {"site": part.site, "counter": part.counter, "kind": part.kind, "rollout": plan,
             "code": moved.code, "params": dict(moved.params), "version": moved.version},
        )  # fmt: skip
        return True

    # to and from the factories

    async def send(self) -> None:
        """Put what is unanswered into the factories' buckets; an answered bag is emptied."""
        store, sites = self._store, set(self._heard)
        for signed in await store.rows.unheard():
            sites.add(signed.part.site)
            if signed.part.status == "signed":
                # Marked first: an answer to what was never sent is no answer.
                async with store.records.transaction() as tx:
                    held = await store.rows.push(tx, signed.part.id)
                    if held is not None:
                        await self._push_becomes(tx, held[0], "send", GROUP, held[1])
        for site in sorted(sites):
            await self._put(site)
        self._heard -= sites

    async def _put(self, site: str) -> None:
        node, size, pushes = Node(site, BRAIN), 0, list[SignedPush]()
        for signed in await self._store.rows.unheard(site):
            if signed.part.status != "sent":
                # Signed meanwhile: marked first, in the next round. Nor may a later number pass it.
                break
            size += len(signed.payload)
            if pushes and (len(pushes) >= MOST or size > MAX_BAG_BYTES):
                break
            pushes.append(SignedPush(payload=signed.payload, signature=signed.signature))
        await self._bus.ensure_bucket(node.directive_bucket)
        await self._bus.bucket_put(node.directive_bucket, KEY, encode(PushBag(pushes=pushes)))
        if pushes:
            await self._bus.publish(node.directive, b"")

    async def take(self, tx: Transaction, site: str, told: PlaybookPushReport, at: int) -> None:
        """A factory says what it did with a push, in the ingest's transaction."""
        if told.site != site:
            log.error("foreign_record", source=site, claims=told.site)
            return
        if not told.push:
            await self._store.audit(
                tx, at, f"site:{site}", "playbook_push_not_genuine", site,
                {"code": told.code, "params": told.params},
            )  # fmt: skip
            return
        found = await self._store.rows.push(tx, told.push)
        if found is None or (found[0].site, found[0].counter) != (site, told.counter):
            log.warning("playbook_report_unmatched", site=site, push=told.push)
            return
        part, plan = found
        trigger = REPORTED.get(told.status, "")
        done = await self._push_becomes(
            tx, part, trigger, f"site:{site}", plan, code=told.code, params=told.params,
            version=told.version if told.status == "applied" else part.version,
        )  # fmt: skip
        if done:
            self._heard.add(site)
