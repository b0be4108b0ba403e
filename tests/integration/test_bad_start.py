"""A tier that cannot start says where and how to mend it, in one place, and ends with code 2."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from shared.embedded.ports import Ports
from shared.paths import demo_sites, playbook_library
from shared.security import generate_key
from tests.support.servers import NatsForTests, PostgresForTests


@pytest.fixture
def files(tmp_path: Path) -> Path:
    private, public = generate_key()
    for name, data in {
        "nats-pw": b"test-app", "wrong": b"no", "admin": b"secret", "key": private, "pub": public,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(data)
    return tmp_path


def brain(files: Path, **changes: Any) -> dict[str, Any]:
    base = {
        "site": "f1", "site_dir": str(demo_sites() / "f1"), "state_dir": str(files),
        "playbook_dir": str(playbook_library()), "secrets_dir": str(files),
        "approval_key_file": str(files / "key"), "release_key_file": str(files / "pub"),
        "nats_url": "nats://127.0.0.1:9", "nats_password_file": str(files / "nats-pw"),
        "database_url": "postgresql://a:b@127.0.0.1:9/a", "http_port": Ports().take(),
        "admin_password_file": str(files / "admin"),
    }  # fmt: skip
    return base | changes


def start(
    files: Path, config: dict[str, Any], name: str = "brain.yaml"
) -> subprocess.CompletedProcess[str]:
    path = files / name
    path.write_bytes(msgspec.json.encode(config))
    return subprocess.run(
        [sys.executable, "-m", "shared.cli.main", "brain", "run", "--config", str(path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_an_unreachable_database_is_named(files: Path) -> None:
    done = start(files, brain(files))
    assert done.returncode == 2
    assert "127.0.0.1:9" in done.stderr
    assert "database_url" in done.stderr
    assert "Traceback" not in done.stderr
    assert "b@" not in done.stderr  # the password is never shown


def test_a_wrong_database_password_is_said(files: Path, postgres: PostgresForTests) -> None:
    url = f"postgresql://andon:wrong@127.0.0.1:{postgres.port}/postgres"
    done = start(files, brain(files, database_url=url))
    assert done.returncode == 2
    assert "refused the password" in done.stderr


async def test_an_unreachable_or_refusing_nats_is_named(
    files: Path, brain_url: str, nats_server: NatsForTests
) -> None:
    away = brain(files, database_url=brain_url)
    wrong = brain(
        files, database_url=brain_url, nats_url=nats_server.url,
        nats_password_file=str(files / "wrong"),
    )  # fmt: skip
    # Beside each other: who cannot be reached is waited for.
    unreachable, refused = await asyncio.gather(
        asyncio.to_thread(start, files, away, "away.yaml"),
        asyncio.to_thread(start, files, wrong, "wrong.yaml"),
    )
    assert unreachable.returncode == 2
    assert "cannot reach NATS at nats://127.0.0.1:9" in unreachable.stderr
    assert refused.returncode == 2
    assert "refused user 'app'" in refused.stderr


def test_an_unknown_setting_has_its_line_and_a_mend(files: Path) -> None:
    path = files / "brain.yaml"
    good = brain(files)
    path.write_text(
        "".join(f"{k}: {msgspec.json.encode(v).decode()}\n" for k, v in good.items())
        + "databse_url: x\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "shared.cli.main", "brain", "run", "--config", str(path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"brain.yaml:{len(good) + 1}:1" in done.stderr
    assert "did you mean 'database_url'" in done.stderr


def test_a_missing_secret_file_is_named(files: Path) -> None:
    done = start(files, brain(files, nats_password_file=str(files / "nowhere")))
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "mend:" in done.stderr


async def test_a_brain_that_is_told_to_end_while_it_starts_gives_back_what_it_holds(
    files: Path, brain_url: str, nats_server: NatsForTests
) -> None:
    path = files / "brain.yaml"
    config = brain(files, database_url=brain_url, nats_url=nats_server.url)
    path.write_bytes(msgspec.json.encode(config))
    begun = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "shared.cli.main", "brain", "run", "--config", str(path),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    database = await asyncpg.connect(brain_url)
    held = "SELECT count(*) FROM lease WHERE until > clock_timestamp()"
    try:
        async with asyncio.timeout(60):
            while not await database.fetchval(held):
                assert begun.returncode is None
                await asyncio.sleep(0.01)
        begun.terminate()  # the console is not there yet: it comes last
        assert await asyncio.wait_for(begun.wait(), 30) == 0
        assert await database.fetchval(held) == 0
        assert await database.fetchval("SELECT count(*) FROM brain") == 0
    finally:
        await database.close()
        if begun.returncode is None:
            begun.kill()
            await begun.wait()
