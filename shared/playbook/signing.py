"""What is signed when a playbook is released, and its signature. Pure.

Made by the brain and by `andon playbook sign`; a text that was changed, or is another site's or
another version's, does not verify.
"""

from __future__ import annotations

import hashlib
import json

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.security import verifies

KIND = "playbook-release/v1"


def text_digest(text: str) -> str:
    """SHA-256 of a playbook's text, whatever the ends of its lines are."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def statement(site: str, playbook: str, version: int, text: str) -> bytes:
    """What a signature is of: this text is this version of this playbook at this site."""
    said = {
        "kind": KIND, "site": site, "playbook": playbook, "version": version,
        "sha256": text_digest(text),
    }  # fmt: skip
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def sign(key: Ed25519PrivateKey, site: str, playbook: str, version: int, text: str) -> bytes:
    """The signature of a release."""
    return key.sign(statement(site, playbook, version, text))


def genuine(
    key: Ed25519PublicKey, signature: bytes, site: str, playbook: str, version: int, text: str
) -> bool:
    """Whether a release is signed by this key."""
    return verifies(key, signature, statement(site, playbook, version, text))


def fingerprint(key: Ed25519PublicKey) -> str:
    """Which key it is, in sixteen letters."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]
