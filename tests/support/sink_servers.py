"""Debian's MariaDB and InfluxDB 1.6, each private: own folder, own port, an unprivileged user.

Used by tests/integration/test_sinks*.py; both can be killed and started again with their data.
"""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import pymysql
import pytest

from tests.support.edge_plants import free_port

SUPPORT = Path(__file__).parent
START_S = 60.0
USER = "nobody"


@functools.cache
def program(name: str, script: str) -> str:
    """The program; installed where that is permitted, else the test is skipped loudly."""
    where = "/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin"
    found = shutil.which(name) or shutil.which(name, path=where)
    if found is None:
        subprocess.run([str(SUPPORT / script)], check=False, timeout=300)
        found = shutil.which(name, path=where)
    if found is None:
        if os.environ.get("CI") == "true" and os.getuid() == 0:
            pytest.fail(f"{name} cannot be installed, though this is CI as root")
        pytest.skip(f"NOT RUN: there is no {name} ({script} says how to get it)")
    return found


class TargetServer:
    """A server process in a folder that its user can reach."""

    def __init__(self, name: str, script: str) -> None:
        self.program = program(name, script)
        self.port = free_port()
        room = "/dev/shm" if os.path.isdir("/dev/shm") else "/var/tmp"
        self.folder = Path(tempfile.mkdtemp(prefix=f"andon-{name}-", dir=room))
        self.log = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        if os.getuid() == 0:
            shutil.chown(self.folder, USER)

    def command(self) -> list[str]:
        """How it is started."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it is there."""
        raise NotImplementedError

    def run(self, command: list[str]) -> subprocess.Popen[bytes]:
        """As the unprivileged user."""
        with self.log.open("ab") as out:
            return subprocess.Popen(
                command, stdout=out, stderr=out, cwd=self.folder,
                env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin:/usr/sbin"},
                user=USER if os.getuid() == 0 else None,
                extra_groups=[] if os.getuid() == 0 else None,
            )  # fmt: skip

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._process = self.run(self.command())
        deadline = time.monotonic() + START_S
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(
                    f"{self.program} does not start: {self.log.read_text()[-3000:]}"
                )
            time.sleep(0.05)

    def kill(self) -> None:
        """As a power cut does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)

    def remove(self) -> None:
        """For good."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class MariaDb(TargetServer):
    """One mariadbd; user `andon` with the password of `secret`."""

    secret = "s3cret:with/odd@signs"

    def __init__(self) -> None:
        super().__init__("mariadbd", "get_mariadb.sh")
        install = program("mariadb-install-db", "get_mariadb.sh")
        self._data, self._socket = self.folder / "data", self.folder / "s"
        done = self.run([
            install, "--no-defaults", f"--datadir={self._data}", "--skip-test-db",
            "--auth-root-authentication-method=normal", "--innodb-log-file-size=4M",
        ]).wait(START_S)  # fmt: skip
        assert done == 0, self.log.read_text()[-3000:]

    def command(self) -> list[str]:
        return [
            self.program, "--no-defaults", f"--datadir={self._data}", f"--socket={self._socket}",
            f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve",
            "--innodb-buffer-pool-size=32M", "--performance-schema=OFF",
            f"--pid-file={self.folder / 'pid'}",
        ]  # fmt: skip

    def connect(self, database: str | None = None) -> Any:
        """As root over the socket."""
        return pymysql.connect(
            unix_socket=str(self._socket), user="root", database=database, autocommit=True
        )

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        self.connect().close()
        return True

    def prepare(self) -> str:
        """A database and its user; returns the sink's URL."""
        with self.connect() as connection, connection.cursor() as cursor:
            # A server's default may be anything: names are compared byte by byte all the same.
            cursor.execute("CREATE DATABASE plant CHARACTER SET latin1")
            cursor.execute("CREATE USER andon@'127.0.0.1' IDENTIFIED BY %s", (self.secret,))
            cursor.execute("GRANT ALL ON plant.* TO andon@'127.0.0.1'")
        return f"mysql+pymysql://andon@127.0.0.1:{self.port}/plant"

    def rows(self, query: str) -> list[Any]:
        """What the database holds."""
        with self.connect("plant") as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())


class InfluxDb(TargetServer):
    """One influxd 1.x."""

    def __init__(self) -> None:
        super().__init__("influxd", "get_influxdb.sh")
        rpc = free_port()
        self._conf = self.folder / "influxdb.conf"
        parts = "\n".join(
            f'[{name}]\n  dir = "{self.folder / name}"' + more for name, more in (
                ("meta", ""), ("data", f'\n  wal-dir = "{self.folder / "wal"}"'),
            )
        )  # fmt: skip
        self._conf.write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{rpc}"\n{parts}\n'
            f'[http]\n  bind-address = "127.0.0.1:{self.port}"\n'
            f"[monitor]\n  store-enabled = false\n"
        )

    def command(self) -> list[str]:
        return [self.program, "-config", str(self._conf)]

    def answers(self) -> bool:
        try:
            return self._get("ping").status_code == 204
        except httpx.TransportError:
            return False

    def _get(self, path: str, **params: str) -> httpx.Response:
        url = f"http://127.0.0.1:{self.port}/{path}"
        return httpx.get(url, params=params, timeout=10, trust_env=False)

    def prepare(self) -> str:
        """A database; returns the sink's URL."""
        url = f"http://127.0.0.1:{self.port}"
        httpx.post(
            f"{url}/query", params={"q": "CREATE DATABASE plant"}, trust_env=False, timeout=10
        ).raise_for_status()
        return f"{url}/write?db=plant"

    def rows(self, query: str) -> list[dict[str, Any]]:
        """What the database holds, times in ns."""
        answer = self._get("query", q=query, db="plant", epoch="ns").json()
        series = answer["results"][0].get("series", [])
        return [
            dict(zip(each["columns"], row, strict=True)) for each in series
            for row in each["values"]
        ]  # fmt: skip
