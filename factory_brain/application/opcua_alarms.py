"""The factory's alarms for the OPC UA server: what a client is shown, and what it may say.

Asked by `shared/opcua` for every report and call. Knows no OPC UA library and owns no truth: what
people say goes through the alarm desk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from factory_brain.application.desk import Desk
from factory_brain.domain.desk_rules import RIGHTS, Asked
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.warning_words import is_own
from shared.alarm.definition import AlarmDefinition, Words
from shared.hybrid_time import HybridTime
from shared.identity.policy import User
from shared.opcua.alarms import SEVERITIES, Pass, Place, Said, Shown, message_of, place_of
from shared.site.site import Site


@dataclass(frozen=True, slots=True)
class Known:
    """What the brain knows of alarms and people."""

    shown: Callable[[], list[Occurrence]]
    newest: Callable[[str], Awaitable[Occurrence | None]]
    """From the store: of what is shown no more."""
    user: Callable[[Pass], Awaitable[User | None]]


class FactoryAlarms:
    """The brain as the OPC UA server's tier."""

    def __init__(self, site: Site, desk: Desk, known: Known) -> None:
        self._site, self._desk, self._known = site, desk, known
        self._made: dict[str, tuple[AlarmDefinition, Place]] = {}
        self._places: dict[str, Place] = {}

    def places(self) -> dict[str, Place]:
        """Every alarm of the site's files; made anew only where a definition has changed."""
        definitions, made = self._site.alarms, self._made
        same = len(made) == len(definitions) and all(
            (kept := made.get(alarm)) is not None and kept[0] is definition
            for alarm, definition in definitions.items()
        )
        if not same:
            self._made = {each: (d, place_of(each, d)) for each, d in definitions.items()}
            self._places = {each: place for each, (_, place) in self._made.items()}
        return self._places

    def path(self, asset: str) -> tuple[str, ...]:
        """Root .. asset."""
        return self._site.assets.path(asset)

    def asset_name(self, asset: str) -> str:
        """What people call an asset."""
        name = self._site.assets.name(asset)
        return name.zh if name is not None else ""

    def shown(self) -> dict[str, Occurrence]:
        """The live view, without what concerns Andon itself."""
        return {each.alarm: each for each in self._known.shown() if not is_own(each.alarm)}

    async def newest(self, alarm: str) -> Occurrence | None:
        """From the store."""
        return await self._known.newest(alarm)

    def describe(self, report: Occurrence) -> Shown:
        """What an occurrence tells."""
        view, said = report.view, report.transition
        place = self._place(report)
        severity = SEVERITIES.get(said.priority, 500)
        spoken = max(
            (each for each in (*view.comments, view.acked_by, *view.also_acked_by) if each),
            key=lambda each: HybridTime.parse(each.hlc), default=None,
        )  # fmt: skip
        spoken_at = HybridTime.parse(spoken.hlc).ms if spoken else 0
        return Shown(
            place, view.state, severity, severity,
            message_of(place, said.value, said.limit, said.unit), report.occurrence, view.version,
            at=max(said.source_time, spoken_at), received_at=report.received_at,
            comment=spoken.text if spoken else "", comment_at=spoken_at,
            by=spoken.actor if spoken else "",
        )  # fmt: skip

    def _place(self, report: Occurrence) -> Place:
        """From the site's definition, else from what the alarm says of itself."""
        alarm, said = report.alarm, report.transition
        definition = self._site.alarms.get(alarm)
        if definition is not None:
            return place_of(alarm, definition)
        zh, en = said.names.get("zh") or alarm, said.names.get("en") or alarm
        return Place(alarm, said.asset, Words(zh, en), SEVERITIES.get(said.priority, 500))

    def older(self, report: Occurrence, held: Occurrence) -> bool:
        """By occurrence, and within one by its order."""
        if report.occurrence != held.occurrence:
            return held.raised_at > report.raised_at
        return held.order_key > report.order_key

    async def actor(self, shown: Pass, alarm: str, action: str) -> str:
        """The account, if it may do this at the alarm's asset now."""
        user = await self._known.user(shown)
        if user is None or not user.may(RIGHTS[action], await self._desk.asset(alarm)):
            return ""
        return user.name

    async def act(self, actor: str, said: Said) -> str:
        """By way of the alarm desk."""
        asked = Asked(said.alarm, said.occurrence, said.version, said.action, said.args)
        refusal = await self._desk.act(asked, actor)
        return refusal.code if refusal is not None else ""
