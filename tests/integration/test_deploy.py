"""What `deploy/` holds is fresh, parses, and describes the same system as `andon up`.

The servers' own parsers are the judges where they exist (nats-server, systemd-analyze).
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from shared.bus.nats_conf import render_examples
from shared.cli.gen import app, compose_text
from shared.embedded.nats_server import find_nats_server
from shared.embedded.plan import Outside, Planner, Secrets
from shared.embedded.sites import read_sites
from shared.paths import ROOT, demo_sites

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def _check(path: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(find_nats_server()), "-t", "-c", str(path)], env={**os.environ, **env},
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["cloud.conf", "factory.conf", "edge.conf"])
def test_nats_configuration_is_fresh_and_valid(name: str) -> None:
    path = DEPLOY / "nats" / name
    text = path.read_text()
    assert text == render_examples()[name], "stale: run `andon gen nats`"
    wanted = set(re.findall(r"\$((?:NATS|MQTT)_[A-Z0-9_]+)", text))
    assert wanted, "the examples hold no secrets"
    env = {variable: "p" + variable.lower() for variable in wanted}
    env["NATS_UPSTREAM_URL"] = "nats-leaf://f1:pw@hub.example:7422"
    done = _check(path, env)
    assert done.returncode == 0, done.stderr
    assert "sync_interval: always" in text
    missing = {variable: value for variable, value in env.items() if "APP" not in variable}
    assert _check(path, missing).returncode != 0, "a missing secret must be refused"


def test_compose_is_fresh_and_runs_the_same_processes_as_up() -> None:
    path = DEPLOY / "compose" / "compose.yaml"
    assert path.read_text() == compose_text(), "stale: run `andon gen compose`"
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    places = Secrets(str, Path, lambda name: (Path(name), Path(name)), Path)
    planner = Planner(read_sites(demo_sites()), Path("/x"), lambda port: port, places)
    plan = planner.plan(Path("/x"), Outside(), simulate=True)
    assert set(document["services"]) == set(plan.process_names)
    for name, service in document["services"].items():
        assert set(service.get("depends_on", ())) <= set(document["services"]), name
        assert ":" in service["image"], name
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source.startswith(".") or source in document["volumes"], volume
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), "nothing is public by default"
    assert (DEPLOY / "compose" / "Dockerfile").read_text().count("FROM ") == 2


def test_compose_config_makes_every_mounted_file(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    done = CliRunner().invoke(app, ["compose-config", "--folder", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    document = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    mounted = {
        volume.split(":")[0].removeprefix("./config/")
        for service in document["services"].values()
        for volume in service["volumes"]
        if volume.startswith("./config/")
    }
    assert mounted
    for name in mounted:
        assert (folder / name).exists(), name
    for path in folder.glob("*"):
        assert path.is_dir() or path.stat().st_mode & 0o077 == 0, path
    for path in folder.glob("nats-*.conf"):
        assert _check(path, {}).returncode == 0, path
    for path in folder.glob("*.yaml"):
        config = yaml.safe_load(path.read_text())
        for key, value in config.items():
            if key.endswith("_file"):
                inside = str(value).removeprefix("/run/andon/")
                assert (folder / "secrets" / inside).exists(), (path.name, key)


def _unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_unit_parses_and_is_confined(path: Path) -> None:
    unit = _unit(path)
    service = unit["Service"]
    assert service["User"] == "andon"
    assert service["Restart"] == "always"
    assert service["NoNewPrivileges"] == "yes"
    assert unit["Install"]["WantedBy"] == "multi-user.target"
    if shutil.which("systemd-analyze") is None:
        return
    done = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    # The programs are not installed where the tests run; all else must be clean.
    faults = [
        line
        for line in done.stderr.splitlines()
        if path.stem.rstrip("@") in line and "is not executable" not in line
    ]
    assert faults == []


def test_units_cover_every_kind_of_process() -> None:
    verbs = {" ".join(_unit(p)["Service"]["ExecStart"].split()[1:3]) for p in UNITS}
    assert {"cloud run", "brain run", "edge run", "sim run"} <= verbs
    assert any("nats-server" in _unit(p)["Service"]["ExecStart"] for p in UNITS)
