"""Wires identity and audit into the brain: accounts, sign-in, the chain's anchors, site changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.messages.bodies import AuditHead
from shared.postgres.accounts import PgAccounts
from shared.postgres.audit import audit_change
from shared.postgres.audit_verify import Report
from shared.postgres.identity import keep_anchors, open_accounts
from shared.security import load_private

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain

PLACE = "factory"


async def wire(brain: Brain) -> PgAccounts:
    """Accounts of this factory, and the task that signs the head of its audit chain."""
    settings, clock = brain.settings, brain.clock

    def within(asset: str, area: str) -> bool:
        return brain.site.assets.within(asset, area)

    accounts = await open_accounts(
        brain.pool, clock, settings, brain.service, site=settings.site, within=within
    )
    key = load_private(settings.approval_key_file)
    anchors = keep_anchors(brain.pool, clock, key, brain.service, tier=PLACE, site=settings.site)

    def head() -> AuditHead | None:
        newest = anchors.newest
        if newest is None:
            return None
        return AuditHead(newest.id, newest.hash, newest.at, newest.signature)

    async def on_report(report: Report) -> None:
        await _say_broken(brain, report)

    brain.uplink.audit_head = head
    anchors.on_report.append(on_report)
    return accounts


async def _say_broken(brain: Brain, report: Report) -> None:
    """A chain that is not as it was written stands in the list of the system's conditions."""
    source = f"{brain.settings.site}.brain"
    stands = any(
        row["source"] == source and row["code"] == "audit_broken"
        for row in await brain.alarms.system()
    )
    if stands == (not report.holds):
        return
    first = report.faults[0] if report.faults else None
    params = {"subject": f"{first.kind} {first.first}-{first.last}"} if first else {}
    async with brain.alarms.transaction() as tx:
        await brain.alarms.set_system(
            tx, source, "audit_broken", not report.holds, params, brain.clock.now_ms()
        )
    await brain._refresh_system()


async def site_taken(brain: Brain, version: str, changes: dict[str, Any]) -> None:
    """Write a new version of the site's files into the audit log, once."""
    async with brain.alarms.transaction() as tx:
        before = await tx.fetchval(
            "SELECT after ->> 'version' FROM audit WHERE action = 'site_changed' AND target = $1 "
            "ORDER BY id DESC LIMIT 1", brain.settings.site,
        )  # fmt: skip
        if before == version:
            return
        await audit_change(
            tx, brain.clock.now_ms(), "system", "site_changed", brain.settings.site,
            before={"version": before}, after={"version": version}, changes=changes,
        )  # fmt: skip
