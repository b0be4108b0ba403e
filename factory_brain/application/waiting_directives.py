"""Where people of the factory let the group's directives pass, or refuse them.

Called by the web. What is said, its audit entry and its report up are one transaction; what was let
pass is countersigned by the relay. It signs nothing and sends nothing to an edge.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from factory_brain.application.directive_relay import RelayEntry
from factory_brain.application.directive_words import Known, Trial, shown
from factory_brain.application.ports import Transaction
from factory_brain.domain.directive_gate import Plant, permitted
from shared.alarm.point import Setting
from shared.clock import Clock
from shared.errors import Rejected
from shared.identity.two_people import same_person
from shared.messages.bodies import Body, DirectiveReport
from shared.messages.codec import decode
from shared.messages.directives import Directive, SignedDirective, read
from shared.web.dto_directives import DirectiveDecision, DirectiveList, DirectiveOut

Audit = Callable[[Any, int, str, str, str, Any], Awaitable[None]]
Say = Callable[[Transaction, str, Body], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Consent:
    """What one person said of one directive."""

    edge: str
    counter: int
    actor: str
    accept: bool
    reason: str
    at: int


class WaitingRows(Protocol):
    """See `adapters/postgres/waiting_store.py`."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits at the end of the block."""
        ...

    async def shown(self) -> Sequence[RelayEntry]:
        """What waits, then the newest of what people have decided."""
        ...

    async def locked(self, tx: Transaction, edge: str, counter: int) -> RelayEntry | None:
        """One of them, until the transaction ends."""
        ...

    async def newest(self, tx: Transaction | None, edges: Sequence[str]) -> dict[str, int]:
        """The highest number of each edge."""
        ...

    async def consents(self, tx: Transaction | None, keys: Sequence[tuple[str, int]]) -> Sequence[
        Consent
    ]:  # fmt: skip
        """What people said of these."""
        ...

    async def consent(self, tx: Transaction, said: Consent) -> None:
        """Somebody has said it."""
        ...

    async def decided(self, tx: Transaction, entry: RelayEntry) -> None:
        """What waited has another status."""
        ...

    async def trials(self, rollouts: Sequence[str]) -> dict[tuple[str, str, str], Trial]:
        """(rollout, edge, alarm) -> what the edge's trial told."""
        ...

    async def settings(self) -> dict[str, Setting]:
        """alarm -> the setting that a directive has made of it."""
        ...


@dataclass(frozen=True, slots=True)
class Outside:
    """What the desk tells to others."""

    audit: Audit
    say: Say


class WaitingDirectives:
    """The factory's desk for what the group wants to change."""

    def __init__(
        self, plant: Plant, rows: WaitingRows, clock: Clock, outside: Outside, four_eyes: bool
    ) -> None:
        self._plant, self._rows, self._clock, self._outside = plant, rows, clock, outside
        self._needed = 2 if four_eyes else 1
        self.on_decided: Callable[[], None] = lambda: None

    async def listed(self) -> DirectiveList:
        """What waits first, then what was decided lately."""
        entries = await self._rows.shown()
        items = await self._words(entries)
        return DirectiveList(
            policy="auto" if self._plant.auto_approve else "ask", needed=self._needed, items=items
        )

    async def decide(
        self, edge: str, counter: int, said: DirectiveDecision, actor: str
    ) -> DirectiveOut | Rejected:
        """A person lets it pass, or refuses it."""
        async with self._rows.transaction() as tx:
            entry = await self._rows.locked(tx, edge, counter)
            if entry is None:
                return Rejected("unknown_directive", {"edge": edge, "counter": counter})
            directive = _read(entry)
            if refusal := await self._open(tx, entry, directive):
                return refusal
            before = await self._rows.consents(tx, [(edge, counter)])
            if said.accept and any(same_person(actor, each.actor) for each in before):
                return Rejected("same_person", {"actor": actor})
            now = self._clock.now_ms()
            spoken = Consent(edge, counter, actor, said.accept, said.reason, now)
            await self._rows.consent(tx, spoken)
            moved = await self._moved(tx, entry, said, [*(each.actor for each in before), actor])
            await self._outside.audit(
                tx, now, actor, _deed(said.accept, moved.status), directive.id,
                {"before": {"status": entry.status}, "after": {"status": moved.status},
                 "why": said.reason, "edge": edge, "counter": counter, "kind": directive.kind,
                 "rollout": directive.extra.get("rollout"), "at_the_group": directive.approved_by,
                 "alarms": [each.alarm for each in directive.settings][:200]},
            )  # fmt: skip
        self.on_decided()
        [shown_now] = await self._words([moved])
        return shown_now

    async def _open(
        self, tx: Transaction, entry: RelayEntry, directive: Directive
    ) -> Rejected | None:
        """Why nothing can be decided of it any more."""
        if entry.status != "waiting":
            return Rejected("directive_not_waiting", {"status": entry.status})
        newest = (await self._rows.newest(tx, [entry.edge])).get(entry.edge, 0)
        if newest > entry.counter:
            return Rejected("superseded", {"counter": newest})
        return permitted(self._plant, directive, self._clock.now_ms())

    async def _moved(
        self, tx: Transaction, entry: RelayEntry, said: DirectiveDecision, people: list[str]
    ) -> RelayEntry:
        now = self._clock.now_ms()
        if not said.accept:
            why = Rejected("refused_by_person", {"by": people[-1], "reason": said.reason})
            moved = replace(entry, status="refused", code=why.code, params=why.params, at=now)
            report = DirectiveReport(
                directive=entry.directive, counter=entry.counter, status="refused", code=why.code,
                params=why.params,
            )  # fmt: skip
            await self._outside.say(tx, "directive_report", report)
        elif len(people) >= self._needed:
            moved = replace(entry, status="approved", approved_by=", ".join(people), at=now)
        else:
            return entry
        await self._rows.decided(tx, moved)
        return moved

    async def _words(self, entries: Sequence[RelayEntry]) -> list[DirectiveOut]:
        directives = [_read(each) for each in entries]
        rollouts = sorted({str(each.extra.get("rollout") or "") for each in directives} - {""})
        keys = [(each.edge, each.counter) for each in entries]
        known = Known(
            definitions=self._plant.definitions, live=await self._rows.settings(),
            trials=await self._rows.trials(rollouts), needed=self._needed,
            consents=await self._rows.consents(None, keys),
            newest=await self._rows.newest(None, sorted({each.edge for each in entries})),
        )  # fmt: skip
        return [
            shown(entry, directive, known)
            for entry, directive in zip(entries, directives, strict=True)
        ]


def _read(entry: RelayEntry) -> Directive:
    return read(decode(entry.signed, SignedDirective).payload)


def _deed(accept: bool, status: str) -> str:
    if not accept:
        return "directive_refused"
    return "directive_approved" if status == "approved" else "directive_first_approval"
