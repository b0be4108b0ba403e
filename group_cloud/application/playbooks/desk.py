"""Where people keep versions of playbooks at the group, begin their roll-outs and steer them.

Called by the web; what people decide and its audit entry are one transaction. Two people begin a
roll-out that somebody asks for; what the ranking proposes needs one. It never switches by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from group_cloud.application.playbooks.drive import GROUP, BookDrive, Store
from group_cloud.application.playbooks.ports import Variant
from group_cloud.application.ports import Sign, Transaction
from group_cloud.domain.playbook_rollout import Become, BookPlan, Part
from group_cloud.domain.scope import ALL, Scope
from group_cloud.domain.two_people import same_person
from shared.clock import Clock
from shared.errors import ConfigError, Rejected
from shared.ids import uuid7
from shared.playbook.lint import lint
from shared.playbook.loader import Loaded, PlaybookFaults, load_text
from shared.playbook.signing import statement, text_digest
from shared.playbook.tuning import outside
from shared.web import dto_group_playbooks as dto

LISTED = 100
MOST_FINDINGS = 50
Sites = Callable[[Scope], Awaitable[list[str] | None]]
"""The sites within a scope; None: all of them."""


class BookDesk:
    """The group's desk of playbooks."""

    def __init__(
        self, store: Store, drive: BookDrive, clock: Clock, sign: Sign, signed_by: str, sites: Sites
    ) -> None:
        self._store, self._drive, self._clock, self._sites = store, drive, clock, sites
        self._sign, self._signed_by = sign, signed_by
        self.on_change: Callable[[], None] = lambda: None

    # versions

    async def add_variant(
        self, asked: dto.VariantIn, actor: str, scope: Scope = ALL
    ) -> dto.VariantOut | Rejected:
        """Keep a version, signed, with what the linter says of it; never changed again.

        Every tenant reads the versions and may roll them out: the group itself alone adds one.
        """
        if scope.tenants is not None:
            return Rejected("not_allowed", {"action": "decide_proposal"})
        text = asked.text.replace("\r\n", "\n")
        read = await asyncio.to_thread(_read, text)
        if isinstance(read, Rejected):
            return read
        loaded, findings, errors = read
        book, now = loaded.playbook, self._clock.now_ms()
        made = Variant(
            book.playbook, book.version, text, text_digest(text),
            self._sign(statement(GROUP, book.playbook, book.version, text)), self._signed_by,
            errors, findings, asked.note, actor, now,
        )  # fmt: skip
        async with self._store.records.transaction() as tx:
            if not await self._store.rows.add_variant(tx, made):
                known = {"playbook": book.playbook, "version": book.version}
                return Rejected("variant_exists", known)
            await self._store.audit(
                tx, now, actor, "playbook_variant_added", book.playbook,
                {"version": book.version, "sha256": made.sha256, "errors": errors,
                 "why": asked.note},
            )  # fmt: skip
        return await asyncio.to_thread(_variant, made)

    async def variants(self) -> dto.VariantList:
        """All versions that the group keeps."""
        kept = await self._store.rows.variants()
        shown = await asyncio.to_thread(lambda: [_variant(each) for each in kept])
        return dto.VariantList(variants=shown)

    # roll-outs

    async def begin(
        self, asked: dto.PlaybookRolloutIn, actor: str, scope: Scope,
        evidence: Mapping[str, Any] | None = None,
    ) -> dto.PlaybookRolloutOut | Rejected:  # fmt: skip
        """Propose a roll-out; it begins when somebody else approves."""
        sites = tuple(dict.fromkeys(asked.sites))
        if why := await self._unfit(asked, sites, scope):
            return why
        now = self._clock.now_ms()
        plan = BookPlan(
            id=uuid7(self._clock), state="proposed", playbook=asked.playbook,
            version=asked.version, inputs=asked.inputs, sites=sites, created_at=now,
            created_by=actor, reason=asked.reason,
            expires_at=now + round(asked.expires_s * 1000), dwell_ms=round(asked.dwell_s * 1000),
            min_runs=asked.min_runs, stage_at=now, evidence=dict(evidence or {}), at=now,
        )  # fmt: skip
        async with self._store.records.transaction() as tx:
            await self._store.rows.lock(tx, f"playbook/{asked.playbook}")
            for other in await self._store.rows.going():
                if other.playbook == asked.playbook:
                    return Rejected("playbook_in_rollout", {"playbook": asked.playbook})
            await self._store.rows.insert(tx, plan)
            await self._store.audit(
                tx, now, actor, "playbook_rollout_proposed", plan.id,
                {"playbook": plan.playbook, "version": plan.version, "inputs": dict(plan.inputs),
                 "sites": list(sites), "why": asked.reason},
            )  # fmt: skip
        self._changed()
        return _out(plan, [])

    async def _unfit(
        self, asked: dto.PlaybookRolloutIn, sites: Sequence[str], scope: Scope
    ) -> Rejected | None:
        own = await self._sites(scope)
        if beyond := sorted(set(sites) - set(own)) if own is not None else []:
            return Rejected("other_tenant", {"sites": ", ".join(beyond)})
        if strange := sorted(set(sites) - set(await self._store.rows.sites())):
            return Rejected("unknown_site", {"site": strange[0]})
        if (asked.version is None) == (not asked.inputs):
            return Rejected("version_or_inputs")
        found = await self._store.rows.variant(asked.playbook, asked.version)
        if found is None:
            said = {"playbook": asked.playbook, "version": asked.version or ""}
            return Rejected("unknown_variant", said)
        if found.errors:
            return Rejected("playbook_has_errors", {"errors": found.errors})
        if asked.inputs:
            read = await asyncio.to_thread(_read, found.text)
            return read if isinstance(read, Rejected) else outside(read[0].playbook, asked.inputs)
        return None

    async def act(
        self, plan_id: str, asked: dto.PlaybookRolloutAct, actor: str, scope: Scope
    ) -> dto.PlaybookRolloutOut | Rejected:
        """Approve, refuse, pause, resume or roll back."""
        own = await self._sites(scope)
        async with self._store.records.transaction() as tx:
            plan = await self._store.rows.plan(tx, plan_id)
            if plan is None or not _within(plan, own):
                return Rejected("unknown_rollout", {"rollout": plan_id})
            if own is not None and (beyond := sorted(set(plan.sites) - set(own))):
                # How many, not which: their names are the other tenants'.
                return Rejected("other_tenant", {"sites": len(beyond)})
            moved = await self._act(tx, plan, asked, actor)
            if isinstance(moved, Rejected):
                return moved
            answer = _out(moved, await self._store.rows.parts(tx, plan_id))
        self._changed()
        return answer

    async def _act(
        self, tx: Transaction, plan: BookPlan, asked: dto.PlaybookRolloutAct, actor: str
    ) -> BookPlan | Rejected:
        if asked.action == "approve":
            if same_person(actor, plan.created_by):
                return Rejected("own_playbook_rollout", {"actor": actor})
            if self._clock.now_ms() >= plan.expires_at:
                return Rejected("expired", {"expires_at": plan.expires_at})
            plan = replace(plan, agreed_by=actor)
        trigger = {"roll_back": "fail", "resume": f"resume_{plan.resumes}"}.get(
            asked.action, asked.action
        )
        if asked.action == "refuse" and plan.state != "proposed":
            trigger = "fail"  # something may have been sent
        code = {"refuse": "refused_by_person", "roll_back": "taken_back_by_person"}.get(
            asked.action, ""
        )
        why = {"by": actor, "reason": asked.reason}
        try:
            moved = await self._drive.become(tx, plan, Become(trigger, code, why), actor)
        except ValueError:
            return Rejected("rollout_state", {"state": plan.state, "action": asked.action})
        await self._store.audit(
            tx, moved.at, actor, f"playbook_rollout_{asked.action}", plan.id, {"why": asked.reason}
        )
        return moved

    async def listed(self, scope: Scope) -> dto.PlaybookRolloutList:
        """Newest first, as far as they concern who asks."""
        own = await self._sites(scope)
        found = await self._store.rows.listed(LISTED)
        return dto.PlaybookRolloutList(
            rollouts=[_out(_seen(plan, own), _mine(parts, own)) for plan, parts in found
                      if _within(plan, own)]
        )  # fmt: skip

    def _changed(self) -> None:
        self._drive.wake()
        self.on_change()


