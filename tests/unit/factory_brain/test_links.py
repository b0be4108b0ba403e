"""Links without servers: mapping, the alarms of linked systems, retries, addresses, devices."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from factory_brain.adapters.outward import RefusedAddressError, fault_of, pinned
from factory_brain.application.links.device_words import heard_of
from factory_brain.application.links.devices import again_after
from factory_brain.application.links.outbound import retry_at
from factory_brain.application.links.ports import Answered
from factory_brain.application.links.verify import Request, Verified, verify_request
from factory_brain.domain.device_states import device_state
from factory_brain.domain.link_alarms import Done, LinkAlarm, answer_fact, expire, report
from factory_brain.domain.link_mapping import Incoming, Mapping
from shared.alarm.occurrence import fold
from shared.errors import Rejected
from shared.messages.bodies import Fact
from shared.site.links import SCHEDULE, InboundSpec

NOW = 1_700_000_000_000
MAP = {
    "type": "body.type", "asset": "body.asset", "alarm": "body.alarm", "active": "body.active",
    "priority": "body.priority", "text_zh": "body.zh", "value": "body.value", "time": "body.time",
}  # fmt: skip
BODY = {
    "type": "door", "asset": "FUR-01", "alarm": "d7", "active": True, "priority": 2,
    "zh": "门未关", "value": 1.5, "time": NOW,
}  # fmt: skip


def inbound(**more: Any) -> InboundSpec:
    return InboundSpec.model_validate(
        {"id": "doors", "verify": "bearer", "secret": "s", "map": MAP} | more
    )


def test_a_message_is_mapped() -> None:
    found = Mapping(inbound()).read(BODY, NOW)
    assert isinstance(found, Incoming)
    assert (found.alarm, found.active, found.priority) == ("LNK.doors.d7", True, 2)
    assert found.names == {"zh": "门未关", "en": "门未关"}


@pytest.mark.parametrize(
    ("given", "ms"),
    [(NOW - 1, NOW - 1), (1_700_000_000, NOW), ("2023-11-14T22:13:20Z", NOW), (None, NOW)],
)
def test_times_of_every_kind(given: object, ms: int) -> None:
    found = Mapping(inbound()).read(BODY | {"time": given}, NOW)
    assert isinstance(found, Incoming)
    assert found.time == ms


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"asset": None}, "asset"), ({"asset": "no such"}, "asset"), ({"priority": 9}, "priority"),
        ({"priority": "high"}, "priority"), ({"priority": True}, "priority"),
        ({"active": "yes"}, "active"), ({"active": None}, "active"), ({"alarm": "a b"}, "alarm"),
        ({"alarm": "x" * 61}, "alarm"), ({"value": "x"}, "value"), ({"time": "soon"}, "time"),
        ({"time": "2023-11-14T22:13:20"}, "time"), ({"time": NOW + 400_000}, "time"),
        ({"time": -1}, "time"), ({"zh": ["x"]}, "text_zh"), ({"type": ""}, "type"),
        ({"type": "a/b"}, "type"),
    ],
)  # fmt: skip
def test_what_cannot_be_mapped_names_the_field(change: dict[str, Any], field: str) -> None:
    refused = Mapping(inbound()).read(BODY | change, NOW)
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.params["field"]) == ("hook_mapping", field)


@pytest.mark.parametrize("body", [None, 1, "x", [], {}, {"type": {}}, {"type": "a"}])
def test_any_json_is_mapped_or_refused(body: object) -> None:
    assert isinstance(Mapping(inbound()).read(body, NOW), Rejected)
    assert Mapping(inbound(when="false")).read(body, NOW) is None


def said(active: bool, at: int, **more: Any) -> Incoming:
    found = Mapping(inbound()).read(BODY | {"active": active, "time": at}, at)
    assert isinstance(found, Incoming)
    return replace(found, **more)


def fact(before: LinkAlarm, action: str, **args: Any) -> Fact:
    return Fact(
        id=f"{action}-{before.version}", alarm=before.alarm, occurrence=before.occurrence,
        version_seen=before.version, action=action, actor="li", place="factory",
        hlc=f"{NOW}.{before.version}", args=args,
    )  # fmt: skip


def raised() -> Done:
    return report(LinkAlarm("LNK.doors.d7", "doors"), said(True, NOW), NOW, "o1")


def test_raise_acknowledge_return() -> None:
    first = raised()
    assert first.transition is not None
    assert (first.result, first.transition.annunciate) == ("raised", True)
    acked = answer_fact(first.alarm, fact(first.alarm, "acknowledge"), NOW)
    assert acked.transition is not None
    assert (acked.result, acked.transition.kind, acked.transition.version) == (
        "applied", "acknowledged", 1,
    )  # fmt: skip
    again = answer_fact(acked.alarm, fact(acked.alarm, "acknowledge"), NOW)
    assert (again.result, again.code) == ("recorded", "already_acknowledged")
    gone = report(acked.alarm, said(False, NOW + 1), NOW + 1, "o2")
    assert gone.transition is not None
    assert (gone.result, gone.alarm.state.name) == ("returned", "normal")
    back = report(gone.alarm, said(True, NOW + 2), NOW + 2, "o2")
    assert (back.alarm.occurrence, back.alarm.version) == ("o2", 1)
    stale = answer_fact(back.alarm, fact(first.alarm, "acknowledge"), NOW)
    assert (stale.result, stale.code) == ("recorded", "occurrence_closed")
    assert not stale.alarm.state.acked


def test_shelf_wants_a_reason_and_ends() -> None:
    alarm = raised().alarm
    assert answer_fact(alarm, fact(alarm, "shelve", ms=1000), NOW).code == "reason_required"
    shelved = answer_fact(alarm, fact(alarm, "shelve", ms=1000, reason="works"), NOW)
    assert shelved.alarm.state.name == "shelved"
    assert expire(shelved.alarm, NOW + 999) is None
    over = expire(shelved.alarm, NOW + 1000)
    assert over is not None
    assert over.transition is not None
    assert (over.alarm.state.name, over.transition.annunciate) == ("unacknowledged", True)


def test_what_is_worse_than_what_was_acknowledged_sounds_anew() -> None:
    first = raised()
    acked = answer_fact(first.alarm, fact(first.alarm, "acknowledge"), NOW).alarm
    same = report(acked, said(True, NOW + 1), NOW + 1, "o2")
    assert (same.result, same.transition) == ("unchanged", None)
    milder = report(acked, said(True, NOW + 1, priority=3), NOW + 1, "o2")
    assert milder.transition is not None
    assert (milder.transition.kind, milder.alarm.state.acked) == ("reconfigured", True)
    worse = report(acked, said(True, NOW + 1, priority=1), NOW + 1, "o2")
    assert worse.transition is not None
    assert (worse.transition.annunciate, worse.alarm.state.acked) == (True, False)
    assert worse.alarm.occurrence == "o1"


@pytest.mark.parametrize("seed", range(30))
def test_any_order_of_reports_ends_as_the_newest_says(seed: int) -> None:
    """And the list, folded from what was journalled, says the same as the link's own state."""
    rng = random.Random(seed)
    reports = [said(rng.random() < 0.5, NOW + n * 1000) for n in range(12)]
    rng.shuffle(reports)
    alarm, journal, facts = LinkAlarm("LNK.doors.d7", "doors"), [], []
    for number, each in enumerate(reports):
        done = report(alarm, each, NOW + 20_000, f"o{number}")
        alarm = done.alarm
        journal += [done.transition] if done.transition else []
        if rng.random() < 0.4 and alarm.occurrence:
            wanted = fact(alarm, "acknowledge")
            answered = answer_fact(alarm, wanted, NOW + 20_000)
            alarm = answered.alarm
            facts += [wanted] if answered.result != "refused" else []
            journal += [answered.transition] if answered.transition else []
    newest = max(reports, key=lambda each: each.time)
    assert alarm.state.active is newest.active
    mine = [t for t in journal if t.occurrence == alarm.occurrence]
    view = fold(mine, facts)
    if view is not None:
        assert (view.state.active, view.state.acked) == (alarm.state.active, alarm.state.acked)


