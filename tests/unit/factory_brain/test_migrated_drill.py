"""A drill that is moved to another version keeps its pace: what begins late waits as short."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from factory_brain.application.playbooks.authoring.migrating import Migrating, Move
from factory_brain.application.playbooks.held import paced
from factory_brain.application.playbooks.ports import RunRecord
from shared.clock import ManualClock
from shared.playbook.loader import Loaded, load_text

NOW = 1_700_000_000_000
TEXT = """\
schema: playbook/v1
playbook: cool
version: {version}
name: Cool
inputs:
  first: {{type: duration, default: 5m, tunable: {{min: 1m, max: 10m}}}}
{more}triggers: [{{id: hot, alarm: A}}]
deadline: {deadline}
steps:
  - {{id: settle, wait: "${{inputs.first}}"}}
{late}"""
OLD = load_text(TEXT.format(version=1, more="", deadline="3h", late=""), "old.yaml")
NEW = load_text(
    TEXT.format(
        version=2, deadline="4h", more="  second: {type: duration, default: 8m}\n",
        late='  - {id: later, wait: "${inputs.second}"}\n  - {id: last, wait: 10m}\n',
    ),
    "new.yaml",
)  # fmt: skip


class Runs:
    """One live run."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self.run = RunRecord(
            "r1", OLD.digest, "cool", 1, "k", None, None, context, "waiting", NOW, None, NOW + 1, 1
        )
        self.moved: tuple[Mapping[str, Any], int] | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def seen(self, tx: Any, run: str) -> RunRecord:
        return self.run

    locked = seen

    async def journal(self, tx: Any, run: str) -> dict[str, Any]:
        return {}

    async def document(self, tx: Any, digest: str) -> Any:
        return OLD.document

    async def move(
        self, tx: Any, run: str, target: Loaded, context: Mapping[str, Any], deadline_at: int,
        now: int,
    ) -> None:  # fmt: skip
        self.moved = (context, deadline_at)


class Live:
    """The site's releases, and its shelf with nothing else on it."""

    def __init__(self) -> None:
        self.store = self

    def get(self, playbook: str, version: int = 0) -> Any:
        async def none() -> None:
            return None

        return none() if version else NEW

    def inputs(self, book: Any) -> dict[str, Any]:
        return {"first": "4m", "second": "8m"}

    def calls(self, book: Any) -> dict[str, str]:
        return {}


async def moved(context: Mapping[str, Any]) -> tuple[Mapping[str, Any], int]:
    runs, live = Runs(context), Live()

    async def audit(*_: Any, **__: Any) -> None:
        return

    around: Any = live
    migrating = Migrating(runs, around, around, ManualClock(NOW), audit)
    told = await migrating.preview("r1", 2)
    assert isinstance(told, Move)
    assert await migrating.migrate("r1", 2, "lin", "longer") is None
    assert runs.moved is not None
    assert told.deadline_at == runs.moved[1]  # what people are shown is what comes of it
    return runs.moved


async def test_what_starts_late_in_a_moved_drill_goes_by_its_pace() -> None:
    given = {"drill": True, "time_scale": 60.0, "inputs": {"first": "5000ms"}}
    context, deadline = await moved(given)
    assert deadline == NOW + 4 * 60_000
    # What it was given when it began is shortened already; what is new is shortened now.
    assert context["inputs"] == {"first": "5000ms", "second": "8000ms"}
    last = paced(NEW.playbook, 60).all_steps()
    assert [step.wait for step in last][-1] == 10_000


async def test_a_real_run_goes_by_the_clock() -> None:
    context, deadline = await moved({"time_scale": 60.0, "inputs": {"first": "5m"}})
    assert deadline == NOW + 4 * 3_600_000
    assert context["inputs"] == {"first": "5m", "second": "8m"}
