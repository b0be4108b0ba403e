"""The cloud's readiness and its counters: database, migrations, bus, consumers; factories, viewers.

Called by the cloud's bootstrap, which gives its own parts; counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from group_cloud.application.fleet import FactoryView
from group_cloud.application.live import GroupLive
from group_cloud.domain.scope import ALL
from shared.metrics import Exposition
from shared.web.dto import Factory
from shared.web.health import Check

LANE_FIELDS = ("produced", "delivered", "buffered", "dropped", "quarantined")


def checks(
    reach: Callable[[], Awaitable[bool]], migrations: Check, bus: Callable[[], bool],
    stopped: Callable[[Iterable[str]], list[str]],
) -> dict[str, Check]:  # fmt: skip
    """What must hold for the cloud to be ready."""

    async def database() -> str:
        return "" if await reach() else "not_writable"

    async def connected() -> str:
        return "" if bus() else "not_connected"

    async def consumers() -> str:
        return "stopped" if stopped(("ingest",)) else ""

    return {
        "database": database, "migrations": migrations, "bus": connected, "consumers": consumers,
    }  # fmt: skip


async def metrics(factories: FactoryView, sse: GroupLive, pool: tuple[int, int]) -> str:
    """The answer to a scrape."""
    out = Exposition("andon_cloud")
    found = (await factories.as_dto(ALL)).factories
    out.tell(
        "factory_online", "gauge", "A factory's heartbeat came within the last seconds",
        [({"site": each.site}, each.online) for each in found],
    )  # fmt: skip
    _lanes(out, found)
    out.tell("viewers", "gauge", "Streams that are open", sse.viewers)
    out.tell("sse_frames_total", "counter", "Frames made for all viewers", sse.frames)
    out.tell("sse_overflows_total", "counter", "Viewers that could not keep up", sse.overflows)
    size, idle = pool
    out.tell(
        "db_connections", "gauge", "Connections of the pool",
        [({"state": "busy"}, size - idle), ({"state": "idle"}, idle)],
    )  # fmt: skip
    return out.text()


def _lanes(out: Exposition, found: list[Factory]) -> None:
    for name in LANE_FIELDS:
        gauge = name == "buffered"
        out.tell(
            f"factory_{name}" + ("" if gauge else "_total"), "gauge" if gauge else "counter",
            f"Conservation of a factory's outbox by lane, as it last said: {name}",
            [
                ({"site": each.site, "lane": lane}, getattr(counts, name))
                for each in found for lane, counts in sorted(each.lanes.items())
            ],
        )  # fmt: skip
