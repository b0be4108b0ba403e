"""Puts a tier's identity together: accounts, sign-in at an identity server, audit anchors.

Called by the bootstraps of the brain and of the cloud.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.clock import Clock
from shared.config import TierSettings, read_secret
from shared.identity.oidc import OidcClient
from shared.identity.policy import ROLES, Within, prefix_within
from shared.identity.where import here, stand
from shared.postgres.accounts import PgAccounts
from shared.postgres.audit_anchors import AuditAnchors
from shared.postgres.oidc_sessions import OidcSessions
from shared.service import Service


def stand_at(tier: str, site: str, zone: str) -> None:
    """Say for the audit log where this process does what it does by itself."""
    stand(replace(here(), tier=tier, site=site, zone=zone))


async def open_accounts(
    pool: asyncpg.Pool, clock: Clock, settings: TierSettings, service: Service, *, site: str,
    within: Within = prefix_within,
) -> PgAccounts:  # fmt: skip
    """Accounts as the settings say; the first administrator is made when there is none."""
    identity = settings.identity
    accounts = PgAccounts(pool, clock, identity, within=within)
    await accounts.ensure_admin(settings.admin_password_file, list(ROLES))
    if identity.mode == "oidc" and identity.client_secret_file is not None:
        secret = await asyncio.to_thread(
            read_secret, identity.client_secret_file, "OpenID Connect client's secret"
        )
        client = OidcClient(identity, secret, site, clock)
        accounts.sign_in = OidcSessions(pool, clock, client, identity, within)
        service.run("sign-in", accounts.sign_in.run)
    return accounts


def keep_anchors(
    pool: asyncpg.Pool, clock: Clock, key: Ed25519PrivateKey, service: Service, *, tier: str,
    site: str,
) -> AuditAnchors:  # fmt: skip
    """The task that signs the audit chain's head."""
    anchors = AuditAnchors(pool, clock, key, tier=tier, site=site)
    service.run("audit-anchors", anchors.run)
    return anchors
