"""Devices told over MQTT: a retained state each, and notices that they must acknowledge.

One notice at a time and in order: the next goes out when the device has acknowledged the one
before. What was not acknowledged is kept, said again, and ends only with a record.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec

from factory_brain.application.links.device_words import Heard, heard_of
from factory_brain.application.links.ports import (
    Acknowledge,
    Broker,
    Notice,
    Notices,
    SetSystem,
)
from factory_brain.application.live_view import LiveView
from factory_brain.application.ports import Transaction
from factory_brain.domain.device_states import device_state
from factory_brain.domain.link_events import Told, alarm_view, event_view
from factory_brain.domain.rows import Occurrence
from shared.clock import Clock
from shared.errors import Rejected
from shared.expression import Expression, StaticEnvironment, compile_expression
from shared.messages.subjects import NOTICE_PREFIX
from shared.site.links import ALARM, EVENT, LinkedDeviceSpec
from shared.site.site import Site
from shared.telemetry import logger

log = logger("links")
SETTLE_S = 0.25
"""Changes of the alarm list within this are one change of a device's state."""
AGAIN_MS = 5_000
LONGEST_MS = 60_000
LOOK_S = 5.0
SILENT_MS = 120_000
"""A notice that waits longer than this makes the device a failed link."""
QUEUE = 2_000
TURN = 200
"""Alarms looked at before others get their turn."""
KEEP_MS = 30 * 86_400_000


def again_after(attempts: int) -> int:
    """How long to wait for an acknowledgement before the notice is said again (ms)."""
    return min(AGAIN_MS * 2 ** min(max(attempts - 1, 0), 10), LONGEST_MS)


