"""One operator state in all three tiers: byte-equal, no acknowledgement lost, none invented.

`ANDON_CHAOS=whole` runs at least 100,000 random orders instead of some hundreds.
"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.alarm.machine import Policy
from shared.alarm.occurrence import fold_events
from tests.support.tiers import FactoryTier, canonical, replay
from tests.support.tiers_linked import Tiers

WHOLE = os.environ.get("ANDON_CHAOS") == "whole"
HISTORIES = 4_000 if WHOLE else 25
ORDERS = 25 if WHOLE else 6
"""Random orders of arrival of each history, at the factory and at the group."""
POLICIES = st.builds(
    Policy,
    ack_required=st.booleans(),
    confirm_used=st.booleans(),
    latching=st.booleans(),
    leave=st.sampled_from(["rearm", "keep"]),
    hidden_ack=st.sampled_from(["reject", "accept"]),
    clear_unacked=st.sampled_from(["required", "auto"]),
    latched_raise=st.sampled_from(["annunciate", "same"]),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    policy=POLICIES, re_alarm=st.sampled_from([None, 30_000]), moves=st.integers(10, 70),
    seed=st.integers(0, 1 << 32),
)  # fmt: skip
def test_any_interleaving_ends_byte_equal(
    policy: Policy, re_alarm: int | None, moves: int, seed: int
) -> None:
    tiers = Tiers(random.Random(seed), policy, re_alarm)
    for _ in range(moves):
        tiers.move()
    tiers.heal()
    tiers.check()


def _about(body: object) -> str:
    return getattr(body, "occurrence", "")


def any_policy(chance: random.Random) -> Policy:
    flip = chance.choice
    return Policy(
        ack_required=flip((True, True, False)), confirm_used=flip((False, True)),
        latching=flip((False, True)), leave=flip(("rearm", "keep")),
        hidden_ack=flip(("reject", "accept")), clear_unacked=flip(("required", "auto")),
        latched_raise=flip(("annunciate", "same")),
    )  # fmt: skip


@pytest.mark.timeout(7200 if WHOLE else 120)
def test_any_order_of_arrival_ends_byte_equal(record_property) -> None:
    orders, acks = 0, 0
    for seed in range(HISTORIES):
        chance = random.Random(seed)
        tiers = Tiers(chance, any_policy(chance), chance.choice((None, 30_000)))
        for _ in range(60):
            tiers.move()
        tiers.heal()
        tiers.check()
        acks += len(tiers.acks)
        wanted = canonical(tiers.edge.views())
        for _ in range(ORDERS):
            other = FactoryTier(tiers.edge)
            other.know(tiers.factory)
            replay(tiers.edge.out, chance, other)
            assert canonical(other.views()) == wanted, seed
            bodies = list(tiers.group.events.values())
            chance.shuffle(bodies)
            group = {
                name: view
                for name in tiers.edge.views()
                if (view := fold_events([b for b in bodies if _about(b) == name])) is not None
            }
            assert canonical(group) == wanted, seed
            orders += 1
    record_property("orders", orders)
    record_property("acknowledgements", acks)
    assert orders >= HISTORIES * ORDERS
    assert acks > HISTORIES  # it is about something
