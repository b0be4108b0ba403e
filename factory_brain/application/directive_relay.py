"""Takes the group's directives, holds them against the plant's own bounds, countersigns, passes on.

Woken by the group's notice, at start and every minute. The plant outranks the group: what the site
forbids is refused with a code. One (edge, counter) is settled once, whatever repeats. What wants a
person is countersigned only after `waiting_directives.py` has recorded that people let it pass.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from factory_brain.domain.directive_gate import Plant as Plant
from factory_brain.domain.directive_gate import authentic, permitted, restores, rewrites
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import ContractError, Rejected, RetryableTransportError
from shared.messages.bodies import DirectiveReport
from shared.messages.codec import decode, encode
from shared.messages.directives import (
    DRY_RUN,
    MAX_BYTES,
    SETTINGS,
    Directive,
    SignedDirective,
    numbered,
    read,
)
from shared.messages.subjects import BRAIN, CLOUD_DOMAIN, Node
from shared.telemetry import logger

log = logger("directive_relay")
EVERY_S = 60.0
AFTER_FAILURE_S = 10.0
WHILE_ASKED_S = 5.0
"""Another brain of the site may have taken the answer of the person who was asked."""
REMEMBERED = 256
"""Refusals that are remembered so as to be reported once."""
RelayStatus = Literal["waiting", "approved", "relayed", "refused"]
"""`approved`: people have let it pass, it is not countersigned yet."""
UNDECIDED: tuple[RelayStatus, ...] = ("waiting", "approved")


@dataclass(frozen=True, slots=True)
class RelayEntry:
    """One directive as this factory has settled it."""

    edge: str
    """The edge; of a dry run `edge/dry_run`: those are numbered apart."""
    counter: int
    directive: str
    status: RelayStatus
    signed: bytes
    """The encoded SignedDirective; once relayed, with both signatures."""
    at: int
    code: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    approved_by: str = ""


class RelayStore(Protocol):
    """What was settled, and the way up."""

    async def get(self, edge: str, counter: int) -> RelayEntry | None:
        """The entry of one number."""
        ...

    async def newest(self, edge: str) -> RelayEntry | None:
        """The entry with the highest number of an edge."""
        ...

    async def undecided(self) -> list[RelayEntry]:
        """Entries that wait for the factory's approval, or have it and are not passed on yet."""
        ...

    async def passed(self, edge: str) -> list[RelayEntry]:
        """What was let pass to an edge, the newest of it."""
        ...

    async def newest_passed(self, edge: str) -> RelayEntry | None:
        """What was let pass to an edge last."""
        ...

    async def superseded(self) -> frozenset[str]:
        """Alarms that a directive has tuned and that people have rewritten since."""
        ...

    async def record(self, entry: RelayEntry | None, report: DirectiveReport | None) -> bool:
        """Store the entry and put the report into the outbox, in one transaction; False and
        nothing of it where the number has been settled meanwhile."""
        ...


@dataclass(frozen=True, slots=True)
class Keys:
    """The group's pinned public key and this factory's own private key."""

    release: Ed25519PublicKey
    approval: Ed25519PrivateKey


