"""From a site's files to the rules of incidents, with every name resolved to alarms.

Asked by the correlator at each round; made anew when the site has changed.
"""

from __future__ import annotations

from collections.abc import Iterable

from factory_brain.domain.incidents.seen import Hiding, Related, Rules
from shared.site.incidents import Equal, MatchSpec, Protected, is_protected, matches
from shared.site.site import Site

LOOK_MS = 10_000
"""A site that changed is looked at anew after this at the latest."""


class SiteRules:
    """The rules of a site as it stands."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._rules: Rules | None = None
        self._at = 0

    def now(self, at: int) -> Rules:
        """The rules that hold."""
        if self._rules is None or not 0 <= at - self._at < LOOK_MS:
            self._rules, self._at = rules_of(self._site), at
        return self._rules

    def common(self, assets: Iterable[str]) -> str:
        """The deepest asset that holds all of these."""
        return self._site.assets.common(assets)


class _Paths(dict[str, tuple[str, ...]]):
    """Paths of assets, worked out when first asked for."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._tree = site.assets

    def get(self, asset: str, default: object = None) -> tuple[str, ...]:  # type: ignore[override]
        found = super().get(asset)
        if found is None:
            found = self[asset] = self._tree.path(asset)
        return found


def rules_of(site: Site) -> Rules:
    """The rules of `incidents.yaml`, or what holds without it."""
    file = site.incidents

    def named(match: MatchSpec) -> frozenset[str]:
        tree = site.assets
        return frozenset(
            a.id for a in site.alarms.values() if matches(match, a, tree.path(a.asset))
        )

    def hiding(
        name: str, kind: str, above: MatchSpec, below: MatchSpec, equal: Equal | None,
        also: list[Protected],
    ) -> Hiding:  # fmt: skip
        may = {one for one in named(below) if not is_protected(site.alarms[one], also)}
        return Hiding(name, kind, named(above), frozenset(may), equal or "")

    related = [
        Related(r.id, named(r.first), named(r.then), r.within, r.equal or "") for r in file.related
    ] + [
        Related(f"parent {r.id}", named(r.parent), named(r.children), r.within, r.equal or "")
        for r in file.parents
    ]
    behind = [
        hiding(r.id, "parent", r.parent, r.children, r.equal, r.also) for r in file.parents
    ] + [hiding(r.id, "inhibit", r.source, r.target, r.equal, r.also) for r in file.inhibit]
    how, often = file.grouping, file.chattering
    return Rules(
        how.same_asset, how.same_area, how.longest, how.unknown_clock, tuple(related),
        tuple(behind), _Paths(site), (often.raises, often.within, often.hold), file.fleeting,
        file.stale,
    )  # fmt: skip
