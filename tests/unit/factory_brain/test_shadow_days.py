"""What is counted in shadow: pure rules, and the counting held against the live kernel."""

from __future__ import annotations

import random
import struct
from array import array
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_brain.application.shadow.full_rate import MOST_TAGS, RENEW_MS, FullRate
from factory_brain.application.shadow.nominating import Plant, authentic, permitted
from factory_brain.application.shadow.tasks import CANDIDATE, ENGINEER, LIVE, Question
from factory_brain.application.shadow.work import count_day, judge
from factory_brain.domain.faults import Case, Fault, Told, fault_id, of_case, revised
from factory_brain.domain.shadow import (
    DAY_MS,
    LEAD_MS,
    Signal,
    countable,
    coverage,
    line_of,
    told_alone,
    worst,
)
from shared.alarm.episodes import episodes
from shared.alarm.grid import Grid
from shared.alarm.point import Setting
from shared.alarm.shadow import bounds_data, unit_step
from shared.bus.memory_bus import MemoryBus, MemoryServer
from shared.clock import ManualClock
from shared.errors import Rejected
from shared.messages.codec import decode, encode
from shared.messages.control import SampleAnswer, SampleRequest
from shared.messages.directives import Directive
from shared.messages.directives import canonical as canonical_directive
from shared.messages.nominations import (
    Nomination,
    Nominations,
    SignedNominations,
    canonical,
)
from shared.messages.subjects import Node
from shared.paths import demo_sites
from shared.site.loader import load_site

SITE = load_site(demo_sites() / "f1")
HI = SITE.alarms["FUR-01.TT-101.HI"]
DAY = 19_700
SINCE = DAY * DAY_MS
KEY = Ed25519PrivateKey.generate()
PLANT = Plant("f1", ("e1", "e2"), SITE.alarms, 200)