def test_retries_follow_the_schedule_and_what_the_receiver_asks() -> None:
    plain = Answered("status 500", 500)
    waits = [retry_at(list(SCHEDULE), n, NOW, plain, 0.0) for n in range(1, 9)]
    assert waits[-1] is None
    assert [w - NOW for w in waits if w is not None] == list(SCHEDULE)
    assert retry_at([5_000], 1, NOW, Answered("x", 429, 60), 0.0) == NOW + 60_000
    assert retry_at([5_000], 1, NOW, plain, 1.0) == NOW + 5_500
    assert [again_after(n) for n in (0, 1, 2, 9)] == [5_000, 5_000, 10_000, 60_000]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.100.100.200", "::1", "fc00::1",
        "fd00:ec2::254", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "0.0.0.0", "::",
        "169.254.169.254", "fe80::1%eth0", "::ffff:169.254.169.254", "224.0.0.1", "ff02::1",
        "64:ff9b::a9fe:a9fe", "255.255.255.255",
    ],
)  # fmt: skip
def test_no_way_inside(address: str) -> None:
    assert fault_of(address, False) is not None


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "::"])
def test_what_is_never_called_even_if_private_is_meant(address: str) -> None:
    assert "never" in (fault_of(address, True) or "")


def test_what_may_be_called() -> None:
    assert fault_of("8.8.8.8", False) is None
    assert fault_of("2606:4700::1", False) is None
    assert fault_of("10.1.2.3", True) is None
    assert fault_of("::1", True) is None


