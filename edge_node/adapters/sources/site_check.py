"""What the drivers have to say to a site: unknown drivers, options, URLs and addresses.

Called by `andon site check` through the entry-point group `andon.site_checks`; the engine and the
brain never load it. Every fault has its place in the files and a mend.
"""

from __future__ import annotations

from pydantic import ValidationError

from edge_node.adapters.sources import registry
from edge_node.adapters.sources.port import DriverInfo, Source
from edge_node.application.ipc import Configure
from shared.errors import ConfigError
from shared.site.model import SourceSpec
from shared.site.reader import Reader
from shared.site.site import Site


def check(site: Site, reader: Reader) -> None:
    """Add a fault for everything that a driver would refuse."""
    drivers: dict[str, DriverInfo] = {}
    for source in site.sources.values():
        try:
            drivers[source.id] = registry.find(source.driver)
        except ConfigError as fault:
            place = reader.place("sources", source.id, "driver")
            reader.fault(f"{source.id}: {fault.message}", place, fault.mend)
        else:
            _check_source(source, drivers[source.id], reader)
    _check_tags(site, drivers, reader)
    _check_operations(site, drivers, reader)
    if not reader.faults:  # what belongs together is looked at once each part is right
        for source in site.sources.values():
            _verify(site, source, drivers[source.id], reader)


def _verify(site: Site, source: SourceSpec, info: DriverInfo, reader: Reader) -> None:
    if info.verify is None:
        return
    message = Configure(
        source=source.model_dump(),
        tags=[tag.model_dump() for tag in site.tags.values() if tag.source == source.id],
        inputs=[site.tags[tag].model_dump() for tag in source.inputs],
        # Recordings lie beside the files as people left them, not beside an edge's own copy.
        settings={"site_dir": str(site.folder)}
        | ({"beside": str(site.folder)} if reader.thorough else {}),
    )
    try:
        info.verify(Source.of(message, registry.options_of(info, source.options)))
    except ConfigError as fault:
        said = f"{fault.where}: {fault.message}" if fault.where else fault.message
        said = said.removeprefix(f"source {source.id}: ")
        place = reader.place("sources", source.id, "options")
        reader.fault(f"{source.id}: {said}", place, fault.mend)


def _check_source(source: SourceSpec, info: DriverInfo, reader: Reader) -> None:
    try:
        info.options.model_validate(source.options)
    except ValidationError as error:
        for found in error.errors():
            path, message, mend = registry.option_fault(info, found)
            place = reader.place("sources", source.id, "options", *path)
            reader.fault(f"{source.id}: {message}", place, mend)
    if wrong := registry.url_fault(info, source.url):
        place = reader.place("sources", source.id, "url")
        reader.fault(f"{source.id}: {wrong}", place, "correct the url")
    if info.computed != bool(source.inputs):
        what = (
            f"the driver {info.name} computes: it needs `inputs`"
            if info.computed
            else f"the driver {info.name} asks a device: it takes no `inputs`"
        )
        mend = "list its tags under `inputs`" if info.computed else "remove `inputs`"
        reader.fault(f"{source.id}: {what}", reader.place("sources", source.id, "inputs"), mend)


def _check_tags(site: Site, drivers: dict[str, DriverInfo], reader: Reader) -> None:
    for tag in site.tags.values():
        info = drivers.get(tag.source)
        if info is not None and (wrong := info.check_address(tag.address, tag.type)):
            place = reader.place("tags", tag.id, "address")
            reader.fault(f"{tag.id}: {wrong}", place, "correct the address")


def _check_operations(site: Site, drivers: dict[str, DriverInfo], reader: Reader) -> None:
    for name, device in site.bindings.devices.items():
        info = drivers.get(device.source)
        if info is None or info.check_write is None:
            continue
        for key, operation in device.operations.items():
            if wrong := info.check_write(operation.write):
                place = reader.place("devices", name, "operations", key, "write")
                reader.fault(f"{name}.{key}: {wrong}", place, "correct the address")
