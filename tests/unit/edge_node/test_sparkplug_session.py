"""The Sparkplug host's state machine on a virtual clock: sequences, rebirths, deaths."""

from __future__ import annotations

from typing import Any

import pytest

from edge_node.adapters.sources.sparkplug import check_address, parse_address
from edge_node.adapters.sources.sparkplug_codec import Metric, Payload
from edge_node.adapters.sources.sparkplug_session import (
    AskRebirth,
    Born,
    Doubt,
    Effect,
    Gone,
    Host,
    Values,
)
from edge_node.adapters.sources.sparkplug_values import Raw

NOW = 1_700_000_000_000


class Plant:
    """One node's messages to a host, on one clock."""

    def __init__(self, reorder_ms: int = 1000, rebirth_ms: int = 5000) -> None:
        self.host, self.mono = Host(reorder_ms, rebirth_ms), 0

    def say(self, kind: str, seq: int | None, *metrics: Metric, device: str = "") -> list[Effect]:
        device = device or ("d" if kind[0] == "D" else "")
        payload = Payload(NOW + self.mono - 10, seq, list(metrics))
        return self.host.take("n", kind, device, payload, NOW + self.mono, self.mono)

    def birth(self, bdseq: int = 0) -> list[Effect]:
        return self.say(
            "NBIRTH", 0, Metric("bdSeq", datatype=4, raw=Raw(11, bdseq)), metric("Up", 1, 1)
        )

    def device(self, seq: int = 1, *names: str) -> list[Effect]:
        return self.say("DBIRTH", seq, *(metric(n, 10 + i, 0) for i, n in enumerate(names or "a")))

    def tick(self, ms: int) -> list[Effect]:
        self.mono += ms
        return self.host.tick(NOW + self.mono, self.mono)


def metric(name: str, alias: int, value: int) -> Metric:
    return Metric(name, alias, NOW, 3, raw=Raw(10, value))


def by_alias(alias: int, value: int) -> Metric:
    return Metric("", alias, NOW, raw=Raw(10, value))


def values(effects: list[Effect]) -> list[tuple[str, str, Any]]:
    return [
        (e.device, r.name, r.value) for e in effects if isinstance(e, Values) for r in e.rows
    ]  # fmt: skip


def asked(effects: list[Effect]) -> list[str]:
    return [e.why for e in effects if isinstance(e, AskRebirth)]


def test_births_define_aliases_and_data_is_read_in_their_terms() -> None:
    plant = Plant()
    born = plant.birth()
    assert isinstance(born[0], Born)
    assert ("", "Up", 1) in values(born)
    assert values(plant.device()) == [("d", "a", 0)]
    assert values(plant.say("DDATA", 2, by_alias(10, 5))) == [("d", "a", 5)]
    assert values(plant.say("NDATA", 3, by_alias(1, 9))) == [("", "Up", 9)]
    # An alias belongs to one device of the node.
    effects = plant.say("NDATA", 4, by_alias(10, 5))
    assert values(effects) == []
    assert asked(effects) == ["no birth has named alias 10"]


def test_the_sequence_goes_from_255_to_0() -> None:
    plant = Plant()
    plant.birth()
    for seq in range(1, 256):
        assert values(plant.say("NDATA", seq, by_alias(1, seq)))
    assert values(plant.say("NDATA", 0, by_alias(1, 7))) == [("", "Up", 7)]
    assert values(plant.say("NDATA", 1, by_alias(1, 8))) == [("", "Up", 8)]


def test_messages_out_of_order_wait_for_the_missing_one() -> None:
    plant = Plant()
    plant.birth()
    plant.device()
    assert plant.say("DDATA", 4, by_alias(10, 4)) == []
    assert plant.say("DDATA", 3, by_alias(10, 3)) == []
    assert plant.tick(999) == []
    assert [v for *_, v in values(plant.say("DDATA", 2, by_alias(10, 2)))] == [2, 3, 4]
    assert plant.tick(5000) == []
    assert values(plant.say("DDATA", 5, by_alias(10, 5)))


def test_a_missing_message_brings_doubt_and_a_rebirth() -> None:
    plant = Plant()
    plant.birth()
    plant.device()
    plant.say("DDATA", 3, by_alias(10, 3))
    lost = plant.tick(1000)
    assert lost == [Doubt("n"), AskRebirth("n", "message 2 is missing")]
    # The missed one may have been a birth with other aliases.
    assert values(plant.say("DDATA", 4, by_alias(10, 4))) == []
    assert ("", "Up", 1) in values(plant.birth())
    assert values(plant.device(1, "b")) == [("d", "b", 0)]
    assert values(plant.say("DDATA", 2, by_alias(10, 6))) == [("d", "b", 6)]


