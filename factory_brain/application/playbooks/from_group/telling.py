"""Keeps what became of a push: its row, its audit entry and its report up, in one commit.

Called by the settling, the taking back and the desk; decides nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from factory_brain.application.playbooks.from_group.ports import (
    GROUP,
    Ground,
    PushStatus,
    Settled,
)
from factory_brain.application.ports import Transaction
from shared.errors import Rejected
from shared.messages.bodies import PlaybookPushReport


async def become(
    ground: Ground, tx: Transaction, was: Settled, status: PushStatus, *, by: str = GROUP,
    why: Rejected | None = None, reason: str = "", **changes: Any,
) -> Settled:  # fmt: skip
    """A push has another status from now on, which everybody is told."""
    code, params = (why.code, dict(why.params)) if why else ("", changes.pop("params", {}))
    now = replace(
        was, status=status, code=code, params=params, by=by, at=ground.clock.now_ms(), **changes
    )
    await ground.rows.save(tx, now)
    said = {
        "before": {"status": was.status}, "after": {"status": status, "version": now.version},
        "why": reason, "push": now.id, "counter": now.counter, "kind": now.kind,
        "code": code, "params": params, "draft": now.draft,
    }  # fmt: skip
    await ground.audit(tx, now.at, by, f"group_playbook_{status}", now.playbook, said)
    live = ground.shelf.releases.get(now.playbook)
    version = now.version if status == "applied" and now.version else None
    report = PlaybookPushReport(
        site=ground.site.info.site, push=now.id, counter=now.counter, playbook=now.playbook,
        status=status, code=code, params=params, actor=by, at=now.at,
        version=version or (live.playbook.version if live else None),
    )  # fmt: skip
    await ground.say(tx, "playbook_push_report", report)
    return now


async def refuse_unknown(
    ground: Ground, tx: Transaction, why: Rejected, claims: dict[str, Any]
) -> None:
    """Refuse what must take up no number: unsigned, misdirected, replayed."""
    now = ground.clock.now_ms()
    await ground.audit(
        tx, now, GROUP, "group_playbook_refused", str(claims.get("playbook") or "?"),
        {"code": why.code, "params": why.params, "claims": claims},
    )  # fmt: skip
    report = PlaybookPushReport(
        site=ground.site.info.site, push="", counter=0, playbook="", status="refused",
        code=why.code, params={**why.params, **claims}, at=now,
    )  # fmt: skip
    await ground.say(tx, "playbook_push_report", report)
