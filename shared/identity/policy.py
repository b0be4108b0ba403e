"""Roles, grants and the one table of rights: role x action x area.

Asked by every route through `shared/web/auth.py`; decides and remembers nothing, knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

ROLES = (
    "viewer", "operator", "shift-lead", "engineer", "maintenance", "dispatcher", "administrator",
)  # fmt: skip
_DESK = {"operator", "shift-lead", "engineer", "maintenance", "administrator"}
POLICY: dict[str, set[str]] = {
    "view": set(ROLES),
    "acknowledge": {"operator", "shift-lead", "administrator"},
    "label": _DESK,
    "answer": _DESK,
    "start_playbook": {"shift-lead", "engineer", "administrator"},
    "write_playbook": {"engineer", "administrator"},
    "review_playbook": {"engineer", "administrator"},
    "comment": _DESK,
    "assign": _DESK,
    "shelve": {"operator", "shift-lead", "administrator"},
    "suppress": {"shift-lead", "engineer", "administrator"},
    "out_of_service": {"shift-lead", "maintenance", "engineer", "administrator"},
    "hand_over": {"operator", "shift-lead", "administrator"},
    "handle_incident": _DESK,
    "report_event": {"operator", "shift-lead", "engineer", "maintenance", "administrator"},
    "export": _DESK,
    "manage_notifications": {"shift-lead", "engineer", "administrator"},
    "manage_links": {"engineer", "administrator"},
    "read_audit": {"shift-lead", "engineer", "administrator"},
    "propose_setting": {"shift-lead", "engineer", "dispatcher", "administrator"},
    "decide_proposal": {"engineer", "dispatcher", "administrator"},
    "decide_directive": {"engineer", "administrator"},
    "steer_rollout": {"engineer", "dispatcher", "administrator"},
    "dispatch": {"dispatcher", "administrator"},
    "administer": {"administrator"},
}
"""action -> roles that may do it."""
EVERYWHERE = ""
Within = Callable[[str, str], bool]
"""Whether an asset lies in an area of the asset tree."""


def prefix_within(asset: str, area: str) -> bool:
    """Areas by name alone, where no asset tree is at hand: `L1` holds `L1-PRESS`, not `L12`."""
    return not area or asset == area or (asset.startswith(area) and asset[len(area)] in "-./:")


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One role in one area of the plant; the area "" is everywhere."""

    role: str
    area: str = EVERYWHERE


def everywhere(roles: Iterable[str]) -> tuple[Grant, ...]:
    """These roles without any limit of area."""
    return tuple(Grant(role) for role in roles)


@dataclass(frozen=True, slots=True)
class User:
    """Who is logged in: a person, or a device's service account."""

    name: str
    roles: tuple[str, ...]
    """Every role held anywhere, for showing and for a playbook's questions."""
    grants: tuple[Grant, ...] | None = None
    """Roles by area; None: the roles hold everywhere."""
    actions: frozenset[str] | None = None
    """A service account may be held to some actions beside its roles; None: no such limit."""
    kind: str = "local"
    within: Within = field(default=prefix_within, compare=False, repr=False)

    @classmethod
    def of(
        cls, name: str, grants: Iterable[Grant], *, kind: str = "local",
        actions: Iterable[str] | None = None, within: Within = prefix_within,
    ) -> User:  # fmt: skip
        """A user from grants; roles that the policy does not know are left out."""
        kept = tuple(dict.fromkeys(grant for grant in grants if grant.role in ROLES))
        limit = None if actions is None else frozenset(actions)
        roles = tuple(dict.fromkeys(grant.role for grant in kept))
        return cls(name, roles, kept, limit, kind, within)

    def may(self, action: str, asset: str | None = None) -> bool:
        """Whether the user may do `action` at `asset`; without an asset: anywhere at all."""
        if self.actions is not None and action not in self.actions:
            return False
        able = POLICY[action]
        if self.grants is None:
            return not able.isdisjoint(self.roles)
        return any(
            grant.role in able
            and (asset is None or not grant.area or self.within(asset, grant.area))
            for grant in self.grants
        )

    def may_everywhere(self, action: str) -> bool:
        """Whether the right is held without any limit of area: what touches the whole plant."""
        if self.actions is not None and action not in self.actions:
            return False
        grants = everywhere(self.roles) if self.grants is None else self.grants
        return any(grant.role in POLICY[action] and not grant.area for grant in grants)

    def roles_at(self, asset: str) -> tuple[str, ...]:
        """The roles held where an asset is, for what asks by role."""
        if self.grants is None:
            return self.roles
        held = (g.role for g in self.grants if not g.area or self.within(asset, g.area))
        return tuple(dict.fromkeys(held))

    def areas(self, action: str) -> tuple[str, ...]:
        """The areas in which the user may do `action`; ("",) is everywhere."""
        if self.actions is not None and action not in self.actions:
            return ()
        grants = everywhere(self.roles) if self.grants is None else self.grants
        found = {grant.area for grant in grants if grant.role in POLICY[action]}
        return (EVERYWHERE,) if EVERYWHERE in found else tuple(sorted(found))
