"""`links.yaml`: linked systems that report by webhook, that are told by webhook or over MQTT.

Read by `loader`; the brain runs what it says. Only shapes and what its expressions may name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from shared.expression import ExpressionError, compile_expression
from shared.site.fields import Duration, Model, Names, Token

if TYPE_CHECKING:
    from shared.site.reader import Reader
    from shared.site.site import Site

PREFIX = "LNK."
"""Alarms of linked systems are `LNK.<link>.<key>`, so that none speaks for an edge's alarm."""
EVENT = (
    "type", "kind", "id", "alarm", "occurrence", "version", "asset", "tag", "edge", "priority",
    "value", "limit", "unit", "state", "active", "acked", "annunciate", "late", "time", "actor",
    "text_zh", "text_en", "status",
)  # fmt: skip
ALARM = (
    "id", "occurrence", "version", "asset", "tag", "edge", "priority", "value", "limit", "unit",
    "state", "active", "acked", "text_zh", "text_en",
)  # fmt: skip
SCHEDULE = (5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000)
"""Standard Webhooks: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h after each failed attempt."""
_LONGEST_ID = 26
DeviceKind = Literal["beacon", "wearable", "robot", "ar-terminal", "generic"]
Verify = Literal["standard-webhooks", "hmac-sha256-header", "bearer"]


def _short(name: str) -> str:
    if len(name) > _LONGEST_ID:
        raise ValueError(f"at most {_LONGEST_ID} characters: it becomes part of a longer name")
    return name


def _no_open_door(value: Any) -> Any:
    if value in (None, False, "none", "no"):
        raise ValueError(
            "whoever reaches this address could raise alarms: choose standard-webhooks, "
            "hmac-sha256-header or bearer, and put its secret into a file"
        )
    return value


LinkId = Annotated[Token, AfterValidator(_short)]
SecretName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Text = Annotated[str, Field(max_length=2000)]


class MapSpec(Model):
    """Expressions over `body` that make an event of a message."""

    type: Text
    asset: Text
    alarm: Text = ""
    """The key of the alarm in the linked system; left out: an event, no alarm."""
    active: Text = ""
    priority: Text = "3"
    text: Text = ""
    text_zh: Text = ""
    text_en: Text = ""
    value: Text = ""
    unit: Text = ""
    time: Text = ""
    """UTC seconds, milliseconds or RFC 3339; left out: when it came."""

    @model_validator(mode="after")
    def _together(self) -> MapSpec:
        if self.alarm and not self.active:
            raise ValueError("an `alarm` needs `active`: whether it is there or has gone")
        return self

    def given(self) -> Iterator[tuple[str, str]]:
        """(field, expression) of all that is written."""
        for name in type(self).model_fields:
            if text := getattr(self, name):
                yield name, text


class InboundSpec(Model):
    """A linked system that reports: `POST /api/hooks/<id>`."""

    id: LinkId
    name: Names | None = None
    verify: Annotated[Verify, BeforeValidator(_no_open_door)]
    secret: SecretName
    header: str = "x-hub-signature-256"
    """hmac-sha256-header: where the signature stands, hexadecimal or base64."""
    timestamp_header: str = ""
    """hmac-sha256-header: its value and a dot come before the body in what is signed."""
    tolerance: Duration = 300_000
    when: Text = "true"
    """Messages for which this is not true are taken and do nothing."""
    map: MapSpec
    per_minute: Annotated[int, Field(ge=1, le=60_000)] = 600
    max_bytes: Annotated[int, Field(ge=100, le=1_048_576)] = 65_536
    keep: Duration = 30 * 86_400_000
    """How long message ids are remembered."""


class OutboundSpec(Model):
    """A linked system that is told; `endpoint` is one of bindings.yaml."""

    id: LinkId
    endpoint: str
    events: Text = "event.type in ['alarm.raised', 'alarm.returned', 'alarm.acknowledged']"
    area: str = ""
    order: Literal["free", "strict"] = "free"
    """strict: the next waits until the one before is delivered or dead."""
    concurrency: Annotated[int, Field(ge=1, le=8)] = 2
    schedule: list[Duration] = Field(default=list(SCHEDULE), min_length=1, max_length=20)
    keep: Duration = 30 * 86_400_000
    """How long delivered and dead ones are shown."""


class LinkTopic(Model):
    """How a device is called by the broker."""

    name: Token | None = None
    """Its user name and the second part of its topics; else its id."""


