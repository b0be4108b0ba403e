"""`assets.yaml`: the asset tree of a site, from the site down to a piece of equipment.

Read by `loader`; rights, incidents and reports ask it what lies in what. Pure, no IO.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from shared.site.fields import AssetId, Model, Names

if TYPE_CHECKING:
    from shared.site.reader import Reader
    from shared.site.site import Site

MAX_DEPTH = 16
"""Levels that a tree may have; deeper ones are a fault, and a circle ends here."""


class AssetSpec(Model):
    """One asset and what it lies in."""

    id: AssetId
    parent: AssetId | None = None
    """None: right below the root."""
    name: Names
    kind: Literal["site", "area", "line", "unit", "equipment"]
    asset_class: str = Field(default="", max_length=64)
    """What kind of thing it is, by a word that all factories share (`furnace`, `pump`); what lies
    in it is of that class too, unless it says otherwise."""


class AssetsFile(Model):
    """`assets.yaml`."""

    assets: list[AssetSpec] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AssetTree:
    """Who lies in whom. Every asset has a place, listed or not; the root is the site itself.

    An asset that is not listed lies in the longest listed id that begins it at a `-` or `.`
    (`FUR-01-B2` in `FUR-01`), else in the root.
    """

    site: str
    specs: Mapping[str, AssetSpec] = field(default_factory=dict)

    @classmethod
    def of(cls, site: Site) -> AssetTree:
        """The tree of a site; it follows the site when that takes over another version."""
        return cls(site.info.site, site.asset_specs)

    @property
    def root(self) -> str:
        """The listed asset of kind `site`, else the site's own token."""
        return next((each.id for each in self.specs.values() if each.kind == "site"), self.site)

    def parent(self, asset: str) -> str | None:
        """What an asset lies in; None for the root."""
        root = self.root
        if asset == root or asset == "":
            return None
        spec = self.specs.get(asset)
        if spec is not None:
            return spec.parent or root
        return next((part for part in _beginnings(asset) if part in self.specs), root)

    def path(self, asset: str) -> tuple[str, ...]:
        """Root .. asset; the root alone for no asset."""
        found: list[str] = []
        here: str | None = asset or self.root
        while here is not None and here not in found and len(found) < MAX_DEPTH:
            found.append(here)
            here = self.parent(here)
        return tuple(reversed(found))

    def within(self, asset: str, area: str) -> bool:
        """Whether `asset` is `area` or lies in it; "" is everywhere."""
        return area == "" or area in self.path(asset)

    def common(self, assets: Iterable[str]) -> str:
        """The deepest asset that holds all of these; the root for none."""
        paths = [self.path(asset) for asset in set(assets)]
        shared = self.root
        for level in zip(*paths, strict=False):
            if len(set(level)) > 1:
                break
            shared = level[0]
        return shared

    def distance(self, one: str, other: str) -> int:
        """Steps up and down the tree from one asset to the other."""
        first, second = self.path(one), self.path(other)
        same = 0
        for left, right in zip(first, second, strict=False):
            if left != right:
                break
            same += 1
        return len(first) + len(second) - 2 * same

    def class_of(self, asset: str) -> str:
        """What kind of thing an asset is: its own class, else that of what it lies in."""
        found = (self.specs[part].asset_class for part in self.path(asset) if part in self.specs)
        return next((each for each in reversed(list(found)) if each), "")

    def process_of(self, asset: str) -> str:
        """The line that an asset lies in, else its area, else the root."""
        kinds = {self.specs[part].kind: part for part in self.path(asset) if part in self.specs}
        return kinds.get("line") or kinds.get("area") or self.root

    def name(self, asset: str) -> Names | None:
        """What people call an asset, if it is listed."""
        spec = self.specs.get(asset)
        return spec.name if spec else None


def _beginnings(asset: str) -> Iterator[str]:
    """`A-B-C` -> `A-B`, `A`: the longest first."""
    for at in range(len(asset) - 1, 0, -1):
        if asset[at] in "-.":
            yield asset[:at]


def check_assets(site: Site, reader: Reader) -> None:
    """Add a fault for each asset that has no place in the tree."""
    specs = site.asset_specs
    roots = [each for each in specs.values() if each.kind == "site"]
    for spec in roots[1:]:
        reader.fault(
            f"{spec.id}: a second asset of kind 'site' (the first is {roots[0].id!r})",
            reader.place("assets", spec.id, "kind"),
            "a site has one root: make it an area",
        )
    for spec in specs.values():
        if spec.kind == "site" and spec.parent is not None:
            reader.fault(
                f"{spec.id}: the root lies in nothing",
                reader.place("assets", spec.id, "parent"),
                "leave `parent` out, or make it an area",
            )
        elif spec.parent is not None and spec.parent not in specs:
            _unknown_parent(spec, specs, reader)
        elif _in_circle(spec, specs):
            reader.fault(
                f"{spec.id}: lies in itself, by way of {spec.parent!r}",
                reader.place("assets", spec.id, "parent"),
                "correct `parent` of one of them",
            )
        elif len(site.assets.path(spec.id)) >= MAX_DEPTH:
            reader.fault(
                f"{spec.id}: more than {MAX_DEPTH - 1} levels deep",
                reader.place("assets", spec.id, "parent"),
                "make the tree flatter",
            )


def _unknown_parent(spec: AssetSpec, specs: Mapping[str, AssetSpec], reader: Reader) -> None:
    close = difflib.get_close_matches(str(spec.parent), list(specs), n=1)
    reader.fault(
        f"{spec.id}: unknown asset {spec.parent!r}",
        reader.place("assets", spec.id, "parent"),
        f"did you mean {close[0]!r}?" if close else "list it, or leave `parent` out",
    )


def _in_circle(spec: AssetSpec, specs: Mapping[str, AssetSpec]) -> bool:
    seen: set[str] = set()
    here: AssetSpec | None = spec
    while here is not None and here.parent is not None:
        seen.add(here.id)
        here = specs.get(here.parent)
        if here is not None and here.id == spec.id:
            return True
        if here is not None and here.id in seen:
            return False
    return False
