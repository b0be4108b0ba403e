"""Attacks on directives: each is tried on the real relay, on the real edge, and on the group.

Whatever is not signed by both keys, meant for this edge, newer than all before and inside the
plant's own bounds changes nothing. The count is told at the end of the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from group_cloud.application.ports import RolloutRow
from group_cloud.application.reports import Reports
from shared.clock import ManualClock
from shared.messages.bodies import DirectiveReport
from shared.messages.directives import (
    DRY_RUN,
    MAX_BYTES,
    MAX_SETTINGS,
    SETTINGS,
    AlarmModel,
    AlarmSetting,
    Directive,
)
from tests.support import summary
from tests.support.directive_bench import (
    APPROVAL,
    HI,
    HIHI,
    HOUR,
    STRANGER,
    Bench,
    new,
    order,
    sealed,
    swapped,
)
from tests.support.rollout_world import FACTORY, GROUP, NOW, SITES


@dataclass(frozen=True)
class Attack:
    """What lies in a bucket, and how each tier refuses it; None: this tier is not asked."""

    data: bytes
    relay: str | None
    edge: str | None
    key: str = SETTINGS
    bucket: str = "e1"


def both(directive: Directive, relay: str, edge: str, **more: Any) -> Attack:
    return Attack(sealed(directive), relay, edge, **more)


NO_BOUND = next(
    a for a in SITES["f1"].alarms.values()
    if a.edge == "e1" and a.kind == "limit" and not a.safety and a.bounds.deadband_max is None
)  # fmt: skip
FORBIDDEN = ("out_of_bounds", "locked", "unknown_alarm", "duplicate_alarm", "bad_value")
OTHER_EDGE = "CMP-01.TT-201.HI"
MANY = [new(f"FUR-01.X-{n}.HI") for n in range(MAX_SETTINGS + 1)]
FAT = order(extra={"padding": "x" * (2 * MAX_BYTES)})
WEIGHTS = AlarmModel(alarm=HI, type="logistic", mean=[0.0], scale=[1.0], weights=[1.0])

ATTACKS: dict[str, Attack] = {
    # who signed
    "unsigned": Attack(
        sealed(order(), None, None), "release_signature_invalid", "bad_release_signature"
    ),
    "signed by a stranger": Attack(
        sealed(order(), STRANGER), "release_signature_invalid", "bad_release_signature"
    ),
    "signed by the factory in the group's place": Attack(
        sealed(order(), APPROVAL), "release_signature_invalid", "bad_release_signature"
    ),
    "approval missing": Attack(sealed(order(), GROUP, None), None, "bad_approval_signature"),
    "approved by a stranger": Attack(
        sealed(order(), GROUP, STRANGER), None, "bad_approval_signature"
    ),
    "approved by the group itself": Attack(
        sealed(order(), GROUP, GROUP), None, "bad_approval_signature"
    ),
    "approved by another factory": Attack(
        sealed(order(), GROUP, FACTORY["f2"]), None, "bad_approval_signature"
    ),
    "one letter changed after signing": Attack(
        swapped(order(), b"d-1", b"d-9"), "release_signature_invalid", "bad_release_signature"
    ),
    "target changed after signing": Attack(
        swapped(order(edge="e2"), b"e2", b"e1"),
        "release_signature_invalid", "bad_release_signature",
    ),
    "garbage": Attack(b"\xc1garbage", "unreadable", "malformed"),
    "signed garbage": Attack(sealed(b"\x93abc"), "unreadable", "malformed"),
    "signed nominations in a directive's place": Attack(
        sealed(msgspec.msgpack.encode({"schema": "nominations/v1", "site": "f1"})),
        "unreadable", "malformed",
    ),
    # for whom, when, what
    "another factory": both(order(site="f2"), "other_target", "wrong_target"),
    "another edge": both(order(edge="e2"), "other_target", "wrong_target"),
    "an edge that does not exist": both(
        order(edge="e9"), "other_target", "wrong_target", bucket="e9"
    ),
    "the brain in an edge's place": both(
        order(edge="brain"), "other_target", "wrong_target", bucket="brain"
    ),
    "expired": both(order(expires_at=NOW), "expired", "expired"),
    "long expired": both(order(expires_at=1), "expired", "expired"),
    "number zero": both(order(counter=0), "counter_replayed", "old_counter"),
    "a negative number": both(order(counter=-5), "counter_replayed", "old_counter"),
    "unknown schema": both(order(schema="directive/v9"), "unknown_schema", "unknown_kind"),
    "unknown kind": both(order(kind="firmware"), "unknown_schema", "unknown_kind"),
    "a dry run smuggled in as settings": both(order(kind="dry_run"), "wrong_lane", "wrong_lane"),
    "settings smuggled in as a dry run": both(order(), "wrong_lane", "wrong_lane", key=DRY_RUN),
    "a rollback smuggled in as a dry run": both(
        order(kind="rollback"), "wrong_lane", "wrong_lane", key=DRY_RUN
    ),
    "a rollback that is not signed": Attack(
        sealed(order(kind="rollback"), None), "release_signature_invalid", "bad_release_signature"
    ),
    "a rollback that the factory did not approve": Attack(
        sealed(order(kind="rollback"), GROUP, None), None, "bad_approval_signature"
    ),
    "a dry run that is not signed": Attack(
        sealed(order(kind="dry_run"), None),
        "release_signature_invalid", "bad_release_signature", key=DRY_RUN,
    ),
    "a dry run of what is forbidden": both(
        order(new(HIHI, 1290.0), kind="dry_run"), "safety_point", "locked", key=DRY_RUN
    ),
    "nothing in it": both(order(settings=[]), "empty", "empty"),
    "oversized": both(FAT, "too_large", "too_large"),
    "too many settings": both(order(*MANY), "too_large", "too_large"),
    # inside the plant's bounds, each number
    "limit above its bound": both(
        order(new(limit=1265.1)), "limit_outside_bounds", "out_of_bounds"
    ),
    "limit below its bound": both(
        order(new(limit=1199.9)), "limit_outside_bounds", "out_of_bounds"
    ),
    "deadband above its bound": both(
        order(new(deadband=20.1)), "deadband_outside_bounds", "out_of_bounds"
    ),
    "negative deadband": both(
        order(new(deadband=-0.1)), "deadband_outside_bounds", "out_of_bounds"
    ),
    "deadband that has no bound": both(
        order(
            AlarmSetting(
                alarm=NO_BOUND.id, limit=NO_BOUND.setting.limit,
                deadband=NO_BOUND.setting.deadband + 0.1, on_delay_s=2.0, off_delay_s=2.0,
            )
        ),
        "deadband_outside_bounds", "out_of_bounds",
    ),
    "on-delay above its bound": both(
        order(new(on_delay_s=60.1)), "on_delay_outside_bounds", "out_of_bounds"
    ),
    "negative on-delay": both(order(new(on_delay_s=-1.0)), "not_a_number", "out_of_bounds"),
    "off-delay above its bound": both(
        order(new(off_delay_s=900.1)), "off_delay_outside_bounds", "out_of_bounds"
    ),
    "negative off-delay": both(order(new(off_delay_s=-1.0)), "not_a_number", "out_of_bounds"),
    **{
        f"{name} {value}": both(
            order(new(**{name: value})), "not_a_number", "bad_value"  # type: ignore[arg-type]
        )
        for name in ("limit", "deadband", "on_delay_s", "off_delay_s")
        for value in (math.nan, math.inf, -math.inf)
    },
    "a safety point": both(order(new(HIHI, 1290.0)), "safety_point", "locked"),
    "a safety point behind a good one": both(
        order(new(), new(HIHI, 1290.0)), "safety_point", "locked"
    ),
    "an unknown alarm": both(order(new("FUR-99.X")), "unknown_alarm", "unknown_alarm"),
    "an alarm of another edge": both(
        order(new(OTHER_EDGE, 106.0)), "unknown_alarm", "unknown_alarm"
    ),
    "an alarm twice": both(order(new(), new(limit=1240.0)), "duplicate_alarm", "duplicate_alarm"),
    "a limit for what has none": both(order(new("FUR-01.DOOR", 1.0)), "not_tunable", "bad_value"),
    "a model for what is no model": both(
        order(settings=[], models=[WEIGHTS]), "not_tunable", "bad_value"
    ),
    "a model of an unknown alarm": both(
        order(settings=[], models=[msgspec.structs.replace(WEIGHTS, alarm="FUR-99.X")]),
        "unknown_alarm", "unknown_alarm",
    ),
}  # fmt: skip
SEQUENCES: dict[str, Callable[[], Any]] = {}


def sequence(function: Callable[[], Any]) -> Callable[[], Any]:
    SEQUENCES[function.__name__.replace("_", " ")] = function
    return function


@pytest.mark.parametrize("name", ATTACKS)
async def test_a_single_directive(name: str) -> None:
    attack, bench = ATTACKS[name], Bench()
    if attack.relay is not None:
        assert await bench.from_group(attack.data, attack.key, attack.bucket) == attack.relay
        assert not bench.passed_on
        assert await bench.from_group(attack.data, attack.key, attack.bucket) == ""  # told once
        assert not bench.passed_on
    if attack.edge is not None:
        assert await bench.at_edge(attack.data, attack.key) == attack.edge
        bench.edge.start()  # and after a start
        await bench.edge.look()
    assert bench.untouched
    # Only what was genuine and forbidden has used up its own number: the next good one goes on.
    spent = attack.key == SETTINGS and attack.edge in FORBIDDEN
    assert await bench.at_edge(sealed(order(counter=1 + spent))) == ""
    assert bench.edge.limits()[HI] == 1236.0


@sequence
async def a_number_replayed_at_the_edge() -> None:
    bench = Bench()
    await bench.at_edge(sealed(order()))
    await bench.at_edge(sealed(order(new(limit=1242.0), counter=2, id="d-2")))
    assert await bench.at_edge(sealed(order())) == "old_counter"
    assert bench.edge.limits()[HI] == 1242.0
    bench.edge.start()
    assert bench.edge.limits()[HI] == 1242.0


@sequence
async def a_number_replayed_at_the_relay() -> None:
    bench = Bench()
    await bench.from_group(sealed(order(counter=3, id="d-3")))
    assert await bench.from_group(sealed(order(counter=2, id="d-2"))) == "counter_replayed"


@sequence
async def a_number_used_again_for_other_bytes() -> None:
    bench = Bench()
    await bench.from_group(sealed(order()))
    other = sealed(order(new(limit=1250.0), id="d-x"))
    assert await bench.from_group(other) == "counter_reused"
    await bench.edge.look()
    assert await bench.at_edge(other) == "old_counter"
    assert bench.edge.limits()[HI] == 1236.0


@sequence
async def the_old_directive_again_after_its_rollback() -> None:
    bench = Bench()
    first = sealed(order())
    await bench.from_group(first)
    await bench.edge.look()
    back = order(new(limit=1230.0), counter=2, id="d-2", kind="rollback", parent="d-1")
    assert await bench.from_group(sealed(back)) == ""
    await bench.edge.look()
    assert bench.edge.limits()[HI] == 1230.0
    assert await bench.from_group(first) == ""  # settled: it changes nothing
    await bench.edge.look()
    assert await bench.at_edge(first) == "old_counter"
    bench.edge.start()
    await bench.edge.look()
    assert bench.edge.limits()[HI] == 1230.0


@sequence
async def a_dry_run_that_comes_again_after_a_start() -> None:
    bench = Bench()
    run = sealed(order(kind="dry_run"))
    await bench.at_edge(run, DRY_RUN)
    assert [r.status for r in bench.edge.reports] == ["dry_run"]
    bench.edge.start()
    await bench.edge.look()
    assert len(bench.edge.reports) == 1
    assert await bench.at_edge(sealed(order(kind="dry_run", id="d-0")), DRY_RUN) == "old_counter"
    assert bench.untouched


@sequence
async def a_dry_run_in_the_way_of_settings() -> None:
    bench = Bench()
    await bench.from_group(sealed(order()))
    await bench.from_group(sealed(order(kind="dry_run", counter=9)), DRY_RUN)
    await bench.edge.look()
    assert bench.edge.limits()[HI] == 1236.0


@sequence
async def a_rollback_used_to_go_round_the_factorys_person() -> None:
    bench = Bench(auto=False)
    sly = order(new(limit=1250.0), kind="rollback")
    assert await bench.from_group(sealed(sly)) == ""
    assert not bench.passed_on
    assert [e.status for e in bench.ledger.entries.values()] == ["waiting"]
    honest = order(new(limit=1230.0), counter=2, id="d-2", kind="rollback")
    await bench.from_group(sealed(honest))
    assert bench.passed_on  # what the site itself says may always come back


@sequence
async def a_rollback_outside_bounds() -> None:
    bench = Bench()
    bad = order(new(limit=1290.0), kind="rollback")
    assert await bench.from_group(sealed(bad)) == "limit_outside_bounds"
    assert await bench.at_edge(sealed(bad)) == "out_of_bounds"
    assert bench.untouched


@sequence
async def a_directive_that_waited_for_a_person_too_long() -> None:
    bench = Bench(auto=False)
    await bench.from_group(sealed(order()))
    bench.clock.advance(HOUR)
    await bench.relay.carry_out()
    [answer] = bench.ledger.entries.values()
    assert (answer.code, bench.passed_on) == ("expired", False)


@sequence
async def an_edge_without_pinned_keys() -> None:
    bench = Bench()
    bench.edge.handler._keys = None
    assert await bench.at_edge(sealed(order())) == "no_pinned_keys"
    assert bench.untouched


class Book:
    """The group's directives in memory, for reports."""

    def __init__(self, *rows: RolloutRow) -> None:
        self.rows = {row.directive: row for row in rows}
        self.moves: list[str] = []

    async def get(self, tx: object, directive: str) -> RolloutRow | None:
        return self.rows.get(directive)

    async def save(self, tx: object, row: RolloutRow) -> None:
        self.rows[row.directive] = row

    async def of_edge(self, tx: object, site: str, edge: str) -> list[RolloutRow]:
        return []

    async def audit(self, *what: object) -> None:
        self.moves.append(str(what[3]))

    async def said(self, site: str, **report: Any) -> str:
        taker = Reports(ManualClock(NOW), self, self.audit)  # type: ignore[arg-type]
        given = {"directive": "d-1", "counter": 1, "status": "applied", "edge": "e1", **report}
        await taker.take(None, site, DirectiveReport(**given))
        return self.rows["d-1"].status


