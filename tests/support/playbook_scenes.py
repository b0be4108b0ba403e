"""What may happen to the furnace playbook: each branch as a scene that is set up and acted.

Called by the crash oracle. Long patience of the document is shortened where a scene must wait it
out; what the steps do is untouched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.domain.arrivals import Arrived
from shared.alarm.states import AlarmState
from shared.clock import SystemClock
from shared.messages.bodies import AlarmTransition
from shared.paths import playbook_library
from shared.playbook.loader import load_playbook
from shared.playbook.model import Playbook
from tests.support.playbook_crash import CrashWorld, furnace_is_cool

FURNACE = Path("furnace") / "furnace-overtemp.yaml"
RESTING = {"ESD-01": False, "BURNER-01.SP": 80.0, "FAN-01.RUN": False}


@dataclass(frozen=True)
class Scene:
    """One branch."""

    name: str
    answer: str
    """What people choose; `nobody` answers, or they `cancel` the run or `shelve` its alarm."""
    expected: tuple[str, int]
    """Its status and how many writes it makes at devices."""
    esd: bool = False
    stuck: bool = False
    """The device takes writes and nothing moves."""

    def book(self) -> Playbook:
        """The document."""
        book = load_playbook(playbook_library() / FURNACE).playbook
        text = json.dumps(book.model_dump(mode="json", by_alias=True, exclude_unset=True))
        if self.stuck:
            text = text.replace('"10000ms"', '"400ms"')  # how long a verification may take
        if self.answer == "nobody":
            text = text.replace('"600000ms"', '"400ms"')  # the last rung of the ladder
        found = json.loads(text)
        found["playbook"] = f"furnace-{self.name}"
        return Playbook.model_validate(found)

    async def start(self, world: CrashWorld) -> str:
        """Set the stage and begin a run."""
        plant = world.edge.plant
        plant.values.update({**RESTING, "ESD-01": self.esd})
        plant.stuck = self.stuck
        told: set[str] = set()

        async def choose(run: str, _: dict[str, Any]) -> str | None:
            if self.answer == "cancel" and run not in told:
                now = SystemClock().now_ms()
                why = {"by": "li", "at": now, "reason": "enough", "compensate": True}
                await world.store.tell(run, "cancel", why, "li", now, "cancel_run")
                told.add(run)
            if self.answer == "shelve" and run not in told:
                await shelved(world, run)
                told.add(run)
            return None if self.answer in ("nobody", "cancel", "shelve") else self.answer

        world.choose = choose
        await furnace_is_cool(world.pool)
        book = self.book()
        inputs = {key: each.default for key, each in book.inputs.items()}
        if self.answer == "nobody":
            inputs["ask_within"] = "150ms"
        return await world.start(book, "FUR-01", inputs=inputs)


async def shelved(world: CrashWorld, run: str) -> None:
    """Somebody puts the run's alarm aside: the run leaves, and undoes what it did."""
    name, now = f"occ-{run}", SystemClock().now_ms()
    state = AlarmState(raw=True, active=True, shelf="T")
    body = AlarmTransition(
        alarm="FUR-01.TT-101.HIHI", occurrence=name, version=2, annunciated_version=1,
        kind="shelved", annunciate=False, settings_version=1, priority=1, asset="FUR-01",
        tag="TT-101", source_time=now, receive_time=now, raised_at=now, state=state.to_dict(),
    )  # fmt: skip
    alarms = AlarmStore(world.pool)
    arrived = Arrived("e1", f"shelved-{run}", now, now, False, body)
    async with alarms.transaction() as tx:
        await alarms.apply_transitions(tx, [arrived])
    await alarms.set_run(name, run)
    await world.pool.execute(
        "UPDATE run SET news = news + 1, wake_at = least(wake_at, $2) WHERE id = $1", run, now
    )


SCENES = (
    Scene("vent", "vent", ("success", 2)),
    Scene("undo", "false-alarm", ("success", 2)),
    Scene("ladder", "nobody", ("success", 2)),
    Scene("hold", "keep-holding", ("success", 1)),
    Scene("interlock", "vent", ("needs_human", 0), esd=True),
    Scene("stuck", "vent", ("needs_human", 1), stuck=True),
    Scene("cancel", "cancel", ("cancelled", 2)),
    Scene("leave", "shelve", ("failure", 2)),
)
