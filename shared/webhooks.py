"""Signing and verifying webhooks by the Standard Webhooks specification.

Headers webhook-id, webhook-timestamp, webhook-signature (`v1,<base64>` of HMAC-SHA256 over
`id.timestamp.body`); a secret is `whsec_` and base64. Several secrets, one a line, are all valid
while one replaces the other. Source: github.com/standard-webhooks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping

from shared.errors import ConfigError

PREFIX = "whsec_"
TOLERANCE_S = 300
MOST = 10
"""Signatures of one message that are looked at."""


def new_secret() -> str:
    """A new random secret (256 bits)."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def secrets_of(text: str) -> list[str]:
    """The secrets of a secret file: one a line, the newest first."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _key(secret: str) -> bytes:
    bare = secret.removeprefix(PREFIX).rstrip("=")
    try:
        key = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error as error:
        raise ConfigError(
            "a webhook secret is `whsec_` followed by base64", mend="make a new secret"
        ) from error
    if not key:  # anybody could sign with it
        raise ConfigError("a webhook secret must not be empty", mend="make a new secret")
    return key


def sign(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    content = f"{message_id}.{timestamp_s}.".encode() + body
    digest = hmac.new(_key(secret), content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def headers(secret: str, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """All headers of a webhook, signed with each secret of a secret file's text."""
    signatures = [sign(each, message_id, timestamp_s, body) for each in secrets_of(secret)]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signatures),
        "content-type": "application/cloudevents+json",
    }


def verify(
    secret: str, given: Mapping[str, str], body: bytes, now_s: int, tolerance_s: int = TOLERANCE_S
) -> bool:
    """Whether a received webhook is fresh, and genuine by one of a secret file's secrets."""
    try:
        timestamp = int(given["webhook-timestamp"])
        name = given["webhook-id"]
        # As bytes: a signature that is not ASCII is wrong, not an error.
        signatures = [each.encode() for each in given["webhook-signature"].split()[:MOST]]
    except (KeyError, ValueError):
        return False
    if abs(now_s - timestamp) > tolerance_s:
        return False
    expected = [sign(each, name, timestamp, body).encode() for each in secrets_of(secret)]
    return any(hmac.compare_digest(mine, theirs) for mine in expected for theirs in signatures)
