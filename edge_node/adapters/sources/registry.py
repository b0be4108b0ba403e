"""Which drivers there are, and a source made ready for its own: options read, addresses checked.

Used by the driver child, `andon tags` and the check of a site; never imported by the engine.
"""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from edge_node.adapters.sources.on_change import on_change
from edge_node.adapters.sources.port import Driver, DriverInfo, Sink, Source
from edge_node.application.ipc import Configure
from shared.clock import Clock
from shared.errors import ConfigError
from shared.site.wording import said

GROUP = "andon.drivers"


def names() -> list[str]:
    """The names under which drivers are installed."""
    return sorted(point.name for point in importlib.metadata.entry_points(group=GROUP))


def find(name: str) -> DriverInfo:
    """The driver of a name; ConfigError with a did-you-mean when there is none or it is broken."""
    found = importlib.metadata.entry_points(group=GROUP, name=name)
    for point in found:
        try:
            info = point.load()
        except Exception as error:  # anything a plug-in does at import
            raise ConfigError(
                f"the driver {name!r} cannot be loaded: {type(error).__name__}: {error}",
                mend=f"install its package, or mend {point.value}",
            ) from error
        if isinstance(info, DriverInfo):
            return info
        raise ConfigError(
            f"the driver {name!r} is not a DriverInfo",
            mend=f"let {point.value} name one, as docs/howto/connect-your-plant.md shows",
        )
    raise ConfigError(f"there is no driver {name!r}", mend=_did_you_mean(name, names()))


def options_of(info: DriverInfo, given: dict[str, Any]) -> BaseModel:
    """The source's options in the driver's own model; ConfigError names every fault."""
    try:
        return info.options.model_validate(given)
    except ValidationError as error:
        faults = [option_fault(info, fault) for fault in error.errors()]
        raise ConfigError(
            "; ".join(message for _, message, _ in faults), mend="; ".join(m for *_, m in faults)
        ) from error


def option_fault(info: DriverInfo, fault: Any) -> tuple[list[str | int], str, str]:
    """(path below `options`, what is wrong, the mend) of one of pydantic's complaints."""
    path = [part for part in fault["loc"] if isinstance(part, str | int)]
    label = ".".join(map(str, ["options", *path]))
    if fault["type"] == "extra_forbidden":
        mend = _did_you_mean(str(path[-1]), info.options.model_fields)
        return path, f"the driver {info.name} has no option {label!r}", mend
    if fault["type"] == "missing":
        return path, f"{label}: {said([fault])}", f"add the key {str(path[-1])!r}"
    expected = fault.get("ctx", {}).get("expected")
    return path, f"{label}: {said([fault])}", (
        f"write one of {expected}" if expected else "correct the value"
    )  # fmt: skip


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"write one of {', '.join(known)}" if known else "remove it"


def url_fault(info: DriverInfo, url: str) -> str:
    """What is wrong with the scheme of a source's URL; "" when nothing is."""
    if not info.schemes:
        return ""
    scheme, mark, _ = url.partition(":")
    if mark and scheme.lower() in info.schemes:
        return ""
    return f"{url!r} is not a URL of the driver {info.name}: it begins with one of " + ", ".join(
        f"{scheme}:" for scheme in info.schemes
    )


def configured(message: Configure) -> tuple[DriverInfo, Source]:
    """The driver and the checked source of a first frame; ConfigError when they do not fit."""
    name = str(message.source["driver"])
    source_id = str(message.source["id"])
    try:
        info = find(name)
        source = Source.of(message, options_of(info, dict(message.source.get("options") or {})))
    except ConfigError as error:
        raise ConfigError(f"source {source_id}: {error.message}", mend=error.mend) from error
    if wrong := url_fault(info, source.url):
        raise ConfigError(f"source {source_id}: {wrong}", mend="correct the source's url")
    return info, source


def build(message: Configure, sink: Sink, clock: Clock) -> tuple[Source, Driver]:
    """The driver of a source; only the module that is needed is imported."""
    info, source = configured(message)
    try:
        return source, info.build(source, on_change(sink, source, clock), clock)
    except ImportError as error:
        raise ConfigError(
            f"source {source.id}: the library of the driver {info.name} is not installed: {error}",
            mend=f"pip install 'andon[{info.extra}]', then start the edge again",
        ) from error
