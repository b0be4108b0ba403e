"""The relay under attack: what the group did not sign or the plant forbids reaches no edge."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_brain.application.directive_relay import (
    UNDECIDED,
    DirectiveRelay,
    Keys,
    Plant,
    RelayEntry,
)
from shared.bus.port import Handler
from shared.clock import ManualClock
from shared.errors import RetryableTransportError
from shared.messages.bodies import DirectiveReport
from shared.messages.codec import decode, encode
from shared.messages.directives import AlarmSetting, Directive, SignedDirective, canonical, read
from shared.messages.subjects import CLOUD_DOMAIN, Node
from shared.paths import demo_sites
from shared.security import verifies
from shared.site.loader import load_site

SITE = load_site(demo_sites() / "f1")
GROUP, FACTORY, STRANGER = (Ed25519PrivateKey.generate() for _ in range(3))
HI = "FUR-01.TT-101.HI"
NOW = 1_700_000_000_000
BRAIN, E1 = Node("f1", "brain"), Node("f1", "e1")


class Buckets:
    """The part of the bus that the relay uses: buckets and notices."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], bytes] = {}
        self.notices: list[str] = []
        self.handlers: dict[str, Handler] = {}
        self.down = False
        self.on_put: Callable[[], None] = lambda: None
        """Called as soon as an edge may read what was put."""

    async def bucket_get(self, bucket: str, key: str, domain: str) -> bytes | None:
        if self.down:
            raise RetryableTransportError("no answer")
        assert domain == CLOUD_DOMAIN
        return self.values.get((bucket, key))

    async def bucket_put(self, bucket: str, key: str, value: bytes) -> None:
        if self.down:
            raise RetryableTransportError("no answer")
        self.values[bucket, key] = value
        self.on_put()

    async def ensure_bucket(self, bucket: str) -> None:
        return None

    async def publish(self, subject: str, data: bytes) -> None:
        self.notices.append(subject)

    async def subscribe(self, subject: str, handler: Handler) -> None:
        self.handlers[subject] = handler


class Ledger:
    """The relay's store in memory."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, int], RelayEntry] = {}
        self.reports: list[DirectiveReport] = []
        self.rewritten: frozenset[str] = frozenset()

    async def get(self, edge: str, counter: int) -> RelayEntry | None:
        return self.entries.get((edge, counter))

    async def newest(self, edge: str) -> RelayEntry | None:
        mine = [e for e in self.entries.values() if e.edge == edge]
        return max(mine, key=lambda e: e.counter, default=None)

    async def undecided(self) -> list[RelayEntry]:
        return [e for e in self.entries.values() if e.status in UNDECIDED]

    async def passed(self, edge: str) -> list[RelayEntry]:
        return [e for e in self.entries.values() if (e.edge, e.status) == (edge, "relayed")]

    async def newest_passed(self, edge: str) -> RelayEntry | None:
        return max(await self.passed(edge), key=lambda e: e.counter, default=None)

    async def superseded(self) -> frozenset[str]:
        return self.rewritten

    async def record(self, entry: RelayEntry | None, report: DirectiveReport | None) -> bool:
        if entry is not None:
            known = self.entries.get((entry.edge, entry.counter))
            if known is not None and known.status not in UNDECIDED:
                return False
            self.entries[entry.edge, entry.counter] = entry
        if report is not None:
            self.reports.append(report)
        return True


class World:
    """A relay between a group and the edges of factory 1."""

    def __init__(self, *, auto: bool = True) -> None:
        self.bus, self.ledger, self.clock = Buckets(), Ledger(), ManualClock(NOW)
        self.auto = auto
        self.restart()

    def restart(self) -> None:
        edges = frozenset(edge.id for edge in SITE.info.edges)
        plant = Plant("f1", edges, SITE.alarms, self.auto)
        keys = Keys(GROUP.public_key(), FACTORY)
        self.relay = DirectiveRelay(plant, self.bus, self.clock, keys, self.ledger)  # type: ignore[arg-type]

    async def sent(self, *signed: SignedDirective, edge: str = "e1") -> list[DirectiveReport]:
        """The group's bucket holds `signed` one after the other; returns the new reports."""
        before = len(self.ledger.reports)
        for each in signed:
            self.bus.values[BRAIN.directive_bucket, "current"] = encode({edge: encode(each)})
            await self.relay.relay_all()
        return self.ledger.reports[before:]

    async def approve(self, counter: int, actor: str = "wang") -> RelayEntry:
        """People have let it pass; what the relay makes of it."""
        entry = self.ledger.entries["e1", counter]
        if entry.status == "waiting":
            entry = replace(entry, status="approved", approved_by=actor)
            self.ledger.entries["e1", counter] = entry
        await self.relay.carry_out()
        return self.ledger.entries["e1", counter]

    @property
    def at_edge(self) -> SignedDirective | None:
        data = self.bus.values.get((E1.directive_bucket, "current"))
        return decode(data, SignedDirective) if data else None


