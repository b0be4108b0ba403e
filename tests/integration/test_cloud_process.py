"""`python -m group_cloud run` as a process: small, quiet, stops when told, explains its faults."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from shared.embedded.ports import Ports
from shared.paths import ROOT
from shared.security import generate_key
from tests.support.servers import NatsForTests

pytestmark = pytest.mark.timeout(240)
RSS_BUDGET = 140 << 20
"""127 MiB measured; numpy and River come with their first use, not at the start."""


@pytest.fixture
def config(tmp_path: Path, nats_server: NatsForTests, database_url: str) -> Path:
    (tmp_path / "release.key").write_bytes(generate_key()[0])
    (tmp_path / "admin").write_text("correct horse")
    (tmp_path / "nats-password").write_text(nats_server.password)
    path = tmp_path / "cloud.yaml"
    path.write_text(
        f"state_dir: {tmp_path}\n"
        f"nats_url: {nats_server.url}\n"
        f"nats_password_file: {tmp_path / 'nats-password'}\n"
        f"database_url: {database_url}\n"
        f"http_port: {Ports().take()}\n"
        f"admin_password_file: {tmp_path / 'admin'}\n"
        f"release_key_file: {tmp_path / 'release.key'}\n"
    )
    return path


async def launch(config: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "group_cloud", "run", "--config", str(config),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip


@pytest.fixture
async def process(config: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    running = await launch(config)
    port = next(line.split()[1] for line in config.read_text().splitlines() if "http_port" in line)
    url = f"http://127.0.0.1:{port}/api/healthz"
    try:
        async with asyncio.timeout(100), httpx.AsyncClient() as client:
            while True:
                assert running.returncode is None, await running.communicate()
                try:
                    if (await client.get(url)).json() == {"ok": True}:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
        yield running, url
    finally:
        if running.returncode is None:
            running.kill()
        await asyncio.wait_for(running.communicate(), 10)


async def test_it_is_small_quiet_and_stops_when_told(
    process: tuple[asyncio.subprocess.Process, str],
):
    running, _ = process
    seen = psutil.Process(running.pid)
    assert seen.memory_info().rss < RSS_BUDGET, seen.memory_info().rss >> 20
    running.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(running.communicate(), 30)
    assert running.returncode == 0, err
    assert b'"cloud_started"' in out


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("release_key_file", "/nowhere/release.key", "/nowhere/release.key"),
        ("nats_url", "nats://127.0.0.1:9", "cannot reach NATS at nats://127.0.0.1:9"),
        ("database_url", "postgresql://x:secret@127.0.0.1:9/x", "cannot reach the database"),
        ("http_prot", "1", "http_prot"),
    ],
)
async def test_it_says_what_is_wrong_and_ends_with_2(
    config: Path, setting: str, value: str, says: str
):
    lines = [li for li in config.read_text().splitlines() if not li.startswith(setting + ":")]
    config.write_text("\n".join([*lines, f"{setting}: {value}"]) + "\n")
    running = await launch(config)
    _, err = await asyncio.wait_for(running.communicate(), 100)
    text = err.decode()
    assert running.returncode == 2, text
    assert says in text
    assert "mend" in text
    assert "Traceback" not in text
    assert "secret" not in text
