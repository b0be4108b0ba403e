"""Finds the kinds of sinks by entry point and opens them, each with its secret.

Asked by the brain and by the check of the site's files; imports a kind only when it is used.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
from functools import cache
from pathlib import Path

from factory_brain.application.sinks.port import Sink, SinkKind
from shared.config import read_secret
from shared.errors import ConfigError
from shared.site.sinks import SinkSpec

GROUP = "andon.sinks"


def names() -> list[str]:
    """All kinds that are installed."""
    return sorted(point.name for point in importlib.metadata.entry_points(group=GROUP))


@cache
def find(name: str) -> SinkKind:
    """One kind; raises ConfigError if it is not installed."""
    for point in importlib.metadata.entry_points(group=GROUP, name=name):
        try:
            return point.load()
        except ImportError as error:
            raise ConfigError(
                f"kind {name!r} of sink is not complete: {error}",
                mend="install Andon with its extra `sinks`",
            ) from error
    raise ConfigError(f"unknown kind of sink {name!r}", mend=f"choose one of {', '.join(names())}")


async def open_sink(spec: SinkSpec, secrets_dir: Path, site: str) -> Sink:
    """A sink that connects at its first write; raises ConfigError."""
    kind = await asyncio.to_thread(find, spec.kind)
    fault = kind.fault(spec)
    if fault is not None:
        raise ConfigError(f"{spec.id}: {fault[0]}", mend=fault[1])
    secret = ""
    if spec.secret:
        secret = await asyncio.to_thread(read_secret, secrets_dir / spec.secret, "sink secret")
    return kind.open(spec, secret.strip(), site)
