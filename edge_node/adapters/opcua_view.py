"""This edge's alarms for the OPC UA server: the engine's newest status, its answers, its password.

Fed by `edge_node.opcua_child` from the engine's pipe, asked by `shared/opcua`. Decides nothing:
what people say goes to the engine.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from edge_node.application.ipc import OperatorAction, OperatorResult, PageAnswer, PageQuery
from edge_node.application.served import Served, ServedAsset, decode_served
from edge_node.application.status import AlarmStatus, Names, decode_status
from shared.alarm.definition import Words
from shared.alarm.states import AlarmState
from shared.clock import Clock
from shared.errors import ContractError
from shared.identity.throttle import Throttle
from shared.ids import uuid7
from shared.opcua.alarms import SEVERITIES, Pass, Place, Said, Shown, message_of
from shared.telemetry import logger

log = logger("opcua")
ANSWER_S = 5.0
MAX_NAME = 64
ANSWERED = ("acknowledge", "confirm", "comment")


@dataclass(frozen=True, slots=True)
class Remark:
    """What somebody has said through this server about an occurrence."""

    occurrence: str
    actor: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Report:
    """One alarm as the engine shows it, since when, and what was said of it here."""

    row: AlarmStatus
    order: int
    at: int
    received_at: int
    remark: Remark | None = None


class EdgeDoor:
    """Any name with the password of the edge's page; who has none may look where that is wanted."""

    def __init__(self, password: str | None, clock: Clock, anonymous: bool) -> None:
        self._password, self.anonymous = password, anonymous
        self._throttle = Throttle(clock)

    async def admit(self, name: str, password: str, address: str) -> Pass | None:
        """Without a password of its own this server lets nobody act."""
        person = name.strip()
        if self._throttle.blocked(address) or not 0 < len(person) <= MAX_NAME:
            return None
        wanted = self._password
        if wanted is None or not hmac.compare_digest(password.encode(), wanted.encode()):
            self._throttle.failed(address)
            return None
        return Pass(name=person)

    async def gone(self, shown: Pass) -> bool:
        """A pass holds as long as the session."""
        return False

    async def leave(self, shown: Pass) -> None:
        """Nothing is kept of it."""


@dataclass(slots=True)
class Listener:
    """Whom to tell of news: the server, once it is made."""

    changed: Callable[[str, Report], None] = lambda alarm, report: None
    look: Callable[[], None] = lambda: None


@dataclass(slots=True)
class _Asked:
    """What waits for the engine's answer."""

    results: dict[str, asyncio.Future[OperatorResult]] = field(default_factory=dict)
    answers: dict[str, asyncio.Future[PageAnswer]] = field(default_factory=dict)


