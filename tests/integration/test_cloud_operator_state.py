"""The group folds the same operator state as the factory, from what came up."""

from __future__ import annotations

import httpx
import pytest

from shared.alarm.states import AlarmState
from shared.messages.bodies import AlarmTransition, Fact, FactResult
from tests.support.cloud_world import NODE, Factory, Group, until

pytest_plugins = ("tests.support.cloud_fixtures",)


@pytest.fixture
def web(group_web: httpx.AsyncClient) -> httpx.AsyncClient:
    """The group's interface; a name of its own in the plug-in, as the brain's has the same one."""
    return group_web


ALARM = "FUR-01.TT-101.HI"


def said(name: str, action: str, actor: str, at: int, **args: str) -> Fact:
    return Fact(
        id=name, alarm=ALARM, occurrence="occ-s", version_seen=1, action=action, actor=actor,
        place="factory", hlc=f"{at:013d}.00000", args=args,
    )  # fmt: skip


async def test_who_acknowledged_is_known_to_the_group(
    group: Group, factory: Factory, web: httpx.AsyncClient
) -> None:
    raised = AlarmTransition(
        alarm=ALARM, occurrence="occ-s", version=1, annunciated_version=1, kind="raised",
        annunciate=True, state=AlarmState(raw=True, active=True, acked=False).to_dict(),
        settings_version=1, priority=2, asset="FUR-01", tag="TT-101", raised_at=5, source_time=5,
    )  # fmt: skip
    refused = FactResult(
        fact="f1", alarm=ALARM, occurrence="occ-s", result="refused", code="not_seen"
    )
    # in any order: the answer before what it answers
    await factory.say(
        refused, said("f2", "acknowledge", "li", 20), said("f1", "acknowledge", "wang", 10),
        said("f3", "comment", "li", 30, text="看过"), said("f4", "assign", "li", 31, to="zhao"),
        raised,
    )  # fmt: skip
    path = f"/api/factories/{NODE.site}/occurrences/occ-s"

    async def folded() -> dict[str, object] | None:
        answer = await web.get(path)
        assert answer.status_code in (200, 404), answer.text
        return answer.json() if answer.status_code == 200 else None

    shown = await until(folded)
    assert (shown["state"], shown["acked_by"]["actor"], shown["also_acked_by"]) == (
        "acknowledged", "li", [],
    )  # fmt: skip
    assert (shown["comments"][0]["text"], shown["assigned_to"]) == ("看过", "zhao")
    unknown = await web.get(f"/api/factories/{NODE.site}/occurrences/none")
    assert unknown.json()["code"] == "unknown_occurrence"
