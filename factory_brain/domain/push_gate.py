"""Whether a factory takes a playbook that comes from the group: who signed it, for whom, what.

Pure but for the signature check. The plant outranks the group: binding, interlocks, limits and what
the site has set by itself are not the group's to change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.errors import ContractError, Rejected
from shared.messages.playbook_push import (
    MAX_BYTES,
    PLANT_KEYS,
    SCHEMA,
    PlaybookPush,
    SignedPush,
    plant_words,
    read,
)
from shared.playbook.model import Playbook
from shared.playbook.site_inputs import faults_of
from shared.playbook.tuning import bounds_of, within
from shared.security import verifies

LocalPolicy = Literal["refuse", "ask", "accept"]
OF_THE_PLANT = frozenset({
    "unknown_device_type", "unbound_device", "unknown_operation", "unknown_argument",
    "missing_argument", "argument_outside_limits", "tunable_beyond_device", "unknown_endpoint",
    "endpoint_unsigned", "retry_not_idempotent",
})  # fmt: skip
"""Findings that say: it wants of the plant what the site's binding does not give."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a playbook can do at worst, as far as a release must not widen it unseen."""

    moves: frozenset[str]
    tells: frozenset[str]
    tunable: Mapping[str, tuple[float, float]]


def authentic(site: str, release: Ed25519PublicKey, signed: SignedPush) -> PlaybookPush | Rejected:
    """The push, if the group signed it for this very factory."""
    if len(signed.payload) > MAX_BYTES:
        return Rejected("too_large", {"bytes": len(signed.payload), "most": MAX_BYTES})
    if not verifies(release, signed.signature, signed.payload):
        return Rejected("release_signature_invalid")
    try:
        push = read(signed.payload)
    except ContractError as error:
        if words := plant_words(signed.payload):
            return Rejected("push_touches_plant", {"what": ", ".join(words)})
        return Rejected("unreadable", {"error": str(error)})
    if push.schema != SCHEMA:
        return Rejected("unknown_schema", {"schema": push.schema})
    if push.site != site:
        return Rejected("other_target", {"site": push.site})
    return push


def timely(push: PlaybookPush, newest: int, now: int) -> Rejected | None:
    """Why a push that was never seen comes too late or again; None: it is new."""
    if push.counter < 1 or push.counter <= newest:
        return Rejected("counter_replayed", {"newest": newest, "counter": push.counter})
    return Rejected("expired", {"expires_at": push.expires_at}) if expired(push, now) else None


def expired(push: PlaybookPush, now: int) -> bool:
    """Whether it may no longer begin; a rollback is never too late."""
    return push.kind != "rollback" and now >= push.expires_at


def named(push: PlaybookPush, book: Playbook) -> Rejected | None:
    """The text must be what the signed head says that it is."""
    if (book.playbook, book.version) == (push.playbook, push.version):
        return None
    return Rejected("push_name_differs", {
        "claims": f"{push.playbook} v{push.version}", "is": f"{book.playbook} v{book.version}",
    })  # fmt: skip


def unfit(codes: Iterable[str], document: Any) -> Rejected:
    """The refusal of a text that has errors here, by what is wrong with it."""
    found = list(codes)
    if words := sorted(_words(document) & PLANT_KEYS):
        return Rejected("push_touches_plant", {"what": ", ".join(words)})
    if plant := sorted(set(found) & OF_THE_PLANT):
        return Rejected("push_outside_binding", {"what": ", ".join(plant)})
    return Rejected("push_does_not_lint", {"errors": max(len(found), 1),
                                           "what": ", ".join(sorted(set(found))[:10])})  # fmt: skip


def _words(node: Any, depth: int = 0) -> set[str]:
    """Every key in a document, wherever it stands."""
    if depth > 40:
        return set()
    if isinstance(node, dict):
        keys = {str(key) for key in node}
        return keys.union(*(_words(each, depth + 1) for each in node.values()))
    if isinstance(node, list):
        return set().union(*(_words(each, depth + 1) for each in node))
    return set()


def drops(book: Playbook, own: Mapping[str, Any]) -> Rejected | None:
    """A release must leave what this site has set by itself in force."""
    for name, why in faults_of(book, own):
        return Rejected("push_drops_input", {"input": name, "why": why})
    for name, value in own.items():
        spec = book.inputs[name]
        if spec.tunable is not None and not within(spec, value):
            bounds = f"{spec.tunable.min} - {spec.tunable.max}"
            return Rejected("push_drops_input", {"input": name, "why": bounds})
    return None


def reach(book: Playbook, moves: Iterable[str], tells: Iterable[str]) -> Reach:
    """What a document can do at worst."""
    found = {name: bounds_of(spec) for name, spec in book.inputs.items()}
    bounds = {name: each for name, each in found.items() if each is not None}
    return Reach(frozenset(moves), frozenset(tells), bounds)


def deeds(book: Playbook) -> dict[str, Any]:
    """What a playbook does, without its wording and the numbers that may be tuned.

    Where this differs at all, a call, a trigger, an endpoint or a dropped question, a person looks.
    """
    told = book.model_dump(mode="json", by_alias=True)
    for wording in ("version", "name", "description", "owner", "labels"):
        told.pop(wording, None)
    for given in told.get("inputs", {}).values():
        given.pop("default", None)
    return told


def widens(before: Reach | None, after: Reach) -> bool:
    """Whether a release can do more than what runs: then a person looks, whatever the policy."""
    if before is None:
        return True
    more = not (after.moves <= before.moves and after.tells <= before.tells)
    nothing = (float("inf"), float("-inf"))
    return more or any(
        low < before.tunable.get(name, nothing)[0] or high > before.tunable.get(name, nothing)[1]
        for name, (low, high) in after.tunable.items()
    )