def order(counter: int = 1, *settings: AlarmSetting, **more: object) -> Directive:
    plain = Directive(
        id=f"d-{counter}", site="f1", edge="e1", counter=counter, issued_at=NOW,
        expires_at=NOW + 3_600_000, settings=list(settings) or [new()],
    )  # fmt: skip
    return msgspec.structs.replace(plain, **more)


def new(limit: float | None = 1240.0, alarm: str = HI, **more: float) -> AlarmSetting:
    values = {"deadband": 5.0, "on_delay_s": 1.0, "off_delay_s": 2.0, **more}
    return AlarmSetting(alarm=alarm, limit=limit, **values)


def signed(directive: Directive, key: Ed25519PrivateKey = GROUP) -> SignedDirective:
    payload = canonical(directive)
    return SignedDirective(payload=payload, release_signature=key.sign(payload))


async def test_an_edge_that_answers_at_once_finds_its_directive_recorded():
    world, known = World(), list[RelayEntry | None]()
    world.bus.on_put = lambda: known.append(world.ledger.entries.get(("e1", 1)))
    await world.sent(signed(order()))
    [entry] = known
    assert entry is not None, "the answer would have been about nothing"
    assert entry.status == "relayed"


async def test_what_was_recorded_and_not_put_is_put_by_the_next_look():
    world = World(auto=False)
    await world.sent(signed(order()))
    world.bus.down = True
    assert (await world.approve(1)).status == "relayed"
    assert world.at_edge is None
    world.bus.down = False
    await world.relay.carry_out()
    assert world.at_edge is not None


async def test_what_was_recorded_before_a_crash_is_put_by_the_next_start_without_the_group():
    world = World(auto=False)
    await world.sent(signed(order()))
    world.bus.down = True
    assert (await world.approve(1)).status == "relayed"
    world.restart()
    world.bus.down = False
    world.bus.values.clear()
    await world.relay.carry_out()
    assert world.at_edge is not None
    assert read(world.at_edge.payload).counter == 1


async def test_what_was_owed_never_lies_over_what_another_brain_put_meanwhile():
    world = World()
    world.bus.down = True
    data = encode({"e1": encode(signed(order(1)))})
    get = world.bus.bucket_get
    world.bus.values[BRAIN.directive_bucket, "current"] = data

    async def reachable(bucket: str, key: str, domain: str) -> bytes | None:
        return world.bus.values.get((bucket, key))

    world.bus.bucket_get = reachable  # type: ignore[method-assign]
    with pytest.raises(RetryableTransportError):
        await world.relay.relay_all()
    world.bus.bucket_get, world.bus.down = get, False  # type: ignore[method-assign]
    first = world.relay
    world.restart()
    await world.sent(signed(order(2)))
    await first.carry_out()
    assert world.at_edge is not None
    assert read(world.at_edge.payload).counter == 2


async def test_a_good_directive_is_countersigned_and_reported():
    world = World()
    [report] = await world.sent(signed(order()))
    assert (report.directive, report.counter, report.status) == ("d-1", 1, "relayed")
    passed = world.at_edge
    assert passed is not None
    assert verifies(GROUP.public_key(), passed.release_signature, passed.payload)
    assert verifies(FACTORY.public_key(), passed.approval_signature, passed.payload)
    assert read(passed.payload) == order()
    assert world.bus.notices == [E1.directive]


async def test_the_same_again_changes_nothing_also_after_a_restart():
    world = World()
    await world.sent(signed(order()))
    assert await world.sent(signed(order()), signed(order())) == []
    assert len(world.bus.notices) == 1
    world.restart()
    # The broker may have lost its disk: put once more, report nothing.
    world.bus.values.pop((E1.directive_bucket, "current"))
    assert await world.sent(signed(order()), signed(order())) == []
    assert world.at_edge is not None
    assert len(world.bus.notices) == 2


FORGERIES = {
    "unsigned": SignedDirective(payload=canonical(order()), release_signature=b""),
    "signed by a stranger": signed(order(), STRANGER),
    "signed by the factory instead of the group": signed(order(), FACTORY),
    "signature of another directive": SignedDirective(
        payload=canonical(order()), release_signature=GROUP.sign(canonical(order(2)))
    ),
    "one bit changed": SignedDirective(
        payload=canonical(order()).replace(b"d-1", b"d-9"),
        release_signature=GROUP.sign(canonical(order())),
    ),
    "only an approval signature": SignedDirective(
        payload=canonical(order()),
        release_signature=b"",
        approval_signature=FACTORY.sign(canonical(order())),
    ),
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES)
async def test_forgeries_are_refused_once_and_do_not_take_up_a_number(forged: SignedDirective):
    world = World()
    reports = await world.sent(forged, forged)
    assert [(r.status, r.code) for r in reports] == [("refused", "release_signature_invalid")]
    assert world.at_edge is None
    assert world.ledger.entries == {}
    [report] = await world.sent(signed(order()))
    assert report.status == "relayed"


