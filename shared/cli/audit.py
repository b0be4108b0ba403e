"""`andon audit`: whether the audit log is as it was written, and what stands in it.

Called by the command line; reads a tier's database and changes nothing.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli.database import (
    GROUP,
    JsonOption,
    SiteOption,
    StateOption,
    UrlOption,
    find_database,
    key_file,
    stop,
    with_pool,
)
from shared.errors import AndonError
from shared.postgres.audit_log import AuditLog
from shared.postgres.audit_verify import Anchor, Report, verify_chain
from shared.postgres.pool import Pool
from shared.security import load_public

app = typer.Typer(no_args_is_help=True, add_completion=False, help="审计 / audit log")
PAGE = 500


@app.callback()
def root() -> None:
    """审计 / audit log."""


@app.command()
def verify(
    url: UrlOption = "", site: SiteOption = "", state: StateOption = None,
    key: Annotated[
        Path | None, typer.Option(help="站点公钥 / public key that signs the anchors")
    ] = None,
    anchors: Annotated[
        Path | None, typer.Option(help="另存的锚点 / anchors kept elsewhere (audit anchors)")
    ] = None,
    witness_url: Annotated[
        str, typer.Option(help="集团数据库, 其见证 / the group's database, a witness")
    ] = "",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """检查审计链: 改动、缺失、插入、调换 / find altered, removed, inserted, exchanged entries."""
    try:
        target = find_database(url, site, state)
        file = key or key_file(site, state)
        public = load_public(file) if file else None
        kept = _read_anchors(anchors) if anchors else []
        if not witness_url and site and site != GROUP and not url:
            witness_url = find_database("", GROUP, state)
    except (AndonError, OSError, ValueError, KeyError) as error:
        raise stop(error) from None
    own = with_pool(target, lambda pool: _own(pool))
    if witness_url:
        name = site or next((a.site for a in own if a.site), "")
        kept += with_pool(witness_url, lambda pool: _witness(pool, name))

    async def look(pool: Pool) -> Report:
        async with pool.acquire() as connection:
            # Long statements are no fault here: the log may be years long.
            return await verify_chain(connection, anchors=[*own, *kept], key=public)

    report = with_pool(target, look)
    _show(report, signed=public is not None, as_json=as_json)
    raise typer.Exit(0 if report.holds else 1)


def _show(report: Report, *, signed: bool, as_json: bool) -> None:
    if as_json:
        shown = {**asdict(report), "holds": report.holds, "signatures_checked": signed}
        typer.echo(json.dumps(shown))
        return
    for fault in report.faults:
        typer.echo(f"✗ {fault.kind}\t{fault.first}-{fault.last}\t{fault.says}")
    mark = "✓" if report.holds else "✗"
    typer.echo(
        f"{mark} {report.entries} 条 / entries ({report.first}-{report.last}), "
        f"{report.anchors} 锚点 / anchors up to {report.anchored}"
        + ("" if signed else " (签名未查 / signatures not checked: --key)")
    )


async def _own(pool: Pool) -> list[Anchor]:
    return await AuditLog(pool).anchors()


async def _witness(pool: Pool, site: str) -> list[Anchor]:
    rows = await pool.fetch("SELECT * FROM audit_witness WHERE site = $1 ORDER BY id", site)
    return [
        Anchor("factory", site, r["id"], r["hash"], r["at"], bytes(r["signature"])) for r in rows
    ]


def _read_anchors(file: Path) -> list[Anchor]:
    return [
        Anchor(
            each["tier"], each["site"], each["id"], each["hash"], each["at"],
            base64.b64decode(each["signature"]),
        )
        for each in json.loads(file.read_text())
    ]  # fmt: skip


@app.command("anchors")
def list_anchors(url: UrlOption = "", site: SiteOption = "", state: StateOption = None) -> None:
    """锚点 (JSON), 另存别处作证 / the anchors as JSON, to be kept elsewhere as a witness."""
    try:
        target = find_database(url, site, state)
    except AndonError as error:
        raise stop(error) from None
    found = with_pool(target, _own)
    shown = [{**asdict(a), "signature": base64.b64encode(a.signature).decode()} for a in found]
    typer.echo(json.dumps(shown))


@app.command("list")
def list_entries(
    limit: Annotated[int, typer.Option(min=1, max=5000, help="条数 / how many")] = 50,
    actor: Annotated[str | None, typer.Option(help="何人 / who")] = None,
    action: Annotated[str | None, typer.Option(help="何事 / what")] = None,
    target: Annotated[str | None, typer.Option(help="对象 / on what")] = None,
    url: UrlOption = "", site: SiteOption = "", state: StateOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """最新的记录 / the newest entries."""
    try:
        database = find_database(url, site, state)
    except AndonError as error:
        raise stop(error) from None
    rows = with_pool(
        database,
        lambda pool: AuditLog(pool).entries(limit=limit, actor=actor, action=action, target=target),
    )
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        why = f"\t{row['why']}" if row["why"] else ""
        typer.echo(
            f"{row['id']}\t{row['at']}\t{row['actor']}\t{row['action']}\t{row['target']}{why}"
        )


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="目标文件 / target file (JSON lines)")],
    url: UrlOption = "", site: SiteOption = "", state: StateOption = None,
) -> None:  # fmt: skip
    """全部导出, 每行一条 / everything, oldest first, one entry a line."""
    try:
        database = find_database(url, site, state)
    except AndonError as error:
        raise stop(error) from None

    async def write(pool: Pool) -> int:
        written = 0
        with file.open("w", encoding="utf-8") as out:
            while rows := await pool.fetch(
                f"SELECT * FROM audit WHERE id > $1 ORDER BY id LIMIT {PAGE}", written
            ):
                for row in rows:
                    out.write(_line(dict(row)))
                written = rows[-1]["id"]
        return written

    try:
        last = with_pool(database, write)
    except OSError as error:
        raise stop(f"{file}: {error.strerror}") from None
    typer.echo(json.dumps({"file": str(file), "last": last}))


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
