"""What is asked of the counting for a nominated point: its grid and its three named settings.

`engineer` is the site file's own setting, `live` what a directive has made of it, `candidate` what
the group proposes with the nomination. Called by the job and by the judging of faults.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import replace

from factory_brain.application.ports import Alarms
from factory_brain.application.shadow.ports import Point
from factory_brain.application.shadow.tasks import CANDIDATE, ENGINEER, LIVE, Question
from factory_brain.domain.shadow import DAY_LEAD_MS, LEAD_MS, countable
from shared.alarm.definition import AlarmDefinition, Bounds
from shared.alarm.point import Setting
from shared.alarm.shadow import bounds_data, setting_data, setting_of, unit_step


class Questions:
    """Makes questions of points."""

    def __init__(
        self, definitions: dict[str, AlarmDefinition], alarms: Alarms,
        filters: Callable[[str], Collection[str] | None] = lambda edge: None,
    ) -> None:  # fmt: skip
        self._definitions, self._alarms = definitions, alarms
        self._filters = filters
        """The filters that an edge says it can run; None while it has not been heard."""

    def definition(self, point: Point) -> AlarmDefinition | None:
        """The point's alarm, if the site still has it where it was and lets it be tuned."""
        found = self._definitions.get(point.alarm)
        return found if found and found.edge == point.edge and countable(found) else None

    def tag(self, point: Point) -> str:
        """The tag whose samples say what it would have told."""
        return self._definitions[point.alarm].tag

    async def live(self) -> dict[str, Setting]:
        """alarm -> the setting that a directive has made of it."""
        pushed = await self._alarms.settings()
        return {
            alarm: self._definitions[alarm].with_setting(setting_of(data), 0).setting
            for alarm, (data, _) in pushed.items()
            if alarm in self._definitions
        }

    def named(self, point: Point, live: dict[str, Setting]) -> dict[str, Setting]:
        """The settings that have a name."""
        own = self._definitions[point.alarm].setting
        found = {LIVE: live.get(point.alarm, own), ENGINEER: own}
        if point.candidate is not None:
            found[CANDIDATE] = point.candidate
        return found

    def lead(self, point: Point) -> int:
        """How much of the signal before a span the point's candidates need."""
        definition = self._definitions[point.alarm]
        return DAY_LEAD_MS if "day" in definition.filters else LEAD_MS

    def base(self, point: Point) -> str:
        """What a grid of our own is made around, as a short text: it changes with the site file."""
        found = self._base(self._bounds(point), point)
        if self._filters(point.edge) is None and point.base:
            # Not heard since the start: what was counted with or without filters goes on.
            whole = self._base(self._definitions[point.alarm].bounds, point)
            return point.base if point.base == whole else found
        return found

    def _base(self, bounds: Bounds, point: Point) -> str:
        definition = self._definitions[point.alarm]
        around = {
            **setting_data(definition.setting), "side": definition.side,
            **bounds_data(bounds, unit_step(definition)),
        }  # fmt: skip
        text = json.dumps(around, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def _bounds(self, point: Point) -> Bounds:
        """The engineer's bounds without the filters that the point's edge cannot run."""
        bounds, runs = self._definitions[point.alarm].bounds, self._filters(point.edge) or ()
        kept = tuple(each for each in bounds.filters if each == "raw" or each in runs)
        return replace(bounds, filters=kept)

    def of(self, point: Point, live: dict[str, Setting]) -> Question:
        """The question; its grid is empty where none was made for this setting yet."""
        definition = self._definitions[point.alarm]
        assert definition.side is not None
        own = point.grid if point.base == self.base(point) else {}
        return Question(
            point.alarm, definition.side, self.named(point, live), point.given or own,
            bounds_data(self._bounds(point), unit_step(definition)),
        )  # fmt: skip