class EdgeAlarms:
    """The edge as the OPC UA server's tier."""

    def __init__(self, send: Callable[[OperatorAction | PageQuery], None], clock: Clock) -> None:
        self._send, self._clock = send, clock
        self._asked = _Asked()
        self._reports: dict[str, Report] = {}
        self._remarks: dict[str, Remark] = {}
        self._places: dict[str, Place] = {}
        self._assets: dict[str, ServedAsset] = {}
        self._root = ""
        self._count = 0
        self._version: str | None = None
        """Of the site's files that the places are of."""
        self._wanted = asyncio.Event()
        self.listener = Listener()
        self.ready = asyncio.Event()
        """The engine has told what there is."""
        self.name = ""
        """Site and edge, once the engine has told."""

    # from the engine

    def on_status(self, body: bytes) -> None:
        """The engine's state: tell of what differs from the last one."""
        status = decode_status(body)
        self.name = f"{status.site}:{status.edge}"
        before, self._reports = self._reports, {}
        for row in status.alarms:
            last = before.pop(row.alarm, None)
            if last is not None and last.row == row:
                self._reports[row.alarm] = last
                continue
            since = status.at if self._version is not None else _since(row)
            self._reports[row.alarm] = report = self._report(row, since, status.at)
            self.listener.changed(row.alarm, report)
        if before:
            self.listener.look()
        if status.versions.site != self._version:
            self._wanted.set()

    def on_result(self, result: OperatorResult) -> None:
        """The engine answered an action."""
        waiting = self._asked.results.get(result.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(result)

    def on_answer(self, answer: PageAnswer) -> None:
        """The engine answered a query."""
        waiting = self._asked.answers.get(answer.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def follow(self) -> None:
        """Learn the site's alarms anew each time another version of its files runs."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            answer = await self._look_up("served")
            if answer is None or answer.code:
                await asyncio.sleep(1.0)  # it starts, or has much to do: the next status asks again
                self._wanted.set()
                continue
            self._serve(decode_served(answer.json))

    def _serve(self, served: Served) -> None:
        self._places = {
            each.alarm: Place(
                each.alarm, each.asset, Words(each.zh, each.en),
                SEVERITIES.get(each.priority, 500), each.max_shelve_ms,
            )
            for each in served.alarms
        }  # fmt: skip
        self._assets, self._root = served.assets, served.root
        self._version = served.site
        self._remarks = {k: v for k, v in self._remarks.items() if k in self._places}
        self.ready.set()
        self.listener.look()

    # for the server

    def places(self) -> dict[str, Place]:
        """Every alarm of this edge."""
        return self._places

    def path(self, asset: str) -> tuple[str, ...]:
        """Root .. asset."""
        known = self._assets.get(asset)
        if known is not None:
            return tuple(known.path)
        return (self._root, asset) if asset and asset != self._root else (self._root,)

    def asset_name(self, asset: str) -> str:
        """What people call an asset."""
        known = self._assets.get(asset, ServedAsset([], Names()))
        return known.name.zh

    def shown(self) -> dict[str, Report]:
        """What the engine shows."""
        return dict(self._reports)

    async def newest(self, alarm: str) -> Report | None:
        """One that the engine shows no more."""
        answer = await self._look_up("alarm", alarm=alarm)
        if answer is None or answer.code or alarm in self._reports:
            return None
        now = self._clock.now_ms()
        return self._report(msgspec.json.decode(answer.json, type=AlarmStatus), now, now)

    def describe(self, report: Report) -> Shown:
        """What a report tells."""
        row, said = report.row, report.remark
        severity = SEVERITIES.get(row.priority, 500)
        place = self._places.get(row.alarm)
        if place is None:
            place = Place(row.alarm, row.asset, Words(row.name.zh, row.name.en), severity)
        return Shown(
            place, _state(row), severity, severity,
            message_of(place, row.value, row.limit, row.unit), row.occurrence, row.version,
            at=max(report.at, said.at if said else 0), received_at=report.received_at,
            comment=said.text if said else "", comment_at=said.at if said else 0,
            by=said.actor if said else "",
        )  # fmt: skip

    def older(self, report: Report, held: Report) -> bool:
        """In the order in which the engine told them."""
        return report.order < held.order

    async def actor(self, shown: Pass, alarm: str, action: str) -> str:
        """Who has shown the password may do what people may do at the edge's page."""
        return shown.name

    async def act(self, actor: str, said: Said) -> str:
        """The engine decides."""
        action = OperatorAction(
            id=uuid7(self._clock), action=said.action, alarm=said.alarm,
            occurrence=said.occurrence, version=said.version, actor=actor, args=said.args,
        )  # fmt: skip
        waiting: asyncio.Future[OperatorResult] = asyncio.get_running_loop().create_future()
        self._asked.results[action.id] = waiting
        try:
            self._send(action)
            result = await asyncio.wait_for(waiting, ANSWER_S)
        except TimeoutError:
            return "engine_did_not_answer"
        finally:
            del self._asked.results[action.id]
        if not result.accepted:
            return result.code
        if said.action in ANSWERED:
            self._remember(actor, said)
        return ""

    def _remember(self, actor: str, said: Said) -> None:
        text = said.args.get("text") or said.args.get("comment") or ""
        remark = Remark(said.occurrence, actor, text, self._clock.now_ms())
        self._remarks[said.alarm] = remark
        report = self._reports.get(said.alarm)
        if report is None:
            return
        row = report.row
        told = {"acknowledge": row.acked, "confirm": row.confirmed}
        if not told.get(said.action, True):
            return  # the status tells of it by itself; mostly it comes after its answer
        self._reports[said.alarm] = now = replace(report, order=self._next(), remark=remark)
        self.listener.changed(said.alarm, now)

    def _report(self, row: AlarmStatus, at: int, received_at: int) -> Report:
        remark = self._remarks.get(row.alarm)
        if remark is not None and remark.occurrence != row.occurrence:
            remark = None
            del self._remarks[row.alarm]
        return Report(row, self._next(), at, received_at, remark)

    def _next(self) -> int:
        self._count += 1
        return self._count

    async def _look_up(self, what: str, **args: Any) -> PageAnswer | None:
        query = PageQuery(id=uuid7(self._clock), what=what, args=args)
        waiting: asyncio.Future[PageAnswer] = asyncio.get_running_loop().create_future()
        self._asked.answers[query.id] = waiting
        try:
            self._send(query)
            return await asyncio.wait_for(waiting, ANSWER_S)
        except TimeoutError:
            log.warning("engine_did_not_answer", what=what)
            return None
        finally:
            del self._asked.answers[query.id]


def _since(row: AlarmStatus) -> int:
    return row.raised_at + row.source_time_offset if row.raised_at else 0


def _state(row: AlarmStatus) -> AlarmState:
    if row.shelf not in ("U", "T", "O"):
        raise ContractError(f"{row.alarm}: no such shelf as {row.shelf!r}")
    return AlarmState(
        enabled=row.enabled, raw=row.active, active=row.active, acked=row.acked,
        confirmed=row.confirmed, latched=row.latched, shelf=row.shelf,
        shelved_until=row.shelved_until, suppressed=row.suppressed,
        out_of_service=row.out_of_service,
    )  # fmt: skip
