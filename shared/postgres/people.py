"""Administration of local accounts: made, granted, disabled, given a password; all of it audited.

Called by the REST interface and by `andon identity user`; a change of rights ends the sessions.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from shared.clock import Clock
from shared.errors import Rejected
from shared.identity.passwords import hashed, matches, password_fault
from shared.identity.policy import Grant
from shared.postgres.audit import audit_change
from shared.postgres.pool import Connection
from shared.postgres.service_accounts import grants_from, grants_json, unknown_right

_NAME = re.compile(r"[\w.@+-]{1,64}")


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One local account."""

    username: str
    grants: tuple[Grant, ...]
    disabled: bool
    created_at: int
    password_at: int | None
    last_login_at: int | None


class People:
    """The local accounts of one tier."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock

    async def listed(self) -> list[PersonRow]:
        """All accounts, the disabled ones too."""
        rows = await self._pool.fetch("SELECT * FROM account ORDER BY username")
        return [
            PersonRow(
                row["username"], grants_from(row["grants"]), row["disabled"], row["created_at"],
                row["password_at"], row["last_login_at"],
            )
            for row in rows
        ]  # fmt: skip

    async def put(
        self, username: str, password: str, grants: Sequence[Grant], *, actor: str
    ) -> None:
        """Make or replace an account without asking the rules; for the product itself."""
        kept, now = await asyncio.to_thread(hashed, password), self._clock.now_ms()
        async with self._pool.acquire() as connection, connection.transaction():
            before = await connection.fetchval(
                "SELECT grants FROM account WHERE username = $1", username
            )
            await connection.execute(
                "INSERT INTO account (username, password_hash, grants, disabled, created_at, "
                "password_at) VALUES ($1, $2, $3, false, $4, $4) ON CONFLICT (username) "
                "DO UPDATE SET password_hash = $2, grants = $3, disabled = false, password_at = $4",
                username, kept, grants_json(grants), now,
            )  # fmt: skip
            await audit_change(
                connection, now, actor, "account_made", username,
                before=before, after=grants_json(grants),
            )  # fmt: skip

    async def add(
        self, username: str, password: str, grants: Sequence[Grant], actor: str
    ) -> Rejected | None:
        """Make an account."""
        if not _NAME.fullmatch(username):
            return Rejected("bad_username", {"username": username})
        refusal = unknown_right(grants, None) or password_fault(username, password)
        if refusal is not None:
            return refusal
        kept, now = await asyncio.to_thread(hashed, password), self._clock.now_ms()
        async with self._pool.acquire() as connection, connection.transaction():
            made = await connection.fetchval(
                "INSERT INTO account (username, password_hash, grants, disabled, created_at, "
                "password_at) VALUES ($1, $2, $3, false, $4, $4) ON CONFLICT DO NOTHING "
                "RETURNING true",
                username, kept, grants_json(grants), now,
            )  # fmt: skip
            if not made:
                return Rejected("account_exists", {"username": username})
            await audit_change(
                connection, now, actor, "account_made", username,
                before=None, after=grants_json(grants),
            )  # fmt: skip
        return None

    async def set_grants(
        self, username: str, grants: Sequence[Grant], actor: str, why: str = ""
    ) -> Rejected | None:
        """Give other rights; who is logged in must log in again."""
        if (refusal := unknown_right(grants, None)) is not None:
            return refusal
        async with self._pool.acquire() as connection, connection.transaction():
            row = await _locked(connection, username)
            if row is None:
                return Rejected("unknown_account", {"username": username})
            if not _administers(grants) and await _last_administrator(connection, username):
                return Rejected("last_administrator", {"username": username})
            await connection.execute(
                "UPDATE account SET grants = $2 WHERE username = $1", username, grants_json(grants)
            )
            await self._changed(
                connection, "account_grants", username, row["grants"], grants_json(grants), actor,
                why,
            )  # fmt: skip
        return None

    async def set_disabled(
        self, username: str, disabled: bool, actor: str, why: str = ""
    ) -> Rejected | None:
        """Close an account or open it again; its sessions end at once."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await _locked(connection, username)
            if row is None:
                return Rejected("unknown_account", {"username": username})
            if disabled and await _last_administrator(connection, username):
                return Rejected("last_administrator", {"username": username})
            await connection.execute(
                "UPDATE account SET disabled = $2 WHERE username = $1", username, disabled
            )
            await self._changed(
                connection, "account_disabled" if disabled else "account_enabled", username,
                {"disabled": row["disabled"]}, {"disabled": disabled}, actor, why,
            )  # fmt: skip
        return None

    async def set_password(
        self, username: str, password: str, actor: str, why: str = ""
    ) -> Rejected | None:
        """Give a new password; every session of the account ends."""
        if (refusal := password_fault(username, password)) is not None:
            return refusal
        kept, now = await asyncio.to_thread(hashed, password), self._clock.now_ms()
        async with self._pool.acquire() as connection, connection.transaction():
            row = await _locked(connection, username)
            if row is None:
                return Rejected("unknown_account", {"username": username})
            await connection.execute(
                "UPDATE account SET password_hash = $2, password_at = $3 WHERE username = $1",
                username, kept, now,
            )  # fmt: skip
            await self._changed(
                connection, "account_password", username, {"password_at": row["password_at"]},
                {"password_at": now}, actor, why,
            )  # fmt: skip
        return None

    async def change_own(self, username: str, old: str, new: str) -> Rejected | None:
        """A person's own new password."""
        kept = await self._pool.fetchval(
            "SELECT password_hash FROM account WHERE username = $1", username
        )
        if kept is None or not await asyncio.to_thread(matches, kept, old):
            return Rejected("old_password_wrong")
        return await self.set_password(username, new, username)

    async def _changed(
        self, connection: Connection, action: str, username: str, before: object, after: object,
        actor: str, why: str,
    ) -> None:  # fmt: skip
        await connection.execute(
            "DELETE FROM web_session WHERE username = $1 AND provider = 'local'", username
        )
        await audit_change(
            connection, self._clock.now_ms(), actor, action, username,
            before=before, after=after, why=why,
        )  # fmt: skip


async def _locked(connection: Connection, username: str) -> asyncpg.Record | None:
    # The whole table: two administrators must not close each other's accounts at once.
    await connection.execute("LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE")
    return await connection.fetchrow(
        "SELECT grants, disabled, password_at FROM account WHERE username = $1", username
    )


def _administers(grants: Sequence[Grant]) -> bool:
    return any(grant.role == "administrator" and not grant.area for grant in grants)


async def _last_administrator(connection: Connection, username: str) -> bool:
    """Whether nobody else could undo it."""
    rows = await connection.fetch("SELECT username, grants FROM account WHERE NOT disabled")
    able = {row["username"] for row in rows if _administers(grants_from(row["grants"]))}
    return able == {username}
