"""A group cloud on real PostgreSQL and NATS, and a factory behind a real leaf, spoken by tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_brain.application.directive_relay import (
    UNDECIDED,
    DirectiveRelay,
    Keys,
    Plant,
    RelayEntry,
)
from group_cloud.bootstrap import Cloud
from group_cloud.settings import CloudSettings
from shared.alarm.point import Setting
from shared.alarm.shadow import bounds_data, candidates, setting_data, unit_step
from shared.bus.nats_bus import NatsBus
from shared.clock import SystemClock
from shared.embedded.ports import Ports
from shared.ids import new_epoch
from shared.messages.bodies import (
    Body,
    DirectiveReport,
    OutcomeRecord,
)
from shared.messages.codec import decode, encode
from shared.messages.control import Committed, Counts, Health, Hello, Welcome
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import Node
from shared.paths import demo_sites
from shared.security import generate_key, load_public
from shared.site.loader import load_site
from tests.support.nats_world import World

SITE = load_site(demo_sites() / "f1")
HI = SITE.alarms["FUR-01.TT-101.HI"]
NODE = Node("f1", "brain")
E1 = Node("f1", "e1")
T0 = 1_700_000_000_000
APPROVAL = Ed25519PrivateKey.generate()


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 10) -> Any:
    """Poll with a deadline; returns what the condition returned."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
        return found


class Factory:
    """The brain's side of the wire, on the factory's own server behind the leaf."""

    def __init__(self, bus: NatsBus, node: Node = NODE) -> None:
        self.bus, self.node = bus, node
        self.epoch, self.boot = new_epoch(), new_epoch()
        self.seq = 0
        self.sent: list[Frame] = []
        self.committed = 0

    async def begin(self) -> Welcome:
        async def on_committed(_: str, data: bytes) -> bytes | None:
            report = decode(data, Committed)
            self.committed = report.watermarks.get(f"{self.epoch}/live", 0)
            return None

        await self.bus.subscribe(self.node.committed, on_committed)
        return await self.hello()

    async def hello(self, source: str = "") -> Welcome:
        hello = Hello(source=source or self.node.source, epoch=self.epoch, boot=self.boot, at=T0)
        async with asyncio.timeout(15):
            while True:
                try:
                    data = await self.bus.request(self.node.hello, encode(hello), 1.0)
                    return decode(data, Welcome)
                except Exception as error:
                    if "imeout" not in repr(error) and "NoResponders" not in repr(error):
                        raise
                    await asyncio.sleep(0.1)

    async def say(self, *bodies: Body) -> Frame:
        """Send one frame."""
        events = [
            msgspec.Raw(
                encode(Event(id=f"{self.epoch}-{self.seq + n}", type="x", time=T0, body=body))
            )
            for n, body in enumerate(bodies, 1)
        ]
        frame = Frame(
            source=self.node.source, epoch=self.epoch, lane="live", first=self.seq + 1,
            events=events,
        )  # fmt: skip
        self.seq += len(events)
        self.sent.append(frame)
        await self.resend(frame)
        return frame

    async def resend(self, frame: Frame, copy: str = "") -> None:
        await self.bus.publish_durable(
            self.node.lane("live"), encode(frame), frame.message_id + copy
        )

    async def all_committed(self) -> bool:
        return self.committed >= self.seq

    async def beat(self) -> None:
        counts = Counts(produced=self.seq, delivered=self.committed)
        health = Health(
            source=self.node.source, epoch=self.epoch, boot=self.boot, mono=0, at=T0,
            lanes={"live": counts},
        )  # fmt: skip
        await self.bus.publish(self.node.health, encode(health))


def outcome(
    number: int, label: str, height: float, seconds: float, current: Setting = HI.setting,
    **more: Any,
) -> OutcomeRecord:  # fmt: skip
    """An excursion so high and so long, with the verdicts of every candidate."""
    assert HI.side is not None
    tried = candidates(current, HI.side, HI.bounds, unit_step(HI))
    announced = {
        name: height > each.limit and seconds * 1000 > each.on_delay_ms
        for name, each in tried.items()
    }
    plain = OutcomeRecord(
        site="f1", edge="e1", alarm=HI.id, occurrence=f"occ-{number}", tag_class="temperature",
        side="HI", raised_at=T0 + number * 60_000, returned_at=T0 + number * 60_000 + 5_000,
        acked_after_s=3.0, label=label, current=setting_data(current),
        bounds=bounds_data(HI.bounds, unit_step(HI)),
        candidates={name: setting_data(each) for name, each in tried.items()},
        verdicts={
            name: [1.0, max(0.0, (tried[name].on_delay_ms - current.on_delay_ms) / 1000)]
            if yes else [0.0, -1.0]
            for name, yes in announced.items()
        },
        names=HI.name.to_dict(), unit="°C",
    )  # fmt: skip
    return msgspec.structs.replace(plain, **more)