def row(status: str = "sent", kind: str = "settings") -> RolloutRow:
    return RolloutRow(
        "d-1", "r-1", "all", kind, ("p-1",), "f1", "e1", 1, status, {}, b"", b"", NOW + HOUR, NOW  # type: ignore[arg-type]
    )  # fmt: skip


REPORTS: dict[str, tuple[RolloutRow, str, dict[str, Any]]] = {
    "another factory reports": (row(), "f2", {}),
    "another edge of the factory reports": (row(), "f1", {"edge": "e2"}),
    "an unknown directive is reported": (row(), "f1", {"directive": "d-7"}),
    "another number is reported": (row(), "f1", {"counter": 2}),
    "applied before it was ever sent": (row("signed"), "f1", {}),
    "relayed before it was ever sent": (row("signed"), "f1", {"status": "relayed"}),
    "applied after it was refused": (row("refused"), "f1", {}),
    "applied after it was taken back": (row("rolled_back"), "f1", {}),
    "a dry run reported as applied": (row("sent", "dry_run"), "f1", {}),
    "settings reported as a dry run": (row(), "f1", {"status": "dry_run"}),
    "a status that does not exist": (row(), "f1", {"status": "exploded"}),
}


@pytest.mark.parametrize("name", REPORTS)
async def test_a_report_that_is_not_to_be_believed(name: str) -> None:
    held, site, report = REPORTS[name]
    book = Book(held)
    assert await book.said(site, **report) == held.status
    assert book.moves == []


@pytest.mark.parametrize("name", SEQUENCES)
async def test_a_sequence(name: str) -> None:
    await SEQUENCES[name]()


def test_the_count_is_told() -> None:
    count = len(ATTACKS) + len(SEQUENCES) + len(REPORTS)
    tries = sum((a.relay is not None) + (a.edge is not None) for a in ATTACKS.values())
    summary.say(
        "directive-attacks",
        f"{count} named attacks, {tries + len(SEQUENCES) + len(REPORTS)} tries at relay, edge and "
        "group; none got through",
    )
    assert count >= 70
