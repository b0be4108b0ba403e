"""Proposals to shelve a point for some hours, or to look at its settings: for people to decide.

Called by the rounds, which make them, and by the web. What is approved is a signed message to the
factory's desk, where a person acts or does not; nothing here shelves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from group_cloud.application.dispatching.mail import Mail
from group_cloud.application.nuisance.ports import PointRank, ShelvingRows, Spot
from group_cloud.application.ports import Audit, Records, Transaction
from group_cloud.domain.scope import Scope
from group_cloud.domain.shelving import kind_of, worth
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
        self, tx: Transaction, site: str, ranks: Sequence[PointRank], spots: Mapping[str, Spot]
    ) -> None:
        """Open what is new, bring up to date what is open, withdraw what no longer holds."""
        now = self._clock.now_ms()
        standing = await self._rows.open_of(tx, site)
        known = await self._rows.newest(tx, site)
        ranked = {rank.alarm: rank for rank in ranks if rank.raised}
        held = [a for a, spot in spots.items() if a in ranked and worth(spot, now)]
        for alarm in sorted(set(standing) - set(held)):
            await self._withdraw(tx, standing[alarm], now)
        room = MOST_OPEN - len(set(standing) & set(held))
        for alarm in sorted(held, key=lambda a: (-spots[a].newest_nuisance, a)):
            made = _made(spots[alarm], _evidence(spots[alarm], ranked[alarm]))
            if alarm in standing:
                await self._refresh(tx, standing[alarm], made, now)
            elif room > 0 and not _decided_lately(known.get(alarm), spots[alarm].labels, now):
                room -= 1
                await self._open(tx, site, made, now)

    async def _open(self, tx: Transaction, site: str, made: dict[str, Any], now: int) -> None:
        made = made | {"id": uuid7(self._clock), "created_at": now}
        await self._rows.add(tx, site, made)
        await self._audit(
            tx, now, GROUP, "shelving_proposed", made["id"],
            {"site": site, "alarm": made["alarm"], "kind": made["kind"], "labels": made["labels"],
             **made["evidence"]},
        )  # fmt: skip

    async def _refresh(self, tx: Transaction, row: Any, made: dict[str, Any], now: int) -> None:
        """The figures of an open one are those of today; that it asks something else is told."""
        if all(row[name] == made[name] for name in ("edge", "kind", "labels", "evidence")):
            return
        await self._rows.refresh(tx, row["id"], made)
        if row["kind"] != made["kind"]:
            await self._audit(
                tx, now, GROUP, "shelving_kind", row["id"],
                {"site": row["site"], "alarm": row["alarm"], "before": row["kind"],
                 "kind": made["kind"]},
            )  # fmt: skip

    async def _withdraw(self, tx: Transaction, row: Any, now: int) -> None:
        await self._rows.withdraw(tx, row["id"], now)
        await self._audit(
            tx, now, GROUP, "shelving_withdrawn", row["id"],
            {"site": row["site"], "alarm": row["alarm"]},
        )  # fmt: skip

    async def listed(self, scope: Scope, site: str | None = None) -> ShelvingList:
        """Open ones first."""
        rows = await self._rows.listed(scope, site, LISTED)
        more = rows[0]["of_all"] - len(rows) if rows else 0
        return ShelvingList(proposals=[_shown(row) for row in rows], more=more)

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
                made = await self._still(tx, row, now)
                if made is None:
                    self.on_change()
                    return Rejected("shelving_changed", {"alarm": row["alarm"]})
                asked = MessageRequest(
                    site=row["site"], text=_wording(row, made, reason), priority=MESSAGE_PRIORITY,
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

    async def _still(self, tx: Transaction, row: Any, now: int) -> dict[str, Any] | None:
        """What is asked, by what is known of the point now; None: it is no longer what was shown,
        and the proposal now says so."""
        spot = await self._rows.spot(tx, row["site"], row["alarm"])
        if spot is None or not worth(spot, now):
            await self._withdraw(tx, row, now)
            return None
        made = _made(spot, row["evidence"] | _said(spot))
        await self._refresh(tx, row, made, now)
        return made if made["kind"] == row["kind"] else None


def _made(spot: Spot, evidence: dict[str, Any]) -> dict[str, Any]:
    """What is asked about a point."""
    kind = kind_of(spot)
    return {
        "edge": spot.edge, "alarm": spot.alarm, "kind": kind,
        "hours": HOURS if kind == "shelve" else 0, "labels": spot.labels, "evidence": evidence,
    }  # fmt: skip


def _said(spot: Spot) -> dict[str, Any]:
    """What people said of a point lately."""
    return {
        "newest": spot.newest, "nuisance": spot.newest_nuisance,
        "last_true_at": spot.last_true_at,
    }  # fmt: skip


def _evidence(spot: Spot, rank: PointRank) -> dict[str, Any]:
    return _said(spot) | {"probability": rank.probability, "raised": rank.raised}


def _decided_lately(known: tuple[str, int, int] | None, labels: int, now: int) -> bool:
    if known is None or known[0] == "withdrawn":
        return False
    return now - known[2] < AGAIN_MS and labels < 2 * known[1]


def _wording(row: Any, made: dict[str, Any], reason: str) -> str:
    """What the factory's desk reads, in both languages."""
    names, evidence = row["names"] or {}, made["evidence"]
    nuisance, newest, true = evidence["nuisance"], evidence["newest"], evidence["last_true_at"]
    zh, en = names.get("zh") or row["alarm"], names.get("en") or row["alarm"]
    if made["kind"] == "shelve":
        first = f"建议将报警“{zh}”({row['alarm']})搁置 {made['hours']} 小时"
        second = f"Please consider shelving “{en}” ({row['alarm']}) for {made['hours']} h"
    else:
        first = f"请检查报警“{zh}”({row['alarm']})的设定"
        second = f"Please look at the settings of “{en}” ({row['alarm']})"
    day = _day(true) if true is not None else ""
    return (
        f"{first}:最近 {newest} 次判定中 {nuisance} 次为无效报警;"
        f"{f'最近一次真实报警:{day}' if day else '从未判定为真实报警'}。"
        f"理由:{reason[:500]}。由现场决定。\n"
        f"{second}: {nuisance} of {newest} verdicts, the newest, were nuisance; "
        f"{f'last true alarm: {day}' if day else 'never judged true'}. "
        f"Reason: {reason[:500]}. You decide."
    )


def _day(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _shown(row: Any) -> ShelvingOut:
    names, site_names, evidence = row["names"] or {}, row["site_names"] or {}, row["evidence"]
    return ShelvingOut(
        id=row["id"], site=row["site"],
        site_name=Text(zh=site_names.get("zh", ""), en=site_names.get("en", "")),
        alarm=row["alarm"], edge=row["edge"],
        name=Text(zh=names.get("zh", ""), en=names.get("en", "")), kind=row["kind"],
        hours=row["hours"], status=row["status"], labels=evidence.get("newest", row["labels"]),
        nuisance=evidence.get("nuisance", 0), probability=evidence.get("probability"),
        raised=evidence.get("raised", 0), last_true_at=evidence.get("last_true_at"),
        created_at=row["created_at"], decided_at=row["decided_at"],
        decided_by=row["decided_by"], reason=row["reason"], message=row["message"],
    )  # fmt: skip
