"""Tables that both tiers with a PostgreSQL have: positions, outbox, accounts, audit.

SQLModel declares them and Alembic makes them; the hot paths fill them by asyncpg.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel


def big(primary_key: bool = False, nullable: bool = False) -> Any:
    """A bigint column."""
    return Field(sa_column=Column(BigInteger, primary_key=primary_key, nullable=nullable))


def json_column(nullable: bool = False) -> Any:
    """A jsonb column."""
    return Field(sa_column=Column(JSONB, nullable=nullable))


class SourceEpoch(SQLModel, table=True):
    """A registered start of a source; an epoch is never used by two starts."""

    __tablename__ = "source_epoch"
    source: str = Field(primary_key=True)
    epoch: str = Field(primary_key=True)
    boot: str = ""
    registered_at: int = big()


class Watermark(SQLModel, table=True):
    """Contiguously committed position of one lane."""

    __tablename__ = "watermark"
    source: str = Field(primary_key=True)
    epoch: str = Field(primary_key=True)
    lane: str = Field(primary_key=True)
    seq: int = big()
    quarantined: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    updated_at: int = big()


class FrameDigest(SQLModel, table=True):
    """Content digest of a committed frame, to tell a resend from a forgery."""

    __tablename__ = "frame_digest"
    source: str = Field(primary_key=True)
    epoch: str = Field(primary_key=True)
    lane: str = Field(primary_key=True)
    first: int = big(primary_key=True)
    last: int = big()
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    at: int = big()


class Quarantined(SQLModel, table=True):
    """What could not be believed or read: kept, counted, never applied."""

    __tablename__ = "quarantined"
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    source: str = Field(index=True)
    epoch: str
    lane: str
    seq: int = big()
    reason: str
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    at: int = big()


class Gap(SQLModel, table=True):
    """Positions that will never come, and why."""

    __tablename__ = "gap"
    source: str = Field(primary_key=True)
    epoch: str = Field(primary_key=True)
    lane: str = Field(primary_key=True)
    first: int = big(primary_key=True)
    last: int = big()
    reason: str
    at: int = big()


class OutboxRow(SQLModel, table=True):
    """One buffered event of this tier's own outbox."""

    __tablename__ = "outbox"
    epoch: str = Field(primary_key=True)
    lane: str = Field(primary_key=True)
    seq: int = big(primary_key=True)
    at: int = big()
    event: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class OutboxLane(SQLModel, table=True):
    """Counters of one lane of this tier's own outbox."""

    __tablename__ = "outbox_lane"
    epoch: str = Field(primary_key=True)
    lane: str = Field(primary_key=True)
    born: int = big()
    produced: int = big()
    delivered: int = big()
    dropped: int = big()
    quarantined: int = big()


class Account(SQLModel, table=True):
    """A local account."""

    __tablename__ = "account"
    username: str = Field(primary_key=True)
    password_hash: str
    disabled: bool = False
    created_at: int = big()
    grants: list[list[str]] = json_column()
    """[role, area] pairs; the area "" is everywhere."""
    password_at: int | None = big(nullable=True)
    last_login_at: int | None = big(nullable=True)


class WebSession(SQLModel, table=True):
    """A logged-in browser; the token itself is not stored."""

    __tablename__ = "web_session"
    token_hash: str = Field(primary_key=True)
    username: str = Field(index=True)
    created_at: int = big()
    expires_at: int = big()
    seen_at: int = big()
    provider: str = "local"
    grants: list[list[str]] | None = json_column(nullable=True)
    """What the identity server said; null: the local account's."""
    subject: str | None = None
    sid: str | None = None
    refresh: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    """The refresh token, encrypted with a key made from the client's secret."""
    refresh_at: int | None = big(nullable=True)
    __table_args__ = (Index("web_session_subject", "subject"),)


class ServiceAccount(SQLModel, table=True):
    """A linked device or another system; its secret is not stored."""

    __tablename__ = "service_account"
    client: str = Field(primary_key=True)
    name: str
    secret_hash: str
    grants: list[list[str]] = json_column()
    actions: list[str] | None = json_column(nullable=True)
    created_by: str
    created_at: int = big()
    expires_at: int | None = big(nullable=True)
    last_used_at: int | None = big(nullable=True)
    revoked_at: int | None = big(nullable=True)


class Idempotent(SQLModel, table=True):
    """Answers already given, by the caller's idempotency key."""

    __tablename__ = "idempotent"
    key: str = Field(primary_key=True)
    username: str = Field(primary_key=True)
    route: str = Field(primary_key=True)
    answer: dict[str, Any] = json_column()
    at: int = big()


class AuditEntry(SQLModel, table=True):
    """One action of a person or of the product, chained by hash to the one before."""

    __tablename__ = "audit"
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    at: int = big()
    actor: str
    action: str
    target: str
    data: dict[str, Any] = json_column()
    previous: str
    hash: str
    zone: str
    tier: str
    site: str
    address: str
    why: str
    before: Any = json_column(nullable=True)
    after: Any = json_column(nullable=True)
    form: int = Field(sa_column=Column(SmallInteger, nullable=False))
    __table_args__ = (
        Index("audit_action", "action", "id"),
        Index("audit_actor", "actor", "id"),
        Index("audit_target", "target", "id"),
    )


class AuditAnchorRow(SQLModel, table=True):
    """The audit chain's head at a time, signed."""

    __tablename__ = "audit_anchor"
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    hash: str
    tier: str
    site: str
    at: int = big()
    signature: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
