"""What the kinds of sinks have to say to a site: unknown kinds, URLs that lead nowhere.

Called by `andon site check` through the entry-point group `andon.site_checks`.
"""

from __future__ import annotations

from factory_brain.adapters.sinks.registry import find
from shared.errors import ConfigError
from shared.site.reader import Reader
from shared.site.site import Site


def check(site: Site, reader: Reader) -> None:
    """Add a fault for everything that a kind would refuse."""
    for sink in site.sinks.values():
        try:
            kind = find(sink.kind)
        except ConfigError as fault:
            place = reader.place("sinks", sink.id, "kind")
            reader.fault(f"{sink.id}: {fault.message}", place, fault.mend)
            continue
        wrong = kind.fault(sink)
        if wrong is not None:
            reader.fault(f"{sink.id}: {wrong[0]}", reader.place("sinks", sink.id, "url"), wrong[1])
