"""One factory's real relay and one of its real edges, for attacks; directives good and forged."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_brain.application.directive_relay import DirectiveRelay, Keys, Plant
from shared.clock import ManualClock
from shared.messages.bodies import DirectiveReport
from shared.messages.codec import encode
from shared.messages.directives import (
    SETTINGS,
    AlarmSetting,
    Directive,
    SignedDirective,
    canonical,
)
from shared.messages.subjects import BRAIN, Node
from tests.support.rollout_world import FACTORY, GROUP, NOW, SITES, Edge, Fate, Ledger, Wire

STRANGER = Ed25519PrivateKey.generate()
APPROVAL = FACTORY["f1"]
HI, HI2 = "FUR-01.TT-101.HI", "FUR-01.TT-102.HI"
HIHI = "FUR-01.TT-101.HIHI"
E1, BRAIN1 = Node("f1", "e1"), Node("f1", BRAIN)
HOUR = 3_600_000


class Bench:
    """One factory's relay and one of its edges."""

    def __init__(self, *, auto: bool = True) -> None:
        self.fate, self.clock = Fate(), ManualClock(NOW)
        self.wire, self.up = Wire(self.fate), deque[tuple[str, DirectiveReport]]()
        self.edge = Edge(self, "f1", "e1")  # type: ignore[arg-type]
        self.said: list[DirectiveReport] = []
        self.ledger = Ledger(self.said.append, self.fate)
        plant = Plant("f1", frozenset({"e1", "e2"}), SITES["f1"].alarms, auto)
        keys = Keys(GROUP.public_key(), APPROVAL)
        self.relay = DirectiveRelay(plant, self.wire, self.clock, keys, self.ledger)  # type: ignore[arg-type]

    async def from_group(self, data: bytes, key: str = SETTINGS, edge: str = "e1") -> str:
        """The group's bucket holds `data`; the relay's refusal, "" if it lets it pass."""
        before = len(self.said)
        self.wire.values[BRAIN1.directive_bucket, key] = encode({edge: data})
        await self.relay.relay_all()
        return next((r.code for r in self.said[before:] if r.status == "refused"), "")

    async def at_edge(self, data: bytes, key: str = SETTINGS) -> str:
        """The edge's own bucket holds `data`, as if broker or relay were in an enemy's hands."""
        before = len(self.edge.reports)
        self.wire.values[E1.directive_bucket, key] = data
        await self.edge.look()
        return next((r.code for r in self.edge.reports[before:] if r.status == "refused"), "")

    @property
    def untouched(self) -> bool:
        return self.edge.limits() == {HI: 1230.0, HI2: 1240.0} and self.edge.applied == []

    @property
    def passed_on(self) -> bool:
        return any(bucket == E1.directive_bucket for bucket, _ in self.wire.values)


def new(alarm: str = HI, limit: float | None = 1236.0, **more: float) -> AlarmSetting:
    given = {"deadband": 5.0, "on_delay_s": 1.0, "off_delay_s": 2.0, **more}
    return AlarmSetting(alarm=alarm, limit=limit, **given)


def order(*settings: AlarmSetting, **more: Any) -> Directive:
    plain = Directive(
        id="d-1", site="f1", edge="e1", counter=1, issued_at=NOW, expires_at=NOW + HOUR,
        settings=list(settings) or [new()],
    )  # fmt: skip
    return msgspec.structs.replace(plain, **more)


def sealed(
    directive: Directive | bytes, release: Ed25519PrivateKey | None = GROUP,
    approval: Ed25519PrivateKey | None = APPROVAL,
) -> bytes:  # fmt: skip
    payload = directive if isinstance(directive, bytes) else canonical(directive)
    return encode(
        SignedDirective(
            payload=payload,
            release_signature=release.sign(payload) if release else b"",
            approval_signature=approval.sign(payload) if approval else b"",
        )
    )


def swapped(directive: Directive, old: bytes, other: bytes) -> bytes:
    """Other bytes under the signatures of a good directive."""
    payload = canonical(directive)
    changed = payload.replace(old, other)
    assert changed != payload
    return encode(
        SignedDirective(
            payload=changed, release_signature=GROUP.sign(payload),
            approval_signature=APPROVAL.sign(payload),
        )
    )  # fmt: skip
