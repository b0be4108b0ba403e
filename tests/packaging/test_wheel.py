"""The wheel is complete, installs into a clean environment, and its command runs from there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, SKIPPED
from tests.support.running import new_state_folder

pytestmark = [pytest.mark.slow_setup, pytest.mark.timeout(600)]
TOP = {"shared", "edge_node", "factory_brain", "group_cloud", "simulators", "playbooks", "deploy"}
NEEDED = [
    "deploy/sites/demo/f1/site.yaml", "deploy/sites/demo/f2/bindings.yaml", "deploy/nats/edge.conf",
    "simulators/scenarios/furnace-overheat.yaml", "playbooks/playbook.schema.json",
    "shared/cli/main.py",
]  # fmt: skip
REQUIRED = os.environ.get("ANDON_REQUIRE_KERNEL", "") == "1"


def run(*command: str, cwd: Path, timeout: float = 300, **env: str) -> str:
    """Output of a command that must succeed."""
    # What is compiled from here is kept here: the folder goes, and with it what is of no more use.
    kept = {"PYTHONPYCACHEPREFIX": str(cwd / "bytecode")}
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **kept, **env}, capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (
        f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    )
    return done.stdout


def install(uv: str, python: str, wheel: Path, cwd: Path) -> None:
    """The wheel with all that it asks for: from uv's cache if it is there, else by the network."""
    command = (uv, "pip", "install", "--python", python, f"{wheel}[all]")
    try:
        run(*command, "--offline", cwd=cwd)
    except AssertionError:
        run(*command, cwd=cwd, timeout=500)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout stays as it is."""
    source, out = tmp_path_factory.mktemp("source") / "andon", tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(*(SKIPPED - {"dist"}), "*.egg-info", "*.so", "*.c")
    shutil.copytree(ROOT, source, ignore=ignored)
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out))
    run(*build, cwd=source, PYTHONPYCACHEPREFIX=str(out / "bytecode"))
    (built,) = out.glob("andon-*.whl")
    return built


def test_the_wheel_holds_everything_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name.split("/")[0]}
    assert tops == TOP
    assert set(NEEDED) - names == set()
    strange = [n for n in names if "node_modules" in n or n.startswith("tests/") or "/src/" in n]
    assert strange == []


def test_every_data_file_of_the_packages_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    data = [
        path.relative_to(ROOT).as_posix()
        for package in ("edge_node", "factory_brain", "group_cloud", "simulators", "deploy",
                        "playbooks", "shared/postgres", "shared/console/dist")
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".yaml", ".sql", ".json", ".html", ".mako", ".js", ".css", ".svg"}
    ]  # fmt: skip
    assert len(data) > 15
    assert [name for name in data if name not in names] == []


def test_the_compiled_kernel_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        built = [n for n in archive.namelist() if n.startswith("edge_node/kernel/_quiet.") and
                 n.endswith((".so", ".pyd"))]  # fmt: skip
    if not built and not REQUIRED and shutil.which("cc") is None:
        pytest.skip("NOT RUN: no C compiler here; the pure Python kernel is used")
    assert len(built) == 1


def test_the_command_runs_from_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert uv, "uv comes with `make setup`"
    clean = tmp_path / "clean"
    run(uv, "venv", "--python", sys.executable, str(clean), cwd=tmp_path)
    python, andon = str(clean / "bin" / "python"), str(clean / "bin" / "andon")
    install(uv, python, wheel, tmp_path)
    assert run(andon, "--version", cwd=tmp_path).strip() == "andon 0.1.0"
    sites = "import shared.paths as p; print(p.demo_sites())"
    demo = run(python, "-c", sites, cwd=tmp_path).strip()
    assert demo.startswith(str(clean)), "the checkout must not be what runs"
    checked = json.loads(run(andon, "site", "check", f"{demo}/f1", "--json", cwd=tmp_path))
    assert checked["holds"] is True
    for verb in ("edge", "brain", "cloud", "sim", "drill", "alarms", "site", "playbook", "up"):
        assert "cannot be loaded" not in run(andon, verb, "--help", cwd=tmp_path), verb
    # As root PostgreSQL's own user must be able to reach the state, so not below pytest's folder.
    state = new_state_folder()
    try:
        report = json.loads(run(andon, "doctor", "--json", "--state", str(state), cwd=tmp_path))
    finally:
        shutil.rmtree(state, ignore_errors=True)
    assert report["holds"] is True, report["findings"]
