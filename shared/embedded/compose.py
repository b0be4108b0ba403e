"""The compose file of `deploy/`: the same processes as `andon up`, as containers.

Called by `andon gen compose`; made from the same plan, so that the two cannot drift apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.bus.nats_conf import NatsServer, render
from shared.embedded.plan import (
    DATABASE_PORT,
    Network,
    Outside,
    Plan,
    Planner,
    Secrets,
    Tier,
)
from shared.embedded.sites import Site

NATS_IMAGE = "nats:2.15.1-alpine"
POSTGRES_IMAGE = "postgres:18.6-alpine"


POSTGRES_PORT = 5432
CONFIG, SECRETS, SITES, PLAYBOOKS = "/etc/andon", "/run/andon", "/sites", "/playbooks"


def compose_plan(sites: tuple[Site, ...], password: Callable[[str], str] = str) -> Plan:
    """The plan of `andon up` as seen from inside the containers: each service is its own host."""
    pairs = Path(SECRETS) / "keys"
    secrets = Secrets(
        password,
        lambda name: Path(SECRETS) / name,
        lambda name: (pairs / f"{name}.key", pairs / f"{name}.pub"),
        lambda name: Path(SECRETS) / name,
    )
    inside = tuple(replace(site, folder=Path(SITES) / site.folder.name) for site in sites)
    network = Network("0.0.0.0", lambda process: process)
    planner = Planner(inside, Path("/var/lib/andon"), _port, secrets, network)
    return planner.plan(Path(PLAYBOOKS), Outside(), simulate=True)


def _port(preferred: int) -> int:
    """Containers have their ports to themselves; PostgreSQL's image has its own idea."""
    return POSTGRES_PORT if preferred == DATABASE_PORT else preferred


def config_files(plan: Plan, superuser: str) -> dict[str, str]:
    """The private files beside the compose file: server configurations, settings, databases."""
    files = {f"nats-{server.name}.conf": render(server) for server in plan.nats}
    files |= {
        f"{tier.name}.yaml": json.dumps(tier.config, indent=1, ensure_ascii=False) + "\n"
        for tier in plan.tiers
    }
    statements = [
        f"CREATE ROLE {name} LOGIN PASSWORD '{password}';\n"
        f"CREATE DATABASE {name} OWNER {name};\n"
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC;\n"
        for name, password in plan.databases.items()
    ]
    return files | {"databases.sql": "".join(statements), "db-superuser": superuser + "\n"}


def compose_document(plan: Plan) -> dict[str, Any]:
    """The compose file as data."""
    services: dict[str, Any] = {}
    for server in plan.nats:
        services[f"nats-{server.name}"] = _nats(server)
    services["postgres"] = _postgres()
    for tier in plan.tiers:
        services[tier.name] = _tier(tier)
    return {
        "name": "andon",
        "services": services,
        "volumes": {name: None for name in ("state", *_volumes(plan))},
    }


def _volumes(plan: Plan) -> list[str]:
    return ["postgres", *(f"nats-{server.name}" for server in plan.nats)]


def _nats(server: NatsServer) -> dict[str, Any]:
    name = f"nats-{server.name}"
    service: dict[str, Any] = {
        "image": NATS_IMAGE,
        "command": ["-c", "/etc/nats/nats.conf"],
        "volumes": [
            f"./config/{name}.conf:/etc/nats/nats.conf:ro",
            f"{name}:/var/lib/andon/nats/{server.name}",
        ],
        "restart": "unless-stopped",
        "stop_grace_period": "15s",
    }
    if server.upstream is not None:
        parent = "nats-cloud" if "-" not in server.name else f"nats-{server.name.split('-')[0]}"
        service["depends_on"] = [parent]
    return service


def _postgres() -> dict[str, Any]:
    return {
        "image": POSTGRES_IMAGE,
        "command": ["-c", "max_locks_per_transaction=512"],
        "environment": {
            "POSTGRES_USER": "andon",
            "POSTGRES_PASSWORD_FILE": "/run/secrets/db-superuser",
        },
        "volumes": [
            "postgres:/var/lib/postgresql",
            "./config/databases.sql:/docker-entrypoint-initdb.d/databases.sql:ro",
            "./config/db-superuser:/run/secrets/db-superuser:ro",
        ],
        "healthcheck": {
            "test": ["CMD", "pg_isready", "-U", "andon"],
            "interval": "5s",
            "retries": 12,
        },
        "restart": "unless-stopped",
        "stop_signal": "SIGINT",
    }


def _tier(tier: Tier) -> dict[str, Any]:
    needs: dict[str, Any] = {}
    if tier.name != "sim":
        suffix = tier.name.partition("-")[2] or tier.name
        needs[f"nats-{suffix}"] = {"condition": "service_started"}
    if "database_url" in tier.config:
        needs["postgres"] = {"condition": "service_healthy"}
    service: dict[str, Any] = {
        "image": "andon:latest",
        "build": {"context": "../..", "dockerfile": "deploy/compose/Dockerfile"},
        "command": [*tier.verb, "--config", f"/etc/andon/{tier.name}.yaml"],
        "volumes": [f"./config/{tier.name}.yaml:/etc/andon/{tier.name}.yaml:ro",
                    "./config/secrets:/run/andon:ro", "../sites/demo:/sites:ro",
                    "../../playbooks/library:/playbooks:ro", "state:/var/lib/andon"],
        "restart": "unless-stopped",
        "stop_grace_period": "10s",
    }  # fmt: skip
    if needs:
        service["depends_on"] = needs
    if tier.name.startswith(("brain-", "cloud")):
        # The console is for this machine until a proxy with TLS stands before it.
        service["ports"] = [f"127.0.0.1:{tier.port}:{tier.port}"]
    return service
