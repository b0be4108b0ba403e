"""Whether a factory lets a directive pass: who signed it, for whom, and what the plant forbids.

Pure but for the signature check. The relay calls it; the plant outranks the group.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.alarm.definition import AlarmDefinition
from shared.alarm.filters import FILTERS, Filter
from shared.alarm.point import Setting
from shared.alarm.shadow import centre_moved, outside
from shared.errors import ContractError, Rejected
from shared.messages.directive_about import about_of
from shared.messages.directives import (
    LANES,
    MAX_BYTES,
    MAX_SETTINGS,
    SETTINGS,
    AlarmModel,
    AlarmSetting,
    Directive,
    SignedDirective,
    known_schema,
    read,
)
from shared.security import verifies

KINDS = tuple(kind for kinds in LANES.values() for kind in kinds)


@dataclass(frozen=True, slots=True)
class Plant:
    """The site as far as directives are concerned."""

    site: str
    edges: frozenset[str]
    definitions: dict[str, AlarmDefinition]
    auto_approve: bool


def authentic(
    plant: Plant, release: Ed25519PublicKey, edge: str, signed: SignedDirective, key: str = SETTINGS
) -> Directive | Rejected:
    """The directive, if the group signed it, for this very target and to lie under this key."""
    if len(signed.payload) > MAX_BYTES:
        return Rejected("too_large", {"bytes": len(signed.payload), "most": MAX_BYTES})
    if not verifies(release, signed.release_signature, signed.payload):
        return Rejected("release_signature_invalid")
    try:
        directive = read(signed.payload)
    except ContractError as error:
        return Rejected("unreadable", {"error": str(error)})
    if not known_schema(directive) or directive.kind not in KINDS:
        return Rejected("unknown_schema", {"schema": directive.schema, "kind": directive.kind})
    if directive.kind not in LANES[key]:
        return Rejected("wrong_lane", {"kind": directive.kind, "lane": key})
    if (directive.site, directive.edge) != (plant.site, edge) or edge not in plant.edges:
        return Rejected("other_target", {"site": directive.site, "edge": directive.edge})
    return directive


def permitted(plant: Plant, directive: Directive, now: int) -> Rejected | None:
    """Why the plant refuses this directive, None if it may pass."""
    if now >= directive.expires_at:
        return Rejected("expired", {"expires_at": directive.expires_at})
    count = len(directive.settings) + len(directive.models)
    if not count:
        return Rejected("empty")
    if count > MAX_SETTINGS:
        return Rejected("too_large", {"settings": count, "most": MAX_SETTINGS})
    seen: set[str] = set()
    for setting in directive.settings:
        refusal = _forbidden(plant, directive.edge, setting)
        if refusal is None and setting.alarm in seen:
            refusal = Rejected("duplicate_alarm")
        if refusal is not None:
            return Rejected(refusal.code, {"alarm": setting.alarm, **refusal.params})
        seen.add(setting.alarm)
    for model in directive.models:
        refusal = _model_forbidden(plant, directive.edge, model)
        if refusal is None and model.alarm in seen:
            refusal = Rejected("duplicate_alarm")
        if refusal is not None:
            return Rejected(refusal.code, {"alarm": model.alarm, **refusal.params})
        seen.add(model.alarm)
    return None


def _model_forbidden(plant: Plant, edge: str, new: AlarmModel) -> Rejected | None:
    definition = plant.definitions.get(new.alarm)
    if definition is None or definition.edge != edge:
        return Rejected("unknown_alarm")
    if definition.safety:
        return Rejected("safety_point")
    if definition.bounds.locked:
        return Rejected("point_locked")
    if definition.kind != "model":
        return Rejected("not_tunable")
    return None


def _forbidden(plant: Plant, edge: str, new: AlarmSetting) -> Rejected | None:
    definition = plant.definitions.get(new.alarm)
    if definition is None or definition.edge != edge:
        return Rejected("unknown_alarm")
    if definition.safety:
        return Rejected("safety_point")
    if definition.kind != "limit" or definition.side is None or new.limit is None:
        return Rejected("not_tunable")
    if not all(0 <= delay < 1e6 for delay in (new.on_delay_s, new.off_delay_s)):
        return Rejected("not_a_number")
    if new.filter not in ("", *FILTERS):
        return Rejected("not_tunable")
    setting = Setting(
        new.limit, new.deadband, round(new.on_delay_s * 1000), round(new.off_delay_s * 1000),
        cast(Filter, new.filter or "raw"),
    )  # fmt: skip
    if centre_moved(definition.bounds, setting.filter, new.centre):
        params = {"filter": setting.filter, "centre": new.centre, "own": definition.bounds.centre}
        return Rejected("filter_not_allowed", params)
    written = definition.setting
    return outside(definition.bounds, written, setting, written.filter)


def restores(plant: Plant, directive: Directive, earlier: Iterable[Directive]) -> bool:
    """Whether a rollback brings only what this factory ran before: its own settings, or such as it
    has let pass. What claims to go back and brings anything else is as new as any directive."""
    known = {(s.alarm, *_numbers(s)) for each in earlier for s in each.settings}
    for wanted in directive.settings:
        own = _own(plant.definitions[wanted.alarm])
        if _numbers(wanted) != own and (wanted.alarm, *_numbers(wanted)) not in known:
            return False
    return directive.kind == "rollback" and not directive.models


def rewrites(plant: Plant, directive: Directive, superseded: frozenset[str]) -> list[str]:
    """Alarms whose setting people wrote themselves after a directive had tuned it, and that this
    one would put back by the way: carried along as in force, not proposed."""
    proposed = {each.alarm for each in about_of(directive.extra).points}
    return [
        each.alarm
        for each in directive.settings
        if each.alarm in superseded and each.alarm not in proposed
        and _numbers(each) != _own(plant.definitions[each.alarm])
    ]  # fmt: skip


def _own(definition: AlarmDefinition) -> tuple[float | None, float, float, float, str]:
    site = definition.setting
    return (
        site.limit, site.deadband, site.on_delay_ms / 1000, site.off_delay_ms / 1000, site.filter,
    )  # fmt: skip


def _numbers(setting: AlarmSetting) -> tuple[float | None, float, float, float, str]:
    return (
        setting.limit, setting.deadband, setting.on_delay_s, setting.off_delay_s,
        setting.filter or "raw",
    )  # fmt: skip