def four_labels() -> list[OutcomeRecord]:
    return [
        outcome(1, "nuisance", 1232.0, 2.0),
        outcome(2, "nuisance", 1233.0, 2.5),
        outcome(3, "true", 1290.0, 900.0),
        outcome(4, "nuisance", 1231.0, 2.0),
    ]


class Group:
    """A cloud that can be stopped and started on the same data."""

    def __init__(self, world: World, url: str, folder: Path) -> None:
        private, public = generate_key()
        (folder / "release.key").write_bytes(private)
        (folder / "release.pub").write_bytes(public)
        (folder / "admin").write_text("correct horse")
        server = world.servers["cloud"]
        (folder / "nats").write_text(server.app_password)
        self.public = load_public(folder / "release.pub")
        self.settings = CloudSettings(
            state_dir=folder, nats_url=f"nats://127.0.0.1:{server.client_port}",
            nats_password_file=folder / "nats", database_url=url, http_port=Ports().take(),
            admin_password_file=folder / "admin", release_key_file=folder / "release.key",
            rollout_policy="direct",
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{self.settings.http_port}"
        self.cloud: Cloud | None = None

    async def start(self) -> None:
        self.cloud = await Cloud.start(self.settings)

    async def stop(self) -> None:
        if self.cloud is not None:
            await self.cloud.service.shutdown()
            self.cloud = None

    @property
    def db(self) -> asyncpg.Pool:
        assert self.cloud is not None
        return self.cloud.pool


async def proposals(web: httpx.AsyncClient, *statuses: str) -> list[dict[str, Any]]:
    answer = await web.get("/api/proposals")
    assert answer.status_code == 200
    return [p for p in answer.json()["proposals"] if not statuses or p["status"] in statuses]


async def decide(
    web: httpx.AsyncClient, proposal: str, decision: str = "approve", key: str = "key-0001"
) -> httpx.Response:
    return await web.post(
        f"/api/proposals/{proposal}/decision",
        json={"decision": decision, "reason": "seen on the furnace"},
        headers={"Idempotency-Key": key},
    )


class Ledger:
    """The relay's store, whose reports go up as the brain's events do."""

    def __init__(self, factory: Factory) -> None:
        self.factory = factory
        self.entries: dict[tuple[str, int], RelayEntry] = {}

    async def get(self, edge: str, counter: int) -> RelayEntry | None:
        return self.entries.get((edge, counter))

    async def newest(self, edge: str) -> RelayEntry | None:
        mine = [e for e in self.entries.values() if e.edge == edge]
        return max(mine, key=lambda e: e.counter, default=None)

    async def undecided(self) -> list[RelayEntry]:
        return []

    async def passed(self, edge: str) -> list[RelayEntry]:
        return [e for e in self.entries.values() if (e.edge, e.status) == (edge, "relayed")]

    async def newest_passed(self, edge: str) -> RelayEntry | None:
        return max(await self.passed(edge), key=lambda e: e.counter, default=None)

    async def superseded(self) -> frozenset[str]:
        return frozenset()

    async def record(self, entry: RelayEntry | None, report: DirectiveReport | None) -> bool:
        if entry is not None:
            known = self.entries.get((entry.edge, entry.counter))
            if known is not None and known.status not in UNDECIDED:
                return False
            self.entries[entry.edge, entry.counter] = entry
        if report is not None:
            await self.factory.say(report)
        return True


def relay_of(factory: Factory, group: Group) -> DirectiveRelay:
    plant = Plant("f1", frozenset({"e1", "e2"}), SITE.alarms, auto_approve=True)
    keys = Keys(group.public, APPROVAL)
    return DirectiveRelay(plant, factory.bus, SystemClock(), keys, Ledger(factory))


def rollout_is(web: httpx.AsyncClient, status: str) -> Callable[[], Awaitable[Any]]:
    async def check() -> dict[str, Any] | None:
        for each in await proposals(web):
            if each["rollout"] and each["rollout"]["status"] == status:
                return each
        return None

    return check


async def two_rollouts(factory: Factory, web: httpx.AsyncClient) -> list[dict[str, Any]]:
    """An applied rollout of one alarm, then one on its way for another; newest first."""
    await factory.say(*four_labels())
    [first] = await until(lambda: proposals(web, "open"))
    assert (await decide(web, first["id"])).status_code == 200
    await until(rollout_is(web, "sent"))
    directive = (await proposals(web))[0]["rollout"]["directive"]
    await factory.say(DirectiveReport(directive=directive, counter=1, status="applied"))
    await until(rollout_is(web, "applied"))
    other = SITE.alarms["FUR-01.TT-102.HI"]
    await factory.say(
        *(
            msgspec.structs.replace(record, alarm=other.id, occurrence=f"x-{record.occurrence}")
            for record in four_labels()
        )
    )
    [second] = await until(lambda: proposals(web, "open"))
    assert (await decide(web, second["id"], key="key-0009")).status_code == 200
    await until(rollout_is(web, "sent"))
    return await proposals(web)
