"""Service accounts of linked devices and other systems: made, checked, revoked.

Called by the REST interface and the command line; secrets are random and kept as their hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from shared.clock import Clock
from shared.errors import Rejected
from shared.identity.policy import POLICY, ROLES, Grant, User, Within, prefix_within
from shared.postgres.audit import audit_change

PREFIX = "andon_"
"""What a service account's token begins with: `andon_<client>.<secret>`."""
USED_EVERY_MS = 60_000
_CLIENT = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One service account, without its secret."""

    client: str
    name: str
    grants: tuple[Grant, ...]
    actions: tuple[str, ...] | None
    created_by: str
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    revoked_at: int | None


def grants_json(grants: Sequence[Grant]) -> list[list[str]]:
    """As a jsonb column keeps them."""
    return [[grant.role, grant.area] for grant in grants]


def grants_from(kept: list[list[str]] | None) -> tuple[Grant, ...]:
    """As a jsonb column kept them."""
    return tuple(Grant(role, area) for role, area in kept or ())


def unknown_right(grants: Sequence[Grant], actions: Sequence[str] | None) -> Rejected | None:
    """A role or action that the policy does not know."""
    role = next((g.role for g in grants if g.role not in ROLES), None)
    if role is not None:
        return Rejected("unknown_role", {"role": role})
    action = next((a for a in actions or () if a not in POLICY), None)
    return Rejected("unknown_action", {"action": action}) if action is not None else None


class ServiceAccounts:
    """The service accounts of one tier."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, within: Within = prefix_within) -> None:
        self._pool, self._clock, self.within = pool, clock, within

    async def listed(self) -> list[ServiceRow]:
        """All of them, the revoked ones too."""
        rows = await self._pool.fetch("SELECT * FROM service_account ORDER BY client")
        return [
            ServiceRow(
                row["client"], row["name"], grants_from(row["grants"]),
                None if row["actions"] is None else tuple(row["actions"]), row["created_by"],
                row["created_at"], row["expires_at"], row["last_used_at"], row["revoked_at"],
            )
            for row in rows
        ]  # fmt: skip

    async def add(
        self, client: str, name: str, grants: Sequence[Grant], actions: Sequence[str] | None,
        expires_at: int | None, actor: str,
    ) -> str | Rejected:  # fmt: skip
        """Make one; returns its token, which is shown this once."""
        if not _CLIENT.fullmatch(client):
            return Rejected("bad_client_name", {"client": client})
        if (refusal := unknown_right(grants, actions)) is not None:
            return refusal
        secret, now = secrets.token_urlsafe(32), self._clock.now_ms()
        token = f"{PREFIX}{client}.{secret}"
        async with self._pool.acquire() as connection, connection.transaction():
            made = await connection.fetchval(
                "INSERT INTO service_account (client, name, secret_hash, grants, actions, "
                "created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
                "ON CONFLICT DO NOTHING RETURNING true",
                client, name, _digest(token), grants_json(grants),
                None if actions is None else list(actions), actor, now, expires_at,
            )  # fmt: skip
            if not made:
                return Rejected("client_exists", {"client": client})
            after = {"name": name, "grants": grants_json(grants), "actions": actions,
                     "expires_at": expires_at}  # fmt: skip
            await audit_change(
                connection, now, actor, "service_account_made", client, before=None, after=after
            )
        return token

    async def revoke(self, client: str, actor: str, why: str = "") -> Rejected | None:
        """End one for good."""
        now = self._clock.now_ms()
        async with self._pool.acquire() as connection, connection.transaction():
            done = await connection.fetchval(
                "UPDATE service_account SET revoked_at = $2 "
                "WHERE client = $1 AND revoked_at IS NULL RETURNING true",
                client, now,
            )  # fmt: skip
            if not done:
                return Rejected("unknown_client", {"client": client})
            await audit_change(
                connection, now, actor, "service_account_revoked", client,
                before={"revoked": False}, after={"revoked": True}, why=why,
            )  # fmt: skip
        return None

    async def check(self, token: str) -> User | None:
        """The account behind a token, if it is valid now."""
        client, _, secret = token.removeprefix(PREFIX).partition(".")
        if not secret or len(token) > 256:
            return None
        now = self._clock.now_ms()
        row = await self._pool.fetchrow(
            "SELECT secret_hash, grants, actions, last_used_at FROM service_account "
            "WHERE client = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
            client, now,
        )  # fmt: skip
        if row is None or not hmac.compare_digest(row["secret_hash"], _digest(token)):
            return None
        if row["last_used_at"] is None or now - row["last_used_at"] > USED_EVERY_MS:
            await self._pool.execute(
                "UPDATE service_account SET last_used_at = $2 WHERE client = $1", client, now
            )
        return User.of(
            f"service:{client}", grants_from(row["grants"]), kind="service",
            actions=row["actions"], within=self.within,
        )  # fmt: skip


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
