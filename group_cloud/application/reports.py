"""Reports from below move directives: relayed, received, applied, refused, rolled back.

Called in the receiver's transaction, so that a report is taken exactly once and never half.
"""

from __future__ import annotations

from dataclasses import replace

from group_cloud.application.ports import Audit, RolloutRow, Rollouts, Transaction
from group_cloud.application.rollouts import alarm_setting
from group_cloud.domain.rollout import IN_FLIGHT, REPORTED, advance
from shared.clock import Clock
from shared.errors import ContractError
from shared.messages.bodies import DirectiveReport
from shared.messages.directives import read, superseded_alarms
from shared.telemetry import logger

log = logger("reports")


class Reports:
    """Applies directive reports to the directives."""

    def __init__(self, clock: Clock, rollouts: Rollouts, audit: Audit) -> None:
        self._clock, self._rollouts, self._audit = clock, rollouts, audit

    async def take(self, tx: Transaction, site: str, report: DirectiveReport) -> None:
        """Move the directive that `report` speaks of, if it is one of this site's."""
        row = await self._rollouts.get(tx, report.directive)
        if row is None or not _of(row, site, report):
            log.warning("report_unmatched", site=site, directive=report.directive)
            return
        if report.status == "superseded":
            for alarm in superseded_alarms(report.params):
                await self._withdraw(tx, row, alarm, report.status, row.counter)
            return
        trigger = REPORTED.get(report.status)
        if (report.status == "dry_run") != (row.kind == "dry_run") and trigger == "apply":
            trigger = None  # a rehearsal applies nothing, and settings are not rehearsed
        status = advance(row.status, trigger) if trigger else None
        if status is None:
            log.info(
                "report_ignored",
                directive=row.directive,
                status=row.status,
                reported=report.status,
            )
            return
        await self._move(tx, replace(row, status=status), report)
        if status == "applied" and row.kind != "dry_run":
            await self._settle_older(tx, row, report)
        culprit = report.params.get("alarm")
        if status == "refused" and isinstance(culprit, str) and culprit not in row.changes:
            await self._withdraw(tx, row, culprit, report.code)

    async def _move(self, tx: Transaction, row: RolloutRow, report: DirectiveReport) -> None:
        now = self._clock.now_ms()
        at = _when(row, report, now) if row.status == "applied" else now
        moved = replace(row, at=at, code=report.code or None, params=report.params)
        await self._rollouts.save(tx, moved)
        await self._audit(
            tx, now, f"site:{row.site}", f"directive_{row.status}", row.directive,
            {"counter": row.counter, "edge": row.edge, "kind": row.kind, "plan": row.plan,
             "code": report.code, "params": report.params},
        )  # fmt: skip

    async def _settle_older(
        self, tx: Transaction, row: RolloutRow, report: DirectiveReport
    ) -> None:
        """What was on its way before is in the newer directive, or never reaches the edge: a
        rollback carries nothing of others that is under way, and no older number is taken up."""
        for older in await self._rollouts.of_edge(tx, row.site, row.edge):
            if older.counter >= row.counter:
                continue
            taken_back = row.kind == "rollback" and older.plan == row.plan
            trigger = "roll_back" if older.status == "applied" else "supersede"
            if taken_back and older.kind == "settings":
                status, code = advance(older.status, trigger), "superseded"
            elif older.status in IN_FLIGHT and _carries(row, older):
                status, code = "applied", "included_in_newer"
            elif older.status in IN_FLIGHT:
                status, code = advance(older.status, "refuse"), "overtaken"
            else:
                continue
            if status is None:
                continue
            note = DirectiveReport(
                directive=older.directive, counter=older.counter, status=status, code=code,
                params={"directive": row.directive}, settings_version=report.settings_version,
                at=report.at,
            )  # fmt: skip
            await self._move(tx, replace(older, status=status), note)

    async def _withdraw(
        self, tx: Transaction, row: RolloutRow, alarm: str, code: str, until: int | None = None
    ) -> None:
        """The bundle failed on another alarm's earlier setting, or people there have written their
        own: leave that one out from now on."""
        for older in await self._rollouts.of_edge(tx, row.site, row.edge):
            if until is not None and older.counter > until:
                continue  # what was proposed since is another matter
            if alarm in older.changes and alarm not in older.withdrawn:
                left = replace(older, withdrawn=(*older.withdrawn, alarm))
                await self._rollouts.save(tx, left)
                await self._audit(
                    tx, self._clock.now_ms(), f"site:{row.site}", "setting_withdrawn",
                    older.directive, {"alarm": alarm, "code": code, "refused": row.directive},
                )  # fmt: skip


def _carries(newer: RolloutRow, older: RolloutRow) -> bool:
    """Whether all that is kept of an older directive really is in the newer one."""
    try:
        brought = {each.alarm: each for each in read(newer.payload).settings}
    except ContractError:
        return False
    kept = older.changes.keys() - set(older.withdrawn)
    return bool(kept) and all(
        brought.get(alarm) == alarm_setting(alarm, older.changes[alarm]) for alarm in kept
    )


def _when(row: RolloutRow, report: DirectiveReport, now: int) -> int:
    """Since when an edge has run it: a report may come late, and alarms count from the change on.

    The edge's clock is believed only between the signature and now.
    """
    try:
        signed = read(row.payload).issued_at
    except ContractError:
        signed = row.at
    return min(max(report.at, signed), now) if report.at else now


def _of(row: RolloutRow, site: str, report: DirectiveReport) -> bool:
    """Whether a report is about this directive and comes from whom it was for."""
    edge = report.edge or row.edge
    return (row.site, row.edge, row.counter) == (site, edge, report.counter)
