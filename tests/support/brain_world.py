"""The edge's side of a brain's wire, spoken by the test, and how to wait and log in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import msgspec

from shared.alarm.states import AlarmState
from shared.messages.bodies import AlarmTransition, Fact, FragmentStep
from shared.messages.codec import decode, encode
from shared.messages.control import Committed, Health, Hello, LeaseAck, LeaseGrant, Welcome
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import Node

EDGE = Node("f1", "e1")
ALARM = "FUR-01.TT-101.HIHI"


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 10) -> Any:
    """Poll with a deadline; returns what the condition returned."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
        return found


def transition(version: int, *, active: bool, acked: bool, kind: str) -> AlarmTransition:
    return AlarmTransition(
        alarm=ALARM, occurrence="occ-1", version=version, annunciated_version=1, kind=kind,
        annunciate=kind == "raised", settings_version=1, priority=1, asset="FUR-01",
        tag="TT-101", side="HIHI", value=1291.5, limit=1280.0, unit="°C",
        state=AlarmState(raw=active, active=active, acked=acked).to_dict(),
        source_time=1_700_000_000_000 + version, receive_time=1_700_000_000_000 + version,
        raised_at=1_700_000_000_001,
    )  # fmt: skip


class FakeEdge:
    """The edge's side of the wire."""

    def __init__(self, bus: Any) -> None:
        self.bus = bus
        self.committed: list[Committed] = []
        self.facts: list[Fact] = []
        self.leases: list[LeaseGrant] = []
        self.seq = 0
        self.beating = True

    async def start(self) -> None:
        await self.bus.subscribe(EDGE.committed, self._on_committed)
        await self.bus.subscribe(EDGE.fact, self._on_fact)
        await self.bus.subscribe(EDGE.lease, self._on_lease)
        hello = Hello(source=EDGE.source, epoch="ep", boot="bt", at=1)
        welcome = decode(await self.bus.request(EDGE.hello, encode(hello), 5), Welcome)
        assert welcome.accepted

    async def beat(self) -> None:
        while True:
            if self.beating:
                health = Health(source=EDGE.source, epoch="ep", boot="bt", mono=5, at=1)
                await self.bus.publish(EDGE.health, encode(health))
            await asyncio.sleep(0.3)

    async def _on_committed(self, _: str, data: bytes) -> None:
        self.committed.append(decode(data, Committed))

    async def _on_fact(self, _: str, data: bytes) -> bytes:
        frame = decode(data, Frame)
        for raw in frame.events:
            body = decode(bytes(raw), Event).body
            assert isinstance(body, Fact)
            self.facts.append(body)
        key = f"{frame.epoch}/{frame.lane}"
        return encode(Committed(source=frame.source, watermarks={key: frame.last}))

    async def _on_lease(self, _: str, data: bytes) -> bytes:
        grant = decode(data, LeaseGrant)
        self.leases.append(grant)
        return encode(LeaseAck(id=grant.id, accepted=True))

    async def send(self, body: AlarmTransition | FragmentStep) -> None:
        self.seq += 1
        if isinstance(body, FragmentStep):
            kind, at = "fragment.step", 1_700_000_000_000 + self.seq
        else:
            kind, at = "alarm", body.source_time
        event = Event(id=f"ev-{self.seq}", type=kind, time=at, body=body)
        frame = Frame(
            source=EDGE.source, epoch="ep", lane="live", first=self.seq,
            events=[msgspec.Raw(encode(event))],
        )  # fmt: skip
        await self.bus.publish_durable(EDGE.lane("live"), encode(frame), frame.message_id)


async def log_in(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/session", json={"username": "admin", "password": "correct horse"}
    )
    assert answer.status_code == 204
