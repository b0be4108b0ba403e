"""Text of the nats-server configurations: group hub, factory leaf, edge leaf.

Called by the embedded engines and by `andon gen nats`; pure text, never touches a file or a server.

Every lower node speaks through an account of its own (`LEAF_<name>`), joined to `APP` by single
exports and imports. One account with a permission list is not enough: a leaf may name any reply
subject, and the server answers it (a publish acknowledgement, an empty "not found") with its own
rights, so a forged reply deletes a stream. A service import rewrites the reply; the permission
list stays as a second fence.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from shared.messages.subjects import (
    BRAIN,
    CLOUD_DOMAIN,
    DEVICE_PREFIX,
    NOTICE_PREFIX,
    Node,
)

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Leaf:
    """A lower node that may connect: its identity, user and password."""

    node: Node
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the plant that may speak MQTT to an edge; its name is its user."""

    name: str
    password: str


@dataclass(frozen=True, slots=True)
class Upstream:
    """The tier above: `url` carries user and password, or is a `$VARIABLE` of the environment."""

    url: str


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate files for mutual TLS on the leaf port (listener) or towards it (remote)."""

    cert: str
    key: str
    ca: str


@dataclass(frozen=True, slots=True)
class NatsServer:
    """Everything one server's configuration needs; a password may be a `$VARIABLE`."""

    name: str
    domain: str
    store_dir: str
    client_port: int
    http_port: int
    app_password: str
    sys_password: str
    leaf_port: int | None = None
    mqtt_port: int | None = None
    driver_password: str | None = None
    broker_password: str | None = None
    """Of the MQTT user `brain`: the devices are a factory's linked ones, and nothing of theirs
    crosses to APP."""
    leaves: tuple[Leaf, ...] = ()
    devices: tuple[Device, ...] = ()
    upstream: Upstream | None = None
    host: str = "127.0.0.1"
    leaf_tls: Tls | None = None
    upstream_tls: Tls | None = None
    max_file_mb: int = 8192
    max_memory_mb: int = 64


