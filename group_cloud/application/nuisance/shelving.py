"""Proposals to shelve a point for some hours, or to look at its settings: for people to decide.

Called by the rounds, which make them, and by the web. What is approved is a signed message to the
factory's desk, where a person acts or does not; nothing here shelves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from group_cloud.application.dispatching.mail import Mail
from group_cloud.application.nuisance.ports import PointRank, ShelvingRows, Spot
from group_cloud.application.ports import Audit, Records, Transaction
from group_cloud.domain.scope import Scope
from shared.clock import Clock
from shared.errors import Rejected
from shared.ids import uuid7
from shared.web.dto_base import Text
from shared.web.dto_dispatch import MessageRequest
from shared.web.dto_notices import ShelvingList, ShelvingOut

DAY_MS = 86_400_000
HOURS = 8
AGAIN_MS = 30 * DAY_MS
"""What a person has decided is not asked again so soon, unless twice as many have judged it."""
MOST_OPEN = 50
"""Proposals of one factory that may wait for people."""
LISTED = 300
MAY_SHELVE = 3
"""Priorities from this on; what is more urgent, or may not be tuned, is only to be looked at."""
MESSAGE_PRIORITY, MESSAGE_S = 4, 3 * 86_400
GROUP = "group"


class ShelvingDesk:
    """Where shelving is proposed and decided on."""

    def __init__(
        self, rows: ShelvingRows, records: Records, audit: Audit, mail: Mail, clock: Clock
    ) -> None:
        self._rows, self._records, self._audit = rows, records, audit
        self._mail, self._clock = mail, clock
        self.on_change: Callable[[], None] = lambda: None

    async def propose(
        self, tx: Transaction, site: str, alarms: Sequence[str], ranks: Sequence[PointRank],
        spots: Mapping[str, Spot],
    ) -> None:  # fmt: skip
        """Open what is new, withdraw what no longer holds."""
        now = self._clock.now_ms()
        standing = await self._rows.open_of(tx, site)
        known = await self._rows.newest(tx, site)
        for alarm in sorted(set(standing) - set(alarms)):
            await self._rows.withdraw(tx, standing[alarm], now)
            await self._audit(
                tx, now, GROUP, "shelving_withdrawn", standing[alarm],
                {"site": site, "alarm": alarm},
            )  # fmt: skip
        room = MOST_OPEN - len(set(standing) & set(alarms))
        ranked = {rank.alarm: rank for rank in ranks}
        for alarm in alarms:
            spot, rank = spots.get(alarm), ranked.get(alarm)
            if room <= 0 or alarm in standing or spot is None or rank is None:
                continue
            if rank.raised and not _decided_lately(known.get(alarm), rank.labels, now):
                room -= 1
                await self._open(tx, site, spot, rank, now)

    async def _open(
        self, tx: Transaction, site: str, spot: Spot, rank: PointRank, now: int
    ) -> None:
        kind = "shelve" if spot.tunable and spot.priority >= MAY_SHELVE else "review"
        evidence = {
            "nuisance": rank.nuisance, "probability": rank.probability, "raised": rank.raised,
            "last_true_at": rank.last_true_at,
        }  # fmt: skip
        made = {
            "id": uuid7(self._clock), "edge": spot.edge, "alarm": spot.alarm, "kind": kind,
            "hours": HOURS if kind == "shelve" else 0, "labels": rank.labels,
            "evidence": evidence, "created_at": now,
        }  # fmt: skip
        await self._rows.add(tx, site, made)
        await self._audit(
            tx, now, GROUP, "shelving_proposed", made["id"],
            {"site": site, "alarm": spot.alarm, "kind": kind, "labels": rank.labels, **evidence},
        )  # fmt: skip

    async def listed(self, scope: Scope, site: str | None = None) -> ShelvingList:
        """Open ones first."""
        rows = await self._rows.listed(scope, site, LISTED)
        return ShelvingList(proposals=[_shown(row) for row in rows])

    async def decide(
        self, proposal: str, decision: Literal["approve", "reject"], reason: str, actor: str,
        scope: Scope,
    ) -> Rejected | None:  # fmt: skip
        """A person decides; approved, it becomes a message to the factory's desk."""
        now = self._clock.now_ms()
        async with self._records.transaction() as tx:
            row = await self._rows.get(tx, scope, proposal)
            if row is None:
                return Rejected("unknown_shelving", {"proposal": proposal})
            if row["status"] != "open":
                return Rejected("shelving_decided", {"status": row["status"]})
            message = ""
            if decision == "approve":
                asked = MessageRequest(
                    site=row["site"], text=_wording(row, reason), priority=MESSAGE_PRIORITY,
                    expires_s=MESSAGE_S,
                )  # fmt: skip
                sent = await self._mail.post(tx, asked, actor)
                if isinstance(sent, Rejected):
                    return sent
                message = sent.id
            status = "approved" if decision == "approve" else "rejected"
            await self._rows.decide(tx, proposal, status, actor, reason, message, now)
            await self._audit(
                tx, now, actor, f"shelving_{status}", proposal,
                {"site": row["site"], "alarm": row["alarm"], "reason": reason, "message": message},
            )  # fmt: skip
        self._mail.posted()
        self.on_change()
        return None


def _decided_lately(known: tuple[str, int, int] | None, labels: int, now: int) -> bool:
    if known is None or known[0] == "withdrawn":
        return False
    return now - known[2] < AGAIN_MS and labels < 2 * known[1]


def _wording(row: Any, reason: str) -> str:
    """What the factory's desk reads, in both languages."""
    names, nuisance, labels = row["names"] or {}, row["evidence"].get("nuisance", 0), row["labels"]
    zh, en = names.get("zh") or row["alarm"], names.get("en") or row["alarm"]
    if row["kind"] == "shelve":
        first = f"建议将报警“{zh}”({row['alarm']})搁置 {row['hours']} 小时"
        second = f"Please consider shelving “{en}” ({row['alarm']}) for {row['hours']} h"
    else:
        first = f"请检查报警“{zh}”({row['alarm']})的设定"
        second = f"Please look at the settings of “{en}” ({row['alarm']})"
    return (
        f"{first}:{labels} 次判定中 {nuisance} 次为无效报警。理由:{reason[:500]}。由现场决定。\n"
        f"{second}: {nuisance} of {labels} verdicts were nuisance. Reason: {reason[:500]}. "
        "You decide."
    )


def _shown(row: Any) -> ShelvingOut:
    names, site_names, evidence = row["names"] or {}, row["site_names"] or {}, row["evidence"]
    return ShelvingOut(
        id=row["id"], site=row["site"],
        site_name=Text(zh=site_names.get("zh", ""), en=site_names.get("en", "")),
        alarm=row["alarm"], edge=row["edge"],
        name=Text(zh=names.get("zh", ""), en=names.get("en", "")), kind=row["kind"],
        hours=row["hours"], status=row["status"], labels=row["labels"],
        nuisance=evidence.get("nuisance", 0), probability=evidence.get("probability"),
        raised=evidence.get("raised", 0), last_true_at=evidence.get("last_true_at"),
        created_at=row["created_at"], decided_at=row["decided_at"],
        decided_by=row["decided_by"], reason=row["reason"], message=row["message"],
    )  # fmt: skip
