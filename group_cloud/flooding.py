"""Wires the memory of floods into the cloud: following, asking, telling, showing.

Called once by the bootstrap; the only place where its ports meet their adapters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from group_cloud.adapters.flood_process import FloodProcess
from group_cloud.adapters.postgres.flood_reads import FloodReads
from group_cloud.adapters.postgres.flood_store import FloodStore
from group_cloud.application.floods.asking import FloodAsking
from group_cloud.application.floods.learning import FloodLearning
from group_cloud.application.floods.telling import FloodTelling
from group_cloud.application.floods.view import FloodView
from group_cloud.domain.scope import Scope

if TYPE_CHECKING:
    from group_cloud.bootstrap import Cloud


@dataclass(frozen=True, slots=True)
class Floods:
    """The parts of the memory of floods."""

    telling: FloodTelling
    asking: FloodAsking
    view: FloodView
    store: FloodStore
    recall: FloodProcess


def wire(cloud: Cloud, sign: Callable[[bytes], bytes]) -> Floods:
    """Make the parts; `run` starts them."""
    rows, records, clock = FloodStore(cloud.pool), cloud.records, cloud.clock
    recall = FloodProcess()
    learning = FloodLearning(rows, records, clock)
    telling = FloodTelling(rows, records, learning, cloud.bus, clock, sign)
    asking = FloodAsking(rows, records, recall, clock, cloud.factories.told_until)
    view = FloodView(FloodReads(cloud.pool))

    async def shown(scope: Scope) -> bytes:
        return (await view.listed(scope)).model_dump_json().encode()

    cloud.live.show("floods", shown)
    telling.on_change = lambda: cloud.live.touch("floods")
    telling.on_begun = asking.wake
    asking.on_answer = telling.wake
    cloud.ingest.on_incident = telling.wake
    return Floods(telling, asking, view, rows, recall)


def run(cloud: Cloud, floods: Floods) -> None:
    """Start what goes on by itself."""
    cloud.service.run("floods", floods.telling.run)
    cloud.service.run("floods-asking", floods.asking.run)
    cloud.service.on_close("floods", floods.recall.rest)
