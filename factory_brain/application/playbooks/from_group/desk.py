"""The factory's side of playbooks from the group: reads the bag, shows what came, takes decisions.

Woken by the group's notice, at start and every minute; the leading brain alone reads. The routes
call what people may do.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from typing import Any

from factory_brain.application.playbooks.authoring.compare import text_diff
from factory_brain.application.playbooks.from_group.ports import Ground, Settled
from factory_brain.application.playbooks.from_group.settling import Settling
from factory_brain.application.playbooks.from_group.telling import become, refuse_unknown
from factory_brain.application.playbooks.from_group.turns import in_turn
from shared.bus.port import Bus
from shared.errors import ContractError, Rejected, RetryableTransportError
from shared.messages.codec import decode
from shared.messages.playbook_push import KEY, MOST, PlaybookPush, PushBag, SignedPush, read
from shared.messages.subjects import BRAIN, CLOUD_DOMAIN, Node
from shared.telemetry import logger
from shared.web import dto_group_playbooks as dto

log = logger("group_playbooks")
EVERY_S, AFTER_FAILURE_S = 60.0, 10.0
REMEMBERED = 256
"""Refused bytes that are remembered so as to be told once."""


class GroupPlaybooks:
    """Playbooks of the group at one factory."""

    def __init__(self, ground: Ground, bus: Bus) -> None:
        self._ground, self._bus = ground, bus
        self.settling = Settling(ground)
        self._node = Node(ground.site.info.site, BRAIN)
        self._wake = asyncio.Event()
        self._told: OrderedDict[bytes, None] = OrderedDict()
        ground.drafts.bars.append(self.settling.bar)
        ground.drafts.on_moved.append(self.settling.moved)
        ground.shelf.on_put_back.append(self.settling.put_back)

    async def listen(self) -> None:
        """Be woken by the group's notices."""

        async def on_notice(_: str, __: bytes) -> bytes | None:
            self._wake.set()
            return None

        await self._bus.subscribe(self._node.directive, on_notice)

    async def run(self) -> None:
        """Read the bag for ever; the leading brain alone."""
        while True:
            self._wake.clear()
            wait = EVERY_S
            try:
                await self.read()
            except RetryableTransportError as error:
                wait = AFTER_FAILURE_S
                log.info("group_playbooks_unreachable", error=str(error))
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def read(self) -> None:
        """Settle what the bag holds, each by itself; then look after what waited too long."""
        try:
            await self._read_bag()
        finally:
            await self.settling.sweep()

    async def _read_bag(self) -> None:
        data = await self._bus.bucket_get(self._node.directive_bucket, KEY, CLOUD_DOMAIN)
        if data is None:
            return
        try:
            bag = decode(data, PushBag)
        except ContractError as error:
            if self._first_time(data):
                async with self._ground.shelf.store.transaction() as tx:
                    why = Rejected("unreadable", {"error": str(error)})
                    await refuse_unknown(self._ground, tx, why, {})
            return
        for signed in in_turn(bag.pushes[:MOST]):
            await self._one(signed)

    async def _one(self, signed: SignedPush) -> None:
        key = _digest(signed.payload + signed.signature)
        if key in self._told:
            return
        try:
            found = await self.settling.settle(signed)
        except Exception as error:
            if not self._ground.rows.blames(error):
                raise  # the database is away: nothing can be settled
            # One push must not stand in the way of others, of a rollback least of all.
            log.exception("group_playbook_failed")
            found = await self.settling.give_up_on(signed, error)
        if isinstance(found, Rejected):
            self._first_time(signed.payload + signed.signature)
            log.error("group_playbook_refused", code=found.code)
        elif found is not None:
            log.info("group_playbook_settled", push=found.id, status=found.status, code=found.code)

    def _first_time(self, data: bytes) -> bool:
        key = _digest(data)
        new = key not in self._told
        self._told[key] = None
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return new

    # people

    async def decide(
        self, push: str, accept: bool, user: str, reason: str
    ) -> dto.GroupPushDetail | Rejected:
        """A person of this factory takes or refuses what waits."""
        ground = self._ground
        async with ground.shelf.store.transaction() as tx:
            settled = await ground.rows.get(tx, push)
            if settled is None:
                return Rejected("unknown_push", {"push": push})
            if settled.status != "waiting" or settled.version is not None:
                return Rejected("push_not_waiting", {"status": settled.status})
            if not accept:
                no = Rejected("refused_by_person", {"by": user, "reason": reason})
                await become(ground, tx, settled, "refused", by=user, why=no, reason=reason)
                if settled.draft is not None:
                    await ground.drafts.drop(tx, settled.draft, reason, user)
            elif settled.kind == "release":
                return Rejected("push_is_draft", {"draft": settled.draft})
            elif why := await self._take(tx, settled, user, reason):
                return why
        await ground.shelf.taken(settled.playbook)
        found = await self.detail(push)
        assert found is not None
        return found

    async def _take(self, tx: Any, settled: Settled, user: str, reason: str) -> Rejected | None:
        body = read(settled.payload)
        if self._ground.clock.now_ms() >= settled.expires_at:
            return Rejected("expired", {"expires_at": settled.expires_at})
        if why := self.settling.inputs_unfit(body):
            return why
        await self.settling.apply_inputs(tx, body, settled, user, reason)
        return None

    async def listed(self) -> dto.GroupPushList:
        """What waits first, then the newest."""
        rows = await self._ground.rows.listed()
        return dto.GroupPushList(
            policy=self._ground.policy, items=[_out(each, read(each.payload)) for each in rows]
        )

    async def detail(self, push: str) -> dto.GroupPushDetail | None:
        """One push against what is live here now."""
        settled = await self._ground.rows.one(push)
        if settled is None:
            return None
        body = read(settled.payload)
        lines: list[str] = []
        if body.kind == "release":
            newest = await self._ground.shelf.store.newest(body.playbook)
            old = newest.text if newest else ""
            names = (f"{body.playbook} v{newest.version}" if newest else "/dev/null",
                     f"{body.playbook} v{body.version} (group)")  # fmt: skip
            lines = await asyncio.to_thread(text_diff, old, body.text, names)
        return dto.GroupPushDetail(
            **_out(settled, body).model_dump(), lines=lines, inputs=self._inputs(body)
        )

    def _inputs(self, body: PlaybookPush) -> list[dto.GroupInputOut]:
        live = self._ground.shelf.releases.get(body.playbook)
        if live is None:
            return []
        now = self._ground.shelf.releases.inputs(live.playbook)
        own = self._ground.site.bindings.inputs.get(body.playbook, {})
        own = {**own, **self._ground.shelf.releases.chosen.get(body.playbook, {})}
        found = []
        for name, value in sorted(body.inputs.items()):
            spec = live.playbook.inputs.get(name)
            bounds = spec.tunable if spec else None
            found.append(dto.GroupInputOut(
                name=name, now=now.get(name), proposed=value, kept_local=name in own,
                least=bounds.min if bounds else None, most=bounds.max if bounds else None,
            ))  # fmt: skip
        return found


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _out(settled: Settled, body: PlaybookPush) -> dto.GroupPushOut:
    return dto.GroupPushOut(
        id=settled.id, counter=settled.counter, playbook=settled.playbook, kind=body.kind,
        status=settled.status, code=settled.code, params=settled.params, draft=settled.draft,
        offered=body.version or None, version=settled.version, approved_by=body.approved_by,
        reason=body.reason, received_at=settled.received_at, expires_at=settled.expires_at,
        at=settled.at, by=settled.by,
    )  # fmt: skip