def _read(text: str) -> tuple[Loaded, list[str], int] | Rejected:
    """A text as a playbook, what the linter says of it without any plant, how many errors."""
    try:
        loaded = load_text(text, "playbook.yaml")
    except PlaybookFaults as error:
        return Rejected("playbook_has_errors", {"errors": len(error.faults)})
    except ConfigError:
        return Rejected("playbook_has_errors", {"errors": 1})
    found = lint(loaded)
    errors = sum(each.severity == "error" for each in found)
    return loaded, [f"{each.code} {each.where}" for each in found[:MOST_FINDINGS]], errors


def _within(plan: BookPlan, own: list[str] | None) -> bool:
    return own is None or bool(set(plan.sites) & set(own))


def _seen(plan: BookPlan, own: list[str] | None) -> BookPlan:
    """Without the factories of others."""
    return plan if own is None else replace(
        plan, sites=tuple(site for site in plan.sites if site in own), params={}, evidence={}
    )  # fmt: skip


def _mine(parts: list[Part], own: list[str] | None) -> list[Part]:
    return [part for part in parts if own is None or part.site in own]


def _variant(made: Variant) -> dto.VariantOut:
    names = dto.VariantOut.model_fields.keys() - {"inputs"}
    return dto.VariantOut(
        **{name: getattr(made, name) for name in names}, inputs=_tunable(made.text)
    )


@lru_cache(maxsize=512)
def _tunable(text: str) -> list[dto.TunableInput]:
    """What of a text the group may move; a kept text never changes."""
    try:
        book = load_text(text, "playbook.yaml").playbook
    except ConfigError:
        return []
    return [
        dto.TunableInput(
            name=name, type=spec.type, unit=spec.unit, default=spec.default,
            least=spec.tunable.min, most=spec.tunable.max,
        )
        for name, spec in book.inputs.items() if spec.tunable is not None
    ]  # fmt: skip


def _out(plan: BookPlan, parts: Sequence[Part]) -> dto.PlaybookRolloutOut:
    names = dto.PlaybookRolloutOut.model_fields.keys() - {"pushes", "sites", "dwell_s"}
    shown = dto.PlaybookPushOut.model_fields
    return dto.PlaybookRolloutOut(
        **{name: getattr(plan, name) for name in names}, sites=list(plan.sites),
        dwell_s=plan.dwell_ms / 1000,
        pushes=[dto.PlaybookPushOut(**{name: getattr(p, name) for name in shown}) for p in parts],
    )  # fmt: skip
