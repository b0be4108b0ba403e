"""Floods as factories tell them: alarms by tag class, incidents around them, causes recorded.

Four causes with a pattern each, made the same from the same numbers; simulated throughout.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec

from group_cloud.bootstrap import Cloud
from shared.ids import new_epoch
from shared.messages.bodies import (
    AlarmPoints,
    AlarmTransition,
    Body,
    IncidentRecord,
    PlaybookOutcome,
)
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame

MINUTE = 60_000
CLASSES = tuple(f"tag{n}" for n in range(24))
"""Classes of tags that all factories share."""
PATTERNS = {"valve": range(8), "pump": range(5, 13), "feed": range(10, 18),
            "drain": range(0, 16, 2)}  # fmt: skip
STRANGE = range(16, 24)
Told = tuple[int, Body]


def points(site: str, *, named: str = "") -> AlarmPoints:
    """Where a factory's alarms stand: its own names, the group's classes."""
    alarms = {f"{named or site}-{name}.HI": name for name in CLASSES}
    return AlarmPoints(
        site=site, version="v1", part=1, parts=1,
        points={a: ["e1", "R1", "LINE", "reactor", name, 2] for a, name in alarms.items()},
        kinds={alarm: ["limit", "HI"] for alarm in alarms},
    )  # fmt: skip


def alarms(site: str, incident: str, at: int, which: range, seed: int) -> list[Told]:
    """The alarms of a flood over an hour, each some minutes long."""
    draw, found = random.Random(seed), list[Told]()
    for place, number in enumerate(which):
        raised = at + int((place * 4 + draw.uniform(0, 3)) * MINUTE) * (place > 0)
        back = raised + int(draw.uniform(20, 60) * MINUTE)
        body = AlarmTransition(
            alarm=f"{site}-{CLASSES[number]}.HI", occurrence=f"{incident}-{place}", version=1,
            annunciated_version=1, kind="raised", annunciate=True, state={}, settings_version=1,
            priority=2, asset="R1", tag=CLASSES[number], source_time=raised, raised_at=raised,
        )  # fmt: skip
        found.append((raised, body))
        later = {"version": 2, "kind": "returned", "annunciate": False, "returned_at": back}
        found.append((back, msgspec.structs.replace(body, **later)))
    return found


def record(site: str, incident: str, at: int, told: list[Told], **more: Any) -> Told:
    """The incident around them, a flood."""
    names = [body for _, body in told if isinstance(body, AlarmTransition)]
    usual: dict[str, Any] = {
        "revision": 1, "status": "open", "first_at": at, "flood": True,
        "alarms": list(dict.fromkeys(each.alarm for each in names)),
        "occurrences": list(dict.fromkeys(each.occurrence for each in names)),
    }  # fmt: skip
    body = IncidentRecord(
        site=site, id=incident, opened_at=at, priority=1, asset="R1", **{**usual, **more}
    )
    return at, body


def over(site: str, name: str, at: int, cause: str, which: range, seed: int) -> list[Told]:
    """A flood from its first alarm to its recorded cause, with a playbook that ran."""
    told, end = alarms(site, name, at, which, seed), at + 90 * MINUTE
    run = PlaybookOutcome(
        run=f"{name}-run", playbook=f"mend-{cause}", version=1, alarm="", occurrence="",
        status="success", success=True, ended_at=end,
    )  # fmt: skip
    closed = record(
        site, name, at, told, revision=2, status="closed", cause=cause, outcome="true",
        closed_at=end, returned_at=end, runs=[run.run], comment=f"{cause}: 已更换",
        cause_names={"zh": f"{cause} 坏了", "en": f"{cause} broke"},
    )  # fmt: skip
    return [*told, (end, run), closed]


class Teller:
    """A factory that speaks to a running cloud's own ingest, as behind its bus."""

    def __init__(self, cloud: Cloud, site: str) -> None:
        self.cloud, self.site, self.epoch, self.seq = cloud, site, new_epoch(), 0

    async def say(self, *told: Told) -> None:
        events = [
            msgspec.Raw(encode(Event(id=f"{self.epoch}-{self.seq + n}", type="x", time=at, body=b)))
            for n, (at, b) in enumerate(told, 1)
        ]
        frame = Frame(
            source=f"{self.site}.brain", epoch=self.epoch, lane="live", first=self.seq + 1,
            events=events,
        )  # fmt: skip
        self.seq += len(events)
        await self.cloud.ingest.receive(frame)


async def remembered(cloud: Cloud, site: str, start: int, each: int = 5) -> None:
    """A factory with so many floods of each cause, a week apart."""
    teller, number = Teller(cloud, site), 0
    await teller.say((start, points(site)))
    for turn in range(each):
        for cause, which in PATTERNS.items():
            number += 1
            at = start + number * 7 * 24 * 60 * MINUTE
            seed = sum(map(ord, site)) * 1000 + number
            await teller.say(*over(site, f"{site}-{cause}-{turn}", at, cause, which, seed))
