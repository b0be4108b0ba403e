"""By which of a person's channels, and whether now, later or gathered with others. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from factory_brain.domain.notify.hours import free_from
from shared.site.notify import ChannelKind, ChannelSpec, NotifyFile

ALWAYS_SINGLE = 1
"""The priority that is never gathered for the limit's sake."""
FOR_ONE_SERVICE = 2
"""So many messages are on their way to one service at a time."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The channel that may be used now; else until when all are quiet, or that none is left."""

    channel: int | None
    quiet_until: int | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """What becomes of one message: it goes now, or is gathered until `due` for `reason`."""

    status: Literal["queued", "gathered"]
    due: int
    channel: int = 0
    reason: str = ""


def service_of(channel: ChannelSpec) -> str:
    """What a channel goes through, which may hang for all who use it; empty: nothing outside."""
    if channel.endpoint:
        return f"endpoint {channel.endpoint}"
    return f"secret {channel.url}" if channel.url else ""


def choose(
    channels: Sequence[ChannelSpec], kinds: Sequence[ChannelKind], priority: int, zone: ZoneInfo,
    now: int, first: int = 0,
) -> Choice:  # fmt: skip
    """The first channel from `first` on that may be used.

    A step that asks for kinds which a person has not does not leave that person out.
    """
    wanted = [i for i, each in enumerate(channels) if not kinds or each.kind in kinds]
    ends: list[int] = []
    for index in wanted or range(len(channels)):
        if index < first:
            continue
        channel = channels[index]
        until = free_from(channel.do_not_disturb, zone, now)
        if until <= now or priority <= channel.break_through_priority:
            return Choice(index)
        ends.append(until)
    return Choice(None, min(ends, default=None))


def plan(choice: Choice, priority: int, recent: int, file: NotifyFile, now: int) -> Planned:
    """Now, or gathered: for quiet hours, or since `recent` messages are the limit already."""
    if choice.channel is None:
        until = choice.quiet_until if choice.quiet_until is not None else now
        return Planned("gathered", until, 0, "do_not_disturb")
    if priority > ALWAYS_SINGLE and recent >= file.limits.messages:
        return Planned("gathered", now + file.summaries.every, choice.channel, "limit")
    return Planned("queued", now, choice.channel)


def retry_at(schedule: Sequence[int], failed: int, now: int) -> int | None:
    """When a channel is tried again after its failed attempt number `failed` (from 1)."""
    return now + schedule[failed - 1] if failed <= len(schedule) else None