class DirectiveRelay:
    """Between the group's bucket and the edges' buckets."""

    def __init__(self, plant: Plant, bus: Bus, clock: Clock, keys: Keys, store: RelayStore) -> None:
        self._plant, self._bus, self._clock, self._keys = plant, bus, clock, keys
        self._store = store
        self._node = Node(plant.site, BRAIN)
        self._wake = asyncio.Event()
        self._due: set[str] = set()
        """Whose bucket is to be written: all at the begin of a term, for another brain may have
        led meanwhile; then whose newest could not be put. What is put, the store says."""
        self._begin_term()
        self._told: OrderedDict[bytes, None] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._reachable = True

    def wake(self) -> None:
        """The group has something new, or the link is back."""
        self._wake.set()

    def _begin_term(self) -> None:
        self._due = {numbered(e, kind) for e in self._plant.edges for kind in ("", DRY_RUN)}

    async def run(self) -> None:
        """Relay for ever, as long as this brain leads."""
        self._begin_term()

        async def on_notice(_: str, __: bytes) -> bytes | None:
            self.wake()
            return None

        await self._bus.subscribe(self._node.directive, on_notice)
        while True:
            self._wake.clear()
            asked = await self.carry_out()
            wait = EVERY_S if await self._try_pass() else AFTER_FAILURE_S
            wait = min(wait, WHILE_ASKED_S) if asked else wait
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _try_pass(self) -> bool:
        try:
            await self.relay_all()
        except RetryableTransportError as error:
            if self._reachable:
                log.warning("directives_unreachable", error=str(error))
            self._reachable = False
            return False
        self._reachable = True
        return True

    async def relay_all(self) -> None:
        """Read the own bucket and settle each edge's newest directive."""
        for key in (SETTINGS, DRY_RUN):
            data = await self._bus.bucket_get(self._node.directive_bucket, key, CLOUD_DOMAIN)
            if data is None:
                continue
            try:
                bundle = decode(data, dict[str, bytes])
            except ContractError as error:
                why = Rejected("unreadable", {"error": str(error)})
                await self._refuse_unrecorded("", data, why)
                continue
            async with self._one_at_a_time:
                for edge, encoded in sorted(bundle.items()):
                    await self._settle(edge, encoded, key)

    async def carry_out(self) -> bool:
        """Pass on what people have let pass, close what waited too long; whether any still waits.

        Needs no group: neither does what a person of this factory has decided.
        """
        left = False
        async with self._one_at_a_time:
            try:
                for entry in await self._store.undecided():
                    left = await self._carry(entry) or left
                for target in sorted(self._due):
                    await self._put_newest(target)
            except RetryableTransportError as error:
                log.warning("directive_not_put", error=str(error))
                left = True
        return left

    async def _carry(self, entry: RelayEntry) -> bool:
        newest = await self._store.newest(entry.edge)
        if newest is not None and newest.counter > entry.counter:
            if newest.status in UNDECIDED:
                return True  # the newer one carries it too, and is what people decide on
            await self._overtaken(entry, newest)
            return False
        signed = decode(entry.signed, SignedDirective)
        refusal = permitted(self._plant, read(signed.payload), self._clock.now_ms())
        if refusal is not None:
            await self._refuse(entry, refusal)
            return False
        if entry.status == "approved":
            await self._pass_on(entry, signed, entry.approved_by)
        return entry.status == "waiting"

    async def _overtaken(self, entry: RelayEntry, newest: RelayEntry) -> None:
        """What became of the newer one says it all, unless that one was refused."""
        why = Rejected("superseded", {"counter": newest.counter})
        if newest.status == "refused":
            await self._refuse(entry, why)
            return
        closed = replace(
            entry, status="refused", code=why.code, params=why.params, at=self._clock.now_ms()
        )
        await self._store.record(closed, None)

    async def _settle(self, edge: str, encoded: bytes, key: str) -> None:
        if len(encoded) > 2 * MAX_BYTES:
            await self._refuse_unrecorded(edge, encoded, Rejected("too_large"))
            return
        try:
            signed = decode(encoded, SignedDirective)
        except ContractError as error:
            await self._refuse_unrecorded(
                edge, encoded, Rejected("unreadable", {"error": str(error)})
            )
            return
        found = authentic(self._plant, self._keys.release, edge, signed, key)
        if isinstance(found, Rejected):
            await self._refuse_unrecorded(edge, encoded, found, signed.payload)
            return
        target = numbered(edge, found.kind)
        known = await self._store.get(target, found.counter)
        if known is not None:
            await self._again(known, found, signed)
            return
        newest = await self._store.newest(target)
        if found.counter < 1 or (newest is not None and newest.counter > found.counter):
            replayed = Rejected("counter_replayed", {"newest": newest.counter if newest else 0})
            await self._refuse_unrecorded(edge, encoded, replayed, signed.payload)
            return
        await self._first_time(found, signed, encoded)

    async def _first_time(
        self, directive: Directive, signed: SignedDirective, encoded: bytes
    ) -> None:
        now = self._clock.now_ms()
        target = numbered(directive.edge, directive.kind)
        entry = RelayEntry(target, directive.counter, directive.id, "waiting", encoded, now)
        refusal = permitted(self._plant, directive, now)
        if refusal is not None:
            await self._refuse(entry, refusal)
        elif await self._may_pass(directive):
            await self._pass_on(entry, signed, "auto")
        else:
            report = _report(entry.directive, entry.counter, "waiting")
            await self._store.record(entry, report)
            log.info("directive_waits", edge=entry.edge, counter=entry.counter)

    async def _may_pass(self, directive: Directive) -> bool:
        """Without a person: by the site's own will, what changes nothing, and what only goes back
        to settings that this factory has had. Never what would undo an engineer's own edit by the
        way."""
        if directive.kind == "dry_run":
            return True
        if rewrites(self._plant, directive, await self._store.superseded()):
            return False
        if self._plant.auto_approve:
            return True
        if directive.kind != "rollback":
            return False
        passed = await self._store.passed(directive.edge)
        earlier = [read(decode(each.signed, SignedDirective).payload) for each in passed]
        return restores(self._plant, directive, earlier)

    async def _again(self, known: RelayEntry, found: Directive, signed: SignedDirective) -> None:
        """The same number was seen before: the same bytes change nothing, others are refused."""
        if decode(known.signed, SignedDirective).payload != signed.payload:
            reused = Rejected("counter_reused", {"directive": known.directive})
            await self._refuse_unrecorded(known.edge, encode(signed), reused, signed.payload)
            return
        if known.status == "waiting":
            refusal = permitted(self._plant, found, self._clock.now_ms())
            if refusal is not None:
                await self._refuse(known, refusal)
            elif await self._may_pass(found):
                await self._pass_on(known, signed, "auto")
        elif known.status == "relayed" and known.edge in self._due:
            # Once per term: this factory's broker may have lost its disk.
            await self._put_newest(known.edge)

    async def _pass_on(self, entry: RelayEntry, signed: SignedDirective, actor: str) -> RelayEntry:
        """Countersign, record, report, write the edge's bucket. Record before put: an edge answers
        within milliseconds, and an answer to what is not recorded would be lost. What was recorded
        and not put, because of a crash or a broker that is away, is put by the next look."""
        both = SignedDirective(
            payload=signed.payload,
            release_signature=signed.release_signature,
            approval_signature=self._keys.approval.sign(signed.payload),
        )
        passed = replace(
            entry,
            status="relayed",
            signed=encode(both),
            at=self._clock.now_ms(),
            approved_by=actor,
        )
        report = _report(passed.directive, passed.counter, "relayed")
        if not await self._store.record(passed, report):
            return entry  # a person was faster
        self._due.add(passed.edge)
        await self._put_newest(passed.edge)
        log.info("directive_relayed", edge=entry.edge, counter=entry.counter, by=actor)
        return passed

    async def _put_newest(self, target: str) -> None:
        """What was let pass last, as the store knows it: never an older one over a newer."""
        entry = await self._store.newest_passed(target)
        if entry is None:
            self._due.discard(target)
            return
        edge, _, rehearsal = entry.edge.partition("/")
        node = Node(self._plant.site, edge)
        await self._bus.ensure_bucket(node.directive_bucket)
        await self._bus.bucket_put(node.directive_bucket, rehearsal or SETTINGS, entry.signed)
        await self._bus.publish(node.directive, b"")
        self._due.discard(entry.edge)

    async def _refuse(self, entry: RelayEntry, why: Rejected) -> None:
        refused = replace(
            entry,
            status="refused",
            code=why.code,
            params=why.params,
            at=self._clock.now_ms(),
        )
        await self._store.record(refused, _report(entry.directive, entry.counter, "refused", why))
        log.warning("directive_refused", edge=entry.edge, counter=entry.counter, code=why.code)

    async def _refuse_unrecorded(
        self, edge: str, encoded: bytes, why: Rejected, payload: bytes = b""
    ) -> None:
        """Refuse what must not take up a number: forged, misdirected, replayed. Reported once."""
        key = hashlib.blake2b(edge.encode() + b"/" + encoded, digest_size=16).digest()
        if key in self._told:
            return
        self._told[key] = None
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        try:
            claimed = read(payload)
            directive, counter = claimed.id, claimed.counter
        except ContractError:
            directive, counter = "", 0
        log.error("directive_refused", edge=edge, counter=counter, code=why.code)
        params = {"edge": edge, **why.params}
        await self._store.record(
            None, _report(directive, counter, "refused", Rejected(why.code, params))
        )


def _report(
    directive: str, counter: int, status: str, why: Rejected | None = None
) -> DirectiveReport:
    return DirectiveReport(
        directive=directive,
        counter=counter,
        status=status,
        code=why.code if why else "",
        params=why.params if why else {},
    )
