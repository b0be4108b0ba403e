"""Playbooks in the words of others: a CACAO document becomes a draft's text, a release a document.

Called by the routes; the mapping itself is `shared/playbook/cacao`. Nothing is kept here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from shared.errors import ConfigError, Rejected
from shared.playbook.cacao.export import to_cacao
from shared.playbook.cacao.reading import drafted
from shared.playbook.faults import PlaybookFaults, documented
from shared.playbook.loader import Loaded
from shared.site.yaml_file import MAX_BYTES

MOST_FAULTS = 50
"""Faults that are told at once."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a foreign document became: a text to go on writing."""

    playbook: str
    text: str


async def from_document(text: str, name: str) -> Taken | Rejected:
    """A CACAO document as a draft's text, or why not: each fault with its place and mend."""
    return await asyncio.to_thread(_from_document, text, name)


def _from_document(text: str, name: str) -> Taken | Rejected:
    try:
        made = drafted(text, name)
    except PlaybookFaults as error:
        return _refused([documented(fault) for fault in error.faults[:MOST_FAULTS]])
    except ConfigError as error:
        return _refused([documented(error)])
    if len(made.text.encode()) > MAX_BYTES:
        return Rejected("cacao_draft_too_long", {"most": MAX_BYTES // 1024})
    return Taken(made.playbook, made.text)


def _refused(faults: list[dict[str, Any]]) -> Rejected:
    return Rejected("cacao_not_taken", {"n": len(faults), "faults": faults})


async def as_document(loaded: Loaded, at_ms: int) -> dict[str, Any]:
    """A release as a CACAO document; the same release gives the same document."""
    return await asyncio.to_thread(to_cacao, loaded.playbook, at_ms, at_ms)
