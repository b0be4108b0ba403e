"""The plan of `andon up` as data: what runs, with which secrets, inside or with outside servers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shared.bus.nats_conf import render
from shared.cli.up import _named
from shared.embedded.plan import Outside, Plan, Planner, Secrets, node_names
from shared.embedded.sites import read_sites
from shared.errors import ConfigError
from shared.paths import demo_sites

SITES = read_sites(demo_sites())


def plan(outside: Outside | None = None, *, simulate: bool = True) -> Plan:
    secrets = Secrets(
        lambda name: f"p-{name}",
        lambda name: Path("/s") / name,
        lambda name: (Path(f"/s/{name}.key"), Path(f"/s/{name}.pub")),
        lambda name: Path("/s") / name,
    )
    planner = Planner(SITES, Path("/state"), lambda port: port, secrets)
    return planner.plan(Path("/playbooks"), outside or Outside(), simulate=simulate)


def test_every_tier_of_the_demo_runs() -> None:
    assert set(plan().process_names) == {
        "nats-cloud", "nats-f1", "nats-f2", "nats-f1-e1", "nats-f1-e2", "nats-f2-e3", "postgres",
        "cloud", "brain-f1", "brain-f2", "edge-f1-e1", "edge-f1-e2", "edge-f2-e3", "sim",
    }  # fmt: skip


def test_no_port_is_given_twice() -> None:
    made = plan()
    ports = [
        port
        for server in made.nats
        for port in (server.client_port, server.http_port, server.leaf_port, server.mqtt_port)
        if port is not None
    ]
    ports += [tier.port for tier in made.tiers]
    assert len(ports) == len(set(ports))


def test_a_tier_gets_public_keys_of_others_and_private_ones_of_its_own() -> None:
    tiers = {tier.name: tier.config for tier in plan().tiers}
    assert tiers["cloud"]["release_key_file"].endswith("group-release.key")
    assert tiers["brain-f1"]["release_key_file"].endswith("group-release.pub")
    assert tiers["brain-f1"]["approval_key_file"].endswith("f1-approval.key")
    assert tiers["edge-f1-e1"]["release_key_file"].endswith("group-release.pub")
    assert tiers["edge-f1-e1"]["approval_key_file"].endswith("f1-approval.pub")


def test_an_edge_server_knows_no_password_of_another_node() -> None:
    servers = {server.name: render(server) for server in plan().nats}
    assert "p-nats-f1-e1" in servers["f1"]
    assert "p-nats-f1-e2" not in servers["f1-e1"]
    assert "p-nats-cloud" not in servers["f1-e1"]


def test_outside_servers_are_used_and_not_started() -> None:
    nats = {name: f"nats://me:pw@{name}.example:4333" for name in node_names(SITES)}
    databases = {name: f"postgresql://x@db/{name}" for name in ("cloud", "f1", "f2")}
    made = plan(Outside(nats, databases), simulate=False)
    assert made.nats == ()
    assert made.postgres_port is None
    assert {tier.name for tier in made.tiers}.isdisjoint({"sim"})
    brain = next(tier.config for tier in made.tiers if tier.name == "brain-f1")
    assert brain["nats_url"] == "nats://f1.example:4333"
    assert brain["nats_user"] == "me"
    assert brain["database_url"] == "postgresql://x@db/f1"


@pytest.mark.parametrize("given", [["cloud=nats://x"], ["cloud=nats://x", "f9=nats://y"], ["x"]])
def test_outside_servers_for_some_nodes_only_are_refused_with_the_list(given: list[str]) -> None:
    with pytest.raises(ConfigError, match="--nats-url f1=URL"):
        _named(given, ["cloud", "f1"], "--nats-url")


def test_a_folder_without_a_site_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"site\.yaml"):
        read_sites(tmp_path)


def test_any_driver_runs_and_a_source_needs_no_address_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(demo_sites() / "f1", folder)
    (folder / "tags" / "own.yaml").write_text(
        "sources:\n"
        "  - {id: rec, edge: e1, driver: replay, url: 'file:day.csv'}\n"
        "  - {id: calc, edge: e1, driver: python, inputs: [TT-101]}\n"
    )
    secrets = Secrets(str, Path, lambda name: (Path(name), Path(name)), Path)
    planner = Planner(read_sites(folder), Path("/state"), lambda port: port, secrets)
    for simulate in (True, False):
        made = planner.plan(Path("/playbooks"), Outside(), simulate=simulate)
        assert "edge-f1-e1" in made.process_names
