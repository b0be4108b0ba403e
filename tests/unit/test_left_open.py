"""One failed test makes no other one fail by what it has left open."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """\
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""
TESTS = """\
import asyncio, gc, sys

async def serve(reader, writer):
    await reader.read()
    writer.close()

async def test_fails():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    _, writer = await asyncio.open_connection(*address)
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=pipe, stdout=pipe
    )
    await asyncio.sleep(0.05)
    assert address is None
    writer.close()

async def test_later():
    gc.collect()

def test_last():
    gc.collect()
"""


def outcome(folder: Path, *more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *more, str(folder)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout


def test_what_a_failed_test_leaves_open_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "test_demo.py").write_text(TESTS)
    told = outcome(tmp_path, "-p", "tests.support.left_open")
    assert "1 failed, 2 passed" in told, told
    assert "FAILED test_demo.py::test_fails" in told
