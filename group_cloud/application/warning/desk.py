"""Where people approve, reject and withdraw models of early warning, and see where they run.

Called by the web; a decision, what is signed for it and its audit entry are one transaction. A
factory that asks for two people gets a model by two people's word only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from group_cloud.application.ports import Audit, Records, Sign, Transaction
from group_cloud.application.warning.ports import Proposed, Pushed, WarningReads, WarningRows
from group_cloud.application.warning.trainer import Enough
from group_cloud.domain.scope import ALL, Scope
from group_cloud.domain.two_people import same_person
from shared.alarm.warning_checks import model_fault
from shared.clock import Clock
from shared.errors import Rejected
from shared.ids import uuid7
from shared.messages.warning import Kind, WarningPush, canonical
from shared.web import dto_warning as dto

LISTED = 100
HOLDS_MS = 90 * 86_400_000
"""A model that nobody renews ends by itself."""
Sites = Callable[[Scope], Awaitable[list[str] | None]]
FourEyes = Callable[[Transaction, set[str]], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class DeskGround:
    """What decisions stand on."""

    rows: WarningRows
    reads: WarningReads
    records: Records
    audit: Audit
    clock: Clock
    sign: Sign
    sites: Sites
    """The sites within a scope; None: all of them."""
    four_eyes: FourEyes
    """Which of some sites ask for two people."""


@dataclass(frozen=True, slots=True)
class By:
    """Who decides, and why."""

    actor: str
    reason: str


class WarningDesk:
    """The group's desk of early warning."""

    def __init__(self, ground: DeskGround, enough: Enough) -> None:
        self._ground, self._enough = ground, enough
        self.on_change: Callable[[], None] = lambda: None
        self.on_signed: Callable[[], None] = lambda: None

    async def listed(self, scope: Scope = ALL) -> dto.WarningLearning:
        """Learners and models within a scope."""
        reads = self._ground.reads
        rows = await reads.models(scope, LISTED)
        where: dict[str, list[dto.WarningWhere]] = {}
        for each in await reads.where(scope, [row["id"] for row in rows]):
            where.setdefault(each["model"], []).append(_where(each))
        wanted = {
            n: float(getattr(self._enough, n)) for n in ("windows", "normal", "faults", "auc")
        }
        return dto.WarningLearning(
            learners=[self._learner(row) for row in await reads.learners(scope)],
            models=[_model(row, where.get(row["id"], [])) for row in rows], wanted=wanted,
        )  # fmt: skip

    def _learner(self, row: Any) -> dto.WarningLearnerOut:
        figures = dict(row["figures"] or {})
        return dto.WarningLearnerOut(
            tenant=row["tenant"], plant=row["plant"], line=row["line"], tags=row["tags"],
            sites=row["sites"], windows=row["windows"], waiting=row["waiting"], figures=figures,
            lacks=self._enough.lacks(figures), at=row["at"],
        )  # fmt: skip

    async def decide(
        self, model: str, action: str, by: By, scope: Scope = ALL
    ) -> dto.WarningModelOut | Rejected:
        """Approve, reject or withdraw; the same person's same word again changes nothing."""
        if not by.reason.strip():
            return Rejected("reason_required")
        async with self._ground.records.transaction() as tx:
            found = await self._ground.rows.model(tx, model)
            sites = await self._family(found) if found is not None else []
            mine = await self._ground.sites(scope)
            if found is None or (mine is not None and not set(mine) & set(sites)):
                return Rejected("unknown_warning_model", {"model": model})
            if mine is not None and not set(sites) <= set(mine):
                return Rejected("other_tenant", {"model": model})
            match action:
                case "approve":
                    done = await self._approve(tx, found, sites, by)
                case "reject":
                    done = await self._reject(tx, found, by)
                case _:
                    done = await self._withdraw(tx, found, by)
            if isinstance(done, Rejected):
                return done
        self.on_signed()
        self.on_change()
        return await self._shown(model, scope)

    async def _shown(self, model: str, scope: Scope) -> dto.WarningModelOut | Rejected:
        listed = (await self.listed(scope)).models
        found = next((each for each in listed if each.id == model), None)
        return found or Rejected("unknown_warning_model", {"model": model})

    async def _family(self, found: Proposed) -> list[str]:
        for family in await self._ground.rows.families():
            if (family.tenant, family.plant) == (found.tenant, found.plant):
                return list(family.sites)
        return []

    async def _approve(
        self, tx: Transaction, found: Proposed, sites: list[str], by: By
    ) -> Proposed | Rejected:
        if found.status == "approved" and same_person(found.decided_by, by.actor):
            return found
        if found.status not in ("proposed", "first_approved"):
            return _decided(found)
        if why := model_fault(found.model, found.tags, found.plant):
            return Rejected("model_unfit", {"why": why})
        now = self._ground.clock.now_ms()
        wanting = await self._ground.four_eyes(tx, set(sites))
        if wanting and found.status == "proposed":
            first = replace(found, status="first_approved", first_by=by.actor, reason=by.reason)
            return await self._save(tx, first, by, now, {"two_people": wanting})
        if wanting and same_person(found.first_by, by.actor):
            return Rejected("own_approval", {"by": found.first_by})
        done = replace(
            found, status="approved", decided_by=by.actor, decided_at=now, reason=by.reason
        )
        before = await self._ground.rows.newest(tx, found.tenant, found.plant, ("approved",))
        saved = await self._save(tx, done, by, now, {"sites": sites, "first_by": found.first_by})
        if before is not None and before.id != done.id:
            # The new push takes its place at the factories: nothing more is sent of it.
            gone = replace(before, status="replaced", decided_at=now)
            await self._save(tx, gone, By(by.actor, f"replaced by {done.id}"), now, {})
        for site in sites:
            await self._push(tx, done, site, "model", by)
        return saved

    async def _reject(self, tx: Transaction, found: Proposed, by: By) -> Proposed | Rejected:
        if found.status not in ("proposed", "first_approved"):
            return _decided(found)
        now = self._ground.clock.now_ms()
        done = replace(
            found, status="rejected", decided_by=by.actor, decided_at=now, reason=by.reason
        )
        return await self._save(tx, done, by, now, {})

    async def _withdraw(self, tx: Transaction, found: Proposed, by: By) -> Proposed | Rejected:
        """One person suffices: less is said afterwards, and no limit alarm depends on it."""
        if found.status == "withdrawn":
            return found
        if found.status != "approved":
            return _decided(found)
        now = self._ground.clock.now_ms()
        done = replace(
            found, status="withdrawn", decided_by=by.actor, decided_at=now, reason=by.reason
        )
        saved = await self._save(tx, done, by, now, {})
        sent = await self._ground.rows.pushes_of(tx, [found.id])
        sites = sorted({each.site for each in sent if each.kind == "model"})
        newest = await self._ground.rows.newest_pushes(tx, found, sites)
        for site in sites:
            # Elsewhere another model has taken its place, of another owner perhaps: it stays.
            if newest.get(site) == found.id:
                await self._push(tx, done, site, "withdraw", by)
        return saved

    async def _save(
        self, tx: Transaction, model: Proposed, by: By, now: int, more: dict[str, Any]
    ) -> Proposed:
        await self._ground.audit(
            tx, now, by.actor, f"warning_model_{model.status}", model.id,
            {"plant": model.plant, "tenant": model.tenant, "reason": by.reason, **more},
        )  # fmt: skip
        await self._ground.rows.save_model(tx, model)
        return model

    async def _push(
        self, tx: Transaction, model: Proposed, site: str, kind: Kind, by: By
    ) -> None:  # fmt: skip
        """One factory's part, under its next number."""
        ground, now = self._ground, self._ground.clock.now_ms()
        push = WarningPush(
            id=uuid7(ground.clock), site=site, counter=await ground.rows.next_counter(tx, site),
            kind=kind, plant=model.plant, tags=list(model.tags),
            model=model.model if kind == "model" else {},
            figures=model.figures if kind == "model" else {}, issued_at=now,
            expires_at=now + HOLDS_MS, approved_by=by.actor, reason=by.reason[:500],
        )  # fmt: skip
        payload = canonical(push)
        await ground.rows.save_push(
            tx,
            Pushed(
                push.id, model.id, site, model.plant, push.counter, kind, "signed", payload,
                ground.sign(payload), push.expires_at, now,
            ),
        )  # fmt: skip
        await ground.audit(
            tx, now, by.actor, "warning_push_signed", push.id,
            {"site": site, "counter": push.counter, "kind": kind, "model": model.id},
        )  # fmt: skip


def _decided(found: Proposed) -> Rejected:
    return Rejected("already_decided", {"status": found.status, "by": found.decided_by})


def _where(row: Any) -> dto.WarningWhere:
    return dto.WarningWhere(**{name: row[name] for name in dto.WarningWhere.model_fields})


def _model(row: Any, where: list[dto.WarningWhere]) -> dto.WarningModelOut:
    names = dto.WarningModelOut.model_fields.keys() - {"where"}
    return dto.WarningModelOut(**{name: row[name] for name in names}, where=where)
