"""`andon brain rebuild`: the current state against the journal, told to a person or as JSON."""

from __future__ import annotations

from dataclasses import asdict

import msgspec
import typer

from factory_brain.adapters.postgres.rebuild import compare
from shared.postgres.pool import connect_pool


async def run_rebuild(database_url: str, check: bool, as_json: bool) -> int:
    """Compare, mend unless told not to, and print; the exit code."""
    pool = await connect_pool(database_url, size=1)
    try:
        found = await compare(pool, mend=not check)
    finally:
        await pool.close()
    good = found.holds or (not check and found.mended == found.differing and not found.facts)
    if as_json:
        typer.echo(msgspec.json.encode({"holds": good, **asdict(found)}).decode())
        return int(not good)
    typer.echo(
        f"{found.equal} 相同 / equal, {found.differing} 不同 / differ, {found.mended} 已修复 / "
        f"mended, {found.facts} 事实不符 / facts wrong, "
        f"{found.beyond_journal} 早于日志 / older than the journal"
    )
    for each in found.examples:
        typer.echo(f"  {each['occurrence']}: {', '.join(each['columns'])}")
    return int(not good)