class Devices:
    """All devices of a site that are told over MQTT."""

    def __init__(
        self, site: Site, clock: Clock, notices: Notices, broker: Broker | None, live: LiveView,
        system: SetSystem, acknowledge: Acknowledge,
    ) -> None:  # fmt: skip
        self._site, self._clock, self._notices = site, clock, notices
        self._broker, self._live, self._system = broker, live, system
        self._acknowledge = acknowledge
        self._filters: dict[tuple[str, str], tuple[LinkedDeviceSpec, Expression]] = {}
        self._states: dict[str, bytes] = {}
        """What each device's retained state is, as confirmed by the broker."""
        self._wakes: dict[str, asyncio.Event] = {}
        self._again: set[str] = set()
        """Devices that have just come (back): what waits goes out at once."""
        self._heard: asyncio.Queue[Heard] = asyncio.Queue(QUEUE)
        self._changed = asyncio.Event()
        self._failed: dict[str, bool] = {}
        self.overflowed = 0
        if broker is not None:
            broker.on_message, broker.on_up = self._on_message, self._on_up

    # what there is to tell

    async def put(self, tx: Transaction, events: list[Told]) -> None:
        """Add the notices of these events, in the transaction that moves the feed."""
        specs = list(self._site.links.devices.values())
        found: list[Notice] = []
        for told in events if specs else ():
            view = event_view(told, self._site.alarms)
            if view is not None:
                found += [self._notice(s, view) for s in specs if self._tells(s, view)]
        if found:
            await self._notices.put(tx, found, self._clock.now_ms())

    def _notice(self, spec: LinkedDeviceSpec, view: dict[str, Any]) -> Notice:
        names = (
            "type", "alarm", "occurrence", "version", "asset", "priority", "value", "unit", "time",
            "state",
        )  # fmt: skip
        body = {name: view[name] for name in names if view.get(name) is not None}
        body["text"] = {"zh": view["text_zh"] or "", "en": view["text_en"] or ""}
        expires = self._clock.now_ms() + spec.expires
        return Notice(spec.id, f"{spec.id}_{view['id']}", body, expires)

    def _tells(self, spec: LinkedDeviceSpec, view: dict[str, Any]) -> bool:
        return self._inside(spec, view) and self._true(spec, "tells", {"event": view})

    def _inside(self, spec: LinkedDeviceSpec, view: dict[str, Any]) -> bool:
        asset = view.get("asset")
        return not spec.area or bool(asset and self._site.assets.within(asset, spec.area))

    def _true(self, spec: LinkedDeviceSpec, which: str, roots: dict[str, Any]) -> bool:
        known = self._filters.get((spec.id, which))
        if known is None or known[0] is not spec:
            named = {"event": EVENT} if which == "tells" else {"alarm": ALARM}
            known = (spec, compile_expression(getattr(spec, which), roots=named, tags=()))
            self._filters[spec.id, which] = known
        return known[1].evaluate(StaticEnvironment(roots)) is True

    async def order(self, device: str, body: dict[str, Any], notice: str, actor: str) -> bool:
        """A person's (or a system's) notice or order; False for a device that is not there."""
        spec = self._site.links.devices.get(device)
        if spec is None:
            return False
        now = self._clock.now_ms()
        row = Notice(device, notice, body | {"type": "order", "time": now}, now + spec.expires)
        await self._notices.order(row, actor, now)
        self.wake()
        return True

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._broker is not None and self._broker.up

    def wake(self) -> None:
        """Notices were added."""
        for each in self._wakes.values():
            each.set()

    async def on_occurrence(self, occurrence: Occurrence, moved: bool) -> None:
        """The alarm list has changed."""
        self._changed.set()

    # the retained states

    async def show_for_ever(self) -> None:
        """Keep every device's retained state as the alarm list is."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()
            self._changed.clear()
            began = self._clock.mono_ms()
            if self._broker is not None and self._broker.up and self._site.links.devices:
                await self._show_all()
            # A long list in a flood takes its time: at most a tenth of the brain's.
            took = (self._clock.mono_ms() - began) / 1000
            await asyncio.sleep(max(SETTLE_S, min(9 * took, LOOK_S)))

    async def _show_all(self) -> None:
        alarms = await self._alarms()
        for spec in list(self._site.links.devices.values()):
            state = await self.state_of(spec, alarms)
            body = msgspec.json.encode(state)
            if self._states.get(spec.id) == body:
                continue
            sent = msgspec.json.encode(state | {"at": self._clock.now_ms()})
            if await self._say(spec, "state", sent, retain=True):
                self._states[spec.id] = body
            else:
                self._changed.set()

    async def _alarms(self) -> list[dict[str, Any]]:
        """The alarm list as devices see it, made without holding others up."""
        found: list[dict[str, Any]] = []
        for index, each in enumerate(self._live.occurrences):
            found.append(alarm_view(each, self._site.alarms))
            if index % TURN == TURN - 1:
                await asyncio.sleep(0)
        return found

    async def state_of(
        self, spec: LinkedDeviceSpec, alarms: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """What a device shows now."""
        mine: list[dict[str, Any]] = []
        for index, each in enumerate(await self._alarms() if alarms is None else alarms):
            if self._inside(spec, each) and self._true(spec, "shows", {"alarm": each}):
                mine.append(each)
            if index % TURN == TURN - 1:
                await asyncio.sleep(0)
        return {"v": 1, "device": spec.id, "kind": spec.kind} | device_state(spec.kind, mine)

    async def _say(
        self, spec: LinkedDeviceSpec, leaf: str, body: bytes, *, retain: bool = False
    ) -> bool:
        assert self._broker is not None
        topic = f"{NOTICE_PREFIX}/{spec.topic}/{leaf}"
        return await self._broker.publish(topic, body, retain=retain)

    # the notices

    async def run(self) -> None:
        """Keep a worker for every device of the site, for ever."""
        self._failed.clear()  # another brain may have led since
        workers: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                wanted = self._site.links.devices
                for name in workers.keys() - wanted.keys():
                    workers.pop(name).cancel()
                    self._wakes.pop(name, None)
                for name in wanted:
                    task = workers.get(name)
                    if task is not None and task.done():
                        task.result()  # a fault of the database: the service starts us anew
                    if task is None:
                        self._wakes[name] = asyncio.Event()
                        workers[name] = asyncio.create_task(self._work(name))
                        self._changed.set()
                waiting = set(workers.values()) or {asyncio.create_task(asyncio.sleep(LOOK_S))}
                await asyncio.wait(waiting, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in workers.values():
                task.cancel()
            await asyncio.gather(*workers.values(), return_exceptions=True)

    async def _work(self, name: str) -> None:
        wake = self._wakes[name]
        while True:
            wake.clear()
            wait = await self._pass(name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await wake.wait()

    async def _pass(self, name: str) -> float:
        """Say the oldest notice that waits, if it is its time; how long nothing is to do (s)."""
        spec = self._site.links.devices.get(name)
        if spec is None:
            return LOOK_S
        now = self._clock.now_ms()
        if dropped := await self._notices.limit(name, spec.most, now):
            log.warning("notices_dropped", device=name, number=dropped)
        notice = await self._notices.oldest(name, now)
        await self._judge(spec, notice, now)
        if notice is None or self._broker is None or not self._broker.up:
            return LOOK_S if notice is not None else 6 * LOOK_S
        fresh = name in self._again
        self._again.discard(name)
        due = (notice.sent_at or 0) + again_after(notice.attempts)
        if notice.attempts and not fresh and due > now:
            return (due - now) / 1000
        document = {
            "v": 1, "id": notice.id, "seq": notice.seq, "attempt": notice.attempts + 1,
            "expires": notice.expires_at, **notice.body,
        }  # fmt: skip
        # Counted before it is said: the acknowledgement may be here before the confirmation.
        await self._notices.sent(notice, now)
        if not await self._say(spec, "notice", msgspec.json.encode(document)):
            return 1.0
        return again_after(notice.attempts + 1) / 1000

    async def _judge(self, spec: LinkedDeviceSpec, notice: Notice | None, now: int) -> None:
        """A device that does not acknowledge is a failed link, until it does."""
        waited = now - (notice.expires_at - spec.expires) if notice is not None else 0
        failed = waited > SILENT_MS
        if self._failed.get(spec.id) != failed:
            self._failed[spec.id] = failed
            params = {"subject": f"no acknowledgement for {waited // 1000} s"} if failed else {}
            await self._system(spec.id, failed, params)

    # what devices say

    def _on_up(self) -> None:
        self._states.clear()  # a broker that lost its disk has lost them
        self._changed.set()
        self.wake()

    def _on_message(self, topic: str, body: bytes) -> None:
        heard = heard_of(topic, body)
        if heard is None:
            return
        try:
            self._heard.put_nowait(heard)
        except asyncio.QueueFull:
            self.overflowed += 1  # it says it again: it waits for an answer

    async def prune_for_ever(self) -> None:
        """Forget what ended a month ago, once an hour."""
        while True:
            await self._notices.prune(self._clock.now_ms() - KEEP_MS)
            await asyncio.sleep(3600)

    async def listen_for_ever(self) -> None:
        """Take what devices say, one after the other."""
        while True:
            heard = await self._heard.get()
            spec = self._spec(heard.topic)
            if spec is not None:
                await self._take(spec, heard)

    def _spec(self, topic: str) -> LinkedDeviceSpec | None:
        devices = self._site.links.devices.values()
        return next((spec for spec in devices if spec.topic == topic), None)

    async def _take(self, spec: LinkedDeviceSpec, heard: Heard) -> None:
        now = self._clock.now_ms()
        match heard.leaf:
            case "ack":
                answer = {k: heard.body[k] for k in ("status", "person") if k in heard.body}
                if await self._notices.acknowledged(spec.id, heard.id, answer, now):
                    self._wake(spec.id)
            case "status":
                await self._notices.presence(spec.id, heard.online, now)
            case "hello":
                await self._notices.presence(spec.id, True, now)
                self._again.add(spec.id)
                self._wake(spec.id)
            case _:
                await self._answer(spec, heard, now)

    def _wake(self, device: str) -> None:
        if (wake := self._wakes.get(device)) is not None:
            wake.set()

    async def _answer(self, spec: LinkedDeviceSpec, heard: Heard, now: int) -> None:
        """A person acknowledges by a device: a fact like any other; asked again, answered alike."""
        if not heard.id:
            return
        answer = await self._notices.said(spec.id, heard.id)
        if answer is None:
            answer = await self._acknowledged(spec, heard)
            await self._notices.keep_answer(spec.id, heard.id, answer, now)
        await self._say(spec, "answer", msgspec.json.encode({"id": heard.id} | answer))

    async def _acknowledged(self, spec: LinkedDeviceSpec, heard: Heard) -> dict[str, Any]:
        person = spec.people.get(heard.text("person"))
        if not spec.acknowledges or heard.body.get("action") != "acknowledge":
            return _refused(Rejected("device_may_not"))
        if person is None:
            return _refused(Rejected("unknown_person"))
        version = heard.body.get("version")  # as the notice or the state told it
        if not isinstance(version, int) or isinstance(version, bool):
            version = 0  # whatever it saw, nobody knows
        refusal = await self._acknowledge(
            heard.text("alarm"), heard.text("occurrence"), version, person, f"@{spec.id}"
        )
        if refusal is None:
            return {"accepted": True, "actor": person}
        return _refused(refusal)


def _refused(refusal: Rejected) -> dict[str, Any]:
    return {"accepted": False, "code": refusal.code}
