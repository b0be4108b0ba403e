"""The driver `mqtt-broker`: devices behind a broker that the plant already has; options, grammar.

Loaded by the registry for every check of a site, so it imports no MQTT library; the work is done
by `mqtt_broker_client`. Devices that log in to the edge itself are the driver `mqtt`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator, model_validator

from edge_node.adapters.sources.json_values import TimeUnit, parse_path
from edge_node.adapters.sources.mqtt_options import LinkOptions, endpoint
from edge_node.adapters.sources.mqtt_topics import filter_fault, topic_fault
from edge_node.adapters.sources.port import Driver, DriverInfo, Options, Sink, Source
from shared.clock import Clock
from shared.site.fields import Duration

ARROW = " -> "
Qos = Literal[0, 1, 2]


class Subscription(Options):
    """A subscription that serves many tags."""

    filter: str
    qos: Qos = 1
    shared: str = Field(default="", pattern=r"^[^/+#\x00]*$")
    """A group of clients that share the messages out among themselves."""

    @field_validator("filter")
    @classmethod
    def _filter(cls, text: str) -> str:
        if wrong := filter_fault(text):
            raise ValueError(wrong)
        return text

    @property
    def name(self) -> str:
        """As the broker is told."""
        return f"$share/{self.shared}/{self.filter}" if self.shared else self.filter


class Presence(Options):
    """What others hear of this connection: a word when it is there, the last will when not."""

    topic: str
    online: str = "online"
    offline: str = "offline"
    qos: Qos = 1
    retain: bool = True

    @field_validator("topic")
    @classmethod
    def _topic(cls, text: str) -> str:
        if wrong := topic_fault(text):
            raise ValueError(wrong)
        return text


class MqttBrokerOptions(LinkOptions):
    """`options:` of a source at a plant's broker."""

    qos: Qos = 1
    """Of the subscriptions that the tags themselves make."""
    subscriptions: tuple[Subscription, ...] = ()
    clean_start: bool = False
    """Forget what the broker has kept for us."""
    session_expiry: Duration = Field(default=3_600_000, ge=0, le=30 * 86_400_000)
    """How long the broker keeps what comes while we are away (MQTT 5)."""
    time: str = "ts"
    """Where a JSON body says when its values were true; without it, the moment of arrival."""
    time_unit: TimeUnit = "auto"
    retained: Literal["uncertain", "good", "ignore"] = "uncertain"
    """What a retained message without a time of its own is worth: nobody knows how old it is."""
    presence: Presence | None = None
    max_message: int = Field(default=1 << 20, ge=64, le=64 << 20)

    @field_validator("time")
    @classmethod
    def _time(cls, text: str) -> str:
        if text:
            parse_path(text)
        return text

    @model_validator(mode="after")
    def _fits(self) -> MqttBrokerOptions:
        names = [subscription.filter for subscription in self.subscriptions]
        if len(set(names)) != len(names):
            raise ValueError("subscriptions: a filter stands there twice")
        return self


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a message: the topic (or a filter with `+`), and where in the body."""

    topic: str
    member: str
    """As written after the `#`; empty: the whole body is the value."""
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Where an operation is published, and which tag's address tells what came of it."""

    topic: str
    retain: bool
    readback: Place | None


def parse_address(text: str) -> Place:
    """Read `line1/telemetry#values.speed` or `line1/speed`; ValueError with the rule."""
    topic, mark, member = text.partition("#")
    rule = "write TOPIC#MEMBER for JSON, line1/data#values.speed, or TOPIC alone for plain values"
    if mark and not member:
        raise ValueError(f"{text!r} is not an MQTT address: no member after the #; {rule}")
    if wrong := filter_fault(topic, tree=False):
        raise ValueError(f"{text!r} is not an MQTT address: {wrong}; {rule}")
    try:
        return Place(topic, member, parse_path(member) if mark else ())
    except ValueError as error:
        raise ValueError(f"{text!r} is not an MQTT address: {error}") from error


def check_address(address: str, tag_type: str) -> str:
    """What is wrong with a tag's address, with the mend; "" when nothing is."""
    del tag_type
    try:
        parse_address(address)
    except ValueError as error:
        return str(error)
    return ""


def parse_write(text: str) -> Target:
    """Read `topic:line1/cmd`, `retained:line1/mode`, with ` -> ADDRESS`; ValueError with rule."""
    order, arrow, answer = text.partition(ARROW)
    kind, mark, topic = order.strip().partition(":")
    if not mark or kind not in ("topic", "retained"):
        raise ValueError(
            f"{text!r} is no MQTT operation: write topic:line1/cmd, retained:line1/mode, or "
            "topic:line1/cmd -> line1/state#speed to read the tag of that address back"
        )
    if wrong := topic_fault(topic):
        raise ValueError(f"{text!r}: {wrong}; write a topic, for example topic:line1/cmd")
    return Target(topic, kind == "retained", parse_address(answer.strip()) if arrow else None)


def check_write(address: str) -> str:
    """What is wrong with the address of an operation; "" when it can be published."""
    try:
        parse_write(address)
    except ValueError as error:
        return str(error)
    return ""


def _verify(source: Source) -> None:
    endpoint(source)


def _build(source: Source, sink: Sink, clock: Clock) -> Driver:
    from edge_node.adapters.sources.mqtt_broker_client import MqttBrokerDriver

    return MqttBrokerDriver(source, sink, clock)


DRIVER = DriverInfo(
    name="mqtt-broker",
    options=MqttBrokerOptions,
    build=_build,
    check_address=check_address,
    schemes=("mqtt", "mqtts"),
    verify=_verify,
    check_write=check_write,
    extra="edge",
)
