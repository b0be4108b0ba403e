"""A directive as a person of the factory reads it: what changes, from what to what, and why.

Called by the desk of waiting directives; decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.alarm.definition import AlarmDefinition
from shared.alarm.point import Setting
from shared.alarm.shadow import setting_data
from shared.messages.directive_about import AboutPoint, about_of
from shared.messages.directives import AlarmSetting, Directive
from shared.web import dto_directives as dto
from shared.web.dto_base import Text
from shared.web.dto_group import Setting as SettingOut

if TYPE_CHECKING:
    from factory_brain.application.directive_relay import RelayEntry
    from factory_brain.application.waiting_directives import Consent

MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Trial:
    """What an edge found when it replayed its own signal."""

    before: int
    after: int
    coverage_s: float


@dataclass(frozen=True, slots=True)
class Known:
    """What is needed to word directives."""

    definitions: Mapping[str, AlarmDefinition]
    live: Mapping[str, Setting]
    trials: Mapping[tuple[str, str, str], Trial]
    needed: int
    consents: Sequence[Consent]
    newest: Mapping[str, int]


def shown(entry: RelayEntry, directive: Directive, known: Known) -> dto.DirectiveOut:
    """One directive."""
    about = about_of(directive.extra)
    told = {each.alarm: each for each in about.points}
    rollout = str(directive.extra.get("rollout") or "")[:64]
    changes = [
        _change(each, (directive.edge, rollout), told.get(each.alarm), known, entry.status)
        for each in directive.settings
        # What an edge has by now was new to it once: what is decided on stays readable.
        if each.alarm in told or _differs(each, known)
    ]
    newer = known.newest.get(entry.edge, 0)
    said = [c for c in known.consents if (c.edge, c.counter) == (entry.edge, entry.counter)]
    return dto.DirectiveOut(
        id=directive.id, edge=entry.edge, counter=entry.counter, kind=directive.kind,
        status=entry.status, code=entry.code, params=entry.params, at=entry.at,
        issued_at=directive.issued_at, expires_at=directive.expires_at,
        group_people=directive.approved_by[:200], reason=about.reason, rollout=rollout,
        stage=str(directive.extra.get("stage") or "")[:32], changes=changes[:MOST_SHOWN],
        more=max(0, len(changes) - MOST_SHOWN), unchanged=len(directive.settings) - len(changes),
        models=[each.alarm for each in directive.models][:MOST_SHOWN], needed=known.needed,
        consents=[
            dto.ConsentOut(actor=c.actor, accept=c.accept, reason=c.reason, at=c.at) for c in said
        ],
        newer=newer if newer > entry.counter else None,
    )  # fmt: skip


def _running(alarm: str, known: Known) -> Setting | None:
    definition = known.definitions.get(alarm)
    return known.live.get(alarm, definition.setting if definition else None)


def _differs(wanted: AlarmSetting, known: Known) -> bool:
    return _now(wanted.alarm, known) != _plain(wanted)


def _now(alarm: str, known: Known) -> SettingOut | None:
    running = _running(alarm, known)
    return SettingOut.model_validate(setting_data(running)) if running else None


def _change(
    wanted: AlarmSetting, place: tuple[str, str], told: AboutPoint | None, known: Known,
    status: str,
) -> dto.DirectiveChange:  # fmt: skip
    definition = known.definitions.get(wanted.alarm)
    edge, rollout = place
    trial = known.trials.get((rollout, edge, wanted.alarm))
    return dto.DirectiveChange(
        alarm=wanted.alarm,
        name=Text(zh=definition.name.zh, en=definition.name.en) if definition else Text(),
        asset=definition.asset if definition else "", tag=definition.tag if definition else "",
        unit=definition.unit if definition else "", side=definition.side if definition else None,
        priority=definition.priority if definition else 4,
        old=_old(wanted, told, known, status), new=_plain(wanted),
        per_day=told.per_day if told else None,
        before_per_day=told.before_per_day if told else None,
        true_alarms=told.true_alarms if told else None, nuisance=told.nuisance if told else None,
        trial=dto.DirectiveTrial(
            before=trial.before, after=trial.after, hours=round(trial.coverage_s / 3600, 2)
        ) if trial else None,
    )  # fmt: skip


def _old(
    wanted: AlarmSetting, told: AboutPoint | None, known: Known, status: str
) -> SettingOut | None:
    """What runs; of what has been let pass that is the new setting by now: what ran before."""
    if status == "relayed":
        return _plain(told.old) if told and told.old else None
    return _now(wanted.alarm, known)


def _plain(setting: AlarmSetting) -> SettingOut:
    return SettingOut.model_validate(
        {
            "limit": setting.limit, "deadband": setting.deadband,
            "on_delay_s": setting.on_delay_s, "off_delay_s": setting.off_delay_s,
            "filter": setting.filter or "raw",
        }
    )  # fmt: skip
