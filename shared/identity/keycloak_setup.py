"""Makes in Keycloak what Andon needs there: realm, roles, groups, client, mappers, services.

Called by `andon identity bootstrap`; doing it again changes nothing. Never touches users, except
the account that Keycloak keeps for a service client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.errors import ConfigError
from shared.identity.mapping import GROUP_ROOT, ROLE_PREFIX
from shared.identity.oidc import CALLBACK
from shared.identity.policy import ROLES

TIMEOUT_S = 20
TOKEN_S = 300
MADE, CHANGED, KEPT = "made", "changed", "kept"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the realm is to hold."""

    server: str
    realm: str
    client: str
    secret: str
    sites: tuple[str, ...]
    addresses: tuple[str, ...]
    """Where browsers reach the tiers; each may be returned to after sign-in."""
    services: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """service client -> its roles in Andon."""
    areas: tuple[tuple[str, str], ...] = ()
    """(site, area) pairs that get groups of their own."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was made, changed or found as wanted."""

    what: str
    name: str
    done: str


class KeycloakSetup:
    """One run over one realm; with `check` nothing is written."""

    def __init__(
        self, wanted: Wanted, admin: str, password: str, *, check: bool = False,
        ca_file: str | None = None,
    ) -> None:  # fmt: skip
        from keycloak import KeycloakAdmin

        self._wanted, self._check = wanted, check
        self._admin = KeycloakAdmin(
            server_url=wanted.server.rstrip("/") + "/", username=admin, password=password,
            realm_name="master", user_realm_name="master", timeout=TIMEOUT_S,
            verify=ca_file or True,
        )  # fmt: skip
        self.steps: list[Step] = []
        self.secrets: dict[str, str] = {}

    def run(self) -> list[Step]:
        """Make what is missing, change what differs; raises ConfigError."""
        from keycloak.exceptions import KeycloakError

        try:
            there = self._realm()
            if there:
                self._admin.connection.realm_name = self._wanted.realm
            self._roles(there)
            self._groups(there)
            self._clients(there)
        except KeycloakError as error:
            raise ConfigError(
                f"Keycloak refused: {error}", where=self._wanted.server,
                mend="check the address, the administrator's name and the password",
            ) from error  # fmt: skip
        return self.steps

    def _realm(self) -> bool:
        name = self._wanted.realm
        found = next((r for r in self._admin.get_realms() if r["realm"] == name), None)
        want = {
            "enabled": True, "sslRequired": "external", "bruteForceProtected": True,
            "registrationAllowed": False, "accessTokenLifespan": TOKEN_S,
        }  # fmt: skip
        if found is None:
            self._do("realm", name, MADE, lambda: self._admin.create_realm({"realm": name, **want}))
            return not self._check
        self._differing("realm", name, found, want, lambda new: self._admin.update_realm(name, new))
        return True

    def _roles(self, there: bool) -> None:
        known = {r["name"] for r in self._admin.get_realm_roles()} if there else set()
        for role in ROLES:
            name = ROLE_PREFIX + role
            payload = {"name": name, "description": f"Andon: {role}, everywhere"}
            if name in known:
                self._do("role", name, KEPT)
            else:
                self._do("role", name, MADE, lambda p=payload: self._admin.create_realm_role(p))

    def _groups(self, there: bool) -> None:
        paths = [f"/{GROUP_ROOT}"]
        for site in self._wanted.sites:
            paths += [f"/{GROUP_ROOT}/{site}"]
            paths += [f"/{GROUP_ROOT}/{site}/{role}" for role in ROLES]
        for site, area in self._wanted.areas:
            paths += [f"/{GROUP_ROOT}/{site}/{role}/{area}" for role in ROLES]
        known: dict[str, str] = {}
        if there:
            for group in self._admin.get_groups(query={"search": GROUP_ROOT, "exact": "true"}):
                self._walk(group, known)
        for path in paths:
            if path in known:
                self._do("group", path, KEPT)
                continue
            self._do("group", path, MADE, lambda p=path: self._make_group(p, known))

    def _walk(self, group: Mapping[str, Any], known: dict[str, str]) -> None:
        known[group["path"]] = group["id"]
        if group.get("subGroupCount", 1):
            children = self._admin.get_group_children(group["id"], query={"max": 1000})
            for child in children:
                self._walk(child, known)

    def _make_group(self, path: str, known: dict[str, str]) -> None:
        above, _, name = path.rpartition("/")
        parent = known.get(above) if above else None
        self._admin.create_group({"name": name}, parent=parent)
        known[path] = self._admin.get_group_by_path(path)["id"]

    def _clients(self, there: bool) -> None:
        wanted = self._wanted
        self._client(there, wanted.client, _console_client(wanted), _mappers(wanted.client))
        for name, roles in wanted.services.items():
            mappers = _mappers(wanted.client)
            self._client(there, name, _service_client(name), mappers)
            self._service_roles(there, name, roles)

    def _client(
        self, there: bool, name: str, want: dict[str, Any], mappers: list[dict[str, Any]]
    ) -> None:
        key = self._admin.get_client_id(name) if there else None
        if key is None:
            self._do("client", name, MADE, lambda: self._admin.create_client(want))
            key = None if self._check else self._admin.get_client_id(name)
        else:
            found = self._admin.get_client(key)
            self._differing(
                "client", name, found, want,
                lambda new, k=key: self._admin.update_client(k, new),
            )  # fmt: skip
        if key is not None:
            self.secrets[name] = self._admin.get_client_secrets(key).get("value", "")
        known = {m["name"]: m for m in self._admin.get_mappers_from_client(key)} if key else {}
        for mapper in mappers:
            shown, found = f"{name}: {mapper['name']}", known.get(mapper["name"])
            if found is None:
                self._do(
                    "mapper", shown, MADE,
                    lambda k=key, m=mapper: self._admin.add_mapper_to_client(str(k), m),
                )  # fmt: skip
            else:
                self._differing(
                    "mapper", shown, found, mapper,
                    lambda new, k=key, i=found["id"]: self._admin.update_client_mapper(
                        str(k), i, new
                    ),
                )  # fmt: skip

    def _service_roles(self, there: bool, name: str, roles: tuple[str, ...]) -> None:
        key = self._admin.get_client_id(name) if there else None
        user = self._admin.get_client_service_account_user(key)["id"] if key else None
        held = {r["name"] for r in self._admin.get_realm_roles_of_user(user)} if user else set()
        for role in roles:
            wanted, shown = ROLE_PREFIX + role, f"{name}: {ROLE_PREFIX}{role}"
            if wanted in held:
                self._do("service role", shown, KEPT)
            else:
                self._do("service role", shown, MADE, lambda w=wanted: self._give(user, w))

    def _give(self, user: str | None, role: str) -> None:
        self._admin.assign_realm_roles(str(user), [self._admin.get_realm_role(role)])

    def _differing(
        self, what: str, name: str, found: Mapping[str, Any], want: Mapping[str, Any],
        write: Callable[[dict[str, Any]], Any],
    ) -> None:  # fmt: skip
        """Write only what is otherwise than wanted; what Andon does not speak of stays."""
        new = _merged(found, want)
        if new == dict(found):
            self._do(what, name, KEPT)
        else:
            self._do(what, name, CHANGED, lambda: write(new))

    def _do(self, what: str, name: str, done: str, act: Callable[[], Any] | None = None) -> None:
        if act is not None and not self._check:
            act()
        self.steps.append(Step(what, name, done))


