"""What an edge did alone for an alarm that was over before the brain heard of it."""

from __future__ import annotations

from typing import Any

import httpx

from factory_brain.bootstrap import Brain
from shared.messages.bodies import FragmentStep
from tests.support.brain_world import ALARM, FakeEdge, log_in, transition, until

pytest_plugins = ("tests.support.brain_fixtures",)

DEVICE = "FUR-01/burner"


def step(path: str, phase: str, data: dict[str, Any]) -> FragmentStep:
    return FragmentStep(
        playbook="furnace-overtemp", version=1, alarm=ALARM, occurrence="occ-1",
        path=f"/offline{path}", phase=phase, data=data,
    )  # fmt: skip


async def test_it_stands_in_the_time_line_though_no_run_adopts_it(
    brain: Brain, edge: FakeEdge, web: httpx.AsyncClient
) -> None:
    await log_in(web)
    await edge.send(transition(2, active=False, acked=False, kind="returned"))
    await edge.send(step("/hold-alone", "intent", {"device": DEVICE}))
    failed = {"device": DEVICE, "outcome": "refused", "reason": "interlock", "params": {}}
    await edge.send(step("/hold-alone", "failed", failed))
    await edge.send(step("", "done", {"status": "handed_over", "reason": ""}))

    async def told() -> dict[str, Any] | None:
        answer = await web.get(f"/api/alarms/{ALARM}")
        detail = answer.json() if answer.status_code == 200 else {"timeline": []}
        whole = any(entry["kind"] == "offline_done" for entry in detail["timeline"])
        return detail if whole else None

    detail = await until(told, 20)
    assert detail["run"] is None
    shown = {entry["kind"]: entry for entry in detail["timeline"]}
    assert [shown[kind]["lane"] for kind in ("hold-alone_intent", "offline_done")] == [
        "command", "playbook",
    ]  # fmt: skip
    assert shown["hold-alone_failed"]["params"] == {
        "playbook": "furnace-overtemp", "device": DEVICE, "outcome": "refused",
        "reason": "interlock",
    }  # fmt: skip
    assert (shown["offline_done"]["params"]["status"], shown["offline_done"]["tier"]) == (
        "handed_over", "edge",
    )  # fmt: skip
