"""The brain's connections to its database, apart by what must not wait for what.

Opened by the bootstrap. Each bounds how long a transaction may last: another brain takes over from
one that is frozen, and must not find rows locked by it for ever.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from shared.postgres.pool import Pool, connect_pool

SHORT_S = 10.0
"""A transaction of what takes alarms in, holds leases or drives playbooks."""
COMMON_S = 60.0
"""Any other but the upkeep's; one statement has 30 s."""
INTAKE = 4
"""One for each kind of lane, one for who says hello."""
VITAL = 2
"""For leases and the probe of writing."""
LONG_S = 900.0
"""Of the upkeep."""
UPKEEP = 3


@dataclass(frozen=True, slots=True)
class Pools:
    """Each with the database's own word for how long a transaction may last."""

    common: Pool
    vital: Pool
    """Long questions must not cost a lease."""
    intake: Pool
    """An alarm waits behind nobody's long questions to the database."""
    plays: Pool
    """Runs of playbooks, and what starts them."""
    upkeep: Pool
    """Summaries and retention: minutes long, and one brain's at a time."""

    def each(self) -> tuple[tuple[str, Pool], ...]:
        """By name, in the order in which they were opened."""
        rest = {"vital": self.vital, "intake": self.intake, "plays": self.plays}
        return (("database", self.common), *((f"database-{n}", p) for n, p in rest.items()),
                ("database-upkeep", self.upkeep))  # fmt: skip


async def open_common(url: str, name: str) -> Pool:
    """The first one, which says whether there is a database at all; raises ConfigError."""
    return await connect_pool(url, name=name, transaction_s=COMMON_S)


async def open_rest(common: Pool, url: str, name: str) -> Pools:
    """The others; raises ConfigError."""
    vital, intake, plays, upkeep = await asyncio.gather(
        connect_pool(url, size=VITAL, name=name, transaction_s=SHORT_S),
        connect_pool(url, size=INTAKE, name=name, transaction_s=SHORT_S),
        connect_pool(url, name=name, transaction_s=SHORT_S),
        connect_pool(url, size=UPKEEP, name=name, transaction_s=LONG_S),
    )
    return Pools(common, vital, intake, plays, upkeep)
