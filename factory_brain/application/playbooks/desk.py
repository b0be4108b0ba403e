"""The playbook desk: releases documents, starts runs, takes answers, shows runs.

Called by ingest after its commit and by the REST routes; the engine does the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from factory_brain.application.playbooks.engine import Engine
from factory_brain.application.playbooks.ports import NewRun, RunRecord, RunStore
from factory_brain.domain.rows import Occurrence
from shared.alarm.definition import AlarmDefinition
from shared.clock import Clock
from shared.errors import ConfigError, Rejected
from shared.expression import StaticEnvironment, Unknown, compile_expression
from shared.ids import uuid7
from shared.messages.bodies import FragmentStep
from shared.playbook.fragment import ROOT
from shared.playbook.lint import Plant, lint
from shared.playbook.loader import Loaded, load_playbook
from shared.playbook.model import Playbook, Trigger
from shared.playbook.run import ROOTS, Record
from shared.site.loader import Site
from shared.telemetry import logger
from shared.web.dto import Ask, Run, RunStep, Text, TimelineEntry

log = logger("playbooks")
ADOPT_GRACE_MS = 3_000
_STATUS = {"intent": "running", "unknown": "unknown"}


class PlaybookDesk:
    """The playbooks of one factory."""

    def __init__(
        self, site: Site, store: RunStore, engine: Engine, clock: Clock,
        set_run: Callable[[str, str], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._site, self._store, self._engine, self._clock = site, store, engine, clock
        self._set_run = set_run
        self._loaded: dict[str, Loaded] = {}
        self.faults: list[str] = []
        self.on_run: list[Callable[[Run], None]] = []
        self.on_started: list[Callable[[str], Awaitable[None]]] = []
        engine.on_changed = self.changed

    async def load(self, folder: Path) -> None:
        """Release every playbook of a folder that fits the site; a faulty one stops only itself."""
        plant = Plant(
            frozenset(self._site.alarms), self._site.bindings.devices,
            frozenset(self._site.bindings.endpoints), frozenset(self._site.info.roster),
        )  # fmt: skip
        for path in await asyncio.to_thread(lambda: sorted(folder.rglob("*.yaml"))):
            if path.name.endswith(".test.yaml"):
                continue
            try:
                loaded = load_playbook(path)
            except ConfigError as error:
                self.faults.append(str(error))
                log.error("playbook_faulty", file=str(path), error=str(error))
                continue
            book = loaded.playbook
            if not any(t.alarm in self._site.alarms for t in book.triggers if t.alarm):
                continue  # of another process; not this site's
            if found := lint(loaded, plant):
                self.faults += [f"{f.where}: {f.message['en']}" for f in found]
                log.error("playbook_faulty", file=str(path), findings=self.faults[-len(found) :])
                continue
            self._loaded[book.playbook] = loaded
            document = book.model_dump(mode="json", by_alias=True)
            now = self._clock.now_ms()
            await self._store.save_version(
                loaded.digest, book.playbook, book.version, document, now
            )

    async def on_occurrence(self, occurrence: Occurrence, moved: bool) -> None:
        """Start what answers a standing alarm, however late it arrived; once for an occurrence."""
        state = occurrence.view.state
        if not state.active or state.hidden or not state.enabled:
            return
        if occurrence.run is not None:
            return
        for loaded in self._loaded.values():
            for trigger in loaded.playbook.triggers:
                if trigger.alarm == occurrence.alarm:
                    await self._start_for(loaded, trigger, occurrence)

    async def _start_for(self, loaded: Loaded, trigger: Trigger, occurrence: Occurrence) -> None:
        transition = occurrence.transition
        alarm: dict[str, Any] = {
            "id": occurrence.alarm, "occurrence": occurrence.occurrence,
            "asset": transition.asset, "tag": transition.tag,
            # Six digits: people read this in questions and messages.
            "value": None if transition.value is None else float(f"{transition.value:.6g}"),
            "limit": transition.limit, "unit": transition.unit, "quality": transition.quality,
            "priority": transition.priority, "raised_at": occurrence.raised_at,
        }  # fmt: skip
        if trigger.where is not None:
            env = StaticEnvironment({"alarm": alarm, "inputs": _inputs(loaded.playbook)})
            if compile_expression(trigger.where, roots=ROOTS).evaluate(env) is not True:
                return
        age = self._clock.now_ms() - occurrence.raised_at
        if age > loaded.playbook.stale_after:
            log.warning("playbook_stale", playbook=loaded.playbook.playbook, age_ms=age)
            return
        started = await self._start(loaded, alarm, occurrence.occurrence, "alarm")
        if started is not None:
            await self._set_run(occurrence.occurrence, started)
            for listener in self.on_started:
                await listener(occurrence.occurrence)

    async def _start(
        self, loaded: Loaded, alarm: Mapping[str, Any], occurrence: str | None, by: str
    ) -> str | None:
        """Start a run, or join the live one of the same key; returns its id."""
        book, now = loaded.playbook, self._clock.now_ms()
        env = StaticEnvironment({"alarm": alarm})
        key = compile_expression(book.concurrency.key, roots=ROOTS).evaluate(env)
        key = "" if isinstance(key, Unknown) else str(key)
        context = {
            "alarm": dict(alarm), "inputs": _inputs(book), "started_by": by,
            "site": {"id": self._site.info.site, "name": self._site.info.name.zh},
        }  # fmt: skip
        # An edge may have begun alone: what it did travels behind the raise, so wait for it.
        late = book.offline is not None and now - alarm.get("raised_at", now) >= book.offline.after
        run = NewRun(
            id=uuid7(self._clock), digest=loaded.digest, playbook=book.playbook,
            version=book.version, key=key, alarm=alarm.get("id"), occurrence=occurrence,
            context=context, at=now, deadline_at=now + book.deadline,
            wake_at=now + ADOPT_GRACE_MS if late else None,
        )  # fmt: skip
        for _ in range(2):  # the live run of the key may end between the two questions
            if await self._store.create(run):
                log.info("run_started", run=run.id, playbook=book.playbook, occurrence=occurrence)
                self._engine.wake()
                return run.id
            if (live := await self._store.live_run(book.playbook, key)) is not None:
                return live
        return None  # this occurrence has had its run

    @property
    def released(self) -> list[Playbook]:
        """The playbooks that run here."""
        return [loaded.playbook for loaded in self._loaded.values()]

    async def on_fragment(self, step: FragmentStep) -> None:
        """An edge has told what it did alone: the run looks at it."""
        await self._store.wake_for(step.occurrence, step.playbook, self._clock.now_ms())
        self._engine.wake()

    async def asset_of_run(self, run_id: str) -> str | None:
        """The asset that a run is about, for the rights; None for a run that is not there."""
        run = await self._store.get(run_id)
        return None if run is None else str(run.context.get("alarm", {}).get("asset") or "")

    def asset_of_playbook(self, playbook: str) -> str | None:
        """The asset that a start by hand is about; None for a playbook that is not there."""
        loaded = self._loaded.get(playbook)
        triggers = loaded.playbook.triggers if loaded else ()
        known = (self._site.alarms.get(t.alarm) for t in triggers if t.alarm)
        return next((each.asset for each in known if each is not None), None)

    async def start_manually(
        self, playbook: str, user: str, roles: tuple[str, ...]
    ) -> Run | Rejected:
        """Start a playbook by hand, about the asset of its alarm trigger."""
        loaded = self._loaded.get(playbook)
        if loaded is None:
            return Rejected("unknown_playbook", {"playbook": playbook})
        manual = next((t for t in loaded.playbook.triggers if t.manual is not None), None)
        allowed = (manual.manual or {}).get("roles", []) if manual else []
        if manual is None or not ({*allowed} & {*roles}):
            return Rejected("not_allowed", {"playbook": playbook, "roles": allowed})
        named = next(t.alarm for t in loaded.playbook.triggers if t.alarm)
        definition: AlarmDefinition | None = self._site.alarms.get(named)
        if definition is None:  # gone with the site's newest files
            return Rejected("unknown_alarm", {"alarm": named})
        alarm = {"id": named, "asset": definition.asset, "tag": definition.tag, "value": None,
                 "limit": definition.setting.limit, "unit": definition.unit}  # fmt: skip
        started = await self._start(loaded, alarm, None, user)
        found = await self.get_run(started) if started else None
        return found or Rejected("not_started", {"playbook": playbook})

    async def answer(
        self, run_id: str, step: str, option: str, user: str, roles: tuple[str, ...],
        comment: str, idempotency_key: str,
    ) -> Rejected | None:  # fmt: skip
        """Answer a human task; the first answer wins and the others are told."""
        run = await self._store.get(run_id)
        if run is None:
            return Rejected("unknown_run", {"run": run_id})
        ask = run.ask
        if ask is None or run.ended_at is not None or ask["step"] != step:
            return Rejected("not_asking", {"step": step})
        if not _may_answer(ask["roles"], user, roles):
            return Rejected("not_allowed", {"roles": list(ask["roles"])})
        if option not in ask["options"]:
            return Rejected("unknown_option", {"options": list(ask["options"])})
        data = {"answer": option, "by": user, "comment": comment}
        if not await self._store.answer(run_id, ask["path"], data, self._clock.now_ms()):
            earlier = (await self._store.answers(run_id)).get(ask["path"], {})
            if (earlier.get("answer"), earlier.get("by")) == (option, user):
                return None
            return Rejected("already_answered", {"by": earlier.get("by", "")})
        self._engine.wake()
        return None

    async def changed(self, run_id: str) -> None:
        """A run was advanced, here or by another brain."""
        run = await self.get_run(run_id)
        if run is not None:
            for listener in self.on_run:
                listener(run)

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
        return run.model_copy(update={"steps": list(steps.values())})

    def _run(self, record: RunRecord) -> Run:
        loaded = self._loaded.get(record.playbook)
        name = loaded.playbook.name if loaded else None
        ask = record.ask if record.ended_at is None else None
        return Run(
            id=record.id,
            playbook=record.playbook,
            version=record.version,
            name=Text(zh=name.zh, en=name.en) if name else Text(zh=record.playbook),
            alarm=record.alarm,
            occurrence=record.occurrence,
            status=record.status,  # type: ignore[arg-type]
            started_at=record.started_at,
            ended_at=record.ended_at,
            ask=_ask(ask) if ask else None,
        )

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


def _may_answer(addressees: list[str], user: str, roles: tuple[str, ...]) -> bool:
    wanted = {f"role:{role}" for role in roles} | {f"user:{user}"}
    return bool(wanted & set(addressees)) or "administrator" in roles


def _inputs(book: Playbook) -> dict[str, Any]:
    return {name: given.default for name, given in book.inputs.items()}


def _ask(ask: Mapping[str, Any]) -> Ask:
    return Ask(
        step=ask["step"],
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