def test_without_a_timeout_a_gap_is_a_gap_at_once() -> None:
    plant = Plant(reorder_ms=0)
    plant.birth()
    assert plant.say("NDATA", 2, by_alias(1, 2)) == [
        Doubt("n"), AskRebirth("n", "message 2 came instead of 1"),
    ]  # fmt: skip
    plant = Plant()
    plant.birth()
    assert asked(plant.say("NDATA", None, by_alias(1, 2)))
    assert not plant.host.node("n").born


def test_a_node_is_not_asked_too_often_and_is_asked_again() -> None:
    plant = Plant(rebirth_ms=5000)
    assert asked(plant.say("NDATA", 9)) == ["NDATA before a birth"]
    for _ in range(50):
        assert asked(plant.say("NDATA", 9)) == []
    assert asked(plant.tick(4999)) == []
    assert asked(plant.tick(1)) == ["NDATA before a birth"]
    plant.birth()
    assert asked(plant.tick(60_000)) == []


def test_a_nodes_death_takes_its_devices_along() -> None:
    plant = Plant()
    plant.birth(bdseq=3)
    plant.device()
    plant.mono = 700
    death = Metric("bdSeq", datatype=4, raw=Raw(11, 3))
    assert plant.say("NDEATH", None, death) == [
        Gone("n", "", NOW + 700), Gone("n", "d", NOW + 700),
    ]  # fmt: skip
    assert plant.host.node("n").known("") is None
    assert plant.host.node("n").known("d") is None
    assert asked(plant.tick(60_000)) == [], "it is born again when it comes back"


def test_the_death_of_an_earlier_connection_is_no_death() -> None:
    plant = Plant()
    plant.birth(bdseq=3)
    plant.birth(bdseq=4)
    assert plant.say("NDEATH", None, Metric("bdSeq", datatype=4, raw=Raw(11, 3))) == []
    assert plant.host.node("n").born


def test_a_devices_death_is_told_with_its_own_time_and_data_after_it_asks() -> None:
    plant = Plant()
    plant.birth()
    plant.device()
    assert plant.say("DDEATH", 2) == [Gone("n", "d", NOW - 10)]
    effects = plant.say("DDATA", 3, by_alias(10, 1))
    assert values(effects) == []
    assert asked(effects) == ["data of d before its birth"]


def test_a_rebirth_keeps_the_devices_for_as_long_as_they_need() -> None:
    plant = Plant()
    plant.birth(bdseq=1)
    plant.device(1)
    plant.say("DBIRTH", 2, metric("x", 30, 0), device="e")
    again = plant.birth(bdseq=1)
    assert not [e for e in again if isinstance(e, Gone)]
    assert plant.host.node("n").known("d") is None
    plant.device(1)
    assert plant.host.node("n").known("d") is not None
    assert plant.tick(5000) == [Gone("n", "e", NOW + 5000)]
    # A new session of the node: what it had is gone at once.
    assert [e for e in plant.birth(bdseq=2) if isinstance(e, Gone)] == [
        Gone("n", "d", NOW + 5000)
    ]  # fmt: skip


def test_waiting_messages_are_bounded() -> None:
    plant = Plant()
    plant.birth()
    effects: list[Effect] = []
    for seq in range(2, 80):
        effects += plant.say("NDATA", seq, by_alias(1, seq))
    assert Doubt("n") in effects
    assert len(plant.host.node("n").waiting) == 0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("n1:Uptime", ("n1", "", "Uptime")),
        ("n1/press:Hydraulics/Pressure", ("n1", "press", "Hydraulics/Pressure")),
        ("n1/p:a:b", ("n1", "p", "a:b")),
    ],
)
def test_addresses(text: str, wanted: tuple[str, str, str]) -> None:
    place = parse_address(text)
    assert (place.node, place.device, place.metric) == wanted
    assert check_address(text) == ""


@pytest.mark.parametrize("text", ["n1", "n1/press", "n1/a/b:x", "n+:x", ":x", "n1:", "n1/:x"])
def test_wrong_addresses_are_told_the_rule(text: str) -> None:
    assert "NODE/DEVICE:METRIC" in check_address(text)
