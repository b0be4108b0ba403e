"""Checks of computed sources: their inputs exist, are of the same edge and do not run in a circle.

Called by `references`; says where and how to mend, never stops at the first.
"""

from __future__ import annotations

import difflib

from shared.site.reader import Reader
from shared.site.site import Site


def check_inputs(site: Site, reader: Reader) -> None:
    """Add a fault for each input that leads nowhere or back to its own source."""
    feeds: dict[str, dict[str, int]] = {}
    """Source -> source that it takes tags of -> the first place in `inputs` where it does."""
    for source in site.sources.values():
        for at, tag in enumerate(source.inputs):
            spec = site.tags.get(tag)
            if spec is None:
                _unknown(site, reader, source.id, at, tag)
            elif tag in source.inputs[:at]:
                _fault(reader, source.id, at, f"input {tag!r} is named twice", "remove one")
            elif spec.source in site.sources:
                feeds.setdefault(source.id, {}).setdefault(spec.source, at)
                if site.sources[spec.source].edge != source.edge:
                    _fault(
                        reader, source.id, at,
                        f"input {tag!r} is a tag of another edge, "
                        f"{site.sources[spec.source].edge!r}",
                        f"compute it on that edge, or take tags of {source.edge!r} only",
                    )  # fmt: skip
    _check_circles(feeds, reader)


def _unknown(site: Site, reader: Reader, source: str, at: int, tag: str) -> None:
    close = difflib.get_close_matches(tag, list(site.tags), n=1)
    mend = f"did you mean {close[0]!r}?" if close else "define it in tags/*.yaml"
    _fault(reader, source, at, f"unknown input {tag!r}", mend)


def _fault(reader: Reader, source: str, at: int, message: str, mend: str) -> None:
    reader.fault(f"{source}: {message}", reader.place("sources", source, "inputs", at), mend)


def _check_circles(feeds: dict[str, dict[str, int]], reader: Reader) -> None:
    done: set[str] = set()

    def walk(source: str, path: list[str]) -> None:
        for other, at in feeds.get(source, {}).items():
            if other in path:
                circle = [*path[path.index(other) :], other]
                told = " <- ".join(circle)
                _fault(
                    reader, source, at, f"its inputs lead back to itself: {told}",
                    "remove this input, or give that tag a source of its own",
                )  # fmt: skip
            elif other not in done:
                walk(other, [*path, other])
        done.add(source)

    for source in feeds:
        if source not in done:
            walk(source, [source])
