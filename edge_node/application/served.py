"""Every alarm of this edge with the assets around it, for a child that serves them upward.

Asked for through `lookups`; made a few at a time, so that the live loop goes on. Changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from edge_node.application.status import Names
from edge_node.domain.alarm_unit import AlarmUnit
from shared.site.assets import AssetTree

AT_ONCE = 100


class ServedAlarm(msgspec.Struct, frozen=True, array_like=True):
    """One alarm."""

    alarm: str
    asset: str
    zh: str
    en: str
    priority: int
    max_shelve_ms: int


class ServedAsset(msgspec.Struct, frozen=True, array_like=True):
    """One asset: from the root down to itself, and what people call it."""

    path: list[str]
    name: Names


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the site."""

    site: str
    """Which; as `VersionStatus.site` names it."""
    root: str
    alarms: list[ServedAlarm] = []
    assets: dict[str, ServedAsset] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Served).decode


async def list_served(version: str, units: Iterable[AlarmUnit], tree: AssetTree) -> bytes:
    """All of them as JSON."""
    alarms: list[ServedAlarm] = []
    assets: dict[str, ServedAsset] = {}
    for looked_at, unit in enumerate(list(units)):
        definition = unit.definition
        if not unit.internal:
            name = definition.name
            alarms.append(
                ServedAlarm(
                    unit.id, definition.asset, name.zh, name.en, definition.priority,
                    definition.policy.max_shelve_ms,
                )
            )  # fmt: skip
            for each in tree.path(definition.asset):
                if each not in assets:
                    assets[each] = _asset(tree, each)
        if looked_at % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
    served = Served(site=version, root=tree.root, alarms=alarms, assets=assets)
    return await asyncio.to_thread(_encode, served)


def _asset(tree: AssetTree, asset: str) -> ServedAsset:
    name = tree.name(asset)
    words = Names(name.zh, name.en) if name is not None else Names()
    return ServedAsset(list(tree.path(asset)), words)


def decode_served(body: bytes) -> Served:
    """Read what `list_served` wrote; raises msgspec.ValidationError."""
    return _decode(body)
