"""Wires the group's playbooks: versions, ranking, roll-outs to the factories.

Called once by the bootstrap; the only place where their ports meet their adapters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from group_cloud.adapters.postgres.playbook_reads import PlaybookReads
from group_cloud.adapters.postgres.playbook_store import PlaybookStore
from group_cloud.application.playbooks.desk import BookDesk
from group_cloud.application.playbooks.drive import BookDrive, Store
from group_cloud.application.playbooks.ranking import BookRanking
from group_cloud.application.total import TotalSet
from group_cloud.domain.playbook_ranking import FLOOR
from group_cloud.domain.scope import Scope
from group_cloud.learning.bandit import VariantChoice
from group_cloud.web.routes_playbooks import BookParts
from shared.messages.bodies import PlaybookPushReport
from shared.playbook.signing import fingerprint
from shared.postgres.audit import audit

if TYPE_CHECKING:
    from group_cloud.bootstrap import Cloud


@dataclass(frozen=True, slots=True)
class Books:
    """The parts of the group's playbooks."""

    parts: BookParts
    drive: BookDrive


SEED = 6


def choice() -> VariantChoice:
    """The learner of one ranking: the same runs give the same ranking, after every start."""
    return VariantChoice(SEED, FLOOR)


def wire(cloud: Cloud, total: TotalSet, key: Ed25519PrivateKey) -> Books:
    """Make the parts; `run` starts them."""
    rows = PlaybookStore(cloud.pool)
    store = Store(cloud.records, rows, audit)
    drive = BookDrive(store, cloud.bus, cloud.clock, key.sign)
    desk = BookDesk(
        store, drive, cloud.clock, key.sign, fingerprint(key.public_key()), cloud.tenants.sites
    )
    ranking = BookRanking(PlaybookReads(cloud.pool), rows, desk, cloud.clock, choice)
    total.takers[PlaybookPushReport] = drive.take

    async def shown(scope: Scope) -> bytes:
        return (await desk.listed(scope)).model_dump_json().encode()

    def touch() -> None:
        cloud.live.touch("playbook_rollouts")

    cloud.live.show("playbook_rollouts", shown)
    drive.on_change = desk.on_change = touch
    return Books(BookParts(desk, ranking), drive)


def run(cloud: Cloud, books: Books) -> None:
    """Start what goes on by itself."""
    cloud.service.run("playbook-rollouts", books.drive.run)
    cloud.service.run("playbook-ranking", books.parts.ranking.run)
