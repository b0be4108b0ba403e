"""Whether a directive may be run here: target, counter, expiry, signatures, the plant's own bounds.

Pure but for the signature check. The directive handler calls it; nothing is changed here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.alarm.condition import ModelParameters, model_fault
from shared.alarm.definition import AlarmDefinition
from shared.alarm.filters import FILTERS, Filter
from shared.alarm.point import Setting
from shared.alarm.shadow import centre_moved, filter_allowed
from shared.errors import ContractError, Rejected
from shared.messages.directives import (
    LANES,
    MAX_SETTINGS,
    AlarmModel,
    AlarmSetting,
    Directive,
    SignedDirective,
    known_schema,
    read,
)
from shared.messages.directives import SETTINGS as CURRENT
from shared.security import verifies

KINDS = tuple(kind for kinds in LANES.values() for kind in kinds)


@dataclass(frozen=True, slots=True)
class Keys:
    """The two keys pinned at enrolment."""

    release: Ed25519PublicKey
    approval: Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class Target:
    """Who this edge is and which directive it runs."""

    site: str
    edge: str
    counter: int


def verify(signed: SignedDirective, keys: Keys | None) -> Directive | Rejected:
    """The directive, if both pinned keys have signed exactly these bytes."""
    if keys is None:
        return Rejected("no_pinned_keys")
    if not verifies(keys.release, signed.release_signature, signed.payload):
        return Rejected("bad_release_signature")
    if not verifies(keys.approval, signed.approval_signature, signed.payload):
        return Rejected("bad_approval_signature")
    try:
        return read(signed.payload)
    except ContractError as error:
        return Rejected("malformed", {"why": str(error)})


def admit(directive: Directive, target: Target, now: int, lane: str = CURRENT) -> Rejected | None:
    """Whether it is meant for this edge, now, under this key, and newer than what came before."""
    if not known_schema(directive) or directive.kind not in KINDS:
        return Rejected("unknown_kind", {"schema": directive.schema, "kind": directive.kind})
    if directive.kind not in LANES[lane]:
        return Rejected("wrong_lane", {"kind": directive.kind, "lane": lane})
    if (directive.site, directive.edge) != (target.site, target.edge):
        return Rejected("wrong_target", {"site": directive.site, "edge": directive.edge})
    if directive.counter <= target.counter:
        return Rejected("old_counter", {"counter": directive.counter, "newest": target.counter})
    if now >= directive.expires_at:
        return Rejected("expired", {"expired_at": directive.expires_at})
    count = len(directive.settings) + len(directive.models)
    if count == 0:
        return Rejected("empty")
    if count > MAX_SETTINGS:
        return Rejected("too_large", {"settings": count, "most": MAX_SETTINGS})
    return None


def settings_of(
    directive: Directive,
    definitions: Mapping[str, AlarmDefinition],
    written: Mapping[str, Setting],
) -> dict[str, Setting] | Rejected:
    """The new settings, all inside the bounds; or the first that is not.

    `written`: what the site's files say of each alarm, whatever is tuned now.
    """
    found: dict[str, Setting] = {}
    for wanted in directive.settings:
        definition = definitions.get(wanted.alarm)
        if definition is None:
            return Rejected("unknown_alarm", {"alarm": wanted.alarm})
        setting = _setting(wanted, definition)
        if isinstance(setting, Rejected):
            return setting
        refusal = within(definition, setting, written.get(definition.id, definition.setting))
        if refusal is None and centre_moved(definition.bounds, setting.filter, wanted.centre):
            params = {"alarm": wanted.alarm, "name": "centre", "value": wanted.centre}
            refusal = Rejected("out_of_bounds", params)
        if refusal is None and wanted.alarm in found:
            refusal = Rejected("duplicate_alarm", {"alarm": wanted.alarm})
        if refusal is not None:
            return refusal
        found[wanted.alarm] = setting
    return found


def models_of(
    directive: Directive, definitions: Mapping[str, AlarmDefinition]
) -> dict[str, ModelParameters] | Rejected:
    """The new model parameters, each fit for its alarm; or the first that is not."""
    found: dict[str, ModelParameters] = {}
    for wanted in directive.models:
        definition = definitions.get(wanted.alarm)
        if definition is None:
            return Rejected("unknown_alarm", {"alarm": wanted.alarm})
        if wanted.alarm in found:
            return Rejected("duplicate_alarm", {"alarm": wanted.alarm})
        if definition.safety or definition.bounds.locked:
            return Rejected("locked", {"alarm": wanted.alarm})
        spec = definition.condition
        if definition.kind != "model" or spec is None or spec.model is None:
            return Rejected("bad_value", {"alarm": wanted.alarm, "name": "model"})
        model = parameters(wanted, spec.model.inputs, directive.counter)
        fault = "its type" if wanted.type != spec.model.type else model_fault(model)
        if fault:
            return Rejected("bad_value", {"alarm": wanted.alarm, "name": "model", "why": fault})
        found[wanted.alarm] = model
    return found


def parameters(wanted: AlarmModel, inputs: tuple[str, ...], version: int) -> ModelParameters:
    """A directive's model over the inputs that the site has chosen."""
    return ModelParameters(
        type=wanted.type,  # type: ignore[arg-type]
        inputs=inputs, version=version, mean=tuple(wanted.mean), scale=tuple(wanted.scale),
        weights=tuple(wanted.weights), bias=wanted.bias,
        probabilities=tuple(wanted.probabilities), values=tuple(wanted.values),
    )  # fmt: skip