def _merged(found: Mapping[str, Any], want: Mapping[str, Any]) -> dict[str, Any]:
    new = dict(found)
    for key, value in want.items():
        old = found.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            new[key] = _merged(old, value)
        elif isinstance(value, list) and isinstance(old, list) and set(value) == set(old):
            continue
        else:
            new[key] = value
    return new


def _console_client(wanted: Wanted) -> dict[str, Any]:
    back = [address.rstrip("/") for address in wanted.addresses]
    return {
        "clientId": wanted.client, "name": "Andon", "enabled": True, "protocol": "openid-connect",
        "publicClient": False, "secret": wanted.secret, "standardFlowEnabled": True,
        "implicitFlowEnabled": False, "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": False, "redirectUris": [address + CALLBACK for address in back],
        "webOrigins": [], "frontchannelLogout": False,
        "attributes": {
            "pkce.code.challenge.method": "S256",
            "backchannel.logout.url": back[0] + "/api/session/oidc/logout" if back else "",
            "backchannel.logout.session.required": "true",
            "post.logout.redirect.uris": "##".join(address + "/" for address in back),
        },
    }  # fmt: skip


def _service_client(name: str) -> dict[str, Any]:
    return {
        "clientId": name, "name": f"Andon: {name}", "enabled": True, "protocol": "openid-connect",
        "publicClient": False, "standardFlowEnabled": False, "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False, "serviceAccountsEnabled": True,
    }  # fmt: skip


def _mappers(audience: str) -> list[dict[str, Any]]:
    tokens = {"id.token.claim": "true", "access.token.claim": "true"}
    return [
        {
            "name": "andon-audience", "protocol": "openid-connect",
            "protocolMapper": "oidc-audience-mapper",
            "config": {"included.custom.audience": audience, "access.token.claim": "true"},
        },
        {
            "name": "andon-groups", "protocol": "openid-connect",
            "protocolMapper": "oidc-group-membership-mapper",
            "config": {"claim.name": "groups", "full.path": "true", **tokens},
        },
        {
            "name": "andon-roles", "protocol": "openid-connect",
            "protocolMapper": "oidc-usermodel-realm-role-mapper",
            "config": {
                "claim.name": "realm_access.roles", "multivalued": "true",
                "jsonType.label": "String", **tokens,
            },
        },
    ]  # fmt: skip
