"""Ed25519 signing and verification, and reading key files.

Keys are PEM files made at enrolment; used by the cloud (release), the brain (approval), the edge.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from shared.errors import ConfigError


def generate_key() -> tuple[bytes, bytes]:
    """A new key pair as (private PEM, public PEM)."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read the {what}: {error.strerror}",
            where=str(path),
            mend="give the path of a PEM file that exists and that this account may read",
        ) from error


def load_private(path: Path) -> Ed25519PrivateKey:
    """Read a private signing key; raises ConfigError."""
    try:
        key = serialization.load_pem_private_key(_read(path, "signing key"), password=None)
    except ValueError as error:
        raise ConfigError("not a PEM private key", where=str(path)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError("not an Ed25519 private key", where=str(path))
    return key


def load_public(path: Path) -> Ed25519PublicKey:
    """Read a pinned public key; raises ConfigError."""
    try:
        key = serialization.load_pem_public_key(_read(path, "pinned public key"))
    except ValueError as error:
        raise ConfigError("not a PEM public key", where=str(path)) from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError("not an Ed25519 public key", where=str(path))
    return key


def verifies(key: Ed25519PublicKey, signature: bytes, payload: bytes) -> bool:
    """Whether `signature` is `key`'s signature of `payload`."""
    try:
        key.verify(signature, payload)
    except InvalidSignature:
        return False
    return True