def _setting(wanted: AlarmSetting, definition: AlarmDefinition) -> Setting | Rejected:
    numbers = [wanted.deadband, wanted.on_delay_s, wanted.off_delay_s]
    numbers += [each for each in (wanted.limit, wanted.centre) if each is not None]
    if not all(map(math.isfinite, numbers)):
        return Rejected("bad_value", {"alarm": wanted.alarm})
    if wanted.limit is not None and definition.kind != "limit":
        return Rejected("bad_value", {"alarm": wanted.alarm, "name": "limit"})
    if wanted.filter not in ("", *FILTERS):
        return Rejected("bad_value", {"alarm": wanted.alarm, "name": "filter"})
    limit = wanted.limit if wanted.limit is not None else definition.setting.limit
    return Setting(
        limit, wanted.deadband, round(wanted.on_delay_s * 1000), round(wanted.off_delay_s * 1000),
        cast(Filter, wanted.filter or "raw"),
    )  # fmt: skip


def within(definition: AlarmDefinition, setting: Setting, site: Setting) -> Rejected | None:
    """Whether the plant's own bounds allow a setting of an alarm; `site` is what its files say.

    Where the engineer gave no bound in a direction, nothing may move in that direction: no bound
    means "not to be tuned", not "without end".
    """
    bounds, alarm = definition.bounds, definition.id
    if definition.safety or bounds.locked:
        return Rejected("locked", {"alarm": alarm})
    written = float(f"{site.limit:.12g}")
    low = bounds.limit_min if bounds.limit_min is not None else min(written, site.limit)
    high = bounds.limit_max if bounds.limit_max is not None else max(written, site.limit)
    wide = bounds.deadband_max if bounds.deadband_max is not None else site.deadband
    checks = (
        ("limit", definition.kind != "limit" or low <= setting.limit <= high, setting.limit),
        ("deadband", 0 <= setting.deadband <= wide, setting.deadband),
        ("on_delay_ms", 0 <= setting.on_delay_ms <= bounds.on_delay_max_ms, setting.on_delay_ms),
        (
            "off_delay_ms",
            0 <= setting.off_delay_ms <= bounds.off_delay_max_ms,
            setting.off_delay_ms,
        ),
    )
    for name, inside, value in checks:
        if not inside:
            return Rejected("out_of_bounds", {"alarm": alarm, "name": name, "value": value})
    # What is no plain limit has no filters, whatever its bounds say.
    runs = setting.filter in ("raw", *definition.filters)
    if not (runs and filter_allowed(bounds, site.filter, setting.filter)):
        return Rejected(
            "out_of_bounds", {"alarm": alarm, "name": "filter", "value": setting.filter}
        )
    return None
