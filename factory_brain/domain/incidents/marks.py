"""Marks of an alarm that is a nuisance: chattering, fleeting, stale. Pure; limits are the site's.

Called by the correlator for what is open, and again as time goes by.
"""

from __future__ import annotations

from collections.abc import Sequence

from factory_brain.domain.incidents.seen import Rules, Seen

MARKS = ("chattering", "fleeting", "stale")


def chattering(raises: Sequence[int], now: int, rules: Rules) -> bool:
    """Whether so many of an alarm's raises (sorted) fell into one window, not long ago."""
    most, within, hold = rules.chattering
    return any(
        raises[i] - raises[i - most + 1] <= within and now - raises[i] <= hold
        for i in range(len(raises) - 1, most - 2, -1)
        if raises[i] <= now
    )


def fleeting(seen: Seen, rules: Rules) -> bool:
    """Whether it was over before anybody could have done something."""
    return seen.returned_at is not None and seen.returned_at - seen.raised_at < rules.fleeting


def stale(seen: Seen, now: int, rules: Rules) -> bool:
    """Whether it has been standing for so long that nobody sees it any more."""
    return (
        seen.active and seen.annunciated and not seen.hidden
        and now - seen.raised_at > rules.stale
    )  # fmt: skip


def marks(seen: Seen, raises: Sequence[int], now: int, rules: Rules) -> list[str]:
    """All marks of one occurrence; `raises` are those of its alarm, sorted."""
    repeats = chattering(raises, now, rules)
    found = (
        repeats,
        fleeting(seen, rules) and not repeats,  # a short one that repeats is chattering
        stale(seen, now, rules),
    )
    return [name for name, holds in zip(MARKS, found, strict=True) if holds]
