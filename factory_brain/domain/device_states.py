"""What a linked device shows now, made from the standing alarms that concern it. Pure.

The whole of it is the device's retained state: who was away needs nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

COLOURS = {1: "red", 2: "amber", 3: "yellow", 4: "blue"}
LINES = 5
"""Alarms that a small screen lists."""
Rows = list[dict[str, Any]]


def device_state(kind: str, alarms: Rows) -> dict[str, Any]:
    """What a device of this kind shows for these alarms, the worst first."""
    rows = sorted((a for a in alarms if _seen(a)), key=_rank)
    return {"alarms": len(rows), "unacked": _unacked(rows)} | _KINDS[kind](rows)


def _seen(alarm: dict[str, Any]) -> bool:
    """Hidden ones are shown nowhere."""
    hidden = ("shelved", "suppressed", "out_of_service", "disabled", "normal")
    return alarm["state"] not in hidden


def _rank(alarm: dict[str, Any]) -> tuple[bool, int, str]:
    return alarm["acked"], alarm["priority"], alarm["id"]


def _unacked(rows: Rows) -> int:
    return sum(not row["acked"] for row in rows)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "alarm": row["id"], "occurrence": row["occurrence"], "version": row["version"],
        "priority": row["priority"],
        "asset": row["asset"], "state": row["state"],
        "text": {"zh": row["text_zh"], "en": row["text_en"]},
    }  # fmt: skip


def _beacon(rows: Rows) -> dict[str, Any]:
    """The worst priority's colour: flashing while somebody must still acknowledge."""
    if not rows:
        return {"colour": "green", "pattern": "steady"}
    waiting = [row for row in rows if not row["acked"]]
    worst = min(row["priority"] for row in waiting or rows)
    pattern = ("fast" if worst == 1 else "slow") if waiting else "steady"
    return {"colour": COLOURS.get(worst, "blue"), "pattern": pattern}


def _wearable(rows: Rows) -> dict[str, Any]:
    lines = [_line(row) for row in rows[:LINES]]
    return {"lines": lines, "vibrate": any(not r["acked"] and r["priority"] == 1 for r in rows)}


def _robot(rows: Rows) -> dict[str, Any]:
    """Assets that it must stay away from; orders themselves are notices."""
    danger = sorted({row["asset"] for row in rows if row["active"] and row["priority"] == 1})
    return {"mode": "hold" if danger else "free", "avoid": danger}


def _ar(rows: Rows) -> dict[str, Any]:
    """Labels at the assets, the worst alarm of each."""
    at: dict[str, dict[str, Any]] = {}
    for row in rows:
        at.setdefault(row["asset"], _line(row) | {"colour": COLOURS.get(row["priority"], "blue")})
    return {"overlays": [{"at": asset, **line} for asset, line in list(at.items())[:20]]}


_KINDS: dict[str, Callable[[Rows], dict[str, Any]]] = {
    "beacon": _beacon, "wearable": _wearable, "robot": _robot, "ar-terminal": _ar,
    "generic": lambda rows: {"lines": [_line(row) for row in rows[:LINES]]},
}  # fmt: skip
