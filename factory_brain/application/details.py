"""Reads for the console: one alarm's detail with its time line, one tag's samples."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from factory_brain.application.live_view import LiveView
from factory_brain.application.ports import Alarms
from factory_brain.domain.rows import Occurrence, make_row, text
from factory_brain.domain.system_words import sheet_of
from factory_brain.domain.warning_words import sheet_of_warning
from shared.alarm.definition import AlarmDefinition
from shared.alarm.shadow import setting_of
from shared.clock import Clock, HybridTime
from shared.site.model import TagSpec
from shared.web.dto import AlarmDetail, ResponseSheet, Samples, Text, TimelineEntry

NO_TEXT = Text()
_TOLD = ("device", "kind", "outcome", "reason", "status")
"""What the time line says of a step that an edge did alone."""


class History(Protocol):
    """What the detail page reads of the store."""

    async def timeline(self, occurrence: str) -> list[Any]:
        """Events of an occurrence."""
        ...


class Trend(Protocol):
    """What the trend reads of the historian."""

    async def trend(self, tag: str, since: int, until: int, limit: int) -> tuple[str, list[Any]]:
        """(resolution, rows): samples, or minutes or hours of them, oldest first."""
        ...

    async def has_snippet(self, occurrence: str) -> bool:
        """Whether an occurrence took its samples along."""
        ...


RunEntries = Callable[[str], Awaitable[list[TimelineEntry]]]


class Details:
    """Answers the console's detail questions."""

    def __init__(
        self, definitions: dict[str, AlarmDefinition], tags: dict[str, TagSpec], clock: Clock,
        alarms: Alarms, history: History, trend: Trend, live: LiveView,
    ) -> None:  # fmt: skip
        self._definitions, self._tags, self._clock = definitions, tags, clock
        self._alarms, self._history, self._trend, self._live = alarms, history, trend, live
        self.run_entries: RunEntries | None = None
        self.firings: RunEntries | None = None
        """What playbooks made of an occurrence."""

    async def alarm(self, alarm: str) -> AlarmDetail | None:
        """The newest occurrence of an alarm with all that is known of it."""
        found = self._live.occurrence(alarm) or await self._alarms.newest(alarm)
        if found is None:
            return None
        definition = self._definitions.get(alarm)
        setting = definition.setting if definition else None
        pushed = (await self._alarms.settings()).get(alarm)
        version = pushed[1] if pushed else definition.settings_version if definition else 0
        if pushed:
            setting = setting_of(pushed[0])
        return AlarmDetail(
            row=make_row(
                found,
                definition,
                self._live.said(alarm),
                self._live.understanding(found),
            ),
            limit=setting.limit if setting and definition and definition.side else None,
            side=definition.side if definition else None,
            deadband=setting.deadband if setting else 0.0,
            on_delay_s=setting.on_delay_ms / 1000 if setting else 0.0,
            off_delay_s=setting.off_delay_ms / 1000 if setting else 0.0,
            filter=setting.filter if setting else "raw",
            settings_version=version,
            response=sheet_of(alarm) or sheet_of_warning(alarm) or _sheet(definition),
            timeline=await self._timeline(found),
            run=found.run,
            trend_tag=found.transition.tag or None,
            snippet=await self._trend.has_snippet(found.occurrence),
        )

    async def story(self, found: Occurrence) -> list[TimelineEntry]:
        """The history of one occurrence."""
        return await self._timeline(found)

    async def _timeline(self, found: Occurrence) -> list[TimelineEntry]:
        entries: list[TimelineEntry] = []
        for row in await self._history.timeline(found.occurrence):
            body = row["body"]
            if body.get("t") == "fact" or _answered(body):
                continue  # told below, with what became of it
            lane, kind = _lane(row["type"], body)
            entries.append(
                TimelineEntry(
                    at=body.get("source_time") or row["time"],
                    received_at=row["received_at"],
                    lane=lane,  # type: ignore[arg-type]
                    kind=kind,
                    params=_params(row["type"], body),
                    actor=body.get("actor") or None,
                    tier="edge",
                    late=row["late"],
                )
            )
        for fact in found.facts:
            entries.append(
                TimelineEntry(
                    at=HybridTime.parse(fact.hlc).ms,
                    lane="people",
                    kind=fact.action,
                    params=fact.args,
                    actor=fact.actor,
                    tier=fact.place,
                )
            )
        if found.run and self.run_entries is not None:
            entries += await self.run_entries(found.run)
        if self.firings is not None:
            entries += await self.firings(found.occurrence)
        return sorted(entries, key=lambda entry: entry.at)

    async def samples(self, tag: str, since: int, until: int | None, limit: int) -> Samples | None:
        """One tag's samples in (since, until]."""
        # `TAG@max` is a figure of a tag that goes up in windows.
        spec = self._tags.get(tag.partition("@")[0])
        if spec is None:
            return None
        end = until or self._clock.now_ms() + 60_000
        resolution, rows = await self._trend.trend(tag, since, end, limit)
        summed = resolution != "raw"
        return Samples(
            tag=tag,
            unit=spec.unit,
            t=[row["at"] for row in rows],
            v=[row["value"] for row in rows],
            q=[row["quality"] for row in rows],
            resolution=resolution,  # type: ignore[arg-type]
            lo=[row["min"] for row in rows] if summed else [],
            hi=[row["max"] for row in rows] if summed else [],
        )


def _answered(body: dict[str, Any]) -> bool:
    """An edge's plain answer to a fact says nothing that the fact does not."""
    return body.get("t") == "fact_result" and body.get("result") != "refused"


def _lane(kind: str, body: dict[str, Any]) -> tuple[str, str]:
    match body.get("t"):  # the type of an alarm's event also says which transition it is
        case "alarm":
            return "alarm", body.get("kind", "alarm")
        case "local_action":
            return "command", f"local_action_{body.get('outcome', '')}"
        case "fact_result":
            return "people", "fact_refused"
        case _ if kind == "fragment.step":
            # Worded as the run's own steps are: there may be no run to show it.
            lane = "command" if "device" in body.get("data", {}) else "playbook"
            return lane, f"{body['path'].rpartition('/')[2]}_{body['phase']}"
        case _:
            return "process", kind


def _params(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    if kind == "fragment.step":
        told = {k: v for k, v in body.get("data", {}).items() if k in _TOLD and v}
        return {"playbook": body["playbook"], **told}
    return {k: v for k, v in body.items() if k not in ("state", "t")}


def _sheet(definition: AlarmDefinition | None) -> ResponseSheet:
    if definition is None:
        return ResponseSheet(cause=NO_TEXT, consequence=NO_TEXT, action=NO_TEXT)
    sheet = definition.response
    return ResponseSheet(
        cause=text(sheet.cause),
        consequence=text(sheet.consequence),
        action=text(sheet.action),
        time_to_respond_s=sheet.time_to_respond_s,
        contact=text(sheet.contact) if sheet.contact else None,
    )
