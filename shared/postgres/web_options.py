"""What the web application must know of the database's driver, and of a tier's settings.

Called by the tiers' bootstraps; the web itself knows no driver.
"""

from __future__ import annotations

import asyncpg

from shared.config import TierSettings
from shared.web.app import WebOptions
from shared.web.boundary import StoreFaults

_STORE = StoreFaults(
    silent=(
        asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.OperatorInterventionError,
        asyncpg.InsufficientResourcesError, asyncpg.ReadOnlySQLTransactionError,
        asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, OSError, TimeoutError,
    ),
    unstorable=(asyncpg.DataError,),
)  # fmt: skip


def web_options(settings: TierSettings) -> WebOptions:
    """The options of a tier's web application."""
    return WebOptions(settings.rate_limit, _STORE)
