"""`notify.yaml`: who is told of which alarms, by what means, and who is next when nobody answers.

Read by `loader`, run by the brain. Only shapes and whether their names lead somewhere.
"""

from __future__ import annotations

import datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from shared.expression import ExpressionError, compile_expression
from shared.site.fields import Duration, Model, Names, Token
from shared.site.links import EVENT, SecretName
from shared.site.shifts import TimeOfDay

if TYPE_CHECKING:
    from shared.site.reader import Reader
    from shared.site.site import Site

NOTIFY_FILE = "notify.yaml"
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ChannelKind = Literal[
    "email", "dingtalk", "wecom", "feishu", "slack", "sms", "webhook", "apprise", "log"
]
Stop = Literal["acknowledged", "returned"]
Priority = Annotated[int, Field(ge=1, le=4)]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone; write for example Asia/Shanghai") from error
    return name


Zone = Annotated[str, AfterValidator(_zone)]


def _openable(url: str) -> str:
    """An address that somebody elsewhere can open."""
    if not url:
        return url
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"{url!r} is no address of a console; write for example https://andon.example"
        )
    try:
        everywhere = ip_address(parts.hostname).is_unspecified
    except ValueError:
        everywhere = False  # a name
    if everywhere:
        raise ValueError(
            f"a server may listen at {parts.hostname}, but no telephone can open it; write the "
            "name or address of the machine"
        )
    return url


OUTSIDE_NOTHING: tuple[ChannelKind, ...] = ("webhook", "log")
"""Kinds by which no person is reached outside the system."""


class HoursSpec(Model):
    """Hours of the day, by the wall clock; past midnight they belong to the day they began."""

    days: list[Day] = Field(default=list(DAYS), min_length=1)
    start: TimeOfDay = Field(alias="from")
    to: TimeOfDay
    """The same as `from`: the whole day."""


class ChannelSpec(Model):
    """One way to reach a person; earlier ones are tried first."""

    kind: ChannelKind
    target: Annotated[str, Field(max_length=200)] = ""
    """The address or number; stands where the secret's URL says {target}."""
    url: SecretName | None = None
    """The file in the secrets' folder that holds the Apprise URL."""
    endpoint: str = ""
    """webhook: the endpoint in bindings.yaml; else one that relays to the service, if any."""
    do_not_disturb: list[HoursSpec] = Field(default_factory=list, max_length=20)
    break_through_priority: Annotated[int, Field(ge=0, le=4)] = 1
    """Priorities up to this one come through all the same; 0: none does."""

    @model_validator(mode="after")
    def _complete(self) -> ChannelSpec:
        if self.kind == "webhook" and not self.endpoint:
            raise ValueError("a webhook needs `endpoint`, one of bindings.yaml")
        if self.kind not in ("webhook", "log") and not self.url:
            raise ValueError(f"{self.kind} needs `url`: the secret file with the Apprise URL")
        return self


class PersonSpec(Model):
    """Somebody who can be told."""

    id: Token
    name: Names
    language: Literal["zh", "en"] = "zh"
    timezone: Zone = ""
    """Of the quiet hours; left out: the site's."""
    account: str = ""
    """The user name in whose right an answer acknowledges; left out: the id."""
    channels: list[ChannelSpec] = Field(min_length=1, max_length=10)

    @property
    def user(self) -> str:
        """The user name."""
        return self.account or self.id


class LayerSpec(Model):
    """People who take turns; a later layer goes before an earlier one while it is in force."""

    people: list[str] = Field(min_length=1, max_length=100)
    turn: Literal["daily", "weekly"] = "weekly"
    every: Annotated[int, Field(ge=1, le=52)] = 1
    """So many days or weeks make a turn."""
    start: datetime.date
    """The first day of the first person's turn."""
    handover: TimeOfDay = "08:00"
    hours: list[HoursSpec] = Field(default_factory=list, max_length=20)
    """When it is in force; none: always."""