def wandering(seed: int = 3, step_ms: int = 20_000) -> Signal:
    """A day of a signal that wanders about its limit, with the hours before it."""
    dice = random.Random(seed)
    times, values, value = array("q"), array("d"), HI.setting.limit
    for at in range(SINCE - LEAD_MS, SINCE + DAY_MS, step_ms):
        value += dice.gauss(0, 3) - 0.05 * (value - HI.setting.limit)
        times.append(at)
        values.append(value)
    return Signal(SINCE, SINCE + DAY_MS, times, values, DAY_MS // step_ms, 1.0)


def asked(**named: Setting) -> Question:
    settings = {LIVE: HI.setting, ENGINEER: HI.setting, **named}
    assert HI.side is not None
    return Question(HI.id, HI.side, settings, {}, bounds_data(HI.bounds, unit_step(HI)))


def test_every_candidate_is_counted_as_the_live_kernel_would_have_told() -> None:
    signal = wandering()
    [found] = count_day(signal, [asked()])
    grid = Grid.from_dict(found.grid)
    activations = struct.unpack(f"<{len(grid)}i", found.activations)
    standing = struct.unpack(f"<{len(grid)}f", found.standing)
    assert len(set(activations)) > 3, "the signal tells candidates apart"
    for index in range(0, len(grid), max(1, len(grid) // 25)):
        told = episodes(
            signal.times, signal.values, grid.setting(index), grid.side, until=signal.until
        )
        inside = [began for began, _ in told if signal.since <= began < signal.until]
        stood = sum(
            min(ended or signal.until, signal.until) - max(began, signal.since)
            for began, ended in told
            if (ended or signal.until) > signal.since
        )
        assert activations[index] == len(inside), grid.setting(index)
        assert standing[index] == pytest.approx(stood / 1000, rel=1e-5)


def test_what_stands_at_midnight_is_told_on_the_day_of_its_raise_alone() -> None:
    times = array("q", range(SINCE - DAY_MS, SINCE + DAY_MS, 60_000))
    values = array("d", [HI.setting.limit + 5.0] * len(times))
    yesterday = Signal(SINCE - DAY_MS, SINCE, times, values, 1, 1.0)
    today = Signal(SINCE, SINCE + DAY_MS, times, values, 1, 1.0)
    [first], [second] = count_day(yesterday, [asked()]), count_day(today, [asked()])
    assert (first.named[LIVE][0], second.named[LIVE][0]) == (1.0, 0.0)
    assert second.named[LIVE][1] == DAY_MS / 1000


def test_the_named_sets_and_what_the_engineers_set_told_alone() -> None:
    signal = wandering()
    later = Setting(HI.setting.limit + 25, HI.setting.deadband, 600_000, 0)
    [found] = count_day(signal, [asked(live=later, candidate=later)])
    assert found.named[LIVE] == found.named[CANDIDATE]
    assert found.named[ENGINEER][0] > found.named[LIVE][0]
    assert found.engineer_only, "the engineer's set tells more"
    assert all(SINCE <= began < SINCE + DAY_MS for began, _ in found.engineer_only)
    [same] = count_day(signal, [asked()])
    assert (same.engineer_only, same.engineer_only_more) == ([], 0)


def test_only_a_hundred_lone_episodes_travel_and_the_rest_are_counted() -> None:
    times = array("q", range(SINCE, SINCE + DAY_MS, 30_000))
    values = array("d", [HI.setting.limit + (20 if n % 4 == 0 else -50) for n in range(len(times))])
    signal = Signal(SINCE, SINCE + DAY_MS, times, values, len(times), 1.0)
    quick, never = Setting(HI.setting.limit), Setting(HI.setting.limit + 900)
    [found] = count_day(signal, [asked(live=never, engineer=quick)])
    assert len(found.engineer_only) == 100
    assert found.engineer_only_more == len(times) // 4 - 100


def test_the_episode_of_a_fault_travels_however_much_noise_was_before_it() -> None:
    times = array("q", range(SINCE, SINCE + DAY_MS, 30_000))
    values = array("d", [HI.setting.limit + (20 if n % 4 == 0 else -50) for n in range(len(times))])
    fault = len(times) - 40
    for n in range(fault, fault + 12):
        values[n] = HI.setting.limit + 20
    signal = Signal(SINCE, SINCE + DAY_MS, times, values, len(times), 1.0)
    quick, never = Setting(HI.setting.limit), Setting(HI.setting.limit + 900)
    [found] = count_day(signal, [asked(live=never, engineer=quick)])
    assert len(found.engineer_only) == 100
    assert times[fault] in [began for began, _ in found.engineer_only]
    assert found.engineer_only == sorted(found.engineer_only)


def test_an_episode_that_the_other_set_overlaps_is_not_alone() -> None:
    assert told_alone([(10, 20)], [(15, 40)], 0, 100) == []
    assert told_alone([(10, 20)], [(20, 40)], 0, 100) == [[10, 20]]
    assert told_alone([(10, None)], [], 0, 100) == [[10, 0]]
    assert told_alone([(10, None)], [(5, None)], 0, 100) == []
    assert told_alone([(10, 20)], [], 15, 100) == [], "it was begun before"


def test_coverage_is_the_time_that_good_samples_stand() -> None:
    minute = 60_000
    times = range(0, 60 * minute, minute)
    whole = coverage(times, [True] * 60, 0, 60 * minute)
    assert whole == pytest.approx(1.0)
    half = coverage(range(0, 30 * minute, minute), [True] * 30, 0, 60 * minute)
    assert half == pytest.approx((29 + 2.5) / 60)
    assert coverage(times, [False] * 60, 0, 60 * minute) == 0.0
    assert coverage([], [], 0, minute) == 0.0


def test_a_fault_is_judged_by_the_first_alarm_that_lasts() -> None:
    start, end = SINCE + 3_600_000, SINCE + 7_200_000
    times = array("q", range(SINCE, end + 600_000, 10_000))
    high = HI.setting.limit + 1
    values = array("d", [high if at >= start + 120_000 else 0.0 for at in times])
    signal = Signal(SINCE, end + 600_000, times, values, len(times), 1.0)
    slow = Setting(HI.setting.limit, 0.0, 300_000, 0)
    [found] = judge(
        signal, start, end,
        [asked(live=slow, engineer=Setting(HI.setting.limit), candidate=Setting(high + 50))],
    )  # fmt: skip
    assert found.named == {LIVE: 420.0, ENGINEER: 120.0, CANDIDATE: -1.0}
    assert len(found.delays) == 4 * len(Grid.from_dict(found.grid))


class TestNominations:
    def signed(self, key: Ed25519PrivateKey = KEY, **more: object) -> bytes:
        plain = {
            "site": "f1", "edge": "e1", "counter": 1, "issued_at": 0, "expires_at": 10,
            "items": [Nomination(alarm=HI.id, reason="worst")], **more,
        }  # fmt: skip
        payload = canonical(Nominations(**plain))  # type: ignore[arg-type]
        return encode(SignedNominations(payload=payload, signature=key.sign(payload)))

    def test_what_the_group_signed_for_this_edge_is_taken(self) -> None:
        found = authentic(PLANT, KEY.public_key(), "e1", self.signed())
        assert isinstance(found, Nominations)

    @pytest.mark.parametrize(
        ("encoded", "edge", "code"),
        [
            (b"rubbish", "e1", "unreadable"),
            ("stranger", "e1", "release_signature_invalid"),
            ("ours", "e2", "other_target"),
            ("other site", "e1", "other_target"),
            ("directive", "e1", "unreadable"),
            ("other schema", "e1", "unknown_schema"),
            ("changed", "e1", "release_signature_invalid"),
        ],
    )
    def test_all_else_is_refused(self, encoded: object, edge: str, code: str) -> None:
        directive = canonical_directive(
            Directive(
                id="d", site="f1", edge="e1", counter=9, issued_at=0, expires_at=9, settings=[]
            )
        )
        made = {
            "stranger": self.signed(Ed25519PrivateKey.generate()),
            "ours": self.signed(),
            "other site": self.signed(site="f2"),
            "directive": encode(
                SignedNominations(payload=directive, signature=KEY.sign(directive))
            ),
            "other schema": self.signed(schema="nominations/v9"),
            "changed": self.signed().replace(b"worst", b"worse"),
        }
        data = encoded if isinstance(encoded, bytes) else made[str(encoded)]
        found = authentic(PLANT, KEY.public_key(), edge, data)
        # A directive holds no `items`: it reads as nominations of another schema.
        wanted = {code, "unknown_schema"} if encoded == "directive" else {code}
        assert isinstance(found, Rejected)
        assert found.code in wanted

    def test_only_tunable_points_of_the_edge_within_the_budget(self) -> None:
        tunable = [a for a, d in SITE.alarms.items() if countable(d) and d.edge == "e1"]
        assert len(tunable) >= 2
        names = [*SITE.alarms, "no-such-alarm", *SITE.alarms]
        items = [Nomination(alarm=name, reason="worst") for name in names]
        kept = permitted(SITE.alarms, "e1", items, 200)
        assert sorted(each.alarm for each in kept) == sorted(tunable)
        assert len(permitted(SITE.alarms, "e1", items, 1)) == 1

    def test_a_grid_that_is_none_or_that_no_edge_runs_is_left_out(self) -> None:
        good = Grid("HI", (1200.0, 1210.0)).to_dict()
        for grid, kept in (
            (good, 1), ({**good, "side": "LO"}, 0), ({"limits": "all"}, 0),
            ({**good, "filters": ["raw", "day"]}, 0),
        ):  # fmt: skip
            item = Nomination(alarm=HI.id, reason="worst", grid=grid)
            assert len(permitted(SITE.alarms, "e1", [item], 200)) == kept

    def test_left_alone_a_factory_counts_its_worst_points(self) -> None:
        raised = {HI.id: 40, "FUR-01.TT-102.HI": 90, "FUR-01.DOOR": 900, "FUR-01.TT-101.HIHI": 0}
        assert worst(raised, SITE.alarms, "e1", 5) == ["FUR-01.TT-102.HI", HI.id]
        assert worst(raised, SITE.alarms, "e1", 1) == ["FUR-01.TT-102.HI"]
        assert worst(raised, SITE.alarms, "e2", 5) == []


async def test_every_sample_is_asked_for_again_in_time_and_ended_when_not_wanted() -> None:
    clock, server, told = ManualClock(), MemoryServer(), []
    edge, brain = MemoryBus(server), MemoryBus(server)
    node = Node("f1", "e1")

    async def answer(_: str, data: bytes) -> bytes:
        request = decode(data, SampleRequest)
        told.append((request.tag, request.ttl_ms > 0))
        return encode(SampleAnswer(id=request.id, accepted=True, ttl_ms=request.ttl_ms))

    await edge.subscribe(node.sampling, answer)
    asking = FullRate("f1", SITE.tags, SITE.sources, cast(Any, brain), clock)
    await asking.ask(["TT-101", "TT-102", "no-such-tag"])
    await asking.ask(["TT-101", "TT-102"])
    assert told == [("TT-101", True), ("TT-102", True)], "not twice within its time"
    clock.advance(RENEW_MS)
    await asking.ask(["TT-101"])
    assert told[2:] == [("TT-102", False), ("TT-101", True)]
    assert MOST_TAGS < 200, "people ask for some too"


def member(name: str, label: str = "", raised: int = 100, returned: int | None = 200) -> Told:
    return Told(name, f"alarm-{name}", "FUR-01", raised, returned, label)


def case(*members: Told, closed: int | None = None, outcome: str = "") -> Case:
    return Case("i1", "FUR-01", closed, outcome, "burner", members)


class TestFaultsOfLabels:
    def test_from_the_first_raise_to_the_last_return(self) -> None:
        both = case(member("a", "true", 100, 150), member("b", "true", 120, 400), closed=900)
        assert of_case(both, 1000) == (100, 400, ("alarm-a", "alarm-b"))

    def test_what_still_stands_ends_with_the_closing_or_now(self) -> None:
        stood = case(member("a", "true", 100, None), closed=900, outcome="true")
        assert of_case(stood, 1000) == (100, 900, ("alarm-a",))
        assert of_case(case(member("a", "true", 100, None)), 1000) == (100, 1000, ("alarm-a",))

    def test_a_closed_incident_speaks_for_all_that_nobody_called_something_else(self) -> None:
        told = case(member("a"), member("b", "nuisance", 5, 6), closed=900, outcome="true")
        assert of_case(told, 1000) == (100, 200, ("alarm-a",))

    @pytest.mark.parametrize("label", ["nuisance", "drill", ""])
    def test_nobody_said_that_there_was_one(self, label: str) -> None:
        assert of_case(case(member("a", label), closed=9, outcome="nuisance"), 1000) is None

    def test_revisions_rise_with_what_matters_only(self) -> None:
        fault = Fault("inc-i1", 0, "FUR-01", "REHEAT", 1, 2, "burner", "anna", 50, ("a",), "i1")
        first = revised(None, fault)
        assert first is not None
        assert first.revision == 1
        assert revised(first, fault) is None
        by_other = Fault(**{**_plain(fault), "actor": "bo", "recorded_at": 60})
        assert revised(first, by_other) is None, "another label of the same fault"
        longer = revised(first, Fault(**{**_plain(fault), "end": 3}))
        assert longer is not None
        assert longer.revision == 2

    def test_one_fault_for_one_incident(self) -> None:
        assert fault_id(case(member("a"))) == "inc-i1"
        assert fault_id(Case("", "FUR-01", None, "", "", (member("a"),))) == "occ-a"

    def test_the_line_is_the_nearest_line_or_area_above(self) -> None:
        assert line_of(SITE.assets, "FUR-01") == "REHEAT"
        assert line_of(SITE.assets, "FUR-01-B2") == "REHEAT"
        assert line_of(SITE.assets, "ELSEWHERE") == "ELSEWHERE"


def _plain(fault: Fault) -> dict:
    return {name: getattr(fault, name) for name in Fault.__dataclass_fields__}
