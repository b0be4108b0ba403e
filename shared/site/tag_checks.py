"""What tags say against their source and against the operations that write them.

Called by `references`; needs no driver.
"""

from __future__ import annotations

from shared.site.reader import Reader
from shared.site.site import Site
from shared.site.tags import SourceSpec, TagSpec


def check_tags(site: Site, reader: Reader) -> None:
    """Add a fault for each group that is not there, range that is empty, write that is not due."""
    for source in site.sources.values():
        _check_groups(source, reader)
    for tag in site.tags.values():
        source = site.sources.get(tag.source)
        if source is not None and tag.group:
            _check_group(tag, source, reader)
        if tag.min is not None and tag.max is not None and tag.min >= tag.max:
            place = reader.place("tags", tag.id, "min")
            reader.fault(f"{tag.id}: min {tag.min:g} is not below max {tag.max:g}", place, "swap")
    _check_writes(site, reader)


def _check_groups(source: SourceSpec, reader: Reader) -> None:
    seen: set[str] = set()
    for index, group in enumerate(source.groups):
        if group.id in seen:
            place = reader.place("sources", source.id, "groups", index, "id")
            reader.fault(f"{source.id}: group {group.id!r} is used twice", place, "rename one")
        seen.add(group.id)


def _check_group(tag: TagSpec, source: SourceSpec, reader: Reader) -> None:
    known = [group.id for group in source.groups]
    if tag.group in known:
        return
    place = reader.place("tags", tag.id, "group")
    mend = (
        f"write one of {', '.join(map(repr, known))}"
        if known
        else f"define it: groups: [{{id: {tag.group}, interval: 100ms}}] under {source.id}"
    )
    reader.fault(f"{tag.id}: the source {source.id} has no group {tag.group!r}", place, mend)


def _check_writes(site: Site, reader: Reader) -> None:
    """An address that belongs to tags without `write` is not written by any operation."""
    shut: dict[tuple[str, str], str] = {}
    for tag in site.tags.values():
        if "write" not in tag.access:
            shut[tag.source, tag.address] = tag.id
    for name, device in site.bindings.devices.items():
        for key, operation in device.operations.items():
            tag_id = shut.get((device.source, operation.write))
            if tag_id is not None:
                place = reader.place("devices", name, "operations", key, "write")
                reader.fault(
                    f"{name}.{key} writes {operation.write!r}, which is the tag {tag_id}: its "
                    "`access` has no write",
                    place,
                    f"add write to the access of {tag_id}, or correct the address",
                )
