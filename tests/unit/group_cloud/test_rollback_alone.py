"""A rollback carries nothing that wants a consent; a stale proposal is not approved: no store."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from group_cloud.application.ports import ProposalRow, RolloutRow, Transaction
from group_cloud.application.proposals import LAG_MS, ProposalDesk, Wanted
from group_cloud.application.reports import Reports
from group_cloud.application.rollouts import Dispatch, Order, Stores
from group_cloud.domain.evidence import Point
from shared.alarm.point import Setting
from shared.clock import ManualClock
from shared.errors import Rejected
from shared.messages.bodies import DirectiveReport
from shared.messages.directives import read

NOW = 1_700_000_000_000
TX = cast(Transaction, None)
OLD, NEW, OTHER = Setting(100.0), Setting(110.0), Setting(120.0)


class Rows:
    """The directives of one edge."""

    def __init__(self) -> None:
        self.rows: dict[str, RolloutRow] = {}

    async def next_counter(self, tx: Transaction, site: str, target: str) -> int:
        return len(self.rows) + 1

    async def of_edge(self, tx: Transaction, site: str, edge: str) -> list[RolloutRow]:
        return sorted(self.rows.values(), key=lambda row: row.counter)

    async def get(self, tx: Transaction, directive: str) -> RolloutRow | None:
        return self.rows.get(directive)

    async def save(self, tx: Transaction, row: RolloutRow) -> None:
        self.rows[row.directive] = row


async def no_audit(*_: Any) -> None:
    return None


class Group:
    """Signs and takes reports."""

    def __init__(self) -> None:
        self.rows, clock = Rows(), ManualClock(NOW)
        stores = Stores(None, None, self.rows, no_audit)  # type: ignore[arg-type]
        self.stores = stores
        self.dispatch = Dispatch(stores, None, clock, lambda _: b"")  # type: ignore[arg-type]
        self.reports = Reports(clock, self.rows, no_audit)  # type: ignore[arg-type]

    async def sign(
        self, plan: str, kind: str, status: str = "relayed", **changes: Setting
    ) -> RolloutRow:
        order = Order(plan, "all", kind, "f1", "e1", changes, (), "li")  # type: ignore[arg-type]
        row = await self.dispatch.sign(TX, order)
        await self.rows.save(TX, replace(row, status=status))  # type: ignore[arg-type]
        return row

    async def applied(self, row: RolloutRow) -> None:
        report = DirectiveReport(directive=row.directive, counter=row.counter, status="applied")
        await self.reports.take(TX, "f1", report)

    def stands(self, row: RolloutRow) -> tuple[str, str | None]:
        found = self.rows.rows[row.directive]
        return found.status, found.code


def carried(row: RolloutRow) -> dict[str, float | None]:
    return {each.alarm: each.limit for each in read(row.payload).settings}


async def test_a_rollback_does_not_carry_its_own_change_again() -> None:
    group = Group()
    await group.sign("r", "settings", "applied", X=NEW, Y=NEW)
    await group.sign("r", "rollback", "refused", X=OLD, Y=OLD)  # the plant names X
    assert carried(await group.sign("r", "rollback", Y=OLD)) == {"Y": 100.0}


async def test_a_rollback_waits_for_no_consent_to_what_others_want() -> None:
    group = Group()
    await group.sign("p", "settings", "applied", Z=OTHER, V=OTHER)
    await group.sign("r", "settings", "applied", X=NEW)
    await group.sign("q", "settings", "relayed", Z=NEW)  # the factory has not let it pass
    back = await group.sign("r", "rollback", X=OLD)
    # Neither Q's wish for Z nor what it is to replace: the edge may run it already.
    assert carried(back) == {"V": 120.0, "X": 100.0}
    assert carried(await group.sign("s", "settings", W=NEW))["Z"] == 110.0  # others still do


async def test_a_rollback_under_way_of_another_roll_out_is_not_undone() -> None:
    group = Group()
    await group.sign("q", "settings", "applied", Z=NEW)
    await group.sign("q", "rollback", "relayed", Z=OLD)
    assert carried(await group.sign("r", "rollback", X=OLD)) == {"Z": 100.0, "X": 100.0}


async def test_only_what_a_newer_one_really_carries_is_settled_by_it() -> None:
    group = Group()
    await group.sign("r", "settings", "applied", X=NEW)
    wish = await group.sign("q", "settings", Z=NEW)
    back = await group.sign("r", "rollback", X=OLD)
    await group.applied(back)
    assert group.stands(wish) == ("refused", "overtaken")
    wish = await group.sign("q", "settings", Z=NEW)
    newer = await group.sign("s", "settings", W=NEW)
    await group.applied(newer)
    assert group.stands(wish) == ("applied", "included_in_newer")


async def test_what_people_rewrote_in_the_plant_is_carried_along_no_more() -> None:
    group = Group()
    first = await group.sign("p", "settings", "applied", Z=OTHER, V=OTHER)
    newest = await group.sign("r", "settings", "applied", X=NEW)
    later = await group.sign("q", "settings", "relayed", V=NEW)  # asks for V anew
    told = DirectiveReport(
        directive=newest.directive, counter=2, status="superseded", params={"alarms": ["Z", "V"]}
    )
    await group.reports.take(TX, "f2", told)  # another factory has no say here
    assert group.rows.rows[first.directive].withdrawn == ()
    await group.reports.take(TX, "f1", told)
    assert group.rows.rows[first.directive].withdrawn == ("Z", "V")
    assert group.rows.rows[later.directive].withdrawn == ()
    assert group.stands(newest) == ("applied", None)
    assert carried(await group.sign("s", "settings", W=NEW)) == {"V": 110.0, "W": 110.0, "X": 110.0}
    assert carried(await group.sign("r", "rollback", X=OLD)) == {"X": 100.0}


def desk_of(group: Group) -> ProposalDesk:
    rollouts = SimpleNamespace(begin=begun)
    return ProposalDesk(group.stores, None, rollouts, ManualClock(NOW), None)  # type: ignore[arg-type]


async def begun(tx: Transaction, wanted: object) -> Rejected:
    return Rejected("begun")


@pytest.mark.parametrize(
    ("current", "made", "code"),
    [(OLD, NOW - 1, "proposal_stale"), (NEW, NOW - 1, "begun"), (OLD, NOW + LAG_MS, "begun")],
    ids=["another setting runs by now", "it starts from what runs", "the site was rewritten since"],
)
async def test_a_proposal_starts_from_what_runs(current: Setting, made: int, code: str) -> None:
    group = Group()
    await group.sign("p", "settings", "applied", X=NEW)
    row = ProposalRow(
        "p-1", Point("f1", "e1", "X"), "open", made, current, Setting(105.0), "f", 3,
        {"bounds": {"limit_min": 0.0, "limit_max": 200.0, "step": 50.0}},
    )  # fmt: skip
    found = await desk_of(group)._approve(TX, [row], Wanted("", "because", "li"))
    assert isinstance(found, Rejected)
    assert found.code == code