def render(server: NatsServer) -> str:
    """The configuration file of one server."""
    parts = [
        f"# {server.name}: made by Andon (shared/bus/nats_conf.py); edits are overwritten.",
        f"server_name: {_text(server.name)}",
        f"listen: {_text(f'{server.host}:{server.client_port}')}",
        "# The monitor has no login: loopback only.",
        f"http: {_text(f'127.0.0.1:{server.http_port}')}",
        'ping_interval: "10s"',
        "ping_max: 2",
        'write_deadline: "10s"',
        _jetstream(server),
        _accounts(server),
        "system_account: SYS",
        _leafnodes(server),
        _mqtt(server),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _text(value: str) -> str:
    """A quoted string, or a bare `$VARIABLE` that the server reads from its environment."""
    return value if value.startswith("$") and value[1:].isidentifier() else json.dumps(value)


def _list(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(json.dumps(value) for value in values) + "]"


def _jetstream(server: NatsServer) -> str:
    # sync_interval: the default of two minutes loses acknowledged data when the power goes.
    return (
        f"jetstream {{ store_dir: {_text(server.store_dir)}, domain: {_text(server.domain)}, "
        f"sync_interval: always, max_file_store: {server.max_file_mb * MB}, "
        f"max_memory_store: {server.max_memory_mb * MB} }}"
    )


def _user(name: str, password: str, rest: str = "") -> str:
    return f"{{ user: {json.dumps(name)}, password: {_text(password)}{rest} }}"


def _permissions(publish: tuple[str, ...], subscribe: tuple[str, ...]) -> str:
    return (
        ", permissions: {\n"
        f"        publish: {{ allow: {_list(publish)} }}\n"
        f"        subscribe: {{ allow: {_list(subscribe)} }} }}"
    )


def _account(
    name: str,
    users: list[str],
    *,
    head: str = "",
    exports: list[str],
    imports: list[str],
):
    def block(word: str, lines: list[str]) -> str:
        return f"    {word}: [\n" + "".join(f"      {line}\n" for line in lines) + "    ]\n"

    text = f"  {name} {{\n{head}" + block("users", users)
    if exports:
        text += block("exports", exports)
    if imports:
        text += block("imports", imports)
    return text + "  }\n"


def account_of(leaf: Leaf) -> str:
    """The account that a lower node's connection lives in."""
    return f"LEAF_{leaf.user}".replace("-", "_")


@dataclass(frozen=True, slots=True)
class _Joint:
    """What crosses between a leaf's account and APP, by direction and kind."""

    services: tuple[str, ...]  # up, answered: the reply is rewritten
    streams_up: tuple[str, ...]
    streams_down: tuple[str, ...]


def _joint(node: Node) -> _Joint:
    api = f"$JS.{node.upstream_domain}.API."
    # The server maps $JS.<domain>.API to $JS.API before it looks at imports.
    up = tuple(subject.replace(api, "$JS.API.") for subject in node.may_publish)
    unanswered = (node.health, node.reply(">"))
    down = tuple(s for s in node.may_receive if not s.startswith(node.inbox))
    return _Joint(tuple(s for s in up if s not in unanswered), unanswered, down)


def _leaf_account(leaf: Leaf) -> str:
    joint = _joint(leaf.node)
    return _account(
        account_of(leaf),
        [
            _user(
                leaf.user,
                leaf.password,
                ', allowed_connection_types: ["LEAFNODE"]'
                + _permissions(leaf.node.may_publish, leaf.node.may_receive),
            )
        ],
        exports=[f"{{ stream: {json.dumps(s)}, accounts: [APP] }}" for s in joint.streams_up],
        imports=[
            *(
                f"{{ service: {{ account: APP, subject: {json.dumps(s)} }} }}"
                for s in joint.services
            ),
            *(
                f"{{ stream: {{ account: APP, subject: {json.dumps(s)} }} }}"
                for s in joint.streams_down
            ),
        ],
    )


def _app_account(server: NatsServer) -> str:
    users = [_user("app", server.app_password)]
    exports: list[str] = []
    imports: list[str] = []
    for leaf in server.leaves:
        joint, account = _joint(leaf.node), account_of(leaf)
        exports += [
            f"{{ service: {json.dumps(s)}, accounts: [{account}] }}" for s in joint.services
        ]
        exports += [
            f"{{ stream: {json.dumps(s)}, accounts: [{account}] }}" for s in joint.streams_down
        ]
        imports += [
            f"{{ stream: {{ account: {account}, subject: {json.dumps(s)} }} }}"
            for s in joint.streams_up
        ]
    if server.mqtt_port is not None and server.broker_password is None:
        exports.append(f'{{ stream: "{NOTICE_PREFIX}.>", accounts: [DEV] }}')
        imports.append(f'{{ stream: {{ account: DEV, subject: "{DEVICE_PREFIX}.>" }} }}')
        if server.driver_password is not None:
            rights = _permissions((f"{NOTICE_PREFIX}.>",), (f"{DEVICE_PREFIX}.>",))
            users.append(_user("driver", server.driver_password, rights))
    return _account("APP", users, head="    jetstream: enabled\n", exports=exports, imports=imports)


def _device_account(server: NatsServer) -> str:
    mqtt = ', allowed_connection_types: ["MQTT"]'
    users = [
        _user(
            device.name,
            device.password,
            mqtt
            # An MQTT filter `notice/x/#` also asks for `notice.x` itself.
            + _permissions(
                (f"{DEVICE_PREFIX}.{device.name}.>",),
                (f"{NOTICE_PREFIX}.{device.name}", f"{NOTICE_PREFIX}.{device.name}.>"),
            ),
        )
        for device in server.devices
    ]
    if server.broker_password is not None:
        heard = (DEVICE_PREFIX, f"{DEVICE_PREFIX}.>")
        rights = _permissions((f"{NOTICE_PREFIX}.>",), heard)
        users.append(_user(BRAIN, server.broker_password, mqtt + rights))
        return _account("DEV", users, head="    jetstream: enabled\n", exports=[], imports=[])
    return _account(
        "DEV",
        users,
        head="    jetstream: enabled\n",
        exports=[f'{{ stream: "{DEVICE_PREFIX}.>", accounts: [APP] }}'],
        imports=[f'{{ stream: {{ account: APP, subject: "{NOTICE_PREFIX}.>" }} }}'],
    )


def _accounts(server: NatsServer) -> str:
    text = _account("SYS", [_user("sys", server.sys_password)], exports=[], imports=[])
    text += _app_account(server)
    text += "".join(_leaf_account(leaf) for leaf in server.leaves)
    if server.mqtt_port is not None:
        text += _device_account(server)
    return f"accounts {{\n{text}}}"


def _tls(tls: Tls | None, *, verify: bool) -> str:
    if tls is None:
        return ""
    return (
        f" tls {{ cert_file: {_text(tls.cert)}, key_file: {_text(tls.key)}, "
        f"ca_file: {_text(tls.ca)}{', verify: true' if verify else ''} }}"
    )


def _leafnodes(server: NatsServer) -> str:
    lines = []
    if server.leaf_port is not None:
        lines.append(f"  listen: {_text(f'{server.host}:{server.leaf_port}')}")
        lines.append(_tls(server.leaf_tls, verify=True))
    if server.upstream is not None:
        tls = _tls(server.upstream_tls, verify=False)
        secure = f",{tls}" if tls else ""
        # Advertised addresses may be unreachable from behind a plant's NAT.
        lines.append(
            f'  remotes: [ {{ url: {_text(server.upstream.url)}, account: "APP", '
            f"ignore_discovered_servers: true{secure} }} ]"
        )
        lines.append('  reconnect: "1s"')
    body = "\n".join(line for line in lines if line)
    return f"leafnodes {{\n{body}\n}}" if body else ""


def _mqtt(server: NatsServer) -> str:
    if server.mqtt_port is None:
        return ""
    return f"mqtt {{ listen: {_text(f'{server.host}:{server.mqtt_port}')} }}"


def leaf_url(leaf: Leaf, host: str, port: int) -> str:
    """The address under which `leaf` reaches a hub's leaf port."""
    return f"nats-leaf://{leaf.user}:{leaf.password}@{host}:{port}"


def edge_leaf(site: str, edge: str, password: str) -> Leaf:
    """The leaf of an edge at its factory."""
    return Leaf(Node(site, edge), edge, password)


def factory_leaf(site: str, password: str) -> Leaf:
    """The leaf of a factory at the group's hub: it speaks for the site's brain."""
    return Leaf(Node(site, BRAIN), site, password)


def render_examples() -> dict[str, str]:
    """The files of `deploy/nats`: one server of each tier, secrets taken from the environment."""
    hub = NatsServer(
        name="cloud",
        domain=CLOUD_DOMAIN,
        store_dir="/var/lib/andon/nats/cloud/js",
        client_port=4222,
        http_port=8222,
        leaf_port=7422,
        host="0.0.0.0",
        app_password="$NATS_APP_PASSWORD",
        sys_password="$NATS_SYS_PASSWORD",
        leaves=(
            factory_leaf("f1", "$NATS_LEAF_F1"),
            factory_leaf("f2", "$NATS_LEAF_F2"),
        ),
    )
    factory = NatsServer(
        name="f1",
        domain="f1",
        store_dir="/var/lib/andon/nats/f1/js",
        client_port=4222,
        http_port=8222,
        leaf_port=7422,
        host="0.0.0.0",
        app_password="$NATS_APP_PASSWORD",
        sys_password="$NATS_SYS_PASSWORD",
        leaves=(
            edge_leaf("f1", "e1", "$NATS_LEAF_E1"),
            edge_leaf("f1", "e2", "$NATS_LEAF_E2"),
        ),
        upstream=Upstream("$NATS_UPSTREAM_URL"),
    )
    edge = NatsServer(
        name="f1-e1",
        domain="f1-e1",
        store_dir="/var/lib/andon/nats/f1-e1/js",
        client_port=4222,
        http_port=8222,
        mqtt_port=1883,
        host="0.0.0.0",
        app_password="$NATS_APP_PASSWORD",
        sys_password="$NATS_SYS_PASSWORD",
        driver_password="$NATS_DRIVER_PASSWORD",
        devices=(Device("line1", "$MQTT_LINE1"),),
        upstream=Upstream("$NATS_UPSTREAM_URL"),
    )
    return {
        "cloud.conf": render(hub),
        "factory.conf": render(factory),
        "edge.conf": render(edge),
    }
