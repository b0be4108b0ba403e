"""The cloud on real PostgreSQL and NATS, with a factory behind a real leaf spoken by the test."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_brain.application.directive_relay import DirectiveRelay, Keys, Plant, RelayEntry
from group_cloud.bootstrap import Cloud
from group_cloud.settings import CloudSettings
from shared.alarm.point import Setting
from shared.alarm.shadow import bounds_data, candidates, setting_data, unit_step
from shared.bus.nats_bus import NatsBus
from shared.clock import SystemClock
from shared.embedded.ports import Ports
from shared.ids import new_epoch
from shared.messages.bodies import (
    AlarmTransition,
    Body,
    DirectiveReport,
    FactorySummary,
    OutcomeRecord,
    PlaybookOutcome,
)
from shared.messages.codec import decode, encode
from shared.messages.control import Committed, Counts, Health, Hello, Welcome
from shared.messages.directives import SignedDirective, read
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import Node
from shared.paths import demo_sites
from shared.security import generate_key, load_public, verifies
from shared.site.loader import load_site
from tests.support.nats_world import World, running_world

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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running_world(tmp_path_factory.mktemp("nats")) as made:
        yield made


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


@pytest.fixture
async def group(world: World, database_url: str, tmp_path: Path) -> AsyncIterator[Group]:
    # The servers serve all tests of this file: what an earlier one left must not come back.
    hub = await world.connect("cloud")
    await hub.jetstream().purge_stream("EVENTS")
    await hub.close()
    made = Group(world, database_url, tmp_path)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def factory(world: World, group: Group) -> AsyncIterator[Factory]:
    server = world.servers["f1"]
    bus = await NatsBus.connect(
        f"nats://127.0.0.1:{server.client_port}", user="app", password=server.app_password,
        name="brain-f1", inbox=NODE.inbox, site="f1",
    )  # fmt: skip
    made = Factory(bus)
    welcome = await made.begin()
    assert welcome.accepted
    yield made
    await bus.close()


@pytest.fixture
async def web(group: Group) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=group.url, timeout=10) as client:

        async def logged_in() -> bool:
            try:
                answer = await client.post(
                    "/api/session", json={"username": "admin", "password": "correct horse"}
                )
            except httpx.ConnectError:
                return False
            return answer.status_code == 204

        await until(logged_in)
        yield client


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

    async def waiting(self) -> list[RelayEntry]:
        return []

    async def record(self, entry: RelayEntry | None, report: DirectiveReport | None) -> None:
        if entry is not None:
            self.entries[entry.edge, entry.counter] = entry
        if report is not None:
            await self.factory.say(report)


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


async def test_from_labels_to_an_applied_setting(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    relay = relay_of(factory, group)
    relaying = asyncio.create_task(relay.run())
    try:
        await factory.say(*four_labels())
        [made] = await until(lambda: proposals(web, "open"))
        assert made["alarm"] == HI.id
        assert made["current"]["limit"] == 1230
        assert made["evidence"]["vanish"] == ["occ-1", "occ-2", "occ-4"]
        assert "3 次误报" in made["explanation"]["zh"]
        assert "3 nuisance, 1 true" in made["explanation"]["en"]
        assert len(made["candidates"]) == 12

        answer = await decide(web, made["id"])
        assert answer.status_code == 200
        assert answer.json()["rollout"]["status"] == "signed"
        again = await decide(web, made["id"])
        assert again.json() == answer.json()
        other_key = await decide(web, made["id"], key="key-0002")
        assert other_key.json()["rollout"]["counter"] == 1
        refused = await decide(web, made["id"], "reject", key="key-0003")
        assert refused.status_code == 409
        assert refused.json()["code"] == "already_decided"

        shown = await until(rollout_is(web, "relayed"))
        held = await factory.bus.bucket_get(E1.directive_bucket, "current", "f1")
        assert held is not None
        signed = decode(held, SignedDirective)
        directive = read(signed.payload)
        assert verifies(group.public, signed.release_signature, signed.payload)
        assert verifies(APPROVAL.public_key(), signed.approval_signature, signed.payload)
        assert (directive.id, directive.counter) == (shown["rollout"]["directive"], 1)
        [setting] = directive.settings
        assert setting.limit == made["proposed"]["limit"]
        assert (directive.proposal, directive.approved_by) == (made["id"], "admin")

        await factory.say(
            DirectiveReport(directive=directive.id, counter=1, status="received"),
            DirectiveReport(
                directive=directive.id, counter=1, status="applied", settings_version=2
            ),
        )
        await until(rollout_is(web, "applied"))
    finally:
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
    rows = await group.db.fetch("SELECT action FROM audit ORDER BY id")
    actions = [row["action"] for row in rows]
    assert actions == [
        "proposal_made", "proposal_approved", "rollout_signed", "rollout_sent",
        "rollout_relayed", "rollout_applied",
    ]  # fmt: skip


async def test_nothing_is_learnt_from_what_nobody_has_judged(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    for label in ("", "drill"):
        await factory.say(*(outcome(n, label, 1231.0, 2.0) for n in range(10, 40)))
    await factory.say(outcome(50, "true", 1290.0, 900.0))
    await until(factory.all_committed)

    async def trained() -> bool:
        return not await group.db.fetchval("SELECT count(*) FROM outcome WHERE NOT trained")

    await until(trained)
    assert await proposals(web) == []
    assert await group.db.fetchval("SELECT count(*) FROM outcome") == 31


async def test_repeats_change_nothing_and_a_corrected_label_withdraws_the_proposal(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    frame = await factory.say(*four_labels())
    [made] = await until(lambda: proposals(web, "open"))
    for n in range(3):
        await factory.resend(frame, f":again{n}")
    await factory.say(outcome(5, "nuisance", 1232.0, 2.0))

    async def grown() -> bool:
        [now] = await proposals(web, "open")
        return now["evidence"]["nuisance"] == 4

    await until(grown)
    [still] = await proposals(web)
    assert still["id"] == made["id"]
    assert await group.db.fetchval("SELECT count(*) FROM group_event") == 5

    await factory.say(*(outcome(n, "true", 1231.0, 2.0) for n in (4, 5)))
    [gone] = await until(lambda: proposals(web, "superseded"))
    assert (gone["id"], gone["reason"]) == (made["id"], "evidence_gone")
    answer = await decide(web, gone["id"])
    assert answer.status_code == 409


async def test_a_rejected_setting_needs_new_evidence(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    await factory.say(*four_labels())
    [made] = await until(lambda: proposals(web, "open"))
    assert (await decide(web, made["id"], "reject")).json()["status"] == "rejected"
    await factory.say(outcome(5, "nuisance", 1232.0, 2.0), outcome(6, "nuisance", 1232.0, 2.0))

    async def trained() -> bool:
        return await group.db.fetchval("SELECT count(*) FROM outcome WHERE trained") == 6

    await until(trained)
    assert await proposals(web, "open") == []
    await factory.say(outcome(7, "nuisance", 1232.0, 2.0))
    [anew] = await until(lambda: proposals(web, "open"))
    assert anew["id"] != made["id"]


async def test_a_directive_survives_a_restart_and_is_sent_until_the_factory_answers(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    await factory.say(*four_labels())
    [made] = await until(lambda: proposals(web, "open"))
    notices: list[bytes] = []

    async def on_notice(_: str, data: bytes) -> bytes | None:
        notices.append(data)
        return None

    await factory.bus.subscribe(NODE.directive, on_notice)
    assert (await decide(web, made["id"])).status_code == 200
    await until(rollout_is(web, "sent"))
    await group.stop()
    before = len(notices)
    await group.start()

    async def noticed_again() -> bool:
        return len(notices) > before

    await until(noticed_again)
    [shown] = await until(lambda: proposals(web, "approved"))
    assert shown["rollout"]["status"] == "sent"
    await relay_of(factory, group).relay_all()
    await until(rollout_is(web, "relayed"))


async def test_the_next_directive_carries_the_earlier_settings_and_settles_them(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    await factory.say(*four_labels())
    [first] = await until(lambda: proposals(web, "open"))
    assert (await decide(web, first["id"])).status_code == 200
    other = SITE.alarms["FUR-01.TT-102.HI"]
    moved = [
        msgspec.structs.replace(record, alarm=other.id, occurrence=f"x-{record.occurrence}")
        for record in four_labels()
    ]
    await factory.say(*moved)
    [second] = await until(lambda: proposals(web, "open"))
    answer = await decide(web, second["id"], key="key-0009")
    assert answer.json()["rollout"]["counter"] == 2

    async def newest() -> dict[str, bytes] | None:
        data = await factory.bus.bucket_get(NODE.directive_bucket, "current", "cloud")
        bundle = decode(data, dict[str, bytes]) if data else {}
        if bundle and read(decode(bundle["e1"], SignedDirective).payload).counter == 2:
            return bundle
        return None

    bundle = await until(newest)
    directive = read(decode(bundle["e1"], SignedDirective).payload)
    assert [s.alarm for s in directive.settings] == [HI.id, other.id]
    assert directive.parent == (await proposals(web))[1]["rollout"]["directive"]

    await factory.say(DirectiveReport(directive=directive.id, counter=2, status="applied"))

    async def both_applied() -> bool:
        return [p["rollout"]["status"] for p in await proposals(web)] == ["applied", "applied"]

    await until(both_applied)
    assert (await proposals(web))[1]["rollout"]["code"] == "included_in_newer"


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


async def test_a_refusal_names_the_setting_that_is_left_out_next(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    newest, _ = await two_rollouts(factory, web)
    await factory.say(
        DirectiveReport(
            directive=newest["rollout"]["directive"], counter=2, status="refused",
            code="limit_outside_bounds", params={"alarm": HI.id},
        )
    )  # fmt: skip

    async def refused() -> bool:
        return (await proposals(web))[0]["rollout"]["status"] == "refused"

    await until(refused)
    newest, older = await proposals(web)
    assert newest["rollout"]["code"] == "limit_outside_bounds"
    # What was applied stays applied: the plant runs it, though it would not accept it again.
    assert older["rollout"]["status"] == "applied"
    assert await group.db.fetchval("SELECT withdrawn FROM rollout WHERE counter = 1")
    assert not await group.db.fetchval("SELECT withdrawn FROM rollout WHERE counter = 2")


async def test_what_no_factory_takes_up_expires(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    await factory.say(*four_labels())
    [made] = await until(lambda: proposals(web, "open"))
    assert (await decide(web, made["id"])).status_code == 200
    await until(rollout_is(web, "sent"))
    await group.db.execute("UPDATE rollout SET expires_at = 1")
    assert group.cloud is not None
    group.cloud.dispatch.wake()
    shown = await until(rollout_is(web, "refused"))
    assert shown["rollout"]["code"] == "expired"
    await factory.say(
        DirectiveReport(directive=shown["rollout"]["directive"], counter=1, status="relayed")
    )
    await until(factory.all_committed)
    assert await rollout_is(web, "refused")()


async def test_the_audit_chain_holds(group: Group, factory: Factory, web: httpx.AsyncClient):
    await two_rollouts(factory, web)
    rows = await group.db.fetch("SELECT * FROM audit ORDER BY id")
    assert len(rows) >= 9
    previous = ""
    for row in rows:
        assert row["previous"] == previous
        content = msgspec.json.encode(
            [previous, row["at"], row["actor"], row["action"], row["target"], row["data"]],
            order="deterministic",
        )
        assert hashlib.sha256(content).hexdigest() == row["hash"]
        previous = row["hash"]


async def test_a_factory_speaks_of_itself_only(
    group: Group, factory: Factory, web: httpx.AsyncClient, world: World
):
    server = world.servers["cloud"]
    bus = await NatsBus.connect(
        f"nats://127.0.0.1:{server.client_port}", user="app", password=server.app_password,
        name="f2", inbox="_INBOX_f2", site="f2",
    )  # fmt: skip
    stranger = Factory(bus, Node("f2", "brain"))
    assert (await stranger.begin()).accepted
    try:
        await factory.say(*four_labels())
        [made] = await until(lambda: proposals(web, "open"))
        rollout = (await decide(web, made["id"])).json()["rollout"]
        await stranger.say(
            outcome(1, "true", 1231.0, 2.0),
            FactorySummary(
                site="f1", names={}, active=99, unacked=99, worst_priority=1, edges_online=0,
                edges_total=0,
            ),
            DirectiveReport(directive=rollout["directive"], counter=1, status="rolled_back"),
            DirectiveReport(directive=rollout["directive"], counter=1, status="applied"),
        )  # fmt: skip
        await until(stranger.all_committed)
        assert (await stranger.hello("f1.brain")).code == "source_forged"
    finally:
        await bus.close()
    assert await group.db.fetchval("SELECT label FROM outcome WHERE occurrence = 'occ-1'") == (
        "nuisance"
    )
    assert await group.db.fetchval("SELECT max(active) FROM factory") == 0
    [shown] = await proposals(web, "approved")
    assert shown["rollout"]["status"] in ("signed", "sent")


async def test_cut_database_connections_lose_nothing(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    outside = await asyncpg.connect(group.settings.database_url, ssl=False)
    try:
        for record in four_labels():
            await factory.say(record)
            await outside.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = current_user AND pid <> pg_backend_pid()"
            )
        for again in range(20):
            # As the sender's drainer does: what is not reported committed is sent again.
            for frame in factory.sent:
                if frame.last > factory.committed:
                    await factory.resend(frame, f":{again}")
            with suppress(TimeoutError):
                await until(factory.all_committed, 2)
                break
        assert await factory.all_committed()
        found = await until(lambda: outside.fetch("SELECT * FROM proposal"), 45)
        assert [row["status"] for row in found] == ["open"]
        assert await outside.fetchval("SELECT count(*) FROM group_event") == 4
        assert await outside.fetchval("SELECT max(seq) FROM watermark") == 4
    finally:
        await outside.close()


async def test_the_overview_and_its_stream(group: Group, factory: Factory, web: httpx.AsyncClient):
    seen: list[str] = []
    all_seen = asyncio.Event()

    async def watch() -> None:
        async with web.stream("GET", "/api/stream", timeout=20) as answer:
            async for line in answer.aiter_lines():
                seen.append(line)
                if '"active":3' in line:
                    all_seen.set()

    watching = asyncio.create_task(watch())
    await factory.beat()
    transition = AlarmTransition(
        alarm=HI.id, occurrence="o", version=1, annunciated_version=1, kind="raised",
        annunciate=True, state={}, settings_version=1, priority=3, asset="FUR-01", tag="TT-101",
    )  # fmt: skip
    run = PlaybookOutcome(
        run="r1", playbook="p", version=1, alarm=HI.id, occurrence="o", status="success",
        success=True,
    )  # fmt: skip
    await factory.say(
        FactorySummary(
            site="f1", names={"zh": "一号工厂", "en": "Factory 1"}, active=3, unacked=2,
            worst_priority=1, edges_online=2, edges_total=2,
        ),
        transition,
        run,
        outcome(1, "nuisance", 1231.0, 2.0),
        outcome(2, "", 1231.0, 2.0),
    )  # fmt: skip
    try:
        await asyncio.wait_for(all_seen.wait(), 10)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert "event: factories" in seen
    assert "event: proposals" in seen
    [shown] = (await web.get("/api/factories")).json()["factories"]
    assert shown["name"]["zh"] == "一号工厂"
    assert (shown["active"], shown["unacked"], shown["worst_priority"]) == (3, 2, 1)
    assert (shown["events"], shown["outcomes"]) == (4, 1)
    assert shown["online"]
    assert shown["lanes"]["live"]["produced"] >= 0
    assert await group.db.fetchval("SELECT status FROM playbook_outcome WHERE run = 'r1'")
    assert (await web.get("/api/healthz")).json() == {"ok": True}


async def test_decisions_need_a_right_a_reason_and_the_same_origin(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    await factory.say(*four_labels())
    [made] = await until(lambda: proposals(web, "open"))
    path = f"/api/proposals/{made['id']}/decision"
    body = {"decision": "approve", "reason": "x"}
    key = {"Idempotency-Key": "key-1234"}
    assert (await web.post(path, json=body)).status_code == 422
    assert (await web.post(path, json={**body, "reason": ""}, headers=key)).status_code == 422
    foreign = await web.post(path, json=body, headers={**key, "Origin": "http://evil.example"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "cross_site")
    assert (await decide(web, "no-such")).status_code == 404
    async with httpx.AsyncClient(base_url=group.url) as nobody:
        assert (await nobody.post(path, json=body, headers=key)).status_code == 401
        assert (await nobody.get("/api/proposals")).status_code == 401
    assert group.cloud is not None
    from shared.postgres.accounts import PgAccounts

    await PgAccounts(group.db, group.cloud.clock).create("li", "operator-pass", ["operator"])
    async with httpx.AsyncClient(base_url=group.url) as operator:
        login = {"username": "li", "password": "operator-pass"}
        assert (await operator.post("/api/session", json=login)).status_code == 204
        assert len((await operator.get("/api/proposals")).json()["proposals"]) == 1
        answer = await operator.post(path, json=body, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert (await proposals(web, "open"))[0]["id"] == made["id"]
