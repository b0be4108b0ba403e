"""`andon identity bootstrap`: what Andon needs in Keycloak, made through its admin API.

The work is `shared/identity/keycloak_setup.py`; this reads options, keeps the client's secret in a
file, and tells what was done.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from shared.cli.database import JsonOption, stop
from shared.embedded.files import write_private
from shared.errors import AndonError
from shared.identity.policy import ROLES


def bootstrap(
    server: Annotated[str, typer.Option(help="Keycloak 地址 / its address")],
    password_file: Annotated[Path, typer.Option(help="管理员密码文件 / administrator's password")],
    secret_file: Annotated[
        Path, typer.Option(help="客户端密钥文件, 不存在则生成 / client's secret; made when new")
    ],
    address: Annotated[
        list[str], typer.Option(help="控制台地址, 可重复 / console's address, may be repeated")
    ],
    site: Annotated[list[str], typer.Option(help="站点, 集团为 group / sites")],
    admin: Annotated[str, typer.Option(help="管理员 / administrator")] = "admin",
    realm: Annotated[str, typer.Option(help="领域 / realm")] = "andon",
    client: Annotated[str, typer.Option(help="客户端 / client id")] = "andon",
    area: Annotated[
        list[str] | None, typer.Option(help="站点:区域 单独建组 / site:area that gets groups")
    ] = None,
    service: Annotated[
        list[str] | None, typer.Option(help="设备账户:角色 / service client:role")
    ] = None,
    ca_file: Annotated[Path | None, typer.Option(help="证书机构 / its authority")] = None,
    check: Annotated[bool, typer.Option("--check", help="只检查 / change nothing")] = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """在 Keycloak 建立领域、角色、组与客户端 / make realm, roles, groups, client; idempotent."""
    from shared.identity.keycloak_setup import KEPT, KeycloakSetup, Wanted

    services: dict[str, tuple[str, ...]] = {}
    for one in service or []:
        name, _, role = one.partition(":")
        if role not in ROLES:
            raise stop(f"--service {one}: unknown role; one of {', '.join(ROLES)}")
        services[name] = (*services.get(name, ()), role)
    areas = [one.partition(":") for one in area or []]
    try:
        secret = _secret(secret_file, check)
        wanted = Wanted(
            server, realm, client, secret, tuple(site), tuple(address), services,
            tuple((where, name) for where, _, name in areas),
        )  # fmt: skip
        password = password_file.read_text().strip()
        setup = KeycloakSetup(
            wanted, admin, password, check=check, ca_file=str(ca_file) if ca_file else None
        )
        steps = setup.run()
    except (AndonError, OSError) as error:
        raise stop(error) from None
    if not check:
        for name in services:  # beside the console's own: each device gets its file
            write_private(secret_file.with_name(f"{name}.secret"), setup.secrets[name] + "\n")
    different = [step for step in steps if step.done != KEPT]
    if as_json:
        typer.echo(json.dumps({"changes": len(different), "steps": [asdict(s) for s in steps]}))
    else:
        for step in steps:
            typer.echo(f"{step.done}\t{step.what}\t{step.name}")
        typer.echo(f"{len(different)} / {len(steps)}")
    raise typer.Exit(1 if check and different else 0)


def _secret(file: Path, check: bool) -> str:
    """The client's secret; a new one is written, for its owner alone."""
    if file.is_file() or check:
        return file.read_text().strip() if file.is_file() else ""
    made = secrets.token_urlsafe(32)
    write_private(file, made + "\n")
    return made
