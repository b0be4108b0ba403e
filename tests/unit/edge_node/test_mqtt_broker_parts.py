"""The driver `mqtt-broker` without a broker: addresses, filters, payloads, options, refusals."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from pydantic import ValidationError

from edge_node.adapters.sources.mqtt_batch import encode_batch
from edge_node.adapters.sources.mqtt_broker import (
    MqttBrokerOptions,
    check_address,
    check_write,
    parse_address,
    parse_write,
)
from edge_node.adapters.sources.mqtt_broker_client import payload_of
from edge_node.adapters.sources.mqtt_options import LinkOptions, client_id, endpoint
from edge_node.adapters.sources.mqtt_payloads import Payloads
from edge_node.adapters.sources.mqtt_topics import Routes, covers, filter_fault, plan
from edge_node.adapters.sources.mqtt_words import refusal
from edge_node.adapters.sources.port import BAD, GOOD, UNCERTAIN, Point, Source
from shared.clock import ManualClock
from shared.errors import ConfigError
from tests.support.driver_here import Here

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("filter_", "topic", "wanted"),
    [
        ("a/b", "a/b", True), ("a/b", "a/b/c", False), ("a/+", "a/b", True), ("a/+", "a", False),
        ("a/+", "a/b/c", False), ("a/#", "a/b/c", True), ("a/#", "a", True), ("#", "a/b", True),
        ("+/b", "a/b", True), ("+", "/a", False), ("+/+", "/a", True), ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False), ("$SYS/#", "$SYS/x", True), ("a/+", "a/+", True),
        ("a/b", "a/+", False), ("a/+", "a/#", False), ("a/#", "a/+/c", True), ("a/#", "a/#", True),
    ],
)  # fmt: skip
def test_what_a_filter_covers(filter_: str, topic: str, wanted: bool) -> None:
    assert covers(filter_, topic) is wanted


def test_matching_agrees_with_the_library() -> None:
    from itertools import product

    from paho.mqtt.client import topic_matches_sub

    levels = ["a", "b", "", "+"]
    topics = ["/".join(p) for n in (1, 2, 3) for p in product(["a", "b", ""], repeat=n)]
    filters = ["/".join(p) for n in (1, 2, 3) for p in product(levels, repeat=n)]
    filters += [f"{f}/#" for f in filters] + ["#"]
    filters = [f for f in filters if f]
    for topic in filter(None, topics):
        wrong = [f for f in filters if covers(f, topic) != topic_matches_sub(f, topic)]
        assert wrong == [], topic


def test_tags_share_a_subscription_that_is_given_and_make_their_own_otherwise() -> None:
    assert plan(["a/x", "a/y", "b", "gw/+/t"], {"a/+": 2}, 1) == {"a/+": 2, "b": 1, "gw/+/t": 1}
    routes = Routes(["a/x", "a/+", "b"])
    assert routes.of("a/x") == ("a/x", "a/+")
    assert routes.of("a/y") == ("a/+",)
    assert routes.of("c") == ()


@pytest.mark.parametrize(
    "address", ["a/b#c.d", "a.b/c#/x/0", "a/+/c#v", "a/b", "line/1#batch[3]", "多/层#值"]
)
def test_addresses(address: str) -> None:
    assert check_address(address, "number") == ""


@pytest.mark.parametrize("address", ["", "#x", "a#", "a/b+#x", "$share/g/a#x", "a#b..c", "a\0b"])
def test_wrong_addresses_are_told_the_rule(address: str) -> None:
    assert "MQTT address" in check_address(address, "number")
    assert filter_fault("a/#/b")


def test_operations() -> None:
    assert parse_write("topic:a/b").retain is False
    assert parse_write("retained:a/b").retain is True
    target = parse_write("topic:a/cmd -> a/state#speed")
    assert (target.topic, target.readback) == ("a/cmd", parse_address("a/state#speed"))
    for wrong in ("a/b", "topic:", "topic:a/+", "topic:$SYS/x", "retain:a", "topic:a -> b#"):
        assert check_write(wrong), wrong
    values: list[tuple[Any, bytes]] = [
        (42.0, b"42"), (1.5, b"1.5"), (True, b"true"), ("stop", b"stop"), ({"a": 1}, b'{"a":1}'),
        ([1, 2], b"[1,2]"), (7, b"7"),
    ]  # fmt: skip
    for value, wanted in values:
        assert payload_of(value) == wanted


def payloads(*points: tuple[str, str], **options: Any) -> tuple[Payloads, Here]:
    heard = Here()
    made = tuple(
        Point(n, f"T{n}", address, kind)  # type: ignore[arg-type]
        for n, (address, kind) in enumerate(points)
    )
    sink: Any = heard
    return Payloads("s", made, MqttBrokerOptions(**options), sink, ManualClock(NOW)), heard


def test_json_times_members_and_types() -> None:
    taken, heard = payloads(("a#v.n", "number"), ("a#v.on", "boolean"), ("a#v.s", "string"))
    taken.take(
        "a", json.dumps({"ts": NOW - 5, "v": {"n": 1.5, "on": "off", "s": 3}}).encode(), False
    )
    assert heard.samples == [(0, NOW - 5, 1.5, GOOD), (1, NOW - 5, 0.0, GOOD)]
    assert heard.texts == [(2, NOW - 5, "3", GOOD)]
    heard.samples.clear()
    taken.take("a", b'{"v": {"n": null}}', False)
    assert [(i, t, q) for i, t, _, q in heard.samples] == [(0, NOW, BAD)]
    heard.samples.clear()
    # A time that cannot be true is not taken; what is absent is left alone.
    taken.take("a", json.dumps({"ts": NOW + 10**9, "v": {"n": 2}}).encode(), False)
    assert heard.samples == [(0, NOW, 2.0, GOOD)]
    taken.take("b", b"1", False)
    assert taken.malformed == 0
    taken.take("a", b"\xff\xfe", False)
    taken.take("a", b"[1", False)
    assert taken.malformed == 2
    assert taken.last_fault.startswith("a: no JSON")


@pytest.mark.parametrize(
    ("unit", "stamp"),
    [("s", NOW / 1000), ("ms", NOW), ("iso", "2023-11-14T22:13:20+00:00"), ("auto", NOW / 1000)],
)
def test_time_units(unit: str, stamp: Any) -> None:
    taken, heard = payloads(("a#v", "number"), time="meta.at", time_unit=unit)
    taken.take("a", json.dumps({"meta": {"at": stamp}, "v": 1}).encode(), True)
    assert heard.samples == [(0, NOW, 1.0, GOOD)]


@pytest.mark.parametrize(
    ("worth", "wanted"), [("uncertain", [UNCERTAIN]), ("good", [GOOD]), ("ignore", [])]
)
def test_what_a_retained_message_without_a_time_is_worth(worth: str, wanted: list[int]) -> None:
    taken, heard = payloads(("a", "number"), retained=worth)
    taken.take("a", b"5", True)
    assert [q for *_, q in heard.samples] == wanted
    taken.take("a", b"6", False)
    assert heard.samples[-1] == (0, NOW, 6.0, GOOD)


def test_plain_values_a_deleted_one_and_one_that_is_too_large() -> None:
    taken, heard = payloads(("a", "number"), ("a", "string"), ("a", "boolean"), max_message=64)
    taken.take("a", b" 12.5 ", False)
    assert heard.samples == [(0, NOW, 12.5, GOOD), (2, NOW, 1.0, GOOD)]
    assert heard.texts == [(1, NOW, "12.5", GOOD)]
    heard.samples.clear()
    taken.take("a", b"", False)
    assert [q for *_, q in heard.samples] == [BAD, BAD]
    taken.take("a", b"1" * 65, False)
    assert taken.malformed == 1


def test_the_columnar_batch() -> None:
    taken, heard = payloads(("gw/+/many#7", "number"), ("gw/+/many#level", "number"))
    tags, times, values = ["level", "7"], struct.pack("<2q", NOW, NOW - 1), struct.pack("<2d", 1, 2)
    import msgspec

    body = msgspec.msgpack.encode({"tags": tags, "t": times, "v": values})
    taken.take("gw/x/many", body, False)
    assert heard.samples == [(1, NOW, 1.0, GOOD), (0, NOW - 1, 2.0, GOOD)]
    taken.take("gw/x/many", encode_batch(struct.pack("<i", 9), times[:8], values[:8]), False)
    assert taken.malformed == 1
    taken.take("gw/x/many", b'{"7": 5}', False)
    assert heard.samples[-1] == (0, NOW, 5.0, GOOD)


def test_options_and_urls() -> None:
    assert MqttBrokerOptions.model_validate({"version": 5}).version == "5"
    for wrong in (
        {"version": "3"}, {"subscriptions": [{"filter": "a/b+"}]}, {"keepalive": "1s"},
        {"subscriptions": [{"filter": "a"}, {"filter": "a", "qos": 0}]}, {"time": "a..b"},
        {"presence": {"topic": "a/+"}}, {"qos": 3},
        {"subscriptions": [{"filter": "a", "shared": "x/y"}]},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            MqttBrokerOptions.model_validate(wrong)

    def source(url: str, **settings: Any) -> Source:
        return Source("s", "mqtt-broker", url, 500, 1, (), settings)

    assert endpoint(source("mqtts://h")) == ("h", 8883, True)
    assert endpoint(source("mqtt://h:99/")) == ("h", 99, False)
    for url in ("mqtt://", "mqtt://u:p@h", "mqtt://h/x", "mqtt://h:99999"):
        with pytest.raises(ConfigError, match="broker's address"):
            endpoint(source(url))
    # Two edges at one broker never have the same name; a trial never that of the edge.
    here, there = (source("mqtt://h", state_dir=d) for d in ("/a", "/b"))
    assert client_id(here, LinkOptions()) == client_id(here, LinkOptions())
    assert client_id(here, LinkOptions()) != client_id(there, LinkOptions())
    assert client_id(here, LinkOptions(client_id="x")) == "x"
    assert client_id(source("mqtt://h", trial=True), LinkOptions(client_id="x")) != "x"


def test_refusals_are_words_with_a_mend() -> None:
    for code in (132, 133, 134, 135, 137, 142, 151, 158, 250):
        what, mend = refusal(code, "something")
        assert f"({code})" in what
        assert mend
    assert "version: 3.1.1" in refusal(132)[1]
