"""Loads a site folder, checks every reference, and says file:line:column and a mend for each fault.

Called by the tiers at start and on change, and by `andon site check`. A bad file raises; the caller
keeps the last good version.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from shared.alarm.definition import NO_WORDS, AlarmDefinition, Bounds, Response, Words
from shared.alarm.machine import Policy
from shared.alarm.point import Setting
from shared.errors import ConfigError
from shared.site.model import (
    AlarmsFile,
    AlarmSpec,
    BindingsFile,
    Model,
    Names,
    ReflexesFile,
    ReflexSpec,
    SiteFile,
    SourceSpec,
    TagsFile,
    TagSpec,
)
from shared.site.yaml_file import complaints, position, read_yaml

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Site:
    """A checked site."""

    folder: Path
    info: SiteFile
    sources: dict[str, SourceSpec]
    tags: dict[str, TagSpec]
    alarms: dict[str, AlarmDefinition]
    reflexes: dict[str, ReflexSpec]
    bindings: BindingsFile

    def of_edge(self, edge: str) -> Site:
        """The part of the site that one edge runs."""
        sources = {k: v for k, v in self.sources.items() if v.edge == edge}
        alarms = {k: v for k, v in self.alarms.items() if v.edge == edge}
        devices = {k: v for k, v in self.bindings.devices.items() if v.edge == edge}
        return Site(
            self.folder,
            self.info,
            sources,
            {k: v for k, v in self.tags.items() if v.source in sources},
            alarms,
            {k: v for k, v in self.reflexes.items() if v.alarm in alarms},
            BindingsFile(devices=devices, endpoints=self.bindings.endpoints),
        )


class SiteFaults(ConfigError):
    """All faults of a site at once."""

    def __init__(self, faults: list[ConfigError]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


class _Reader:
    def __init__(self) -> None:
        self.faults: list[ConfigError] = []
        self.places: dict[tuple[str, str], str] = {}

    def file(self, path: Path, model: type[M]) -> M | None:
        try:
            document = read_yaml(path)
        except ConfigError as fault:
            self.faults.append(fault)
            return None
        name = path.name if path.parent.name in ("", ".") else f"{path.parent.name}/{path.name}"
        try:
            parsed = model.model_validate(document if document is not None else {})
        except ValidationError as error:
            self.faults += complaints(error, document, name, _fields(model))
            return None
        self._note_places(document, name)
        return parsed

    def _note_places(self, document: Any, name: str) -> None:
        for section, items in (document or {}).items():
            if isinstance(items, list):
                for index, item in enumerate(items):
                    if isinstance(item, dict) and "id" in item:
                        place = position(document, [section, index, "id"], name)
                        key = (section, str(item["id"]))
                        if key in self.places:
                            self.fault(
                                f"{section}: id {item['id']!r} is used twice "
                                f"(first at {self.places[key]})",
                                place,
                                "give it an id of its own",
                            )
                        self.places[key] = place
            elif isinstance(items, dict):
                for key in items:
                    self.places[section, str(key)] = position(document, [section, key], name)

    def fault(self, message: str, where: str, mend: str) -> None:
        self.faults.append(ConfigError(message, where=where, mend=mend))

    def reference(self, kind: str, name: str, known: Any, section: str, item: str) -> None:
        if name in known:
            return
        close = difflib.get_close_matches(name, list(known), n=1)
        mend = (
            f"did you mean {close[0]!r}?"
            if close
            else f"define it, or write one that exists: {_some(known)}"
        )
        self.fault(
            f"{item}: unknown {kind} {name!r}",
            self.places.get((section, item), ""),
            mend,
        )


def _some(known: Any, most: int = 6) -> str:
    names = sorted(known)
    return ", ".join(map(repr, names[:most])) + (" …" if len(names) > most else "")


def _fields(model: type[Model], depth: int = 4) -> set[str]:
    names: set[str] = set()
    for name, field in model.model_fields.items():
        names.add(name)
        if depth:
            for inner in _models_in(field.annotation):
                names |= _fields(inner, depth - 1)
    return names


def _models_in(annotation: Any) -> list[type[Model]]:
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Model) else []
    found: list[type[Model]] = []
    for part in getattr(annotation, "__args__", ()):
        found += _models_in(part)
    return found


def load_site(folder: Path) -> Site:
    """Load and check a site folder; raises SiteFaults with all that is wrong."""
    if not folder.is_dir():
        raise ConfigError(
            "no such site folder",
            where=str(folder),
            mend="give the folder of site.yaml",
        )
    reader = _Reader()
    info = reader.file(folder / "site.yaml", SiteFile)
    tags = [reader.file(p, TagsFile) for p in sorted((folder / "tags").glob("*.yaml"))]
    alarms = [reader.file(p, AlarmsFile) for p in sorted((folder / "alarms").glob("*.yaml"))]
    reflexes = [reader.file(p, ReflexesFile) for p in sorted((folder / "reflexes").glob("*.yaml"))]
    path = folder / "bindings.yaml"
    bindings = (reader.file(path, BindingsFile) if path.exists() else None) or BindingsFile()
    if info is None or reader.faults:
        raise SiteFaults(reader.faults)
    tag_specs = {t.id: t for f in tags if f for t in f.tags}
    site = Site(
        folder,
        info,
        {s.id: s for f in tags if f for s in f.sources},
        tag_specs,
        {a.id: _definition(a, tag_specs) for f in alarms if f for a in f.alarms},
        {r.id: r for f in reflexes if f for r in f.reflexes},
        bindings,
    )
    _check_references(site, reader)
    if reader.faults:
        raise SiteFaults(reader.faults)
    return site


def _check_references(site: Site, reader: _Reader) -> None:
    edges = {edge.id for edge in site.info.edges}
    for source in site.sources.values():
        reader.reference("edge", source.edge, edges, "sources", source.id)
    for tag in site.tags.values():
        reader.reference("source", tag.source, site.sources, "tags", tag.id)
    for alarm in site.alarms.values():
        reader.reference("edge", alarm.edge, edges, "alarms", alarm.id)
        reader.reference("tag", alarm.tag, site.tags, "alarms", alarm.id)
        for other in alarm.suppressed_by:
            reader.reference("alarm", other, site.alarms, "alarms", alarm.id)
        _check_limit(alarm, reader)
    for name, device in site.bindings.devices.items():
        reader.reference("edge", device.edge, edges, "devices", name)
        reader.reference("source", device.source, site.sources, "devices", name)
        for tag in device.tags.values():
            reader.reference("tag", tag, site.tags, "devices", name)
    for reflex in site.reflexes.values():
        reader.reference("alarm", reflex.alarm, site.alarms, "reflexes", reflex.id)
        reader.reference("device", reflex.device, site.bindings.devices, "reflexes", reflex.id)
        device = site.bindings.devices.get(reflex.device)
        if device is not None:
            reader.reference(
                "operation", reflex.operation, device.operations, "reflexes", reflex.id
            )


def _check_limit(alarm: AlarmDefinition, reader: _Reader) -> None:
    low, high = alarm.bounds.limit_min, alarm.bounds.limit_max
    where = reader.places.get(("alarms", alarm.id), "")
    if alarm.kind != "limit":
        return
    if (low is not None and alarm.setting.limit < low) or (
        high is not None and alarm.setting.limit > high
    ):
        reader.fault(
            f"{alarm.id}: limit {alarm.setting.limit:g} lies outside its own bounds",
            where,
            "widen `bounds` or correct `limit`",
        )


def _words(names: Names | None) -> Words:
    return Words(names.zh, names.en) if names else NO_WORDS


def _definition(spec: AlarmSpec, tags: dict[str, TagSpec]) -> AlarmDefinition:
    tag = tags.get(spec.tag)
    sheet = spec.response
    bounds = spec.bounds
    return AlarmDefinition(
        id=spec.id,
        edge=spec.edge,
        asset=spec.asset,
        tag=spec.tag,
        kind=spec.kind,
        name=_words(spec.name),
        priority=spec.priority,
        side=spec.side,
        setting=Setting(spec.limit or 0.0, spec.deadband, spec.on_delay, spec.off_delay),
        equals=spec.equals,
        when=spec.when,
        stale_after_ms=spec.stale_after,
        unit=tag.unit if tag else "",
        tag_class=tag.tag_class if tag else "",
        policy=Policy(
            ack_required=spec.ack_required,
            confirm_used=spec.confirm,
            latching=spec.latching,
            max_shelve_ms=spec.max_shelve,
        ),
        bounds=Bounds(
            bounds.limit_min,
            bounds.limit_max,
            bounds.on_delay_max,
            bounds.off_delay_max,
            bounds.deadband_max,
            bounds.locked or spec.safety,
        ),
        response=Response(
            _words(sheet.cause),
            _words(sheet.consequence),
            _words(sheet.action),
            _words(sheet.contact) if sheet.contact else None,
            sheet.time_to_respond // 1000 if sheet.time_to_respond is not None else None,
        )
        if sheet
        else Response(),
        suppressed_by=tuple(spec.suppressed_by),
        re_alarm_ms=spec.re_alarm,
        safety=spec.safety,
    )
