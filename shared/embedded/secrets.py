"""Passwords and signing keys of one installation, made at the first start and kept in files.

Called by `andon up` and `andon doctor`; never prints a secret.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from shared.embedded.files import make_folder, write_private
from shared.security import generate_key
from shared.webhooks import new_secret


class SecretStore:
    """The folder `secrets/` of a state folder."""

    def __init__(self, state: Path) -> None:
        self.folder = make_folder(state / "secrets", 0o700)

    def path(self, name: str) -> Path:
        """The file of secret `name`."""
        return self.folder / name

    def password(self, name: str, length: int = 24) -> str:
        """Secret `name`, made when it is new. Begins with a letter: servers parse numbers."""
        path = self.path(name)
        if path.exists():
            return path.read_text().strip()
        value = "p" + secrets.token_hex(length // 2)
        write_private(path, value + "\n")
        return value

    def webhook(self, name: str) -> Path:
        """File of a webhook signing secret (`whsec_…`), made when it is new."""
        path = self.path(name)
        if not path.exists():
            write_private(path, new_secret() + "\n")
        return path

    def key_pair(self, name: str) -> tuple[Path, Path]:
        """Files (private, public) of Ed25519 key pair `name` in PEM, made when new."""
        make_folder(self.folder / "keys", 0o700)
        private, public = (self.folder / "keys" / f"{name}.{end}" for end in ("key", "pub"))
        if not private.exists():
            pem, point = generate_key()
            # The public half first: a cut in between is repaired by the next start.
            write_private(public, point.decode())
            write_private(private, pem.decode())
        return private, public
