"""Local accounts, sessions, idempotent answers and the audit chain, in PostgreSQL.

Called by `shared/web` through its ports; passwords are Argon2id, session tokens stored hashed.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from shared.clock import Clock
from shared.errors import ConfigError
from shared.postgres.pool import Connection
from shared.web.auth import User

SESSION_MS = 12 * 3_600_000
# OWASP's second recommended Argon2id profile: 19 MiB, 2 passes.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_DECOY = _hasher.hash(secrets.token_hex(16))


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class PgAccounts:
    """Accounts and sessions of one tier."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock

    async def ensure_admin(self, password_file: Path, roles: list[str]) -> None:
        """Make the account `admin` with the password in `password_file`, if there is none."""
        if await self._pool.fetchval("SELECT true FROM account WHERE username = 'admin'"):
            return
        try:
            password = (await asyncio.to_thread(password_file.read_text)).strip()
        except OSError as error:
            raise ConfigError(
                f"cannot read the first administrator's password: {error.strerror}",
                where=str(password_file),
                mend="write a password into this file (mode 0600) and start again",
            ) from error
        await self.create("admin", password, roles)

    async def create(self, username: str, password: str, roles: list[str]) -> None:
        """Make or replace an account."""
        hashed = await asyncio.to_thread(_hasher.hash, password)
        await self._pool.execute(
            "INSERT INTO account (username, password_hash, roles, disabled, created_at) "
            "VALUES ($1, $2, $3, false, $4) ON CONFLICT (username) "
            "DO UPDATE SET password_hash = $2, roles = $3, disabled = false",
            username, hashed, roles, self._clock.now_ms(),
        )  # fmt: skip

    async def login(self, username: str, password: str) -> tuple[str, User] | None:
        """A new session token with its user, or None; takes equally long for unknown names."""
        row = await self._pool.fetchrow(
            "SELECT username, password_hash, roles, disabled FROM account WHERE username = $1",
            username,
        )
        hashed = row["password_hash"] if row else _DECOY
        try:
            await asyncio.to_thread(_hasher.verify, hashed, password)
        except (VerifyMismatchError, InvalidHashError):
            return None
        if row is None or row["disabled"]:
            return None
        token, now = secrets.token_urlsafe(32), self._clock.now_ms()
        await self._pool.execute(
            "INSERT INTO web_session (token_hash, username, created_at, expires_at) "
            "VALUES ($1, $2, $3, $4)",
            _token_hash(token), username, now, now + SESSION_MS,
        )  # fmt: skip
        await self._pool.execute("DELETE FROM web_session WHERE expires_at < $1", now)
        return token, User(row["username"], tuple(row["roles"]))

    async def session(self, token: str) -> User | None:
        """The user of a session token, if it is valid."""
        row = await self._pool.fetchrow(
            "SELECT a.username, a.roles FROM web_session s JOIN account a USING (username) "
            "WHERE s.token_hash = $1 AND s.expires_at > $2 AND NOT a.disabled",
            _token_hash(token), self._clock.now_ms(),
        )  # fmt: skip
        return User(row["username"], tuple(row["roles"])) if row else None

    async def logout(self, token: str) -> None:
        """End a session."""
        await self._pool.execute(
            "DELETE FROM web_session WHERE token_hash = $1", _token_hash(token)
        )

    async def recall(self, key: str, user: str, route: str) -> Any | None:
        """The answer already given under this idempotency key."""
        return await self._pool.fetchval(
            "SELECT answer FROM idempotent WHERE key = $1 AND username = $2 AND route = $3",
            key, user, route,
        )  # fmt: skip

    async def remember(self, key: str, user: str, route: str, answer: Any) -> None:
        """Keep an answer under its idempotency key (a day)."""
        now = self._clock.now_ms()
        await self._pool.execute(
            "INSERT INTO idempotent (key, username, route, answer, at) VALUES ($1, $2, $3, $4, $5) "
            "ON CONFLICT DO NOTHING",
            key, user, route, answer, now,
        )  # fmt: skip
        await self._pool.execute("DELETE FROM idempotent WHERE at < $1", now - 86_400_000)


async def audit(
    connection: Connection,
    at: int,
    actor: str,
    action: str,
    target: str,
    data: Any,
) -> None:
    """Append to the audit chain within the caller's transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(1635083369)")  # one writer at a time
    previous = await connection.fetchval("SELECT hash FROM audit ORDER BY id DESC LIMIT 1") or ""
    content = msgspec.json.encode(
        [previous, at, actor, action, target, data], order="deterministic"
    )
    await connection.execute(
        "INSERT INTO audit (id, at, actor, action, target, data, previous, hash) "
        "VALUES ((SELECT coalesce(max(id), 0) + 1 FROM audit), $1, $2, $3, $4, $5, $6, $7)",
        at, actor, action, target, data, previous, hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