class LinkedDeviceSpec(Model):
    """A device that is told over MQTT."""

    id: LinkId
    kind: DeviceKind
    name: Names | None = None
    area: str = ""
    shows: Text = "true"
    """Over `alarm`: which standing alarms its retained state is made of."""
    tells: Text = "event.kind == 'raised' && event.annunciate"
    """Over `event`: what becomes a notice that it must acknowledge."""
    expires: Duration = 8 * 3_600_000
    most: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Notices that may wait; beyond, the oldest is dropped with a record."""
    acknowledges: bool = False
    people: dict[str, str] = Field(default_factory=dict)
    """Person as the device names it (a badge) -> user name."""
    mqtt: LinkTopic = LinkTopic()

    @property
    def topic(self) -> str:
        """The device's part of its topics."""
        return self.mqtt.name or self.id


class LinksFile(Model):
    """`links.yaml`."""

    inbound: list[InboundSpec] = Field(default_factory=list, max_length=50)
    outbound: list[OutboundSpec] = Field(default_factory=list, max_length=50)
    devices: list[LinkedDeviceSpec] = Field(default_factory=list, max_length=500)


@dataclass(frozen=True, slots=True)
class Links:
    """The links of a site, by id."""

    inbound: dict[str, InboundSpec] = field(default_factory=dict)
    outbound: dict[str, OutboundSpec] = field(default_factory=dict)
    devices: dict[str, LinkedDeviceSpec] = field(default_factory=dict)

    @classmethod
    def of(cls, file: LinksFile) -> Links:
        """From the file."""
        return cls(
            {each.id: each for each in file.inbound},
            {each.id: each for each in file.outbound},
            {each.id: each for each in file.devices},
        )


def check_links(site: Site, reader: Reader) -> None:
    """Add a fault for each reference that leads nowhere and each expression that is wrong."""
    links = site.links
    for inbound in links.inbound.values():
        _check_expression(reader, "inbound", inbound.id, ("when",), inbound.when, {"body": None})
        for name, text in inbound.map.given():
            _check_expression(reader, "inbound", inbound.id, ("map", name), text, {"body": None})
        if _may_be_replayed(inbound):
            reader.fault(
                f"{inbound.id}: raises alarms by a signature over the body alone: the same words "
                "are a repetition for as long as `keep`, and a recorded message works after it",
                reader.place("inbound", inbound.id, "verify"),
                "name the header that is signed with the body as `timestamp_header`, or map the "
                "report's `time` from the body, or choose standard-webhooks",
            )
        if f"link-{inbound.id}" in {edge.id for edge in site.info.edges}:
            reader.fault(
                f"{inbound.id}: an edge is called link-{inbound.id}",
                reader.place("inbound", inbound.id, "id"), "give one of them another name",
            )  # fmt: skip
    for outbound in links.outbound.values():
        known = site.bindings.endpoints
        reader.reference("endpoint", outbound.endpoint, known, "outbound", outbound.id)
        _check_expression(
            reader, "outbound", outbound.id, ("events",), outbound.events, {"event": EVENT}
        )
        _check_area(site, reader, "outbound", outbound.id, outbound.area)
    topics: dict[str, str] = {}
    for device in links.devices.values():
        where = ("devices", device.id)
        _check_expression(reader, *where, ("shows",), device.shows, {"alarm": ALARM})
        _check_expression(reader, *where, ("tells",), device.tells, {"event": EVENT})
        _check_area(site, reader, *where, device.area)
        other = topics.setdefault(device.topic, device.id)
        if other != device.id:
            reader.fault(
                f"{device.id}: has the MQTT name of {other!r}", reader.place(*where, "mqtt"),
                "give each device a name of its own",
            )  # fmt: skip
    for alarm in site.alarms:
        if alarm.startswith(PREFIX):
            reader.fault(
                f"{alarm}: {PREFIX}… is for alarms of linked systems",
                reader.place("alarms", alarm), "call it something else",
            )  # fmt: skip


def _may_be_replayed(spec: InboundSpec) -> bool:
    """An alarm whose messages neither differ by a time nor grow older than one another."""
    timed = bool(spec.timestamp_header or spec.map.time)
    return spec.verify == "hmac-sha256-header" and bool(spec.map.alarm) and not timed


def _check_expression(
    reader: Reader, section: str, item: str, path: tuple[str, ...], text: str,
    roots: dict[str, tuple[str, ...] | None],
) -> None:  # fmt: skip
    try:
        compile_expression(text, roots=roots, tags=())
    except ExpressionError as error:
        reader.fault(
            f"{item}: `{'.'.join(path)}`, column {error.column} of the expression: "
            f"{error.text['en']}",
            reader.place(section, item, *path),
            f"correct the expression; it may name {', '.join(roots)}",
        )


def _check_area(site: Site, reader: Reader, section: str, item: str, area: str) -> None:
    if area:
        known = {*site.asset_specs, site.info.site, *(a.asset for a in site.alarms.values())}
        reader.reference("area", area, known, section, item)
