"""Random playbooks killed between any two commits: nothing lost, nothing doubled, nothing astray.

`ANDON_CHAOS=whole` kills every tree at every commit, and grows ten times as many.
"""

from __future__ import annotations

import os
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.playbook.fits import leads
from shared.playbook.journal import SETTLED
from tests.support.playbook_forest import world
from tests.support.playbook_memory import World, finish, killed_at

WHOLE = os.environ.get("ANDON_CHAOS") == "whole"
TREES = 5_000 if WHOLE else 500
SEEDS = st.integers(0, 2**32)


def kills_of(chance: Random, commits: int, most: int) -> list[int]:
    """Before which commits to kill."""
    return list(range(commits)) if WHOLE else chance.sample(range(commits), min(most, commits))


def all_is_told(found: World) -> None:
    """Everything has come to rest, under paths of the document, and nothing happened twice."""
    books = found.more["books"]
    for path, record in found.journal().items():
        assert record.phase in (*SETTLED, "failed"), path
        assert leads(found.document, books, path)
    assert max(found.acted.values(), default=1) == 1
    told = [(effect.kind, effect.path, effect.attempt) for effect in found.told]
    assert len(set(told)) == len(told)
    rows = {(path, attempt) for path, attempt, _, _, _ in found.rows}
    for key in found.acted:
        path, _, attempt = key.rpartition(":")
        assert (path, int(attempt)) in rows


@settings(max_examples=TREES, deadline=None)
@given(SEEDS)
def test_check_10_a_killed_tree_does_what_an_uncrashed_one_does(seed: int) -> None:
    whole, chance = world(seed), Random(seed)
    end = finish(whole)
    assert end.status == "success"
    all_is_told(whole)
    for kill in kills_of(chance, whole.commits, 2):
        killed = world(seed)
        again = killed_at(killed, kill, lambda: chance.choice([None, 0, 1, 2, 5]))
        assert again.status == end.status
        assert killed.effects() == whole.effects()
        assert killed.phases() == whole.phases()


@settings(max_examples=TREES // 5, deadline=None)
@given(SEEDS)
def test_check_10_branches_that_stop_each_other_come_to_rest_over_kills(seed: int) -> None:
    whole, chance = world(seed, races=True), Random(seed)
    end = finish(whole)
    assert end.status in ("success", "failure")
    all_is_told(whole)
    for kill in kills_of(chance, whole.commits, 3):
        killed = world(seed, races=True)
        again = killed_at(killed, kill, lambda: chance.choice([None, 0, 1, 2, 5]))
        assert again.status in ("success", "failure")
        all_is_told(killed)
