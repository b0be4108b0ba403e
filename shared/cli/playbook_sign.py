"""`andon playbook sign`: the signature beside a file, for sites that run signed ones.

Registered by `shared/cli/playbook.py`; reads the site's private key and writes `FILE.sig`. Opens no
socket.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.errors import ConfigError
from shared.playbook.loader import load_text
from shared.playbook.signing import fingerprint, sign
from shared.security import load_private

WHERE_KEYS_ARE = (
    "给出工厂的批准私钥：andon up 放在状态目录 secrets/keys/<工厂>-approval.key，"
    "自己部署的在大脑设置 approval_key_file 里 / give the site's private approval key: `andon up` "
    "keeps it in its state folder as secrets/keys/<site>-approval.key, a site of your own names it "
    "in the brain's setting approval_key_file; the .pub beside it signs nothing"
)


def register(app: typer.Typer) -> None:
    """Add the verb to `andon playbook`."""
    app.command("sign")(sign_command)


def sign_command(
    file: Annotated[Path, typer.Argument(help="预案文件 / playbook file")],
    site: Annotated[str, typer.Option("--site", help="工厂代号 / the site's id, as in site.yaml")],
    key: Annotated[Path, typer.Option("--key", help="工厂的批准私钥 / the site's approval key")],
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """签署一个版本 / sign this version for this site; writes FILE.sig beside it."""
    try:
        text = file.read_text(encoding="utf-8").replace("\r\n", "\n")
        book = load_text(text, file.name).playbook
        private = _private(key)
        signature = sign(private, site, book.playbook, book.version, text)
        beside = file.with_name(f"{file.name}.sig")
        beside.write_text(base64.b64encode(signature).decode() + "\n", encoding="ascii")
    except (ConfigError, OSError, UnicodeDecodeError) as error:
        told = json.dumps({"holds": False, "fault": str(error)}, ensure_ascii=False)
        typer.echo(told if as_json else str(error), err=not as_json)
        raise typer.Exit(2) from error
    who = fingerprint(private.public_key())
    said = {"written": str(beside), "playbook": book.playbook, "version": book.version, "key": who}
    typer.echo(
        json.dumps(said, ensure_ascii=False) if as_json
        else f"{beside}: {book.playbook} v{book.version} @ {site}  ({who})"
    )  # fmt: skip


def _private(key: Path) -> Ed25519PrivateKey:
    """The key, or where a site's key is."""
    try:
        return load_private(key)
    except ConfigError as error:
        raise ConfigError(error.message, where=error.where, mend=WHERE_KEYS_ARE) from error