async def test_one_bad_address_of_many_is_enough() -> None:
    async def both(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "10.0.0.1"]

    async def good(host: str, port: int) -> list[str]:
        return ["2606:4700::1"]

    with pytest.raises(RefusedAddressError, match="private"):
        await pinned("https://linked.example/x", False, both)
    for url in ("file:///etc/passwd", "ftp://x/", "http://user:pw@linked.example/", "http:///x"):
        with pytest.raises(RefusedAddressError, match="only http"):
            await pinned(url, True, good)
    target = await pinned("https://linked.example:8443/x?y=1#z", False, good)
    assert target.url == "https://[2606:4700::1]:8443/x?y=1"
    assert (target.host, target.name) == ("linked.example:8443", "linked.example")


def test_the_id_of_a_signed_message_is_part_of_what_is_signed() -> None:
    spec = inbound(verify="bearer")
    request = Request({"authorization": "Bearer two"}, b"{}")
    assert isinstance(verify_request(spec, "one\ntwo\n", request, 0), Verified)
    assert isinstance(verify_request(spec, "one\nthree\n", request, 0), Rejected)
    empty = Request({"authorization": "Bearer "}, b"{}")
    assert isinstance(verify_request(spec, "one\n", empty, 0), Rejected)


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        ("dev/x/ack", b"[1]"), ("dev/x/ack", b"\xff"), ("dev/x/ack", b"[" * 16_000),
        ("dev/x/ack/more", b"{}"), ("notice/x/ack", b"{}"), ("dev/x", b"{}"),
    ],
)  # fmt: skip
def test_a_malformed_word_of_a_device_is_nothing(topic: str, body: bytes) -> None:
    assert heard_of(topic, body) is None


def row(name: str, priority: int, *, acked: bool, state: str = "") -> dict[str, Any]:
    return {
        "id": name, "occurrence": "o", "version": 1, "asset": "FUR-01", "priority": priority,
        "active": True, "acked": acked, "text_zh": "", "text_en": "",
        "state": state or ("acknowledged" if acked else "unacknowledged"),
    }  # fmt: skip


def test_states_of_devices() -> None:
    calm = device_state("beacon", [])
    assert (calm["colour"], calm["pattern"]) == ("green", "steady")
    rows = [row("A", 1, acked=True), row("B", 3, acked=False)]
    beacon = device_state("beacon", rows)
    assert (beacon["colour"], beacon["pattern"]) == ("yellow", "slow")
    assert device_state("robot", rows)["avoid"] == ["FUR-01"]
    assert [line["alarm"] for line in device_state("wearable", rows)["lines"]] == ["B", "A"]
    assert len(device_state("ar-terminal", rows)["overlays"]) == 1
    hidden = [row("A", 1, acked=False, state="shelved")]
    assert device_state("generic", hidden)["alarms"] == 0
