"""Directives: read, verified, swapped in as one, reported, and kept for the next start.

Called by the uplink with what the bucket holds; the last good settings run offline from boot. It
never loosens what the plant's own bounds forbid.
"""

from __future__ import annotations

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
    DRY_RUN,
    MAX_BYTES,
    AlarmModel,
    Directive,
    SignedDirective,
)
from shared.messages.directives import SETTINGS as CURRENT
from shared.messages.envelope import digest
from shared.messages.subjects import Node
from shared.telemetry import logger

log = logger("directive")
DIRECTIVE, COUNTER, SETTINGS, MODELS = "directive", "counter", "settings", "models"
DRY_COUNTER = "dry_counter"
SPENT = "spent_counter"
"""The number and digest of the newest directive that was genuine, for this edge, and refused."""
STORE_WAIT_S = 5.0
Replay = Callable[[AlarmBook, dict[str, Setting]], Awaitable[dict[str, Any]]]
Verdict = tuple[Directive, dict[str, Setting], dict[str, ModelParameters]]


class Tuned(msgspec.Struct, frozen=True):
    """A tuned setting as stored: numbers and the version that brought it."""

    row: list[float]
    version: int
    base: list[float] = []
    """The site's own setting when it was tuned; when people change that, theirs counts again."""


class SentModel(msgspec.Struct, frozen=True):
    """A model that has come down, as stored."""

    model: AlarmModel
    version: int


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
        self.counter = 0
        self._spent = 0
        self._dry_counter = 0
        self._rehearsed = b""
        self.replay: Replay = _no_history
        """Replays settings over the edge's own history; set where there is one."""
        self.on_change: Callable[[], None] = lambda: None

    def recover(self, meta: dict[str, bytes]) -> list[str]:
        """Run the last good settings; names the alarms whose bounds no longer allow theirs."""
        self.counter = int.from_bytes(meta.get(COUNTER, b""), "big")
        rehearsed = meta.get(DRY_COUNTER, b"")
        self._dry_counter, self._rehearsed = int.from_bytes(rehearsed[:8], "big"), rehearsed[8:]
        self._seen = digest(meta[DIRECTIVE]) if DIRECTIVE in meta else b""
        spent = meta.get(SPENT, b"")
        self._spent = int.from_bytes(spent[:8], "big")
        if self._spent > self.counter:
            self._seen = spent[8:]
        self._tuned = decode(meta[SETTINGS], dict[str, Tuned]) if SETTINGS in meta else {}
        outside = []
        for alarm, tuned in self._tuned.items():
            unit = self._book.units.get(alarm)
            if unit is None:
                continue
            setting = setting_of(tuned.row)
            if _rewritten(self._written[alarm], tuned):
                log.info("tuning_superseded", alarm=alarm)
                continue
            if within(unit.definition, setting, setting_of(self._written[alarm])) is not None:
                outside.append(alarm)
                continue
            unit.definition = unit.definition.with_setting(setting, tuned.version)
        self._models = decode(meta[MODELS], dict[str, SentModel]) if MODELS in meta else {}
        self._load_models(self._book)
        return outside

    def prepare(self, book: AlarmBook, rebuilt: Collection[str] = ()) -> Prepared:
        """What of all that came down goes on in `book`, of another version of the site.

        Changes nothing here. A setting that people have changed since in the site's files, that
        its bounds no longer allow, or that was for another condition (`rebuilt`), is tuned no more.
        """
        written, kept = _written(book), dict[str, Tuned]()
        for alarm, tuned in self._tuned.items():
            unit = book.units.get(alarm)
            if unit is None or alarm in rebuilt or _rewritten(written[alarm], tuned):
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
        return [PutMeta(SETTINGS, encode(self._tuned))]

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
            return
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
        params = await self.replay(self._book, settings)
        self._dry_counter, self._rehearsed = directive.counter, name
        done = directive.counter.to_bytes(8, "big") + name
        report = self._report(directive, "dry_run", Rejected("", params))
        await self._store([PutMeta(DRY_COUNTER, done), report])

    async def _refuse(self, why: _Refused, rows: Change | None = None) -> None:
        log.warning("directive_refused", code=why.rejected.code, params=why.rejected.params)
        report = self._report(why.directive, "refused", why.rejected)
        await self._store([*(rows or []), report])

    def _judge(self, data: bytes, lane: str, counter: int) -> Verdict | _Refused:
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
        if refusal is not None:
            return _Refused(refusal, directive)
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
        pending = []
        for sent in directive.models:
            self._models[sent.alarm] = SentModel(sent, directive.counter)
            unit = self._book.units[sent.alarm]
            if not self._book.set_model(unit, models[sent.alarm], directive.counter):
                pending.append(sent.alarm)
        for alarm, setting in settings.items():
            self._tuned[alarm] = Tuned(
                setting_row(setting), directive.counter, self._written[alarm]
            )
            if not self._book.set_setting(self._book.units[alarm], setting, directive.counter):
                pending.append(alarm)
        self.counter, self._seen = directive.counter, name
        params = {"pending": pending} if pending else {}
        log.info("directive_applied", counter=self.counter, alarms=[*settings, *models], **params)
        self.on_change()
        await self._store(
            [
                PutMeta(DIRECTIVE, data),
                PutMeta(COUNTER, directive.counter.to_bytes(8, "big")),
                PutMeta(SETTINGS, encode(self._tuned)),
                PutMeta(MODELS, encode(self._models)),
                self._report(directive, "applied", Rejected("", params)),
            ]
        )

    async def _store(self, rows: Change) -> None:
        await self._journal.durable(self._journal.write(rows, urgent=True), STORE_WAIT_S)

    def _report(self, directive: Directive | None, status: str, why: Rejected) -> Emit:
        now = self._clock.now_ms()
        body = DirectiveReport(
            directive=directive.id if directive else "",
            counter=directive.counter if directive else 0,
            status=status,
            code=why.code,
            params=why.params,
            settings_version=self.counter,
            at=now,
        )
        return Emit(event(uuid7(self._clock), f"directive.{status}", now, body))


async def _no_history(book: AlarmBook, settings: dict[str, Setting]) -> dict[str, Any]:
    return {"alarms": {}}


def _rewritten(written: list[float], tuned: Tuned) -> bool:
    return bool(tuned.base) and tuned.base != written


def _written(book: AlarmBook) -> dict[str, list[float]]:
    """Every alarm's setting as the site's files have it."""
    return {unit.id: setting_row(unit.definition.setting) for unit in book.units.values()}


class _Refused(msgspec.Struct, frozen=True):
    rejected: Rejected
    directive: Directive | None = None
    spent: bool = False
    """Whether its number is used up: it was genuine, for here, new, and forbidden."""