class OverrideSpec(Model):
    """Leave or a swap, known beforehand; times by the roster's wall clock."""

    since: datetime.datetime
    until: datetime.datetime
    instead_of: str | None = None
    """Who is away; left out: `by` is on duty whoever has the turn."""
    by: str | None = None
    """Who stands in; left out: the layer below does."""

    @model_validator(mode="after")
    def _sense(self) -> OverrideSpec:
        if self.by is None and self.instead_of is None:
            raise ValueError("write `instead_of` (who is away), `by` (who stands in), or both")
        if self.until <= self.since:
            raise ValueError("`until` is not after `since`")
        return self


class RosterSpec(Model):
    """Who is on duty when."""

    id: Token
    name: Names | None = None
    timezone: Zone = ""
    layers: list[LayerSpec] = Field(min_length=1, max_length=20)
    overrides: list[OverrideSpec] = Field(default_factory=list, max_length=500)


class StepSpec(Model):
    """One step: who is told how long after the alarm."""

    after: Duration = 0
    notify: list[str] = Field(min_length=1, max_length=50)
    """Persons, rosters, or roles of site.yaml."""
    channels: list[ChannelKind] = Field(default_factory=list)
    """Only by these; none: by every person's own choice."""


class RepeatSpec(Model):
    """From the first step again, when the last one has brought nobody."""

    times: Annotated[int, Field(ge=0, le=100)] = 0
    every: Annotated[Duration, Field(ge=1000)] = 600_000


class LadderSpec(Model):
    """Who is told first, and who when nobody answers."""

    id: Token
    steps: list[StepSpec] = Field(min_length=1, max_length=20)
    repeat: RepeatSpec = RepeatSpec()
    nag: Annotated[Duration, Field(ge=1000)] | None = None
    """So often the step reached last is told again."""
    ack_expires: Annotated[Duration, Field(ge=1000)] | None = None
    """After this an alarm that was acknowledged and still stands goes up the ladder again."""
    stops: list[Stop] = Field(default=["acknowledged", "returned"], min_length=1)
    tell_end: bool = False
    """Whoever was told hears too that it is over."""

    @model_validator(mode="after")
    def _rising(self) -> LadderSpec:
        times = [step.after for step in self.steps]
        if times != sorted(times):
            raise ValueError("`after` counts from the alarm: no step comes before the one above it")
        return self


class RuleSpec(Model):
    """Which alarms go up which ladder; every rule that fits counts."""

    id: Token
    when: Annotated[str, Field(max_length=2000)] = "true"
    """Over `event`; only what is annunciated is asked about."""
    area: str = ""
    priorities: list[Priority] = Field(default_factory=list)
    ladder: str


class LimitsSpec(Model):
    """How much one person is told one by one; beyond, it is gathered. Priority 1 never is."""

    messages: Annotated[int, Field(ge=1, le=1000)] = 10
    within: Annotated[Duration, Field(ge=1000)] = 600_000


class SummariesSpec(Model):
    """What was gathered is told together."""

    every: Annotated[Duration, Field(ge=100)] = 300_000
    top: Annotated[int, Field(ge=1, le=50)] = 5


class RetrySpec(Model):
    """When a channel that failed is tried again, before the next one is."""

    schedule: list[Duration] = Field(default=[5_000, 30_000], max_length=10)


