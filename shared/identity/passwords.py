"""What a password must be, and its Argon2id hash. Never stores or logs one."""

from __future__ import annotations

import functools
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from shared.errors import Rejected

SHORTEST, LONGEST = 12, 200
# OWASP's second recommended Argon2id profile: 19 MiB, 2 passes.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_COMMON = (
    "password", "passwort", "qwerty", "qwertz", "azerty", "letmein", "welcome", "iloveyou",
    "administrator", "admin", "operator", "andon", "changeme", "default", "factory", "abc",
    "woaini", "mima", "monkey", "dragon", "sunshine", "princess", "football", "shadow", "master",
    "secret", "5201314", "1qaz2wsx", "zaq1xsw2", "asdfghjkl", "zxcvbnm", "1q2w3e4r", "p@ssw0rd",
    "passw0rd",
)  # fmt: skip
"""What the most common passwords are made of; digits and signs around them change nothing."""


def password_fault(username: str, password: str) -> Rejected | None:
    """Why this password is none; None: it will do."""
    if not SHORTEST <= len(password) <= LONGEST:
        return Rejected("password_length", {"shortest": SHORTEST, "longest": LONGEST})
    plain = password.casefold()
    core = plain.strip("0123456789!@#$%^&*?.,_- ")
    if len(set(plain)) < 5 or not core or core in _COMMON or _repeats(core):
        return Rejected("password_common")
    if len(username) >= 3 and username.casefold() in plain:
        return Rejected("password_has_name")
    return None


def _repeats(core: str) -> bool:
    """Whether it is one common word again and again."""
    return any(core == (word * len(core))[: len(core)] for word in _COMMON if len(word) >= 3)


def hashed(password: str) -> str:
    """The hash to keep (19 MiB and some 20 ms: not on the event loop)."""
    return _hasher.hash(password)


@functools.cache
def decoy() -> str:
    """Verified when there is no such account, so that the answer takes as long."""
    return _hasher.hash(secrets.token_hex(16))


def matches(kept: str, password: str) -> bool:
    """Whether `password` is the one whose hash was kept."""
    try:
        return _hasher.verify(kept, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
