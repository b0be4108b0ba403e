"""Which processes make up a running system, with what settings: data, no processes.

Called by `andon up` and by the test of `deploy/`; asks its arguments for ports and secrets, never
starts anything and never writes a file itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from shared.bus.nats_conf import (
    Device,
    NatsServer,
    Upstream,
    edge_leaf,
    factory_leaf,
    leaf_url,
)
from shared.embedded import trial
from shared.embedded.sites import DeviceSource, Site
from shared.messages.subjects import CLOUD_DOMAIN

HOST = "127.0.0.1"
DATABASE_PORT = 54329
TakePort = Callable[[int], int]
DATABASE_OWNER = "andon_{name}"


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where a plan gets secrets from: each made when first asked for."""

    password: Callable[[str], str]
    path: Callable[[str], Path]
    key_pair: Callable[[str], tuple[Path, Path]]
    webhook: Callable[[str], Path]


def _loopback(_: str) -> str:
    return HOST


@dataclass(frozen=True, slots=True)
class Network:
    """Where processes listen, and under which host name each is found (by process name)."""

    listen: str = HOST
    host_of: Callable[[str], str] = _loopback


@dataclass(frozen=True, slots=True)
class Outside:
    """Servers that run elsewhere, by node name (`cloud`, `f1`, `f1-e1`): NATS URLs and DSNs."""

    nats: Mapping[str, str] = field(default_factory=dict)
    databases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tier:
    """One process of ours: `andon <verb>… --config <file>`, ready when `port` answers."""

    name: str
    verb: tuple[str, ...]
    config: dict[str, Any]
    port: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that runs, in the order of start."""

    nats: tuple[NatsServer, ...]
    postgres_port: int | None
    databases: dict[str, str]
    """Role and database name -> password, for the embedded PostgreSQL."""
    tiers: tuple[Tier, ...]
    addresses: dict[str, Any]
    """The part of `run/up.json` that does not depend on process ids."""

    @property
    def process_names(self) -> tuple[str, ...]:
        """Every process, in the order of start."""
        servers = [f"nats-{server.name}" for server in self.nats]
        database = ["postgres"] if self.postgres_port is not None else []
        return (*servers, *database, *(tier.name for tier in self.tiers))


def node_names(sites: tuple[Site, ...]) -> list[str]:
    """The tier nodes of a system: each has a NATS server."""
    edges = [f"{site.id}-{edge}" for site in sites for edge in site.edges]
    return [CLOUD_DOMAIN, *(site.id for site in sites), *edges]


class Planner:
    """Builds one Plan; holds what the parts of it share."""

    def __init__(
        self,
        sites: tuple[Site, ...],
        state: Path,
        take: TakePort,
        secrets: Secrets,
        network: Network | None = None,
    ) -> None:
        self.sites, self.state, self.secrets = sites, state, secrets
        self.network = network or Network()
        self._take = take
        self._servers: dict[str, NatsServer] = {}
        self._nats_urls: dict[str, str] = {}

    def plan(self, playbooks: Path, outside: Outside, *, simulate: bool) -> Plan:
        """The whole system on this machine."""
        if outside.nats:
            self._nats_urls = dict(outside.nats)
        else:
            self._plan_servers()
        database_port = None if outside.databases else self._take(DATABASE_PORT)
        databases, dsns = self._databases(database_port, outside)
        http = {name: self._take(8080 + i) for i, name in enumerate(s.id for s in self.sites)}
        cloud_port = self._take(8090)
        pages = self._pages()
        control = self._take(8070) if simulate else None
        plants, devices = self._plants(simulate)
        tiers = [self._cloud(cloud_port, dsns[CLOUD_DOMAIN])]
        tiers += [
            self._brain(site, http[site.id], dsns[site.id], playbooks, control)
            for site in self.sites
        ]
        tiers += [
            self._edge(site, edge, pages[f"{site.id}-{edge}"], devices)
            for site in self.sites
            for edge in site.edges
        ]
        if control is not None:
            config = {
                "control_host": self.network.listen,
                "control_port": control,
                "plants": plants,
            }
            if signed := [secret for site in self.sites for _, secret in site.endpoints]:
                config["webhook_secret_file"] = str(self.secrets.webhook(signed[0]))
            if linked := self._simulated_devices():
                config["devices"] = linked
            # Plants first: edges then find their devices at once.
            tiers.insert(0, Tier("sim", ("sim", "run", "--plant", "all"), config, control))
        addresses = {
            "console": {name: f"http://{HOST}:{port}" for name, port in http.items()},
            "cloud": f"http://{HOST}:{cloud_port}",
            "simulators": f"http://{HOST}:{control}" if control is not None else None,
            "edge_pages": {name: f"http://{HOST}:{port}" for name, port in pages.items()},
            "nats": {s.name: _server_ports(s) for s in self._servers.values()},
            "database": dsns,
            "state": str(self.state),
        }
        return Plan(
            tuple(self._servers.values()), database_port, databases, tuple(tiers), addresses
        )

    def _pages(self) -> dict[str, int]:
        names = [f"{site.id}-{edge}" for site in self.sites for edge in site.edges]
        return {name: self._take(8101 + i) for i, name in enumerate(names)}

    def _host(self, process: str) -> str:
        return self.network.host_of(process)

    # servers

    def _server(self, name: str, index: int, **more: Any) -> NatsServer:
        server = NatsServer(
            name=name,
            domain=name,
            store_dir=str(self.state / "nats" / name / "js"),
            client_port=self._take(4222 + index),
            http_port=self._take(8222 + index),
            app_password=self.secrets.password(f"nats-{name}-app"),
            sys_password=self.secrets.password(f"nats-{name}-sys"),
            host=self.network.listen,
            **more,
        )
        self._servers[name] = server
        self._nats_urls[name] = f"nats://{self._host(f'nats-{name}')}:{server.client_port}"
        return server

    def _plan_servers(self) -> None:
        secret = self.secrets.password
        index = len(self.sites) + 1
        leaves = tuple(factory_leaf(s.id, secret(f"nats-cloud-{s.id}")) for s in self.sites)
        hub = self._server(CLOUD_DOMAIN, 0, leaf_port=self._take(7422), leaves=leaves)
        for n, (site, leaf) in enumerate(zip(self.sites, leaves, strict=True), start=1):
            edges = tuple(
                edge_leaf(site.id, edge, secret(f"nats-{site.id}-{edge}")) for edge in site.edges
            )
            factory = self._server(
                site.id,
                n,
                leaf_port=self._take(7422 + n),
                leaves=edges,
                upstream=Upstream(leaf_url(leaf, self._host("nats-cloud"), hub.leaf_port or 0)),
                **self._linked_devices(site, n),
            )
            for edge in edges:
                index = self._edge_server(site, edge.node.name, factory, edge, index)

    def _linked_devices(self, site: Site, index: int) -> dict[str, Any]:
        """The broker of the site's linked devices; without any there is no listener to guard."""
        if not site.linked:
            return {}
        secret = self.secrets.password
        names = [each.name for each in site.linked]
        return {
            "mqtt_port": self._take(1890 + index),
            "devices": tuple(Device(n, secret(f"mqtt-{site.id}-{n}")) for n in names),
            "broker_password": secret(f"mqtt-{site.id}-brain"),
        }

    def _edge_server(self, site: Site, edge: str, up: NatsServer, leaf: Any, index: int) -> int:
        name = f"{site.id}-{edge}"
        devices = tuple(
            Device(s.url.removeprefix("device:"), self.secrets.password(f"nats-{name}-{s.id}"))
            for s in site.sources
            if s.edge == edge and s.driver == "mqtt"
        )
        more: dict[str, Any] = {}
        if devices:  # without devices there is no MQTT listener to guard
            more = {
                "mqtt_port": self._take(1883),
                "devices": devices,
                "driver_password": self.secrets.password(f"nats-{name}-driver"),
            }
        upstream = Upstream(leaf_url(leaf, self._host(f"nats-{site.id}"), up.leaf_port or 0))
        self._server(name, index, upstream=upstream, **more)
        return index + 1

    def _databases(
        self, port: int | None, outside: Outside
    ) -> tuple[dict[str, str], dict[str, str]]:
        if port is None:
            return {}, dict(outside.databases)
        names = [CLOUD_DOMAIN, *(site.id for site in self.sites)]
        owners = {name: DATABASE_OWNER.format(name=name.replace("-", "_")) for name in names}
        passwords = {owners[name]: self.secrets.password(f"db-{name}") for name in names}
        host = self._host("postgres")
        dsns = {
            name: f"postgresql://{owner}:{passwords[owner]}@{host}:{port}/{owner}"
            for name, owner in owners.items()
        }
        return passwords, dsns

    # tiers

    def _node(self, name: str, folder: Path) -> dict[str, Any]:
        url = urlsplit(self._nats_urls[name])
        host = f"{url.hostname}:{url.port or 4222}"
        return {
            "state_dir": str(folder),
            "nats_url": urlunsplit((url.scheme, host, "", "", "")),
            "nats_user": url.username or "app",
            "nats_password_file": str(self.secrets.path(f"nats-{name}-app")),
        }

    def _web(self, port: int, dsn: str) -> dict[str, Any]:
        admin = str(self.secrets.path("admin-password"))
        return {
            "database_url": dsn,
            "http_host": self.network.listen,
            "http_port": port,
            "admin_password_file": admin,
        }

    def _cloud(self, port: int, dsn: str) -> Tier:
        config = self._node(CLOUD_DOMAIN, self.state / "cloud") | self._web(port, dsn)
        config["release_key_file"] = str(self.secrets.key_pair("group-release")[0])
        config |= trial.CLOUD
        return Tier("cloud", ("cloud", "run"), config, port)

    def _brain(self, site: Site, port: int, dsn: str, playbooks: Path, control: int | None) -> Tier:
        config = self._node(site.id, self.state / "brain" / site.id) | self._web(port, dsn)
        config |= {
            "site": site.id,
            "site_dir": str(site.folder),
            "playbook_dir": str(playbooks),
            "secrets_dir": str(self.secrets.path("")),
            "approval_key_file": str(self.secrets.key_pair(f"{site.id}-approval")[0]),
            "release_key_file": str(self.secrets.key_pair("group-release")[1]),
            "lease_ttl": "6s",
        }
        for secret in (*(name for _, name in site.endpoints), *site.hooks):
            self.secrets.webhook(secret)
        server = self._servers.get(site.id)
        if server is not None and server.mqtt_port is not None:
            config["mqtt_url"] = f"mqtt://{self._host(f'nats-{site.id}')}:{server.mqtt_port}"
            config["mqtt_password_file"] = str(self.secrets.path(f"mqtt-{site.id}-brain"))
        if control is not None:  # the simulated linked system takes the webhooks
            config |= trial.BRAIN
            config["endpoint_urls"] = {
                name: f"http://{self._host('sim')}:{control}/hooks/{site.id}/{name}"
                for name, _ in site.endpoints
            }
        return Tier(f"brain-{site.id}", ("brain", "run"), config, port)

    def _edge(self, site: Site, edge: str, page: int, devices: dict[str, Any]) -> Tier:
        name = f"{site.id}-{edge}"
        config = self._node(name, self.state / "edge" / name) | {
            "site": site.id,
            "edge": edge,
            "site_dir": str(site.folder),
            "page_port": page,
            "release_key_file": str(self.secrets.key_pair("group-release")[1]),
            "approval_key_file": str(self.secrets.key_pair(f"{site.id}-approval")[1]),
            "demo": True,
        }
        mine = {s.id: devices[s.id] for s in site.sources if s.edge == edge and s.id in devices}
        if mine:
            config["device_credentials"] = mine
        return Tier(f"edge-{name}", ("edge", "run"), config, page)

    # simulated plants

    def _simulated_devices(self) -> list[dict[str, Any]]:
        """The linked devices of every site, as the simulators play them."""
        found: list[dict[str, Any]] = []
        for site in self.sites:
            server = self._servers.get(site.id)
            for device in site.linked if server is not None and server.mqtt_port else ():
                found.append(
                    {
                        "device": device.name,
                        "kind": device.kind,
                        "site": site.id,
                        "mqtt_host": self._host(f"nats-{site.id}"),
                        "mqtt_port": server.mqtt_port if server else 0,
                        "password_file": str(self.secrets.path(f"mqtt-{site.id}-{device.name}")),
                    }
                )
        return found

    def _plants(self, simulate: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """(The simulators' `plants`, connection settings by source id)."""
        plants: dict[str, Any] = {}
        devices: dict[str, Any] = {}
        for site in self.sites:
            for source in site.sources:
                self._plant(site, source, simulate, plants, devices)
        return plants, devices

    def _plant(
        self,
        site: Site,
        source: DeviceSource,
        simulate: bool,
        plants: dict[str, Any],
        devices: dict[str, Any],
    ) -> None:
        name = f"{site.id}-{source.edge}"
        if source.driver == "mqtt":
            server = self._servers.get(name)
            if server is None or server.mqtt_port is None:
                return
            host, secret = self._host(f"nats-{name}"), self.secrets.path(f"nats-{name}-driver")
            devices[source.id] = {
                "nats_url": self._nats_urls[name],
                "user": "driver",
                "password_file": str(secret),
            }
            if simulate and "bottling" not in plants:
                device = source.url.removeprefix("device:")
                plants["bottling"] = {
                    "mqtt_host": host,
                    "mqtt_port": server.mqtt_port,
                    "username": device,
                    "password_file": str(self.secrets.path(f"nats-{name}-{source.id}")),
                    "device": device,
                }
            return
        plant = {"opcua": "furnace", "modbus": "compressor"}.get(source.driver)
        url = urlsplit(source.url)
        if (
            plant is None
            or not simulate
            or plant in plants
            or url.hostname not in (HOST, "localhost")
        ):
            return
        port = self._take(url.port or 0)
        plants[plant] = {"host": self.network.listen, "port": port}
        devices[source.id] = {"url": urlunsplit(url._replace(netloc=f"{self._host('sim')}:{port}"))}


def _server_ports(server: NatsServer) -> dict[str, int | None]:
    return {
        "client": server.client_port,
        "leaf": server.leaf_port,
        "http": server.http_port,
        "mqtt": server.mqtt_port,
    }
