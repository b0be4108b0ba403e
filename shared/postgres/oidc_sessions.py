"""Sessions of people who signed in at the identity server: begun, refreshed, ended from there.

Called by `shared/web` and run as a task of the tier. Silence of the identity server ends nobody's
session before its own time: an alarm must not find the console logged out.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping

import asyncpg

from shared.clock import Clock
from shared.errors import Rejected, RetryableTransportError
from shared.identity.oidc import OidcClient, SignedIn
from shared.identity.policy import User, Within, prefix_within
from shared.identity.settings import IdentitySettings
from shared.identity.tokens import TokenFault
from shared.postgres.audit import audit
from shared.postgres.service_accounts import grants_from, grants_json
from shared.telemetry import logger

log = logger("identity")
LOOK_EVERY_S = 5.0
AGAIN_MS = 30_000
BATCH = 20


class OidcSessions:
    """Sign-in at the identity server and the sessions that came of it."""

    def __init__(
        self, pool: asyncpg.Pool, clock: Clock, client: OidcClient, settings: IdentitySettings,
        within: Within = prefix_within,
    ) -> None:  # fmt: skip
        self._pool, self._clock, self.client = pool, clock, client
        self._settings, self._within = settings, within

    async def begin(self, back_to: str) -> tuple[str, str]:
        """Where to send the browser, and its short-lived cookie."""
        return await self.client.begin(back_to)

    async def finish(self, query: Mapping[str, str], cookie: str) -> tuple[str, str] | Rejected:
        """A new session's token and where the browser wanted to go."""
        found = await self.client.finish(query, cookie)
        if isinstance(found, Rejected):
            return found
        person, back_to = found
        if not person.grants:
            return Rejected("no_role_here", {"user": person.name})
        if await self._pool.fetchval(
            "SELECT true FROM account WHERE username = $1 AND NOT disabled", person.name
        ):  # else two people would have one name in the log
            return Rejected("name_is_local", {"user": person.name})
        return await self._open(person), back_to

    async def _open(self, person: SignedIn) -> str:
        token, now = secrets.token_urlsafe(32), self._clock.now_ms()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO web_session (token_hash, username, created_at, expires_at, seen_at, "
                "provider, grants, subject, sid, refresh, refresh_at) "
                "VALUES ($1, $2, $3, $4, $3, 'oidc', $5, $6, $7, $8, $9)",
                hashlib.sha256(token.encode()).hexdigest(), person.name, now,
                now + self._settings.session_absolute, grants_json(person.grants), person.subject,
                person.sid, person.refresh or None,
                now + person.refresh_in_ms if person.refresh else None,
            )  # fmt: skip
            await audit(
                connection, now, person.name, "log_in", person.name,
                {"provider": "oidc", "grants": grants_json(person.grants)},
            )  # fmt: skip
        return token

    async def bearer(self, token: str) -> User | None:
        """The user behind one of the realm's access tokens."""
        person = await self.client.bearer(token)
        if person is None:
            return None
        return User.of(person.name, person.grants, kind="oidc", within=self._within)

    async def end_there(self, refresh: bytes | None) -> None:
        """End the session at the identity server too."""
        if refresh:
            await self.client.end(refresh)

    async def ended_there(self, logout_token: str) -> bool:
        """Back-channel logout: end what the identity server ended; False: not its word."""
        try:
            claims = await self.client.tokens.logout_token(logout_token)
        except TokenFault as fault:
            log.warning("logout_token_refused", reason=str(fault)[:300])
            return False
        column, value = ("sid", claims["sid"]) if claims.get("sid") else ("subject", claims["sub"])
        async with self._pool.acquire() as connection, connection.transaction():
            names = await connection.fetch(
                f"DELETE FROM web_session WHERE provider = 'oidc' AND {column} = $1 "
                "RETURNING username", str(value),
            )  # fmt: skip
            for name in sorted({row["username"] for row in names}):
                await audit(
                    connection, self._clock.now_ms(), name, "log_out", name,
                    {"provider": "oidc", "ended": "elsewhere"},
                )  # fmt: skip
        return True

    async def run(self) -> None:
        """Refresh what is due, for ever."""
        while True:
            while await self.refresh_due() == BATCH:
                pass
            await asyncio.sleep(LOOK_EVERY_S)

    async def refresh_due(self) -> int:
        """Refresh the sessions that are due and still in use; returns how many were tried."""
        now = self._clock.now_ms()
        # Put off first: of several brains one takes it, and a silent server is asked again later.
        rows = await self._pool.fetch(
            "WITH due AS MATERIALIZED (SELECT token_hash "
            "FROM web_session WHERE refresh_at <= $1 AND expires_at > $1 AND seen_at > $3 "
            f"ORDER BY refresh_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED) "
            "UPDATE web_session SET refresh_at = $2 "
            "WHERE token_hash IN (SELECT token_hash FROM due) "
            "RETURNING token_hash, username, grants, refresh",
            now, now + AGAIN_MS, now - self._settings.session_idle,
        )  # fmt: skip
        for row in rows:
            try:
                await self._refreshed(row, await self.client.refresh(bytes(row["refresh"])))
            except RetryableTransportError as error:
                log.warning("identity_server_silent", error=str(error))
        return len(rows)

    async def _refreshed(self, row: asyncpg.Record, found: SignedIn | Rejected) -> None:
        now, kept, name = self._clock.now_ms(), row["token_hash"], row["username"]
        async with self._pool.acquire() as connection, connection.transaction():
            if isinstance(found, Rejected) or not found.grants:
                await connection.execute("DELETE FROM web_session WHERE token_hash = $1", kept)
                why = "no role any more" if not isinstance(found, Rejected) else "refused"
                await audit(
                    connection, now, name, "log_out", name,
                    {"provider": "oidc", "ended": "elsewhere", "why": why},
                )  # fmt: skip
                return
            await connection.execute(
                "UPDATE web_session SET grants = $2, refresh = $3, refresh_at = $4 "
                "WHERE token_hash = $1",
                kept, grants_json(found.grants), found.refresh or None,
                now + found.refresh_in_ms if found.refresh else None,
            )  # fmt: skip
            if set(found.grants) != set(grants_from(row["grants"])):
                await audit(
                    connection, now, name, "account_grants", name,
                    {"provider": "oidc", "before": row["grants"],
                     "after": grants_json(found.grants)},
                )  # fmt: skip
