"""Directives: read, verified, swapped in as one, reported, and kept for the next start.

Called by the uplink with what the bucket holds; the last good settings run offline from boot. It
never loosens what the plant's own bounds forbid, and no directive takes the link down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

import msgspec

from edge_node.application.journal import Journal
from edge_node.application.records import (
    Change,
    Emit,
    PutMeta,
    event,
    setting_of,
    setting_row,
)
from edge_node.application.tuned import Begun, SentModel, Tuned
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.settings_gate import (
    Keys,
    Target,
    admit,
    models_of,
    parameters,
    settings_of,
    verify,
    within,
)
from shared.alarm.condition import ModelParameters, model_fault
from shared.alarm.point import Setting
from shared.clock import Clock
from shared.errors import ContractError, Rejected
from shared.ids import uuid7
from shared.messages.bodies import DirectiveReport
from shared.messages.codec import decode, encode
from shared.messages.directives import (
    ALARMS,
    DRY_RUN,
    MAX_BYTES,
    MAX_SETTINGS,
    Directive,
    SignedDirective,
    read,
)
from shared.messages.directives import SETTINGS as CURRENT
from shared.messages.envelope import digest
from shared.messages.subjects import Node
from shared.telemetry import logger

log = logger("directive")
DIRECTIVE, COUNTER, SETTINGS, MODELS = "directive", "counter", "settings", "models"
DRY_COUNTER, DRY_BEGUN = "dry_counter", "dry_begun"
SPENT = "spent_counter"
"""The number and digest of the newest directive that was genuine, for this edge, and refused."""
STORE_WAIT_S = 5.0
WHY_CHARS = 300
"""How much of an exception's words is reported."""
Replay = Callable[[AlarmBook, dict[str, Setting]], Awaitable[dict[str, Any]]]
Verdict = tuple[Directive, dict[str, Setting], dict[str, ModelParameters]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The settings of another version of the site, before it takes over."""

    book: AlarmBook
    written: dict[str, list[float]]
    """Every alarm's setting as the site's files have it."""
    kept: dict[str, Tuned]
    """The tuned settings that go on."""


class DirectiveHandler:
    """The edge's settings as the upper tiers have tuned them."""

    def __init__(
        self, node: Node, keys: Keys | None, book: AlarmBook, journal: Journal, clock: Clock
    ) -> None:
        self._node, self._keys, self._book = node, keys, book
        self._journal, self._clock = journal, clock
        self._tuned: dict[str, Tuned] = {}
        self._written = _written(book)
        self._models: dict[str, SentModel] = {}
        self._seen = b""
        self.counter, self._directive = 0, ""
        self._gone: list[str] = []
        """What people had rewritten before this start."""
        self._spent = 0
        self._dry_counter = 0
        self._rehearsed = b""
        self._died_of: Begun | None = None
        self.replay: Replay = _no_history
        """Replays settings over the edge's own history; set where there is one."""
        self.on_change: Callable[[], None] = lambda: None

    def recover(self, meta: dict[str, bytes]) -> list[str]:
        """Run the last good settings; names the alarms whose bounds no longer allow theirs."""
        self.counter = int.from_bytes(meta.get(COUNTER, b""), "big")
        rehearsed = meta.get(DRY_COUNTER, b"")
        self._dry_counter, self._rehearsed = int.from_bytes(rehearsed[:8], "big"), rehearsed[8:]
        begun = decode(meta[DRY_BEGUN], Begun) if meta.get(DRY_BEGUN) else None
        if begun is not None and begun.counter > self._dry_counter:
            self._died_of, self._dry_counter, self._rehearsed = begun, begun.counter, begun.name
        self._seen = digest(meta[DIRECTIVE]) if DIRECTIVE in meta else b""
        spent = meta.get(SPENT, b"")
        self._spent = int.from_bytes(spent[:8], "big")
        if self._spent > self.counter:
            self._seen = spent[8:]
        self._tuned = decode(meta[SETTINGS], dict[str, Tuned]) if SETTINGS in meta else {}
        self._directive = _named(meta.get(DIRECTIVE))
        outside = []
        for alarm, tuned in self._tuned.items():
            unit = self._book.units.get(alarm)
            if unit is None:
                continue
            setting = setting_of(tuned.row)
            if tuned.superseded(self._written[alarm], unit.definition.bounds):
                log.info("tuning_superseded", alarm=alarm)
                self._gone.append(alarm)
                continue
            if within(unit.definition, setting, setting_of(self._written[alarm])) is not None:
                outside.append(alarm)
                continue
            unit.definition = unit.definition.with_setting(setting, tuned.version)
        self._models = decode(meta[MODELS], dict[str, SentModel]) if MODELS in meta else {}
        self._load_models(self._book)
        return outside

    def interrupted(self) -> Change:
        """After a start: a rehearsal that never ended is not begun again, and said so; nor is
        what people have rewritten meanwhile tuned any more."""
        gone, self._gone = self._gone, []
        self._tuned = {alarm: each for alarm, each in self._tuned.items() if alarm not in gone}
        rows = self._dropped(gone)
        if (begun := self._died_of) is None:
            return rows
        self._died_of = None
        log.error("dry_run_interrupted", counter=begun.counter)
        why = Rejected("dry_run_interrupted")
        report = self._report(begun.directive, begun.counter, "refused", why)
        return [*rows, _done(begun), report]

    def _dropped(self, gone: list[str]) -> Change:
        """Rows for tunings that go on no more; the tiers above shall not bring them again."""
        if not gone:
            return []
        why = Rejected("superseded", {ALARMS: gone[:MAX_SETTINGS]})
        report = self._report(self._directive, self.counter, "superseded", why)
        return [PutMeta(SETTINGS, encode(self._tuned)), report]

    def prepare(self, book: AlarmBook, rebuilt: Collection[str] = ()) -> Prepared:
        """What of all that came down goes on in `book`, of another version of the site.

        Changes nothing here. A setting that people have changed since in the site's files, that
        its bounds no longer allow, or that was for another condition (`rebuilt`), is tuned no more.
        """
        written, kept = _written(book), dict[str, Tuned]()
        for alarm, tuned in self._tuned.items():
            unit = book.units.get(alarm)
            if unit is None or alarm in rebuilt:
                continue
            if tuned.superseded(written[alarm], unit.definition.bounds):
                continue
            site = setting_of(written[alarm])
            if within(unit.definition, setting_of(tuned.row), site) is None:
                kept[alarm] = tuned
        self._load_models(book)
        return Prepared(book, written, kept)

    def use(self, prepared: Prepared) -> Change:
        """Go on with another version of the site; rows to store."""
        self._book, self._written = prepared.book, prepared.written
        if prepared.kept == self._tuned:
            return []
        gone = sorted(self._tuned.keys() - prepared.kept.keys())
        log.info("tuning_superseded", alarms=gone)
        self._tuned = prepared.kept
        return self._dropped(gone)

    def _load_models(self, book: AlarmBook) -> None:
        """Put the models that have come down in place of the site's own, where they still fit."""
        for alarm, sent in self._models.items():
            unit = book.units.get(alarm)
            spec = unit.definition.condition if unit is not None else None
            if unit is None or spec is None or spec.model is None:
                continue
            model = parameters(sent.model, spec.model.inputs, sent.version)
            if sent.model.type == spec.model.type and not model_fault(model):
                book.set_model(unit, model, sent.version)

    async def take(self, data: bytes) -> None:
        """Look at what the bucket holds; the same bytes are judged once."""
        name = digest(data)
        if name == self._seen:
            return
        verdict = self._judge(data, CURRENT, max(self.counter, self._spent))
        if isinstance(verdict, tuple):
            await self._apply(data, name, *verdict)
        else:
            await self._use_up(name, verdict)

    async def _use_up(self, name: bytes, verdict: _Refused) -> None:
        self._seen = name
        rows: Change = []
        if verdict.spent and verdict.directive is not None:
            # The tiers above take the refusal as final: a bound that is widened later, or a
            # restart, must not bring what they believe was never run.
            self._spent = verdict.directive.counter
            rows = [PutMeta(SPENT, self._spent.to_bytes(8, "big") + name)]
        await self._refuse(verdict, rows)

    async def rehearse(self, data: bytes) -> None:
        """Judge a dry run as if it were to be applied, replay it, say what came of it.

        Changes nothing but the number under which it was done: none is done twice.
        """
        name = digest(data)
        if name == self._rehearsed:
            return
        verdict = self._judge(data, DRY_RUN, self._dry_counter)
        if not isinstance(verdict, tuple):
            self._rehearsed = name
            await self._refuse(verdict)
            return
        directive, settings, _ = verdict
        begun = Begun(directive.id, directive.counter, name)
        # Before the replay: an edge that dies of it must not do so again after every start.
        if not await self._store([PutMeta(DRY_BEGUN, encode(begun))]):
            log.warning("dry_run_put_off", counter=directive.counter)
            return
        status, found = await self._replayed(settings)
        self._dry_counter, self._rehearsed = directive.counter, name
        report = self._report(directive.id, directive.counter, status, found)
        await self._store([_done(begun), report])

    async def _replayed(self, settings: dict[str, Setting]) -> tuple[str, Rejected]:
        try:
            return "dry_run", Rejected("", await self.replay(self._book, settings))
        except asyncio.CancelledError:
            # The link ended, or the edge is told to stop: done again, nobody has died of it.
            self._journal.write([PutMeta(DRY_BEGUN, b"")], urgent=True)
            raise
        except Exception as error:  # reported to whoever sent it, instead of ending the link
            log.exception("dry_run_failed")
            return "refused", Rejected("dry_run_failed", {"why": _brief(error)})

    async def _refuse(self, why: _Refused, rows: Change | None = None) -> None:
        log.warning("directive_refused", code=why.rejected.code, params=why.rejected.params)
        told = why.directive
        name, counter = (told.id, told.counter) if told is not None else ("", 0)
        report = self._report(name, counter, "refused", why.rejected)
        await self._store([*(rows or []), report])

    def _judge(self, data: bytes, lane: str, counter: int) -> Verdict | _Refused:
        directive: Directive | None = None
        try:
            found = self._genuine(data, lane, counter)
            if isinstance(found, _Refused):
                return found
            directive = found
            return self._permitted(directive)
        except Exception as error:  # reported to whoever sent it, instead of ending the link
            log.exception("directive_failed")
            why = Rejected("directive_failed", {"why": _brief(error)})
            return _Refused(why, directive, spent=directive is not None)

    def _genuine(self, data: bytes, lane: str, counter: int) -> Directive | _Refused:
        if len(data) > MAX_BYTES:
            return _Refused(Rejected("too_large", {"bytes": len(data), "most": MAX_BYTES}))
        try:
            signed = decode(data, SignedDirective)
        except ContractError as error:
            return _Refused(Rejected("malformed", {"why": str(error)}))
        directive = verify(signed, self._keys)
        if isinstance(directive, Rejected):
            return _Refused(directive)
        target = Target(self._node.site, self._node.name, counter)
        refusal = admit(directive, target, self._clock.now_ms(), lane)
        return directive if refusal is None else _Refused(refusal, directive)

    def _permitted(self, directive: Directive) -> Verdict | _Refused:
        definitions = {unit.id: unit.definition for unit in self._book.units.values()}
        written = {alarm: setting_of(row) for alarm, row in self._written.items()}
        settings = settings_of(directive, definitions, written)
        if isinstance(settings, Rejected):
            return _Refused(settings, directive, spent=True)
        models = models_of(directive, definitions)
        if isinstance(models, Rejected):
            return _Refused(models, directive, spent=True)
        return directive, settings, models

    async def _apply(
        self, data: bytes, name: bytes, directive: Directive, settings: dict[str, Setting],
        models: dict[str, ModelParameters],
    ) -> None:  # fmt: skip
        try:
            pending = self._swap_in(directive.counter, settings, models)
        except Exception as error:  # reported to whoever sent it, instead of ending the link
            log.exception("directive_failed")
            why = Rejected("directive_failed", {"why": _brief(error)})
            await self._use_up(name, _Refused(why, directive, spent=True))
            return
        for sent in directive.models:
            self._models[sent.alarm] = SentModel(sent, directive.counter)
        for alarm, setting in settings.items():
            bounds = self._book.units[alarm].definition.bounds
            self._tuned[alarm] = Tuned(
                setting_row(setting), directive.counter, self._written[alarm],
                bounds.centre if setting.filter == "day" else None,
            )  # fmt: skip
        self.counter, self._seen, self._directive = directive.counter, name, directive.id
        params = {"pending": pending} if pending else {}
        log.info("directive_applied", counter=self.counter, alarms=[*settings, *models], **params)
        self.on_change()
        await self._store(
            [
                PutMeta(DIRECTIVE, data),
                PutMeta(COUNTER, directive.counter.to_bytes(8, "big")),
                PutMeta(SETTINGS, encode(self._tuned)),
                PutMeta(MODELS, encode(self._models)),
                self._report(directive.id, directive.counter, "applied", Rejected("", params)),
            ]
        )

    def _swap_in(
        self, version: int, settings: dict[str, Setting], models: dict[str, ModelParameters]
    ) -> list[str]:
        """Let all of it run, or none; the alarms that take it up at their return to normal."""
        book, pending = self._book, list[str]()
        units = [book.units[alarm] for alarm in {**models, **settings}]
        before = [(unit, unit.definition, unit.pending, unit.pending_model) for unit in units]
        try:
            for alarm, model in models.items():
                if not book.set_model(book.units[alarm], model, version):
                    pending.append(alarm)
            for alarm, setting in settings.items():
                if not book.set_setting(book.units[alarm], setting, version):
                    pending.append(alarm)
        except Exception:
            for unit, definition, setting_waits, model_waits in before:
                unit.definition = definition
                unit.pending, unit.pending_model = setting_waits, model_waits
            raise
        return pending

    async def _store(self, rows: Change) -> bool:
        return await self._journal.durable(self._journal.write(rows, urgent=True), STORE_WAIT_S)

    def _report(self, directive: str, counter: int, status: str, why: Rejected) -> Emit:
        now = self._clock.now_ms()
        body = DirectiveReport(
            directive=directive,
            counter=counter,
            status=status,
            code=why.code,
            params=why.params,
            settings_version=self.counter,
            at=now,
        )
        return Emit(event(uuid7(self._clock), f"directive.{status}", now, body))


async def _no_history(book: AlarmBook, settings: dict[str, Setting]) -> dict[str, Any]:
    return {"alarms": {}}


def _named(data: bytes | None) -> str:
    try:
        return read(decode(data, SignedDirective).payload).id if data else ""
    except ContractError:
        return ""


def _done(begun: Begun) -> PutMeta:
    return PutMeta(DRY_COUNTER, begun.counter.to_bytes(8, "big") + begun.name)


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:WHY_CHARS]


def _written(book: AlarmBook) -> dict[str, list[float]]:
    """Every alarm's setting as the site's files have it."""
    return {unit.id: setting_row(unit.definition.setting) for unit in book.units.values()}


class _Refused(msgspec.Struct, frozen=True):
    rejected: Rejected
    directive: Directive | None = None
    spent: bool = False
    """Whether its number is used up: it was genuine, for here, new, and forbidden."""
