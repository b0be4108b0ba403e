"""A change of the site under a running edge: alarms, values and connections go on."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.messages.bodies import AlarmTransition, StateChange, SystemEvent
from tests.support.edge_world import HI, HIHI, Brain, Engine, raised, until

pytest_plugins = ("tests.support.edge_fixtures",)
pytestmark = pytest.mark.timeout(240)

Edit = Callable[[dict[str, Any]], None]


def change(folder: Path, name: str, edit: Edit | str) -> None:
    """Rewrite one file of the site as an engineer would: whole, by a rename."""
    path = folder / "site" / name
    if isinstance(edit, str):
        text = edit
    else:
        document = deepcopy(yaml.safe_load(path.read_text()))
        edit(document)
        text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    new = path.with_suffix(".tmp")
    new.write_text(text)
    new.replace(path)


def alarm(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in document["alarms"] if one["id"] == name)


def kinds(above: Brain, name: str) -> list[str]:
    return [body.kind for body in above.bodies(AlarmTransition) if body.alarm == name]


async def ready(above: Brain, count: int = 0) -> str:
    """Wait until the edge runs what is wanted; its version."""

    def same() -> str:
        health = above.health[-1] if len(above.health) > count else None
        settled = health is not None and health.site_version == health.site_desired
        return health.site_version if health is not None and settled else ""

    return await until(same, 15, "the wanted site does not run")


async def other(above: Brain, version: str) -> str:
    await until(lambda: above.health[-1].site_version != version, 15, "the old site still runs")
    return above.health[-1].site_version


async def test_a_new_limit_is_in_force_without_a_sample_and_without_a_restart(
    above: Brain, engine: Engine, tmp_path: Path
) -> None:
    await engine.tell("s1", samples=[["TT-1", 95], ["SP-1", 50], ["ESD-1", 0]])
    version = await ready(above)
    starts = len(engine.events("child_started")) or engine.log_text().count("driver:s1")

    def lower(document: dict[str, Any]) -> None:
        alarm(document, HI)["limit"] = 92
        del alarm(document, HI)["bounds"]
        document["alarms"].append(
            {"id": "X-1.TT-2.LO", "edge": "e9", "asset": "X-1", "tag": "TT-2", "side": "LO",
             "limit": 10, "priority": 3, "name": {"zh": "低", "en": "LO"}}
        )  # fmt: skip

    change(tmp_path, "alarms/a.yaml", lower)
    first = await raised(above, HI)
    assert (first.value, first.limit) == (95.0, 92.0)
    assert await other(above, version) == above.health[-1].site_desired
    # A standing alarm keeps the setting that raised it until it returns.
    change(tmp_path, "alarms/a.yaml", lambda d: alarm(d, HI).update(limit=80))
    await until(lambda: len(engine.events("site_swapped")) == 2, 15)
    await engine.tell("s1", samples=[["TT-1", 85]])
    await until(lambda: kinds(above, HI)[-2:] == ["returned", "raised"], 10, str(kinds(above, HI)))
    again = await raised(above, HI)
    assert (again.value, again.limit, again.occurrence != first.occurrence) == (85.0, 80.0, True)
    await engine.tell("s2", samples=[["TT-2", 5]])
    await raised(above, "X-1.TT-2.LO")
    assert above.gapless()
    assert engine.log_text().count("driver:s1") == starts  # no child was started again


async def test_what_people_did_survives_and_other_conditions_end_aloud(
    above: Brain, engine: Engine, tmp_path: Path
) -> None:
    await engine.tell("s1", samples=[["TT-1", 130], ["SP-1", 50], ["ESD-1", 0]])
    standing = await raised(above, HIHI)
    version = await ready(above)

    def gone(document: dict[str, Any]) -> None:
        document["alarms"].remove(alarm(document, "X-1.TT-2.HI"))
        alarm(document, HIHI)["name"] = {"zh": "新名", "en": "renamed"}

    change(tmp_path, "alarms/a.yaml", gone)
    version = await other(above, version)
    assert kinds(above, HIHI)[0] == "raised"
    assert "reconfigured" not in kinds(above, HIHI)

    def turned(document: dict[str, Any]) -> None:
        alarm(document, HIHI).update(side="LOLO", limit=1)

    change(tmp_path, "alarms/a.yaml", turned)
    await until(lambda: kinds(above, HIHI)[-1:] == ["reconfigured"], 15, str(kinds(above, HIHI)))
    last = [b for b in above.bodies(AlarmTransition) if b.alarm == HIHI][-1]
    assert last.occurrence == standing.occurrence
    assert last.state["active"] is False
    change(tmp_path, "alarms/a.yaml", lambda d: d["alarms"].remove(alarm(d, HI)))
    await until(lambda: "retired" in kinds(above, HI), 15, str(kinds(above, HI)))


async def test_a_bad_file_stops_its_own_change_and_is_said(
    above: Brain, engine: Engine, tmp_path: Path
) -> None:
    await engine.tell("s1", samples=[["TT-1", 95]])
    version = await ready(above)
    good = (tmp_path / "site" / "tags" / "t.yaml").read_text()
    change(tmp_path, "tags/t.yaml", good.replace("asset: X-1", "aset: X-1", 1))
    change(tmp_path, "alarms/a.yaml", lambda d: alarm(d, HI).update(limit=92))
    await raised(above, HI)  # the good file's change is in force

    def refused() -> SystemEvent | None:
        found = [b for b in above.bodies(SystemEvent) if b.code == "site_refused" and b.active]
        return found[-1] if found else None

    event = await until(refused, 10)
    assert "tags/t.yaml:" in event.params["faults"]
    assert event.params["held_back"] == ["tags/t.yaml"]
    await other(above, version)
    health = above.health[-1]
    assert health.site_desired not in (version, health.site_version)
    engine.kill()  # the same mixture runs after a restart
    engine.start()
    await engine.ready()
    count = len(above.health)
    await until(lambda: len(above.health) > count + 1, 15)
    assert above.health[-1].site_version == health.site_version
    change(tmp_path, "tags/t.yaml", good)
    await ready(above, len(above.health))
    ended = [b.active for b in above.bodies(SystemEvent) if b.code == "site_refused"]
    assert ended[-1] is False


CHART = {
    "charts": [
        {
            "id": "X-1.MODE", "edge": "e9", "asset": "X-1", "name": {"zh": "模式", "en": "mode"},
            "initial": "idle",
            "states": [
                {"id": "idle", "name": {"zh": "停", "en": "idle"}},
                {"id": "running", "name": {"zh": "开", "en": "running"}},
            ],
            "transitions": [
                {"from": "idle", "to": "running", "when": 'tag("SP-1").value > 20'},
                {"from": "running", "to": "idle", "when": 'tag("SP-1").value <= 20'},
            ],
        }
    ]
}  # fmt: skip


async def test_a_chart_suppresses_an_alarm_by_design_in_a_state(
    above: Brain, engine: Engine, tmp_path: Path
) -> None:
    version = await ready(above)
    (tmp_path / "site" / "states").mkdir(exist_ok=True)
    (tmp_path / "site" / "states" / "s.yaml").write_text(yaml.safe_dump(CHART, allow_unicode=True))
    gate = [{"chart": "X-1.MODE", "in": ["idle"]}]
    change(tmp_path, "alarms/a.yaml", lambda d: alarm(d, HI).update(suppressed_in=gate))
    await other(above, version)
    await engine.tell("s1", samples=[["SP-1", 5], ["TT-1", 105]])
    await until(lambda: kinds(above, HI), 10)
    assert not any(b.annunciate for b in above.bodies(AlarmTransition) if b.alarm == HI)
    await engine.tell("s1", samples=[["SP-1", 60]])
    await until(
        lambda: any(b.annunciate for b in above.bodies(AlarmTransition) if b.alarm == HI), 10
    )
    changes = [(body.before, body.after) for body in above.bodies(StateChange)]
    assert changes[-1] == ("idle", "running")
    count = len(changes)
    engine.kill()
    engine.start()
    await engine.ready()
    await engine.tell("s1", samples=[["SP-1", 5]])
    await until(lambda: len(above.bodies(StateChange)) > count, 10)
    assert above.bodies(StateChange)[-1].before == "running"  # known again after the restart


async def test_an_alarm_that_stood_under_another_condition_ends_at_the_start(
    above: Brain, engine: Engine, tmp_path: Path
) -> None:
    await engine.tell("s1", samples=[["TT-1", 105], ["SP-1", 50]])
    before = await raised(above, HI)
    await ready(above)
    engine.kill()  # and while nothing runs the alarm becomes one of another tag, beyond as well
    change(
        tmp_path, "alarms/a.yaml",
        lambda d: alarm(d, HI).update(tag="SP-1", limit=40, suppressed_by=[], bounds={}),
    )  # fmt: skip
    engine.start()
    await engine.ready()
    wanted = ["raised", "reconfigured", "raised"]
    await until(lambda: kinds(above, HI) == wanted, 15, str(kinds(above, HI)))
    told = [body for body in above.bodies(AlarmTransition) if body.alarm == HI]
    assert told[0].occurrence == told[1].occurrence == before.occurrence
    assert told[2].occurrence != before.occurrence
    assert told[2].annunciate
