"""InfluxDB's line protocol, written. Pure.

A backslash before a comma cannot be said in a tag's value, and a line break not at all: those are
written `%5C` and `%0A`, a percent sign `%25`, so that two values never become the same series.
"""

from __future__ import annotations

from collections.abc import Mapping

from factory_brain.adapters.sinks.columns import FLAGS, LONG_TEXTS, NUMBERS, WHOLE, columns
from factory_brain.application.sinks.port import EventRow, SampleRow

Field = float | int | bool | str
EVENT_TAGS = ("type", "asset", "alarm", "edge")
"""Few values each; what is unique for each event is a field."""
EVENT_TEXTS = ("kind", "occurrence", "tag", "unit", "state", "status", *LONG_TEXTS)
NS = 1_000_000
_LEAST, _MOST = -(1 << 63) + 2, (1 << 63) - 2
MOST_TEXT = 60_000
"""InfluxDB takes no longer string."""


def _escaped(text: str, special: str) -> str:
    out: list[str] = []
    for letter in text:
        if letter in "\\%" or letter < " " or letter == "\x7f":
            out.append(f"%{ord(letter):02X}")
        else:
            out.append("\\" + letter if letter in special else letter)
    return "".join(out)


def _value(value: Field) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(value)
    told = value if len(value.encode()) <= MOST_TEXT else value[: MOST_TEXT // 4]
    return '"' + told.replace("\\", "\\\\").replace('"', '\\"') + '"'


def line(measurement: str, tags: Mapping[str, str], fields: Mapping[str, Field], at: int) -> str:
    """One point; `at` in ns. Raises ValueError for a time that the protocol does not have."""
    if not _LEAST <= at <= _MOST:
        raise ValueError(f"time {at} ns is outside of what InfluxDB keeps")
    head = [_escaped(measurement, ", ")] + [
        f"{_escaped(key, ',= ')}={_escaped(value, ',= ')}"
        for key, value in sorted(tags.items()) if value
    ]  # fmt: skip
    told = ",".join(f"{_escaped(key, ',= ')}={_value(value)}" for key, value in fields.items())
    return f"{','.join(head)} {told} {at}"


def event_line(event: EventRow) -> str:
    """Two events of one series never have one time: the millisecond is filled up by `seq`."""
    view = columns(event)
    tags = {"source": event.source, "lane": event.lane}
    tags |= {name: view[name] for name in EVENT_TAGS if view[name]}
    fields: dict[str, Field] = {"id": event.id, "received_at": event.received_at}
    for name in (*EVENT_TEXTS, *WHOLE, *NUMBERS, *FLAGS):
        if (value := view[name]) is not None:
            fields[name] = value
    return line("alarm_event", tags, fields, event.time * NS + event.seq % NS)


def sample_line(sample: SampleRow) -> str:
    """A sample without a value still tells its quality."""
    fields: dict[str, Field] = {"quality": sample.quality}
    if sample.value is not None:
        fields["value"] = sample.value
    return line("sample", {"tag": sample.tag, "asset": sample.asset}, fields, sample.time * NS)