class NotifyFile(Model):
    """`notify.yaml`."""

    people: list[PersonSpec] = Field(default_factory=list, max_length=2000)
    rosters: list[RosterSpec] = Field(default_factory=list, max_length=200)
    ladders: list[LadderSpec] = Field(default_factory=list, max_length=200)
    rules: list[RuleSpec] = Field(default_factory=list, max_length=500)
    limits: LimitsSpec = LimitsSpec()
    summaries: SummariesSpec = SummariesSpec()
    retry: RetrySpec = RetrySpec()
    console_url: Annotated[str, Field(max_length=500), AfterValidator(_openable)] = ""
    """How people's telephones reach the console; left out: the brain's own address."""
    link_for: Annotated[Duration, Field(ge=60_000)] = 86_400_000
    """How long the link in a message can be used."""
    confirmed_for: Duration = 0
    """How long an answer proves that a person is reached here (0: it proves nothing)."""
    keep: Annotated[Duration, Field(ge=86_400_000)] = 90 * 86_400_000

    @property
    def reaches_out(self) -> bool:
        """Whether somebody is told by mail, chat, SMS or the like."""
        kinds = {channel.kind for person in self.people for channel in person.channels}
        return not kinds <= {*OUTSIDE_NOTHING}

    def person(self, name: str) -> PersonSpec | None:
        """One person."""
        return next((each for each in self.people if each.id == name), None)

    def roster(self, name: str) -> RosterSpec | None:
        """One roster."""
        return next((each for each in self.rosters if each.id == name), None)

    def ladder(self, name: str) -> LadderSpec | None:
        """One ladder."""
        return next((each for each in self.ladders if each.id == name), None)


def check_notify(site: Site, reader: Reader) -> None:
    """Add a fault for each name that leads nowhere and each expression that is wrong."""
    file = site.notify
    people = {each.id for each in file.people}
    for person in file.people:
        for index, channel in enumerate(person.channels):
            if channel.endpoint:
                reader.reference(
                    "endpoint", channel.endpoint, site.bindings.endpoints, "people", person.id,
                    "channels", index, "endpoint",
                )  # fmt: skip
    if reader.thorough and file.reaches_out and not file.console_url:
        # No reason not to start: the brain's own address may be one that telephones can open.
        reader.fault(
            "未给出 console_url / no `console_url`: people are told outside of this system, and "
            "the link in their messages leads to the brain's own address, which a telephone can "
            "open only inside of the plant's network",
            reader.place("people", file.people[0].id),
            "add to notify.yaml, for example: console_url: https://andon.example",
        )
    for roster in file.rosters:
        _check_roster(roster, people, reader)
    rosters = {each.id for each in file.rosters}
    reachable = {*people, *rosters, *site.info.roster}
    for ladder in file.ladders:
        for index, step in enumerate(ladder.steps):
            for at, name in enumerate(step.notify):
                reader.reference(
                    "person, roster or role", name, reachable, "ladders", ladder.id, "steps",
                    index, "notify", at,
                )  # fmt: skip
    for rule in file.rules:
        _check_rule(site, rule, reader)


def _check_roster(roster: RosterSpec, people: set[str], reader: Reader) -> None:
    where = ("rosters", roster.id)
    if roster.id in people:
        reader.fault(
            f"{roster.id}: a person has this id too", reader.place(*where, "id"),
            "give one of them another id",
        )  # fmt: skip
    for index, layer in enumerate(roster.layers):
        for at, name in enumerate(layer.people):
            reader.reference("person", name, people, *where, "layers", index, "people", at)
    for index, override in enumerate(roster.overrides):
        for key in ("instead_of", "by"):
            name = getattr(override, key)
            if name is not None:
                reader.reference("person", name, people, *where, "overrides", index, key)


def _check_rule(site: Site, rule: RuleSpec, reader: Reader) -> None:
    ladders = {each.id for each in site.notify.ladders}
    reader.reference("ladder", rule.ladder, ladders, "rules", rule.id, "ladder")
    if rule.area:
        known = {*site.asset_specs, site.info.site, *(a.asset for a in site.alarms.values())}
        reader.reference("area", rule.area, known, "rules", rule.id, "area")
    try:
        compile_expression(rule.when, roots={"event": EVENT}, tags=())
    except ExpressionError as error:
        reader.fault(
            f"{rule.id}: `when`, column {error.column} of the expression: {error.text['en']}",
            reader.place("rules", rule.id, "when"), "correct the expression; it may name event",
        )  # fmt: skip
