"""What a run does that finds nobody could run it while it was due: go on, ask first, or give up.

Called by the engine when it takes a run up, and by rehearsals. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.playbook.journal import RESUME, SETTLED, Record
from shared.playbook.model import Playbook


def resume_ask(
    book: Playbook, control: Mapping[str, Any], journal: Mapping[str, Record]
) -> Mapping[str, Any] | None:
    """The outage that a person is to be asked about: {n, since, ms}; None if there is none.

    The first one that is not answered; else the newest, whose answer goes on to count.
    """
    asked = [one for one in control.get("outages", ()) if _asks(book, one)]
    for one in asked:
        record = journal.get(f"{RESUME}/{one['n']}")
        if record is None or record.phase not in (*SETTLED, "failed"):
            return one
    return asked[-1] if asked else None


def _asks(book: Playbook, outage: Mapping[str, Any]) -> bool:
    return outage["ms"] >= book.stale_after or book.on_restart == "ask"


def abandoned(book: Playbook, control: Mapping[str, Any]) -> bool:
    """Whether the run is to be given up."""
    begun = [one for one in control.get("outages", ()) if not one.get("stale")]
    return book.on_restart == "abandon" and bool(begun)
