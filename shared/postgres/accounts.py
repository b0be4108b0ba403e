"""Local accounts' logins, sessions of every kind and idempotent answers, in PostgreSQL.

Called by `shared/web` through its ports; session tokens are stored hashed. Administration of
accounts is `people.py`, of devices `service_accounts.py`, the audit log `audit.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from shared.clock import Clock
from shared.config import read_secret
from shared.errors import RetryableTransportError
from shared.identity.passwords import decoy, matches
from shared.identity.policy import Grant, User, Within, prefix_within
from shared.identity.settings import IdentitySettings
from shared.postgres.audit import DONE, IN_HAND
from shared.postgres.audit import audit as audit
from shared.postgres.audit_log import AuditLog
from shared.postgres.oidc_sessions import OidcSessions
from shared.postgres.people import People
from shared.postgres.service_accounts import PREFIX, ServiceAccounts, grants_from

SEEN_EVERY_MS = 60_000
KEPT_MS = 86_400_000
"""How long an answer is repeated under its idempotency key."""
IN_HAND_MS = 30_000
"""For how long an answer is being made, at most."""
ADMIN = "admin"


def token_hash(token: str) -> str:
    """As a session's token is kept."""
    return hashlib.sha256(token.encode()).hexdigest()


class PgAccounts:
    """Accounts and sessions of one tier."""

    def __init__(
        self, pool: asyncpg.Pool, clock: Clock, settings: IdentitySettings | None = None,
        *, within: Within = prefix_within,
    ) -> None:  # fmt: skip
        self._pool, self._clock = pool, clock
        self.settings = settings or IdentitySettings()
        self._within = within
        self.people = People(pool, clock)
        self.services = ServiceAccounts(pool, clock, within)
        self.audits = AuditLog(pool)
        self.sign_in: OidcSessions | None = None
        """Set by the bootstrap when people sign in at an identity server."""

    async def ensure_admin(self, password_file: Path, roles: list[str]) -> None:
        """Make the account `admin` with the password in `password_file`, if there is none."""
        if await self._pool.fetchval("SELECT true FROM account WHERE username = $1", ADMIN):
            return
        password = await asyncio.to_thread(
            read_secret, password_file, "first administrator's password"
        )
        await self.create(ADMIN, password, roles)

    async def create(self, username: str, password: str, roles: Sequence[str | Grant]) -> None:
        """Make or replace an account by the product itself: no rules are asked."""
        grants = [role if isinstance(role, Grant) else Grant(role) for role in roles]
        await self.people.put(username, password, grants, actor="system")

    async def login(self, username: str, password: str) -> tuple[str, User] | None:
        """A new session token with its user, or None; takes equally long for unknown names."""
        row = await self._pool.fetchrow(
            "SELECT username, password_hash, grants, disabled FROM account WHERE username = $1",
            username,
        )
        none = await asyncio.to_thread(decoy)  # made with the first sign-in, whoever it is
        right = await asyncio.to_thread(matches, row["password_hash"] if row else none, password)
        if row is None:
            return None
        allowed = not row["disabled"] and self._local(username)
        if not (right and allowed):
            await self._told("log_in_failed", username)
            return None
        user = User.of(username, grants_from(row["grants"]), within=self._within)
        return await self.open_session(user, "local"), user

    def _local(self, username: str) -> bool:
        """Whether this local account may log in: beside an identity server only break-glass."""
        settings = self.settings
        return settings.mode == "local" or (settings.break_glass and username == ADMIN)

    async def open_session(self, user: User, provider: str) -> str:
        """Begin a session; returns its token."""
        token, now = secrets.token_urlsafe(32), self._clock.now_ms()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO web_session (token_hash, username, created_at, expires_at, seen_at, "
                "provider) VALUES ($1, $2, $3, $4, $3, $5)",
                token_hash(token), user.name, now, now + self.settings.session_absolute, provider,
            )  # fmt: skip
            await connection.execute(
                "UPDATE account SET last_login_at = $2 WHERE username = $1", user.name, now
            )
            await connection.execute(
                "DELETE FROM web_session WHERE expires_at < $1 OR seen_at < $2",
                now, now - self.settings.session_idle,
            )  # fmt: skip
            await audit(connection, now, user.name, "log_in", user.name, {"provider": provider})
        return token

    async def session(self, token: str) -> User | None:
        """The user of a session token, if it is valid."""
        now, kept = self._clock.now_ms(), token_hash(token)
        row = await self._pool.fetchrow(
            "SELECT s.username, s.provider, s.seen_at, "
            "CASE WHEN s.provider = 'local' THEN a.grants ELSE s.grants END AS grants "
            "FROM web_session s LEFT JOIN account a USING (username) WHERE s.token_hash = $1 "
            "AND s.expires_at > $2 AND s.seen_at > $3 "
            "AND (s.provider <> 'local' OR NOT a.disabled)",
            kept, now, now - self.settings.session_idle,
        )  # fmt: skip
        if row is None:
            return None
        if now - row["seen_at"] > SEEN_EVERY_MS:
            await self._pool.execute(
                "UPDATE web_session SET seen_at = $2 WHERE token_hash = $1", kept, now
            )
        return User.of(
            row["username"], grants_from(row["grants"]), kind=row["provider"], within=self._within
        )

    async def bearer(self, token: str) -> User | None:
        """The user of an API token: a service account's, or the identity server's own."""
        if token.startswith(PREFIX):
            return await self.services.check(token)
        return await self.sign_in.bearer(token) if self.sign_in is not None else None

    async def gone(self, session: str, bearer: str, action: str) -> bool:
        """Whether a viewer who was let in may no more; a silent database ends no stream."""
        try:
            user = await (self.bearer(bearer) if bearer else self.session(session))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return False
        except RetryableTransportError:  # new keys are wanted of a silent identity server
            return False
        return user is None or not user.may(action)

    async def logout(self, token: str) -> None:
        """End a session, here and at the identity server."""
        row = await self._pool.fetchrow(
            "DELETE FROM web_session WHERE token_hash = $1 RETURNING username, provider, refresh",
            token_hash(token),
        )
        if row is None:
            return
        await self._told("log_out", row["username"])
        if row["provider"] == "oidc" and self.sign_in is not None:
            await self.sign_in.end_there(row["refresh"])

    async def _told(self, action: str, username: str) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await audit(connection, self._clock.now_ms(), username, action, username, {})

    async def change_password(self, username: str, old: str, new: str) -> Any:
        """A person's own new password; the old one is asked. None or a refusal."""
        return await self.people.change_own(username, old, new)

    async def recall(self, key: str, user: str, route: str) -> Any | None:
        """The answer already given under this idempotency key.

        `{"andon:done": true}` (and more) where the process that carried it out ended before it
        could answer.
        """
        now = self._clock.now_ms()
        return await self._pool.fetchval(
            "SELECT answer FROM idempotent WHERE key = $1 AND username = $2 AND route = $3 "
            "AND at > $4 AND (NOT answer ? $5 OR (answer ? $6 AND at <= $7))",
            key, user, route, now - KEPT_MS, IN_HAND, DONE, now - IN_HAND_MS,
        )  # fmt: skip

    async def begin(self, key: str, user: str, route: str) -> bool:
        """Take a key in hand for all processes; False while another one has it, or answered.

        One that ended in the middle holds it for as long as an answer may take.
        """
        now = self._clock.now_ms()
        return bool(
            await self._pool.fetchval(
                "INSERT INTO idempotent (key, username, route, answer, at) "
                "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key, username, route) DO UPDATE SET "
                "answer = excluded.answer, at = excluded.at WHERE idempotent.at <= $6 "
                "OR (idempotent.answer ? $7 AND NOT idempotent.answer ? $9 "
                "AND idempotent.at <= $8) RETURNING true",
                key, user, route, {IN_HAND: True}, now, now - KEPT_MS, IN_HAND,
                now - IN_HAND_MS, DONE,
            )
        )  # fmt: skip

    async def let_go(self, key: str, user: str, route: str) -> None:
        """What was begun failed: it may be asked again, unless something of it was committed."""
        asked = (key, user, route, IN_HAND, DONE)
        await self._pool.execute(
            "DELETE FROM idempotent WHERE key = $1 AND username = $2 AND route = $3 "
            "AND answer ? $4 AND NOT answer ? $5", *asked,
        )  # fmt: skip
        await self._pool.execute(
            "UPDATE idempotent SET at = at - $6 WHERE key = $1 AND username = $2 AND route = $3 "
            "AND answer ? $4 AND answer ? $5", *asked, IN_HAND_MS,
        )  # fmt: skip

    async def remember(self, key: str, user: str, route: str, answer: Any) -> None:
        """Keep an answer under its idempotency key (a day)."""
        now = self._clock.now_ms()
        await self._pool.execute(
            "INSERT INTO idempotent (key, username, route, answer, at) VALUES ($1, $2, $3, $4, $5) "
            "ON CONFLICT (key, username, route) DO UPDATE SET answer = excluded.answer, "
            "at = excluded.at WHERE idempotent.at <= $6 OR idempotent.answer ? $7",
            key, user, route, answer, now, now - KEPT_MS, IN_HAND,
        )  # fmt: skip
        await self._pool.execute("DELETE FROM idempotent WHERE at <= $1", now - KEPT_MS)


__all__ = ["PgAccounts", "audit", "token_hash"]
