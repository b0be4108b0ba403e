"""`andon identity`: local accounts, service accounts, and what Andon needs in Keycloak.

Called by the command line; works on a tier's database or on Keycloak's admin API. Every change is
written to the audit log.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli.database import (
    JsonOption,
    SiteOption,
    StateOption,
    UrlOption,
    find_database,
    operator,
    stop,
    with_pool,
)
from shared.cli.keycloak import bootstrap
from shared.clock import SystemClock
from shared.errors import AndonError, Rejected
from shared.identity.policy import Grant
from shared.postgres.people import People
from shared.postgres.pool import Pool
from shared.postgres.service_accounts import ServiceAccounts

app = typer.Typer(no_args_is_help=True, add_completion=False, help="身份 / identity")
user = typer.Typer(no_args_is_help=True, help="本地账户 / local accounts")
service = typer.Typer(no_args_is_help=True, help="设备账户 / service accounts")
app.add_typer(user, name="user")
app.add_typer(service, name="service")
app.command()(bootstrap)

Grants = Annotated[
    list[str], typer.Option("--grant", help="角色[:区域] 可重复 / role[:area], may be repeated")
]
Name = Annotated[str, typer.Argument(help="用户名 / user name")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="密码文件; 省略则从标准输入读 / password file; else from stdin")
]
Why = Annotated[str, typer.Option(help="原因 / why")]


@app.callback()
def root() -> None:
    """身份 / identity."""


def _grants(given: list[str]) -> list[Grant]:
    parts = [one.partition(":") for one in given]
    return list(dict.fromkeys(Grant(role, area) for role, _, area in parts))


def _password(file: Path | None) -> str:
    try:
        text = file.read_text() if file else sys.stdin.readline()
    except OSError as error:
        raise stop(f"{file}: {error.strerror}") from None
    return text.strip("\r\n")


def _run(url: str, site: str, state: Path | None, act: Callable[[Pool], Awaitable[Any]]) -> Any:
    try:
        found = find_database(url, site, state)
    except AndonError as error:
        raise stop(error) from None
    return with_pool(found, act)


def _answer(result: Any, as_json: bool, done: str) -> None:
    """A refusal is code 1; otherwise what was done."""
    if isinstance(result, Rejected):
        shown = {"code": result.code, "params": result.params}
        typer.echo(json.dumps(shown) if as_json else f"{result.code} {result.params or ''}".strip())
        raise typer.Exit(1)
    typer.echo(json.dumps({"done": done}) if as_json else done)


def _people(act: Callable[[People], Awaitable[Any]]) -> Callable[[Pool], Awaitable[Any]]:
    return lambda pool: act(People(pool, SystemClock()))


def _services(
    act: Callable[[ServiceAccounts], Awaitable[Any]],
) -> Callable[[Pool], Awaitable[Any]]:
    return lambda pool: act(ServiceAccounts(pool, SystemClock()))


def _list(rows: list[Any], as_json: bool, named: Callable[[Any], tuple[str, str]]) -> None:
    """Print accounts of either kind: name, state, roles."""
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows]))
        return
    for row in rows:
        held = ", ".join(f"{g.role}:{g.area}" if g.area else g.role for g in row.grants)
        typer.echo("\t".join((*named(row), held)))


@user.command("add")
def user_add(
    username: Name, grant: Grants, password_file: PasswordFile = None, url: UrlOption = "",
    site: SiteOption = "", state: StateOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """建立账户 / make an account."""
    password, held = _password(password_file), _grants(grant)
    made = _run(url, site, state, _people(lambda p: p.add(username, password, held, operator())))
    _answer(made, as_json, f"made {username}")


@user.command("list")
def user_list(
    url: UrlOption = "", site: SiteOption = "", state: StateOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """列出账户 / list the accounts."""
    rows = _run(url, site, state, _people(lambda p: p.listed()))
    _list(rows, as_json, lambda r: (r.username, "disabled" if r.disabled else "enabled"))


@user.command("disable")
def user_disable(
    username: Name, enable: Annotated[bool, typer.Option(help="重新启用 / open it again")] = False,
    why: Why = "", url: UrlOption = "", site: SiteOption = "", state: StateOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """停用账户 / close an account; its sessions end."""
    done = _run(
        url, site, state,
        _people(lambda p: p.set_disabled(username, not enable, operator(), why)),
    )  # fmt: skip
    _answer(done, as_json, f"{'enabled' if enable else 'disabled'} {username}")


@user.command("grant")
def user_grant(
    username: Name, grant: Grants, why: Why = "", url: UrlOption = "", site: SiteOption = "",
    state: StateOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """更改角色 / give these roles instead of the present ones; its sessions end."""
    held = _grants(grant)
    done = _run(url, site, state, _people(lambda p: p.set_grants(username, held, operator(), why)))
    _answer(done, as_json, f"granted {username}")


@user.command("password")
def user_password(
    username: Name, password_file: PasswordFile = None, why: Why = "", url: UrlOption = "",
    site: SiteOption = "", state: StateOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """重设密码 / give a new password; its sessions end."""
    password = _password(password_file)
    done = _run(
        url, site, state, _people(lambda p: p.set_password(username, password, operator(), why))
    )
    _answer(done, as_json, f"password of {username} set")


@service.command("add")
def service_add(
    client: Annotated[str, typer.Argument(help="标识 / client id")], grant: Grants,
    action: Annotated[
        list[str] | None, typer.Option(help="只许这些动作 / only these actions of the roles")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="有效天数 / valid for days")] = None,
    name: Annotated[str, typer.Option(help="名称 / what it is")] = "",
    url: UrlOption = "", site: SiteOption = "", state: StateOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """建立设备账户, 令牌只显示一次 / make a service account; its token is shown this once."""
    until = SystemClock().now_ms() + days * 86_400_000 if days else None
    held = _grants(grant)
    made = _run(
        url, site, state,
        _services(lambda s: s.add(client, name, held, action or None, until, operator())),
    )  # fmt: skip
    if isinstance(made, Rejected):
        _answer(made, as_json, "")
    typer.echo(json.dumps({"client": client, "token": made}) if as_json else made)


@service.command("list")
def service_list(
    url: UrlOption = "", site: SiteOption = "", state: StateOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """列出设备账户 / list the service accounts."""
    rows = _run(url, site, state, _services(lambda s: s.listed()))
    _list(rows, as_json, lambda r: (r.client, "revoked" if r.revoked_at else "valid"))


@service.command("revoke")
def service_revoke(
    client: Annotated[str, typer.Argument(help="标识 / client id")], why: Why = "",
    url: UrlOption = "", site: SiteOption = "", state: StateOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """吊销设备账户 / end a service account for good."""
    done = _run(url, site, state, _services(lambda s: s.revoke(client, operator(), why)))
    _answer(done, as_json, f"revoked {client}")
