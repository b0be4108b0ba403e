"""The driver children of an edge as its site wants them: started, left alone, or changed.

Called by the bootstrap at start and at every change of the site. A source whose description has not
changed keeps its child, and so its connection.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge_node.adapters.children import Child
from edge_node.application.ipc import Configure, FromChild
from edge_node.rules import Rules
from edge_node.settings import EdgeSettings
from shared.site.version import FUNCTIONS, site_files
from shared.telemetry import logger

log = logger("fleet")


@dataclass(frozen=True, slots=True)
class _Running:
    wanted: Configure
    task: asyncio.Task[None]


class Fleet:
    """One child for each source."""

    def __init__(
        self, settings: EdgeSettings, take: Callable[[str, FromChild], None],
        start: Callable[[Child], asyncio.Task[None]],
    ) -> None:  # fmt: skip
        self._settings, self._take, self._start = settings, take, start
        self._running: dict[str, _Running] = {}

    def wanted(self, rules: Rules) -> dict[str, Configure]:
        """What the children are to do; reads the plant's own functions, raises OSError."""
        functions = _functions(rules.site.folder)
        return {source: self._configure(rules, source, functions) for source in rules.tags.sources}

    def apply(self, rules: Rules, wanted: Mapping[str, Configure]) -> list[str]:
        """Make the children agree with the site; the sources that have gone."""
        gone = [source for source in self._running if source not in wanted]
        for source, running in list(self._running.items()):
            if source in gone or not _same(running.wanted, wanted[source]):
                running.task.cancel()
                del self._running[source]
                rules.drivers.forget(source)
                log.info("source_stopped", source=source, gone=source in gone)
        for source, configure in wanted.items():
            if source not in self._running:
                self._begin(rules, source, configure)
                continue
            # Should it end and start again, it reads the files that are in force by then.
            rules.drivers.configure(source, configure)
            if configure.inputs:
                child = rules.drivers.children[source]
                child.then = lambda source=source: rules.relay.snapshot(source)
        return gone

    def _begin(self, rules: Rules, source: str, configure: Configure) -> None:
        child = rules.drivers.add(source, self._settings.driver_command, configure, self._take)
        if configure.inputs:
            child.then = lambda: rules.relay.snapshot(source)
        self._running[source] = _Running(configure, self._start(child))

    def _configure(self, rules: Rules, source: str, functions: str) -> Configure:
        settings, of = self._settings, rules.tags.sources[source]
        spec = of.spec
        given: dict[str, Any] = dict(settings.device_credentials.get(source, {}))
        if source in settings.source_urls:
            given["url"] = settings.source_urls[source]
        # Where a driver keeps what it makes for itself: its client certificate, a checkpoint.
        given.setdefault("state_dir", str(settings.state_dir / "drivers" / source))
        given["beside"] = str(settings.site_dir)  # recordings and the like, which are not copied
        given |= {"site_dir": str(rules.site.folder), "functions": functions}
        return Configure(
            source=spec.model_dump(),  # durations in ms, not as YAML writes them
            tags=[{k: v for k, v in tag if k not in ("name", "report")} for tag in of.tags],
            settings=given,
            inputs=[
                {"id": tag, "type": known.type, "stale_after": known.stale_after,
                 "unit": known.unit}
                for tag in spec.inputs if (known := rules.site.tags[tag])
            ],
        )  # fmt: skip


def _functions(folder: Path) -> str:
    """What the plant's own functions and models are, in a few digits."""
    digest = hashlib.sha256()
    for name, path in site_files(folder).items():
        if name.startswith(f"{FUNCTIONS}/"):
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _same(old: Configure, new: Configure) -> bool:
    """Whether a child would do the same: where the site's files lie does not matter to it."""
    return _compared(old) == _compared(new)


def _compared(one: Configure) -> Configure:
    leave = {"site_dir"} if one.inputs else {"site_dir", "functions"}
    settings = {key: value for key, value in one.settings.items() if key not in leave}
    return msgspec.structs.replace(one, settings=settings)
