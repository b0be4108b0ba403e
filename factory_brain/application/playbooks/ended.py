"""How a run's end is told: what ran, for what, with what, how long, and whether it did its work.

Called by the engine; pure but for the time it is given. What travels is bounded: figures and short
words, no document and no journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from factory_brain.application.playbooks.ports import RunRecord
from shared.messages.bodies import PlaybookOutcome

MOST, LONGEST = 40, 100
_OF_ALARM = ("id", "asset", "tag", "tag_class", "side", "priority", "value", "limit", "unit")


def outcome_of(
    run: RunRecord, status: str, metrics: Mapping[str, Any], now: int
) -> PlaybookOutcome:
    """A run's end, for the group and for whoever else counts runs."""
    elapsed = (now - run.started_at) / 1000
    return PlaybookOutcome(
        run=run.id,
        playbook=run.playbook,
        version=run.version,
        alarm=run.alarm or "",
        occurrence=run.occurrence or "",
        status=status,
        success=status == "success",
        metrics={"elapsed_s": elapsed, **metrics},
        release=run.digest,
        variant=_short(run.context.get("variant") or ""),
        context=told_context(run.context),
        started_at=run.started_at,
        ended_at=now,
        duration_s=elapsed,
        drill=bool(run.context.get("drill", False)),
    )


def told_context(context: Mapping[str, Any]) -> dict[str, Any]:
    """What a run was started for and with, as plain figures and short words."""
    alarm = context.get("alarm")
    found = {
        f"alarm.{name}": alarm[name] for name in _OF_ALARM
        if isinstance(alarm, Mapping) and name in alarm
    }  # fmt: skip
    for name in ("trigger", "gathered", "stale_ms", "time_scale"):
        if name in context:
            found[name] = context[name]
    inputs = context.get("inputs")
    for name, value in sorted(inputs.items()) if isinstance(inputs, Mapping) else ():
        found[f"input.{name}"] = value
    plain = {name[:LONGEST]: _short(value) for name, value in found.items() if _is_plain(value)}
    return dict(list(plain.items())[:MOST])


def _is_plain(value: Any) -> bool:
    if isinstance(value, int):  # of any length: as a float it might be none at all
        return abs(value) < 10**18
    return isinstance(value, str) or (isinstance(value, float) and abs(value) < 1e18)


def _short(value: Any) -> Any:
    return value[:LONGEST] if isinstance(value, str) else value
