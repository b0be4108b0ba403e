"""What a tenant is shown of a roll-out that reaches beyond its own factories."""

from __future__ import annotations

from dataclasses import replace

import pytest

from group_cloud.application.ports import RolloutRow
from group_cloud.application.rollout.wording import brief_dto, detail_dto, summary_dto
from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout_plan import Change, Plan
from group_cloud.domain.rollout_policy import BUILT_IN
from shared.alarm.point import Setting

OLD, NEW = Setting(10, 1, 0, 0), Setting(12, 1, 0, 0)
WORD = "geheim"


def change(site: str, alarm: str) -> Change:
    return Change(Point(site, f"{site}-e", alarm), "L", OLD, NEW)


PLAN = Plan(
    "r", "canary_line", "careful", BUILT_IN["careful"],
    (change(WORD, f"{WORD}.HI"), change(WORD, f"{WORD}.LO"), change("own", "own.HI")),
    ("p1", "p2", "p3"), 0, "li", 1, "canary_line", code="fault_missed",
    params={"alarm": f"{WORD}.HI", "faults": [WORD]}, hold="factory_silent",
    hold_params={"site": WORD},
    excluded={str(Point(WORD, f"{WORD}-e", f"{WORD}.LO")): "no_answer"},
)  # fmt: skip


def row(site: str) -> RolloutRow:
    return RolloutRow(
        f"d-{site}", "r", "canary_line", "settings", (), site, f"{site}-e", 1, "applied",
        {f"{site}.HI": NEW}, b"", b"", 1, 1,
    )  # fmt: skip


def test_a_tenant_sees_its_own_part_and_no_word_of_the_others() -> None:
    shown = detail_dto(PLAN, [row(WORD), row("own")], ["own"])
    assert WORD not in shown.model_dump_json()
    assert (shown.sites, shown.points, shown.proposals) == (["own"], 1, ["p3"])
    assert [(each.alarm, each.stage) for each in shown.changes] == [("own.HI", "all")]
    assert [each.site for each in shown.results] == ["own"]
    assert [each.points for each in shown.stages if each.stage == "all"] == [1]
    assert shown.actions == []  # it is not this tenant's alone to steer
    assert WORD not in summary_dto(PLAN, ["own"]).model_dump_json()
    assert WORD not in brief_dto(PLAN, ["own"]).model_dump_json()


@pytest.mark.parametrize("sites", [None, ["own", WORD]])
def test_whoever_may_see_all_of_it_sees_all_of_it(sites: list[str] | None) -> None:
    rows = [row(WORD), row("own")]
    whole = detail_dto(PLAN, rows, sites)
    assert whole == detail_dto(PLAN, rows)
    assert (whole.points, len(whole.results), whole.params["faults"]) == (3, 2, [WORD])
    assert whole.actions
    assert replace(PLAN, params={}) != PLAN
