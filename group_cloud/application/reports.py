"""Reports from below move rollouts: relayed, received, applied, refused, rolled back.

Called in the receiver's transaction, so that a report is taken exactly once and never half.
"""

from __future__ import annotations

from dataclasses import replace

from group_cloud.application.ports import Audit, RolloutRow, Rollouts, Transaction
from group_cloud.domain.rollout import IN_FLIGHT, REPORTED, advance
from shared.clock import Clock
from shared.messages.bodies import DirectiveReport
from shared.telemetry import logger

log = logger("reports")


class Reports:
    """Applies directive reports to the rollouts."""

    def __init__(self, clock: Clock, rollouts: Rollouts, audit: Audit) -> None:
        self._clock, self._rollouts, self._audit = clock, rollouts, audit

    async def take(self, tx: Transaction, site: str, report: DirectiveReport) -> None:
        """Move the rollout that `report` speaks of, if it is one of this site's."""
        row = await self._rollouts.get(tx, report.directive)
        if row is None or row.point.site != site or row.counter != report.counter:
            log.warning("report_unmatched", site=site, directive=report.directive)
            return
        trigger = REPORTED.get(report.status)
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
        if status == "applied":
            await self._settle_older(tx, row, report)
        culprit = report.params.get("alarm")
        if status == "refused" and culprit and culprit != row.point.alarm:
            await self._withdraw(tx, row, str(culprit), report.code)

    async def _move(self, tx: Transaction, row: RolloutRow, report: DirectiveReport) -> None:
        now = self._clock.now_ms()
        moved = replace(row, at=now, code=report.code or None, params=report.params)
        await self._rollouts.save(tx, moved)
        await self._audit(
            tx, now, f"site:{row.point.site}", f"rollout_{row.status}", row.directive,
            {"counter": row.counter, "edge": row.point.edge, "code": report.code,
             "params": report.params},
        )  # fmt: skip

    async def _settle_older(
        self, tx: Transaction, row: RolloutRow, report: DirectiveReport
    ) -> None:
        """A directive carries all settings of its edge: what was on its way before is in it."""
        for older in await self._rollouts.of_edge(tx, row.point.site, row.point.edge):
            if older.counter < row.counter and older.status in IN_FLIGHT:
                note = DirectiveReport(
                    directive=older.directive,
                    counter=older.counter,
                    status="applied",
                    code="included_in_newer",
                    params={"directive": row.directive},
                    settings_version=report.settings_version,
                )
                await self._move(tx, replace(older, status="applied"), note)

    async def _withdraw(self, tx: Transaction, row: RolloutRow, alarm: str, code: str) -> None:
        """The bundle failed on another alarm's earlier setting: leave that one out from now on."""
        for older in await self._rollouts.of_edge(tx, row.point.site, row.point.edge):
            if older.point.alarm == alarm and not older.withdrawn:
                await self._rollouts.save(tx, replace(older, withdrawn=True))
                await self._audit(
                    tx, self._clock.now_ms(), f"site:{row.point.site}", "setting_withdrawn",
                    older.directive, {"alarm": alarm, "code": code, "refused": row.directive},
                )  # fmt: skip
