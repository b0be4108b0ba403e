"""The playbook desk: releases documents, starts runs, takes answers, shows runs.

Called by ingest after its commit and by the REST routes; the engine does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from factory_brain.application.playbooks.control import Control
from factory_brain.application.playbooks.engine import Engine
from factory_brain.application.playbooks.ports import RunRecord, RunStore
from factory_brain.application.playbooks.releases import Releases
from factory_brain.application.playbooks.trigger_ports import TriggerStore
from factory_brain.application.playbooks.triggers import Triggers
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.triggers.firing import Firing, firing_id
from factory_brain.domain.triggers.index import alarms_of
from shared.alarm.definition import AlarmDefinition
from shared.clock import Clock
from shared.errors import Rejected
from shared.ids import uuid7
from shared.messages.bodies import FragmentStep
from shared.playbook.fragment import ROOT
from shared.playbook.journal import Record
from shared.playbook.model import Playbook
from shared.playbook.rehearsal.pace import scale_of
from shared.site.loader import Site
from shared.telemetry import logger
from shared.web.dto import Ask, JoinedAlarm, Run, RunStep, Text, TimelineEntry
from shared.web.dto_runs import JournalRow, RunJournal

log = logger("playbooks")
MOST_JOINED = 100
_STATUS = {"intent": "running", "unknown": "unknown"}


class PlaybookDesk:
    """The playbooks of one factory."""

    def __init__(
        self, site: Site, store: RunStore, engine: Engine, clock: Clock, releases: Releases,
        triggers: Triggers, fired: TriggerStore,
    ) -> None:  # fmt: skip
        self._site, self._store, self._engine, self._clock = site, store, engine, clock
        self._releases, self._triggers, self._fired = releases, triggers, fired
        self.on_run: list[Callable[[Run], None]] = []
        engine.on_changed = self.changed
        self.control = Control(store, engine, clock)

    @property
    def faults(self) -> list[str]:
        """Why documents were not released."""
        return self._releases.faults

    async def load(self, folder: Path) -> None:
        """Release every playbook of a folder that fits the site; a faulty one stops only itself."""
        await self._releases.load(folder)

    async def on_occurrence(self, occurrence: Occurrence, moved: bool) -> None:
        """Answer an alarm that stands and that no trigger has answered yet."""
        await self._triggers.look([occurrence])

    @property
    def released(self) -> list[Playbook]:
        """The playbooks that run here."""
        return self._releases.books

    async def on_fragment(self, step: FragmentStep) -> None:
        """An edge has told what it did alone: the run looks at it."""
        await self._store.wake_for(step.occurrence, step.playbook, self._clock.now_ms())
        self._engine.wake()

    async def asset_of_run(self, run_id: str) -> str | None:
        """The asset that a run is about, for the rights; None for a run that is not there."""
        run = await self._store.get(run_id)
        return None if run is None else str(run.context.get("alarm", {}).get("asset") or "")

    def asset_of_playbook(self, playbook: str) -> str | None:
        """The asset that a start by hand is about; None for a playbook that is not there.

        Empty for one that answers no alarm: that is started by who may do so everywhere.
        """
        entry = self._releases.entry(playbook)
        if entry is None:
            return None
        definition = self._alarm_of(entry.book)
        return "" if definition is None else definition.asset

    def _alarm_of(self, book: Playbook) -> AlarmDefinition | None:
        """The first alarm of the site that a playbook answers."""
        named = [t.alarm for t in book.triggers if t.alarm]
        codes = self._site.bindings.alarms
        known = (self._site.alarms.get(alarm) for name in named for alarm in alarms_of(name, codes))
        return next((each for each in known if each is not None), None)

    async def start_manually(
        self, playbook: str, user: str, roles: tuple[str, ...], idempotency_key: str = "",
        drill: Mapping[str, Any] | None = None, time_scale: float = 1.0,
    ) -> Run | Rejected:  # fmt: skip
        """Start a playbook by hand, about the asset of its alarm trigger.

        As a `drill` (what its expressions see as `alarm`) by anybody who may start playbooks here;
        its own waiting passes `time_scale` times as fast, where all devices are simulators.
        """
        entry = self._releases.entry(playbook)
        if entry is None:
            return Rejected("unknown_playbook", {"playbook": playbook})
        manual = entry.trigger.manual
        allowed = manual.roles if manual else []
        if drill is None and not ({*allowed} & {*roles}):
            return Rejected("not_allowed", {"playbook": playbook, "roles": allowed})
        definition, now = self._alarm_of(entry.book), self._clock.now_ms()
        alarm: dict[str, Any] = {"id": "", "asset": "", "value": None}
        if definition is not None:
            alarm = {"id": definition.id, "asset": definition.asset, "tag": definition.tag,
                     "value": None, "limit": definition.setting.limit,
                     "unit": definition.unit}  # fmt: skip
        source = f"{user}:{idempotency_key}" if idempotency_key else uuid7(self._clock)
        name = firing_id(self._site.info.site, playbook, entry.trigger.id, source)
        extra: dict[str, Any] = {} if drill is None else {"drill": True}
        if time_scale != 1.0:
            if drill is None or not self._site.simulated:
                return Rejected("drill_time_scale", {"playbook": playbook})
            extra["time_scale"] = time_scale
        firing = Firing(
            name, playbook, entry.trigger.id, now, alarm | dict(drill or {}), user, extra=extra
        )
        started = await self._triggers.by_hand(entry, firing)
        found = await self.get_run(started) if started else None
        return found or Rejected("not_started", {"playbook": playbook})

    async def answer(
        self, run_id: str, step: str, option: str, user: str, roles: tuple[str, ...],
        comment: str, idempotency_key: str,
    ) -> Rejected | None:  # fmt: skip
        """Answer a human task; the first answer wins and the others are told."""
        return await self.control.answer(run_id, step, option, user, roles, comment)

    async def changed(self, run_id: str) -> None:
        """A run was advanced, here or by another brain."""
        run = await self.get_run(run_id)
        if run is not None:
            for listener in self.on_run:
                listener(run)

    async def journal_of(self, run_id: str) -> RunJournal | None:
        """All that a run is made of; None for a run that is not there."""
        record, found = await self._store.get(run_id), await self.get_run(run_id)
        if record is None or found is None:
            return None
        calls = record.context.get("calls", {})
        return RunJournal(
            run=found, document=await self._store.document(record.digest),
            books={name: await self._store.document(digest) for name, digest in calls.items()},
            context=dict(record.context), deadline_at=record.deadline_at,
            rows=[
                JournalRow(path=path, attempt=entry.attempt, phase=entry.phase, at=entry.at,
                           data=dict(entry.data))
                for path, entry, _ in await self._store.entries(run_id)
            ],
        )  # fmt: skip

    async def list_runs(self, limit: int, before: tuple[int, str] | None = None) -> list[Run]:
        """Newest runs first, without steps, of those before this start and id."""
        return [self._run(record) for record in await self._store.newest(limit, before)]

    async def get_run(self, run_id: str) -> Run | None:
        """One run with its steps."""
        record = await self._store.get(run_id)
        if record is None:
            return None
        run = self._run(record)
        book = Playbook.model_validate(await self._store.document(record.digest))
        verbs = {step.id: step.verb for step in book.all_steps()}
        steps: dict[str, RunStep] = {}
        for path, entry, _ in await self._store.entries(run_id):
            steps[path] = _step(path, entry, steps.get(path), verbs)
        count, joined = await self._fired.joined(run_id, MOST_JOINED)
        alarms = [
            JoinedAlarm(alarm=each.alarm or "", occurrence=each.occurrence or "", at=each.at)
            for each in joined
        ]
        more = {"steps": list(steps.values()), "attached": count, "joined": alarms}
        return run.model_copy(update=more)

    def _run(self, record: RunRecord) -> Run:
        loaded = self._releases.get(record.playbook)
        name = loaded.playbook.name if loaded else None
        asks = [_ask(ask) for ask in record.asks] if record.live else []
        suspended = record.live and "suspend" in record.control
        return Run(
            id=record.id,
            playbook=record.playbook,
            version=record.version,
            name=Text(zh=name.zh, en=name.en) if name else Text(zh=record.playbook),
            alarm=record.alarm,
            occurrence=record.occurrence,
            status="suspended" if suspended else record.status,  # type: ignore[arg-type]
            started_at=record.started_at,
            ended_at=record.ended_at,
            drill=bool(record.context.get("drill", False)),
            time_scale=scale_of(record.context),
            ask=asks[0] if asks else None,
            asks=asks,
        )

    async def firings(self, occurrence: str) -> list[TimelineEntry]:
        """What playbooks made of an alarm, as entries of its time line."""
        return [
            TimelineEntry(
                at=at, lane="playbook", kind=f"playbook_{each.outcome}",
                params={"playbook": each.playbook, "run": each.run or ""}
                | ({"why": each.why} if each.why else {}), tier="factory",
            )
            for each, at in await self._fired.fired_of(occurrence, MOST_JOINED)
        ]  # fmt: skip

    async def timeline(self, run_id: str) -> list[TimelineEntry]:
        """A run's own steps as entries of an alarm's time line; the edge's are events there."""
        return [
            TimelineEntry(
                at=entry.at, lane="command" if "device" in entry.data else "playbook",
                kind=f"{path.rpartition('/')[2]}_{entry.phase}",
                params={k: v for k, v in entry.data.items() if k in ("kind", "answer", "outcome")},
                actor=entry.data.get("by"), tier="factory",
            )
            for path, entry, _ in await self._store.entries(run_id)
            if path != ROOT and not path.startswith(f"{ROOT}/")
        ]  # fmt: skip


def _ask(ask: Mapping[str, Any]) -> Ask:
    return Ask(
        step=ask["step"],
        path=ask["path"],
        quorum=int(ask.get("quorum") or 1),
        question=Text(**ask["question"]),
        options=list(ask["options"]),
        labels={key: Text(**word) for key, word in ask.get("labels", {}).items()},
        roles=[role.removeprefix("role:") for role in ask["roles"]],
        until=ask["until"],
    )


def _step(path: str, entry: Record, before: RunStep | None, verbs: Mapping[str, str]) -> RunStep:
    name = path.rpartition("/")[2]
    waits = entry.phase == "intent" and "until" in entry.data
    settled = entry.phase not in ("intent", "unknown")
    return RunStep(
        path=path,
        id=name,
        verb=verbs.get(name, "notify" if "/escalate/" in path else ""),
        status="waiting" if waits else _STATUS.get(entry.phase, entry.phase),  # type: ignore[arg-type]
        started_at=before.started_at if before else entry.at,
        ended_at=entry.at if settled else None,
        data=dict(entry.data),
    )
