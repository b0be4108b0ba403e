"""The wheel: what is in it and what is not, and that it runs where nothing else of ours is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("shared", "edge_node", "factory_brain", "group_cloud", "simulators", "playbooks",
            "deploy")  # fmt: skip
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md")
KERNEL = re.compile(r"edge_node/kernel/_quiet\.[\w.-]+\.(so|pyd)$")
KERNEL_REQUIRED = os.environ.get("ANDON_REQUIRE_KERNEL") == "1"
pytestmark = [pytest.mark.slow_setup, pytest.mark.timeout(600)]


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=kept | env, capture_output=True, text=True,
        timeout=500, check=False,
    )  # fmt: skip


def uv() -> str:
    """The uv of this environment, else of the machine."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    assert found, "uv is not installed: make setup"
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: what lies about in a checkout's build folder must not get in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    leave = shutil.ignore_patterns("node_modules", "__pycache__", "*.so", "*.c", "*.egg-info")
    for name in PACKAGES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=leave)
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source / name)
    done = run(uv(), "build", "--wheel", "--out-dir", out, source, cwd=out)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a clean environment with the wheel and every extra."""
    folder = tmp_path_factory.mktemp("clean")
    venv = folder / "venv"
    made = run(uv(), "venv", "--python", sys.executable, venv, cwd=folder)
    assert made.returncode == 0, made.stderr
    done = run(
        uv(), "pip", "install", "--python", venv / "bin" / "python",
        f"andon[all] @ {wheel.as_uri()}", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return venv / "bin"


def test_the_wheel_holds_our_packages_and_their_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops <= set(PACKAGES), f"unexpected top-level names: {tops - set(PACKAGES)}"
    assert {"shared", "edge_node", "factory_brain", "group_cloud", "simulators", "deploy"} <= tops
    missing = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            inside = path.relative_to(ROOT)
            data = path.suffix in {".py", ".yaml", ".sql", ".html", ".json"}
            console = inside.parts[:2] == ("shared", "console")
            sources = console and "dist" not in inside.parts[2:3]
            if data and path.is_file() and not sources and "__pycache__" not in inside.parts:
                missing |= {inside.as_posix()} - set(names)
    assert not missing, f"not in the wheel: {sorted(missing)[:20]}"
    assert "deploy/sites/demo/f1/tags/furnace.yaml" in names
    assert "edge_node/web/page.html" in names
    if (ROOT / "shared/console/dist/index.html").exists():
        assert "shared/console/dist/index.html" in names
        assert any(name.startswith("shared/console/dist/assets/") for name in names)


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        stray = [
            name for name in names
            if re.search(r"(^|/)(tests?|node_modules|__pycache__|\.venv|\.state)/", name)
            or name.endswith((".pyc", ".c", ".key", ".pem", ".db", ".log"))
            or (name.startswith("shared/console/") and "/dist/" not in name and "src" in name)
        ]  # fmt: skip
        assert not stray, stray
        here = str(ROOT).encode()
        naming = [name for name in names if here + b"/" in archive.read(name)]
    assert not naming, f"these name the folder they were built in: {naming}"


def test_the_compiled_kernel_is_in_the_wheel_where_it_is_compulsory(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        compiled = [name for name in archive.namelist() if KERNEL.search(name)]
    if not compiled and not KERNEL_REQUIRED:
        pytest.skip("built without a compiler; compulsory with ANDON_REQUIRE_KERNEL=1")
    assert len(compiled) == 1


def test_it_runs_in_a_clean_environment_from_anywhere(installed: Path, tmp_path: Path) -> None:
    code = (
        "import edge_node.kernel as k, json, shared.paths as p; print(json.dumps("
        "[k.__file__, k.kernel_name(), str(p.demo_sites()), p.demo_sites().is_dir()]))"
    )
    asked = run(installed / "python", "-c", code, cwd=tmp_path)
    assert asked.returncode == 0, asked.stderr
    file, kernel, sites, there = json.loads(asked.stdout)
    assert str(ROOT / "edge_node") not in file
    assert there, f"no demo sites at {sites}"
    assert kernel == "cython" or not KERNEL_REQUIRED
    helped = run(installed / "andon", "--help", cwd=tmp_path)
    assert helped.returncode == 0, helped.stderr
    for verb in ("up", "doctor", "edge", "brain", "cloud", "sim"):
        assert verb in helped.stdout


def test_doctor_finds_the_clean_environment_in_order(installed: Path, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="andon-") as folder:
        # pytest's own folders are closed to the user that PostgreSQL runs as under root.
        Path(folder).chmod(0o755)
        done = run(
            installed / "andon", "doctor", "--json", "--state", f"{folder}/state", cwd=tmp_path
        )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    report = json.loads(done.stdout)
    failed = [f for f in report["findings"] if f["status"] == "fail"]
    if not (ROOT / "shared/console/dist/index.html").exists():
        failed = [f for f in failed if "console" not in json.dumps(f)]
    assert not failed, failed
