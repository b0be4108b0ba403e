"""Occurrences on their ladders: put there by the journal, looked at when due or when they change.

A case and the messages of its step are one transaction; a restart or another brain goes on from
there. What is told by which channel, `planning` and `sending` say.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from factory_brain.application.notify.directory import Directory
from factory_brain.application.notify.facts import alarm_facts
from factory_brain.application.notify.planning import Draft, Planning
from factory_brain.application.notify.ports import (
    CaseRow,
    Entry,
    FindOccurrence,
    SetSystem,
    Store,
)
from factory_brain.application.ports import Transaction
from factory_brain.domain.link_events import Told, event_view
from factory_brain.domain.notify.ladder import Case, Seen, Telling, advance
from factory_brain.domain.rows import Occurrence, is_open
from shared.clock import Clock
from shared.expression import Expression, StaticEnvironment, compile_expression
from shared.messages.bodies import AlarmTransition
from shared.site.links import EVENT
from shared.site.notify import LadderSpec, RuleSpec
from shared.site.site import Site
from shared.telemetry import logger

AT_ONCE = 50
IDLE_S = 2.0
SET_BACK_MS = 1_000
"""A wall clock that loses more than this against the monotonic one was set back."""
log = logger("notify")


def seen_of(occurrence: Occurrence | None) -> Seen:
    """What a ladder asks of an occurrence."""
    if occurrence is None:
        return Seen(acked=False, active=False, gone=True)
    state = occurrence.view.state
    gone = state.hidden or not is_open(occurrence)
    return Seen(acked=state.acked, active=state.active, gone=gone)


class Cases:
    """All ladders of a site."""

    def __init__(
        self, site: Site, clock: Clock, store: Store, planning: Planning, directory: Directory,
        occurrences: FindOccurrence, system: SetSystem,
    ) -> None:  # fmt: skip
        self._site, self._clock, self._store = site, clock, store
        self._planning, self._directory = planning, directory
        self._occurrences, self._system = occurrences, system
        self._filters: dict[str, tuple[RuleSpec, Expression]] = {}
        self._wake = asyncio.Event()
        self._shown: dict[str, bool] = {}
        self._ahead: int | None = None
        """How far the wall clock is ahead of the monotonic one."""
        self.on_planned: list[Callable[[], None]] = []

    # from the journal

    async def put(self, tx: Transaction, events: list[Told]) -> None:
        """Put on ladders what is annunciated; look at what else changed."""
        now = self._clock.now_ms()
        rows: list[CaseRow] = []
        touched: list[str] = []
        for told in events:
            body = told.body
            if not isinstance(body, AlarmTransition):
                continue
            if body.annunciate:
                rows += self._rows(told, body, now)
            touched.append(body.occurrence)
        # First those that are there, in one order: what is added then waits for nobody.
        if touched:
            await self._store.poke(tx, touched, now)
        if rows:
            await self._store.add_cases(tx, rows)

    def _rows(self, told: Told, body: AlarmTransition, now: int) -> list[CaseRow]:
        view = event_view(told, self._site.alarms) or {}
        rows: list[CaseRow] = []
        for rule in self._site.notify.rules:
            if not self._fits(rule, body, view):
                continue
            key = f"{body.occurrence}/{rule.ladder}"
            case = Case(key, body.occurrence, body.alarm, rule.ladder, now, due=now)
            edge = told.source.partition(".")[2]
            rows.append(CaseRow(case, rule.id, edge, body.priority, body.annunciated_version, now))
        return rows

    def _fits(self, rule: RuleSpec, body: AlarmTransition, view: dict[str, object]) -> bool:
        if rule.priorities and body.priority not in rule.priorities:
            return False
        if rule.area and not self._site.assets.within(body.asset, rule.area):
            return False
        known = self._filters.get(rule.id)
        if known is None or known[0] is not rule:
            known = (rule, compile_expression(rule.when, roots={"event": EVENT}, tags=()))
            self._filters[rule.id] = known
        return known[1].evaluate(StaticEnvironment({"event": view})) is True

    async def changed(self, occurrence: Occurrence, moved: bool) -> None:
        """Somebody spoke about an occurrence here: its ladders need not wait for the edge."""
        if not moved and self._site.notify.rules:
            await self._store.poke(None, [occurrence.occurrence], self._clock.now_ms())
            self.wake()

    def wake(self) -> None:
        """Something is due."""
        self._wake.set()

    # climbing

    async def run(self) -> None:
        """For ever: whatever is due."""
        self._shown.clear()  # another brain may have led since
        try:
            await self._rounds()
        except asyncio.CancelledError:
            self._ahead = None  # another brain may lead now, and times be by its clock
            raise

    async def _rounds(self) -> None:
        work = {
            "cases": self._pass, "said": self._planning.playbooks, "gathered": self._planning.gather
        }  # fmt: skip
        while True:
            self._wake.clear()
            await self._follow_clock()
            await self._directory.refresh()
            times = await self._store.next_due()
            now, busy = self._clock.now_ms(), False
            for kind, step in work.items():
                due = times.get(kind)
                if due is not None and due <= now:
                    busy = await step() or busy
            if busy:
                for planned in self.on_planned:
                    planned()
                continue
            ahead = [at for kind in work if (at := times.get(kind)) is not None]
            await self._idle(min(ahead, default=None))

    async def _follow_clock(self) -> None:
        """When the wall clock was set back, nothing waits for the hour to come again.

        One that was set forward is only believed: a step too early is better than one too late.
        """
        ahead = self._clock.now_ms() - self._clock.mono_ms()
        back = 0 if self._ahead is None else self._ahead - ahead
        if back >= SET_BACK_MS:
            await self._store.bring_forward(back)
            log.warning("clock_set_back", ms=back)
            self._ahead = ahead
            for planned in self.on_planned:
                planned()
        elif back <= 0:
            self._ahead = ahead

    async def _idle(self, due: int | None) -> None:
        wait = IDLE_S if due is None else min(IDLE_S, (due - self._clock.now_ms()) / 1000)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(wait, 0.01)):
                await self._wake.wait()

    async def _pass(self) -> bool:
        silent: dict[str, bool] = {}
        async with self._store.planning() as tx:
            rows = await self._store.due_cases(tx, self._clock.now_ms(), AT_ONCE)
            for row in rows:
                occurrence = await self._occurrences(row.case.occurrence)
                await self._look(tx, row, occurrence, silent)
        for ladder, failed in silent.items():
            await self._complain(ladder, failed)
        return bool(rows)

    async def _look(
        self, tx: Transaction, row: CaseRow, occurrence: Occurrence | None, silent: dict[str, bool]
    ) -> None:
        """Move one case, and tell; a step that reaches nobody does not make the next one wait."""
        ladder, seen = self._site.notify.ladder(row.case.ladder), seen_of(occurrence)
        case, tellings = advance(row.case, ladder, seen, self._clock.now_ms())
        while tellings and ladder is not None and occurrence is not None:
            reached = False
            for telling in tellings:
                reached = await self._tell(tx, replace(row, case=case), ladder, telling, occurrence)
            silent[ladder.id] = not reached
            if reached or tellings[-1].kind == "over" or case.step >= len(ladder.steps):
                break
            case, tellings = advance(
                replace(case, unreached=True), ladder, seen, self._clock.now_ms()
            )
        await self._store.save_case(tx, case)
        if case.status != row.case.status and case.status != "running":
            entry = self._entry(row, "ended", "", case.why)
            await self._store.add(tx, (), [entry], self._clock.now_ms())

    async def _tell(
        self, tx: Transaction, row: CaseRow, ladder: LadderSpec, telling: Telling,
        occurrence: Occurrence,
    ) -> bool:  # fmt: skip
        """Tell the people of a step; whether somebody hears of it now."""
        now, step = self._clock.now_ms(), ladder.steps[telling.step]
        if telling.kind == "over":
            people: Sequence[str] = await self._store.told(tx, row.case.id)
        else:
            people = self._directory.resolve(step.notify, now)
        if telling.step > 0 and telling.kind in ("alarm", "still_there"):
            entry = self._entry(row, "escalated", ", ".join(people), f"step {telling.step + 1}")
            await self._store.add(tx, (), [entry], now)
        if not people:
            entry = self._entry(row, "held", ", ".join(step.notify), "nobody_on_duty")
            await self._store.add(tx, (), [entry], now)
            return telling.kind == "over"
        facts = alarm_facts(self._site, occurrence)
        draft = Draft(
            telling.kind, row.priority, facts, row.case.id, telling.n, row.case.occurrence,
            row.case.alarm, occurrence.view.annunciated_version, row.edge, tuple(step.channels),
        )  # fmt: skip
        messages = await self._planning.tell(tx, people, draft)
        return any(each.status == "queued" or each.reason == "limit" for each in messages)

    @staticmethod
    def _entry(row: CaseRow, outcome: str, person: str, reason: str) -> Entry:
        return Entry(
            outcome, person, reason, None, "case", row.case.ladder, row.case.occurrence,
            row.case.alarm, row.priority,
        )  # fmt: skip

    async def _complain(self, ladder: str, failed: bool) -> None:
        if self._shown.get(ladder) == failed:
            return
        told = f"ladder {ladder}: nobody is on duty or may be disturbed"
        await self._system(f"ladder-{ladder}", failed, {"subject": told} if failed else {})
        self._shown[ladder] = failed
