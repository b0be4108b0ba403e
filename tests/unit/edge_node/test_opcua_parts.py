"""The pure parts of the OPC UA driver: grammar, types and ranges, conditions as tags see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua

from edge_node.adapters.sources.opcua import (
    check_address,
    check_write,
    element_of,
    event_address,
    in_namespaces,
    method_address,
)
from edge_node.adapters.sources.opcua_conditions import Condition, Conditions, field_of
from edge_node.adapters.sources.opcua_session import check_trust, first_certificate, thumbprints
from edge_node.adapters.sources.opcua_values import (
    as_type,
    code_of,
    element,
    lost_values,
    ms,
    plain,
    variant_of,
)
from edge_node.adapters.sources.port import Source
from shared.errors import ConfigError

KINDS = ua.VariantType


@pytest.mark.parametrize(
    "address",
    ["ns=2;s=A", "i=85", "nsu=urn:x;i=5", "ns=2;s=with space;and|bar[3]", "s=x",
     "ns=65535;i=4294967295",
     "g=72962B91-FA75-4AE6-8D28-B404DC7DAF63", "ns=1;b=M/RbKBsRVkePCePcx24oRA=="],
)  # fmt: skip
def test_node_ids_are_taken(address: str) -> None:
    assert check_address(address, "number") == ""
    assert ua.NodeId.from_string(in_namespaces(address, ["http://opcfoundation.org/UA/", "urn:x"]))


def test_namespaces_are_found_by_their_name_wherever_the_server_has_put_them() -> None:
    known = ["http://opcfoundation.org/UA/", "urn:x", "urn:y"]
    assert in_namespaces("nsu=urn:y;s=A", known) == "ns=2;s=A"
    assert in_namespaces("method:nsu=urn:x;i=1|nsu=urn:y;i=2", known) == "method:ns=1;i=1|ns=2;i=2"
    assert in_namespaces("nsu=urn:z;s=A", known) == "ns=65535;s=A"
    assert in_namespaces("ns=7;s=A", known) == "ns=7;s=A"


@pytest.mark.parametrize(
    "address", ["", "FUR", "ns=2", "ns=70000;i=1", "ns=2;i=x", "x=1", "ns=2 s=A"]
)
def test_what_is_no_node_id_is_refused_with_the_rule(address: str) -> None:
    assert "write it as ns=2;s=NAME" in check_address(address, "number")
    assert check_write(address)


def test_addresses_of_events_and_methods_are_taken_apart() -> None:
    taken = event_address("event:ns=2;s=Tank|Level High|Acked")
    assert taken is not None
    assert (taken.node, taken.condition, taken.field) == ("ns=2;s=Tank", "Level High", "Acked")
    assert method_address("method:i=85|ns=2;s=Do") == ("i=85", "ns=2;s=Do")
    assert method_address("ns=2;s=Do") is None
    assert element_of("ns=2;s=A[12]") == ("ns=2;s=A", 12)
    assert element_of("ns=2;s=A") is None
    for wrong in ("event:i=85|x", "event:x|*|Active", "event:i=85|*|Activ", "event:i=85||Active"):
        assert check_address(wrong, "boolean")
    assert "type: number" in check_address("event:i=85|*|Severity", "string")
    for wrong in ("method:i=85", "method:x|y", "method:i=85|ns=2;s=a|b"):
        assert check_write(wrong)


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [(KINDS.SByte, -128, 127), (KINDS.Byte, 0, 255), (KINDS.Int16, -32768, 32767),
     (KINDS.UInt16, 0, 65535), (KINDS.UInt32, 0, 2**32 - 1), (KINDS.Int64, -(2**63), 2**63 - 1)],
)  # fmt: skip
def test_an_integer_beyond_its_type_is_refused_not_wrapped(
    kind: ua.VariantType, low: int, high: int
) -> None:
    assert as_type(low, kind) == low
    assert as_type(high, kind) == high
    for beyond in (low - 1, high + 1):
        with pytest.raises(ValueError, match="does not fit into"):
            as_type(beyond, kind)


def test_values_take_the_node_s_type() -> None:
    assert variant_of([1, 2.0], KINDS.Int32, True).Value == [1, 2]
    assert as_type("x", KINDS.LocalizedText).Text == "x"
    assert as_type("2026-01-02T03:04:05+00:00", KINDS.DateTime).year == 2026
    assert plain(ua.LocalizedText("x")) == "x"
    assert plain(b"x") is None
    for value, kind, array in ((1, KINDS.Int32, True), ([1], KINDS.Int32, False),
                               (1e39, KINDS.Float, False), ("x", KINDS.DateTime, False),
                               (None, KINDS.Int32, False)):  # fmt: skip
        with pytest.raises(ValueError, match=r"cannot|does not|holds|format"):
            variant_of(value, kind, array)


def test_codes_times_and_elements() -> None:
    assert code_of(ua.StatusCode(ua.UInt32(0))) == ""
    assert code_of(ua.StatusCode(ua.UInt32(0x808C0000))) == "BadSensorFailure"
    assert lost_values(ua.StatusCode(ua.UInt32(0x0480)))
    assert not lost_values(ua.StatusCode(ua.UInt32(0x0400)))
    assert ms(datetime(2026, 1, 1), 7) == ms(datetime(2026, 1, 1, tzinfo=UTC), 7)  # noqa: DTZ001
    assert ms(None, 7) == 7
    assert element([1, 2], 1) == 2
    for raw in ([1], "ab", None, 5):
        assert element(raw, 1) is None


def test_the_first_certificate_of_a_chain() -> None:
    first = b"\x30\x82\x01\x00" + b"x" * 256
    assert first_certificate(first + b"\x30\x82\x00\x01y") == first


def test_only_the_pinned_certificate_is_trusted() -> None:
    source = Source("s1", "opcua", "opc.tcp://x", 500, 1, (), {})
    for pinned in thumbprints(b"certificate"):
        check_trust(source, pinned, b"certificate")
        with pytest.raises(ConfigError, match="another certificate than the pinned one"):
            check_trust(source, pinned, b"other")
    with pytest.raises(ConfigError, match=r"is not trusted: SHA-256 [0-9a-f]{64}"):
        check_trust(source, "", b"certificate")


def condition(name: str, **changed: Any) -> Condition:
    given = {
        "key": name, "name": name, "source": "Boiler", "active": True, "acked": False,
        "confirmed": True, "enabled": True, "severity": 500, "message": name, "time_ms": 1,
    }  # fmt: skip
    return Condition(**{**given, **changed})


def test_of_several_conditions_what_matters_most_is_shown() -> None:
    book = Conditions()
    book.put(condition("A", severity=900, active=False, message="over"))
    book.put(condition("B", severity=300, acked=True))
    book.put(condition("C[1]", severity=300, time_ms=2))
    every = book.select("*")
    shown = [field_of(every, f) for f in ("Active", "Acked", "Severity", "Message", "Enabled")]
    assert shown == [True, False, 300.0, "C[1]", True]
    assert [c.name for c in book.select("C[1]")] == ["C[1]"]
    assert [c.name for c in book.select("Boiler/?")] == ["A", "B"]
    assert book.select("Kiln/*") == []
    nothing = [field_of([], f) for f in ("Active", "Acked", "Severity", "Message")]
    assert nothing == [False, True, 0.0, ""]


def test_a_refresh_forgets_what_the_server_leaves_out_but_not_what_came_meanwhile() -> None:
    book = Conditions()
    book.put(condition("A"))
    book.put(condition("B"))
    assert not book.complete
    book.end_refresh()
    assert not book.complete
    book.begin_refresh()
    book.put(condition("B"))
    book.put(condition("C"))
    book.end_refresh()
    assert book.names() == ["Boiler/B", "Boiler/C"]
    assert book.complete
