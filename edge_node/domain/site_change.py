"""What becomes of running alarms when the site changes: kept, settled later, ended, retired.

Pure; called by the reload with the units as they run and the definitions that are to run. A change
never ends an alarm silently: it waits for the return to normal, or says `reconfigured`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from typing import Any

from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import AlarmUnit
from edge_node.domain.suppression import WHEN, gate_id
from shared.alarm.condition import ModelParameters
from shared.alarm.definition import AlarmDefinition
from shared.alarm.machine import Policy
from shared.alarm.point import PointState
from shared.alarm.states import AlarmState

LIFE_CYCLE = ("ack_required", "confirm_used", "latching")
"""Choice points that decide which states an alarm can be in."""
WORDS = frozenset(
    {
        "name", "priority", "unit", "tag_class", "bounds", "response", "re_alarm_ms",
        "settings_version", "asset", "setting", "policy", "safety", "suppressed_by",
        "suppressed_in", "suppressed_when", "first_out", "first_out_tie_ms", "consequence",
        "snippet", "factors", "engineer",
    }
)  # fmt: skip
"""What may change under a standing alarm without making it another one."""


@dataclass(frozen=True, slots=True)
class AlarmChanges:
    """The alarms of a site change by what becomes of them."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    described: tuple[str, ...] = ()
    """Other words, priority or bounds; the condition is the same."""
    tuned: tuple[str, ...] = ()
    """Other limit, deadband or delays: in force now, or at the return to normal."""
    rebuilt: tuple[str, ...] = field(default=())
    """Another condition: a standing one ends as `reconfigured`, and is judged anew."""


def compare(old: dict[str, AlarmDefinition], new: dict[str, AlarmDefinition]) -> AlarmChanges:
    """Sort the alarms of two sites; `old` as written in its site, not as tuned since."""
    kinds: dict[str, list[str]] = {"same": [], "described": [], "tuned": [], "rebuilt": []}
    for name in new:
        if name in old:
            kinds[_kind(old[name], new[name])].append(name)
    return AlarmChanges(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        **{kind: tuple(names) for kind, names in kinds.items()},
    )


def _kind(old: AlarmDefinition, new: AlarmDefinition) -> str:
    if old == new:
        return "same"
    if _condition(old) != _condition(new) or _life_cycle(old) != _life_cycle(new):
        return "rebuilt"
    return "described" if old.setting == new.setting else "tuned"


def _condition(definition: AlarmDefinition) -> tuple[object, ...]:
    names = definition.__dataclass_fields__
    return tuple(getattr(definition, name) for name in names if name not in WORDS)


def _life_cycle(definition: AlarmDefinition) -> tuple[object, ...]:
    return tuple(getattr(definition.policy, name) for name in LIFE_CYCLE)


def keep_setting(new: AlarmDefinition, running: AlarmDefinition) -> AlarmDefinition:
    """The new definition under the setting that still runs."""
    return replace(
        new, setting=running.setting, settings_version=running.settings_version,
        engineer=new.setting,
    )  # fmt: skip


def _defaults(kind: Any, names: Collection[str]) -> tuple[tuple[str, object], ...]:
    return tuple((each.name, each.default) for each in fields(kind) if each.name in names)


_SAID = _defaults(AlarmDefinition, {each.name for each in fields(AlarmDefinition)} - WORDS)
_LIVED = _defaults(Policy, LIFE_CYCLE)


def condition_mark(definition: AlarmDefinition) -> str:
    """What an alarm's condition is, in a few digits: another one is another alarm.

    Only what is written counts, so that a field which a new version of Andon adds changes no mark;
    nor do a model's parameters, which the cloud may send.
    """
    told: list[tuple[str, object]] = []
    for name, default in _SAID:
        if (value := getattr(definition, name)) != default:
            told.append((name, _plain(value)))
    for name, default in _LIVED:
        if (value := getattr(definition.policy, name)) != default:
            told.append((name, value))
    return hashlib.blake2s(repr(told).encode(), digest_size=6).hexdigest()


def _plain(value: Any) -> object:
    """Values of a dataclass that are not as they are by default, by name."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if not is_dataclass(value):
        return value
    found: list[tuple[str, object]] = []
    for each in fields(value):
        default = each.default if each.default_factory is MISSING else each.default_factory()
        given = getattr(value, each.name)
        if given != default and not isinstance(given, ModelParameters):
            found.append((each.name, _plain(given)))
    return tuple(found)


OWN = ("definition", "order", "internal", "pending", "pending_model", "mark")
"""What a unit has from its site, or from what came down for it, and not from its past."""
PAST = tuple(each.name for each in fields(AlarmUnit) if each.name not in OWN)


def move(old: AlarmBook, new: AlarmBook, changes: AlarmChanges, kept: Collection[str]) -> None:
    """Let the new book's alarms go on where the old one's stand; before its pipeline begins.

    `kept`: alarms whose tuned setting outlives a change of the site's other words.
    """
    for name, unit in new.units.items():
        before = old.units.get(name)
        if before is None:
            continue
        for part in PAST:
            setattr(unit, part, getattr(before, part))
        if unit.pending_model is not None:  # until the return the old parameters count
            unit.definition = replace(unit.definition, condition=before.definition.condition)
        if unit.internal and unit.definition.when != before.definition.when:
            unit.state, unit.point = AlarmState(), PointState()  # another condition hides nothing
        elif name in changes.rebuilt:  # what its old condition waited for does not count
            raw = before.state.raw
            unit.point = PointState(beyond=raw, since=0, raw=raw)
        elif not unit.internal:
            _move_setting(unit, before, kept=name in kept and name not in changes.tuned)
        if unit.definition.setting != before.definition.setting or name in changes.rebuilt:
            unit.under = None
    for unit in new.units.values():
        gate = new.units.get(gate_id(unit.id))
        if gate is not None and not gate.state.active:
            unit.causes = tuple(cause for cause in unit.causes if cause != WHEN)
        new.suppression.restore(unit, unit.causes)


def _move_setting(unit: AlarmUnit, before: AlarmUnit, *, kept: bool) -> None:
    wanted, running = unit.definition, before.definition
    if kept:
        unit.definition, unit.pending = keep_setting(wanted, running), before.pending
    elif before.state.active and running.setting != wanted.setting:  # in force at the return
        unit.definition = keep_setting(wanted, running)
        unit.pending = (wanted.setting, wanted.settings_version)


def ended(old: AlarmBook, new: AlarmBook, changes: AlarmChanges, at: int) -> None:
    """End, in the new book, the standing alarms that have become others."""
    for name in changes.rebuilt:
        if old.units[name].state.retained:
            new.end(new.units[name], "reconfigured", at)
