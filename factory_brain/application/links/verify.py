"""Whether an inbound message is genuine, fresh, and which one it is.

Called before anything of a message is believed; the id it gives is what a replay is known by, and
it is always part of what was signed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import Rejected
from shared.site.links import InboundSpec
from shared.webhooks import secrets_of, verify

_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Request:
    """One message as it came; header names in lower case."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Verified:
    """A genuine message."""

    message: str
    named: bool = True
    """Whether the sender gave it its id (or what it signed is one), not we by its mere content."""


def verify_request(
    spec: InboundSpec, secret: str, request: Request, now_s: int
) -> Verified | Rejected:
    """The message's id, or why it is not believed."""
    found = {
        "standard-webhooks": _standard, "hmac-sha256-header": _hmac, "bearer": _bearer,
    }[spec.verify](spec, secret, request, now_s)  # fmt: skip
    if isinstance(found, Verified) and len(found.message) > _LONGEST_ID:
        return Rejected("hook_not_genuine", {"link": spec.id})
    return found


def _standard(spec: InboundSpec, secret: str, request: Request, now_s: int) -> Verified | Rejected:
    if not verify(secret, request.headers, request.body, now_s, spec.tolerance // 1000):
        return Rejected("hook_not_genuine", {"link": spec.id})
    return Verified(request.headers["webhook-id"])


def _hmac(spec: InboundSpec, secret: str, request: Request, now_s: int) -> Verified | Rejected:
    """The id is a digest of what was signed: any other header could be made up by a replayer."""
    refusal = Rejected("hook_not_genuine", {"link": spec.id})
    signed = request.body
    if spec.timestamp_header:
        stamp = request.headers.get(spec.timestamp_header.lower(), "")
        if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 15:
            return refusal
        if abs(now_s - int(stamp)) * 1000 > spec.tolerance:
            return Rejected("hook_too_old", {"link": spec.id})
        signed = stamp.encode() + b"." + request.body
    given = request.headers.get(spec.header.lower(), "").removeprefix("sha256=").strip().encode()
    for each in secrets_of(secret):
        digest = hmac.new(each.encode(), signed, hashlib.sha256).digest()
        for form in (digest.hex().encode(), base64.b64encode(digest)):
            if hmac.compare_digest(form, given):
                return Verified(hashlib.sha256(signed).hexdigest())
    return refusal


def _bearer(spec: InboundSpec, secret: str, request: Request, now_s: int) -> Verified | Rejected:
    """Who has the token may say anything: the id only tells a repetition from a second message."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    known = [
        hmac.compare_digest(each.encode(), token.strip().encode()) for each in secrets_of(secret)
    ]
    if kind.lower() != "bearer" or not any(known):
        return Rejected("hook_not_genuine", {"link": spec.id})
    given = request.headers.get("webhook-id") or request.headers.get("idempotency-key")
    if given:
        return Verified(given)
    return Verified(hashlib.sha256(request.body).hexdigest(), named=False)
