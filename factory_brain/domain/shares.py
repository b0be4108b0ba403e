"""Who of several brains does what: the leader's work, and a fair part of the sources.

Pure: judged anew in each round from the leases as they stand. Never takes what another one holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEADER = "leader"
SOURCE = "source/"


@dataclass(frozen=True, slots=True)
class Lease:
    """One lease as it stands; `left_ms` of the database's clock."""

    name: str
    holder: str
    fence: int
    left_ms: int


@dataclass(frozen=True, slots=True)
class Shares:
    """What one round comes to."""

    renew: tuple[str, ...]
    take: tuple[str, ...]
    give: tuple[str, ...]
    """Renewed too, until its work has been stopped."""


def holder_of(name: str, boot: str) -> str:
    """A brain's start as the holder of leases: two brains of one name are two holders."""
    return f"{name} {boot}"


def share(name: str, boot: str, leases: Sequence[Lease], brains: int) -> Shares:
    """What the brain `name` in its start `boot` holds on to, takes and gives away.

    A name does not tell an earlier start that was killed from a twin that lives: both keep their
    leases until these have run out. Who ends cleanly gives them back, and for who is provably dead
    (a process of this very machine that is no more) the round does so before it shares.
    """
    me = holder_of(name, boot)
    held = [each.name for each in leases if each.holder == me and each.left_ms > 0]
    free = [each.name for each in leases if each.left_ms <= 0]
    sources = [each.name for each in leases if each.name.startswith(SOURCE)]
    fair = -(-len(sources) // max(brains, 1))
    mine = [each for each in held if each.startswith(SOURCE)]
    take = [each for each in free if each.startswith(SOURCE)][: max(fair - len(mine), 0)]
    if LEADER in free:
        take.append(LEADER)
    return Shares(tuple(held), tuple(take), tuple(mine[fair:]))