async def test_garbage_in_the_bucket_is_refused():
    world = World()
    world.bus.values[BRAIN.directive_bucket, "current"] = b"\xc1garbage"
    await world.relay.relay_all()
    await world.relay.relay_all()
    world.bus.values[BRAIN.directive_bucket, "current"] = encode({"e1": b"\xc1garbage"})
    await world.relay.relay_all()
    payload = b"\x93abc"
    [last] = await world.sent(
        SignedDirective(payload=payload, release_signature=GROUP.sign(payload))
    )
    assert last.code == "unreadable"
    assert [r.code for r in world.ledger.reports] == ["unreadable"] * 3
    assert world.at_edge is None


async def test_an_older_number_is_a_replay():
    world = World()
    await world.sent(signed(order(1)), signed(order(3, new(1245.0))))
    held = world.at_edge
    # Number 1 was settled: it changes nothing. Number 2 was never seen, and comes too late.
    reports = await world.sent(signed(order(1)), signed(order(2)), signed(order(2)))
    assert [(r.directive, r.code) for r in reports] == [("d-2", "counter_replayed")]
    assert world.at_edge == held


async def test_a_number_used_for_something_else_is_refused():
    world = World()
    await world.sent(signed(order(1)))
    held = world.at_edge
    reports = await world.sent(signed(order(1, new(1250.0), id="d-other")))
    assert [(r.directive, r.code) for r in reports] == [("d-other", "counter_reused")]
    assert world.at_edge == held


@pytest.mark.parametrize("counter", [0, -1])
async def test_numbers_begin_at_one(counter: int):
    [report] = await World().sent(signed(order(counter)))
    assert report.code == "counter_replayed"


@pytest.mark.parametrize(
    ("directive", "edge"),
    [
        (order(site="f2"), "e1"),
        (order(edge="e2"), "e1"),
        (order(edge="e9"), "e9"),
        (order(edge="brain"), "brain"),
    ],
    ids=["other site", "other edge", "no such edge", "the brain itself"],
)
async def test_another_target_is_refused(directive: Directive, edge: str):
    world = World()
    [report] = await world.sent(signed(directive), edge=edge)
    assert report.code == "other_target"
    assert [key for key in world.bus.values if key[0] != BRAIN.directive_bucket] == []


@pytest.mark.parametrize(
    ("settings", "code", "alarm"),
    [
        ([new(1266.0)], "limit_outside_bounds", HI),
        ([new(1199.0)], "limit_outside_bounds", HI),
        ([new(math.nan)], "not_a_number", HI),
        ([new(math.inf)], "not_a_number", HI),
        ([new(None)], "not_tunable", HI),
        ([new(on_delay_s=61.0)], "on_delay_outside_bounds", HI),
        ([new(on_delay_s=math.nan)], "not_a_number", HI),
        ([new(off_delay_s=-1.0)], "not_a_number", HI),
        ([new(deadband=21.0)], "deadband_outside_bounds", HI),
        ([new(1290.0, "FUR-01.TT-101.HIHI")], "safety_point", "FUR-01.TT-101.HIHI"),
        ([new(1.0, "FUR-01.DOOR")], "not_tunable", "FUR-01.DOOR"),
        ([new(1.0, "FUR-99.X")], "unknown_alarm", "FUR-99.X"),
        ([new(), new(1290.0, "FUR-01.TT-101.HIHI")], "safety_point", "FUR-01.TT-101.HIHI"),
        ([new(), new(1241.0)], "duplicate_alarm", HI),
    ],
)
async def test_the_plants_bounds_outrank_the_group(
    settings: list[AlarmSetting], code: str, alarm: str
):
    world = World()
    [report] = await world.sent(signed(order(1, *settings)))
    assert (report.status, report.code) == ("refused", code)
    assert report.params["alarm"] == alarm
    assert world.at_edge is None
    assert await world.sent(signed(order(1, *settings))) == []


async def test_an_alarm_of_another_edge_is_refused():
    other = next(a for a in SITE.alarms.values() if a.edge == "e2" and a.kind == "limit")
    [report] = await World().sent(signed(order(1, new(other.setting.limit, other.id))))
    assert report.code == "unknown_alarm"


async def test_an_expired_directive_is_refused():
    world = World()
    [report] = await world.sent(signed(order(expires_at=NOW)))
    assert report.code == "expired"
    assert world.at_edge is None


@pytest.mark.parametrize("change", [{"schema": "directive/v9"}, {"kind": "firmware"}])
async def test_what_is_not_understood_is_refused(change: dict[str, str]):
    [report] = await World().sent(signed(order(**change)))
    assert report.code == "unknown_schema"


async def test_an_unreachable_group_is_not_an_answer():
    world = World()
    world.bus.down = True
    with pytest.raises(RetryableTransportError):
        await world.relay.relay_all()
    world.bus.down = False
    assert len(await world.sent(signed(order()))) == 1


async def test_a_crash_between_put_and_record_puts_the_same_again():
    world = World()
    await world.sent(signed(order()))
    first = world.at_edge
    world.ledger.entries.clear()  # the transaction never happened
    world.restart()
    await world.sent(signed(order()))
    assert world.at_edge == first
    assert replace(world.ledger.entries["e1", 1], at=0).status == "relayed"
