"""The made-up plant of `andon bench playbooks`: many furnaces, the documents that answer them.

Used by the engine's process and by the loads; the furnace document is the library's own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgspec

from factory_brain.bench.playbook_nodes import EDGE
from shared.alarm.states import AlarmState
from shared.clock import Clock
from shared.ids import uuid7
from shared.messages.bodies import AlarmTransition
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import LIVE
from shared.paths import demo_sites, playbook_library
from shared.playbook.loader import Loaded, digest_of, load_playbook
from shared.playbook.model import Playbook
from shared.site.loader import load_site
from shared.site.model import DeviceSpec, EndpointSpec
from shared.site.site import Site

FURNACE, COMMANDS, NOTICES, FIRST = "furnace-overtemp", "bench-commands", "bench-notices", "first"
CLOCKED, ASKING, WATCHING = "wait-clock", "wait-person", "wait-plant"
WAITING = (CLOCKED, ASKING, WATCHING)
STEPS = 20
TAGS = {
    "burner.output": ("OUT", 35.0), "burner.setpoint": ("SP", 35.0), "esd.active": ("ESD", 0.0),
    "zone.temp": ("TT", 1200.0), "fan.running": ("RUN", 0.0),
}  # fmt: skip
"""Logical name -> (of the site's tag, what it reads)."""
_LIKE = {"OUT": "BURNER-01.OUT", "SP": "BURNER-01.SP", "ESD": "ESD-01", "TT": "TT-101",
         "RUN": "FAN-01.RUN"}  # fmt: skip
_BURNER = {"burner": {"type": "burner.modulating", "bind": "alarm.asset", "role": "burner"}}
_HOLD = {"device": "burner", "op": "set_output", "args": {"output_pct": 35}, "expires": "60s"}


def asset(number: int) -> str:
    """One furnace."""
    return f"FUR-{number:05d}"


def tag(kind: str, number: int) -> str:
    """One of its tags."""
    return f"{kind}-{number:05d}"


def alarm(book: str, number: int) -> str:
    """The alarm of a furnace that a document answers."""
    return f"{asset(number)}.{book}"


def readings(furnaces: int, now: int) -> list[tuple[str, int, float | None, int]]:
    """What all of the plant reads: samples."""
    return [
        (tag(kind, number), now, value, 0)
        for number in range(furnaces) for kind, value in TAGS.values()
    ]  # fmt: skip


def plant(furnaces: int, receiver: str) -> Site:
    """The demo factory with so many furnaces, its linked system at `receiver`."""
    site = load_site(demo_sites() / EDGE.site)
    devices: dict[str, DeviceSpec] = {}
    for name in ("FUR-01/burner", "FUR-01/exhaust"):
        spec, role = site.bindings.devices[name], name.partition("/")[2]
        for number in range(furnaces):
            tags = {
                logical: tag(TAGS[logical][0], number) for logical in spec.tags if logical in TAGS
            }
            devices[f"{asset(number)}/{role}"] = spec.model_copy(update={"tags": tags})
    tags = {
        tag(kind, number): site.tags[like]
        for number in range(furnaces) for kind, like in _LIKE.items()
    }  # fmt: skip
    codes = {
        book: [alarm(book, number) for number in range(furnaces)]
        for book in (FURNACE, COMMANDS, NOTICES, FIRST)
    }
    cmms = EndpointSpec(url=receiver, secret="hook", private=True)
    bindings = site.bindings.model_copy(
        update={"devices": devices, "alarms": codes, "inputs": {}, "endpoints": {"cmms": cmms}}
    )
    return replace(site, bindings=bindings, tags=site.tags | tags)


@lru_cache(maxsize=1)
def books() -> dict[str, Loaded]:
    """All documents of the loads."""
    furnace = load_playbook(playbook_library() / "furnace" / f"{FURNACE}.yaml").playbook
    document = furnace.model_dump(mode="json", by_alias=True, exclude_unset=True)
    document["triggers"] = [{"id": "hot", "alarm": FURNACE}]
    made = [document, *(_book(name, steps) for name, steps in _steps().items())]
    return {each["playbook"]: _loaded(each) for each in made}


def _loaded(document: dict[str, Any]) -> Loaded:
    book = Playbook.model_validate(document)
    return Loaded(book, document, f"{book.playbook}.yaml", digest_of(book))


def _book(name: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    answers = name in (COMMANDS, NOTICES, FIRST)
    return {
        "schema": "playbook/v1", "playbook": name, "version": 1, "name": name, "deadline": "24h",
        "devices": _BURNER, "concurrency": {"key": "alarm.asset"}, "steps": steps,
        "triggers": [{"id": "hot", "alarm": name}] if answers else [],
    }  # fmt: skip


def _steps() -> dict[str, list[dict[str, Any]]]:
    told = {"to": ["role:shift-lead"], "channel": "urgent", "message": "${alarm.asset}"}
    until = 'tag("zone.temp").good && tag("zone.temp").value < 1000'
    ask = {
        "to": ["role:shift-lead"], "question": "${alarm.asset}?", "options": ["go"],
        "within": "12h",
    }  # fmt: skip
    return {
        COMMANDS: [{"id": f"step-{n}", "command": _HOLD} for n in range(STEPS)],
        NOTICES: [{"id": f"step-{n}", "notify": told} for n in range(STEPS)],
        FIRST: [{"id": "tell", "notify": told}, {"id": "hold", "command": _HOLD}],
        CLOCKED: [{"id": "pause", "wait": "${inputs.pause_s - run.elapsed_s}"}],
        ASKING: [{"id": "pause", "ask": ask}],
        WATCHING: [{"id": "pause", "wait_until": {"condition": until, "within": "12h"}}],
    }  # fmt: skip


class Horn:
    """Alarms of the plant as its edge sends them: one epoch, one lane, no number twice."""

    def __init__(self, clock: Clock, epoch: str) -> None:
        self._clock, self._epoch, self._seq = clock, epoch, 0

    def frame(self, book: str, numbers: list[int], priority: int = 2) -> Frame:
        """So many furnaces have an alarm that `book` answers."""
        return self._framed([
            self._event(alarm(book, n), asset(n), tag("TT", n), priority) for n in numbers
        ])  # fmt: skip

    def raised(self, name: str, where: str, measured: str, priority: int) -> Frame:
        """One alarm, by name."""
        return self._framed([self._event(name, where, measured, priority)])

    def _framed(self, events: list[msgspec.Raw]) -> Frame:
        first = self._seq + 1
        self._seq += len(events)
        return Frame(source=EDGE.source, epoch=self._epoch, lane=LIVE, first=first, events=events)

    def _event(self, code: str, where: str, measured: str, priority: int) -> msgspec.Raw:
        name, now = uuid7(self._clock), self._clock.now_ms()
        body = AlarmTransition(
            alarm=code, occurrence=f"occ-{name}", version=1, annunciated_version=1,
            kind="raised", annunciate=True, settings_version=1, priority=priority,
            asset=where, tag=measured, side="HIHI", value=1291.5, limit=1280.0,
            unit="°C", source_time=now, receive_time=now, raised_at=now,
            state=AlarmState(raw=True, active=True, acked=False).to_dict(),
        )  # fmt: skip
        return msgspec.Raw(encode(Event(id=name, type="alarm", time=now, body=body)))
