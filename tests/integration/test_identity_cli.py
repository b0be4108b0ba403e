"""`andon identity` on a real database: accounts and devices made, refused, ended."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from factory_brain.bootstrap import MIGRATIONS
from shared.cli.audit import app as audit_cli
from shared.cli.database import find_database, key_file
from shared.cli.identity import app as identity_cli
from shared.clock import SystemClock
from shared.errors import ConfigError
from shared.identity.policy import Grant
from shared.postgres.accounts import PgAccounts
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool

GOOD = "the furnace hums at night"


def test_a_running_system_is_found_by_its_site(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    known = {"f1": "postgresql://one", "cloud": "postgresql://all"}
    (tmp_path / "run" / "up.json").write_text(json.dumps({"database": known}))
    keys = tmp_path / "secrets" / "keys"
    keys.mkdir(parents=True)
    (keys / "f1-approval.pub").touch()
    assert find_database("", "f1", tmp_path) == known["f1"]
    assert find_database("", "group", tmp_path) == known["cloud"]
    assert find_database("postgresql://given", "f1", tmp_path) == "postgresql://given"
    assert key_file("f1", tmp_path) == keys / "f1-approval.pub"
    assert key_file("group", tmp_path) is None
    with pytest.raises(ConfigError, match="no site 'f9'"):
        find_database("", "f9", tmp_path)
    with pytest.raises(ConfigError, match="which database"):
        find_database("", "f1", tmp_path / "elsewhere")


async def test_accounts_and_devices_from_the_command_line(brain_url: str, tmp_path: Path) -> None:
    await migrate(brain_url, MIGRATIONS)

    async def andon(*words: str, app: object = identity_cli, stdin: str = "") -> tuple[int, str]:
        arguments = [*words, "--database-url", brain_url]
        # In a thread: the verb runs a loop of its own.
        done = await asyncio.to_thread(CliRunner().invoke, app, arguments, input=stdin)  # type: ignore[arg-type]
        return done.exit_code, done.output

    add = ("user", "add", "ming", "--grant", "operator:FUR-01", "--grant", "viewer")
    code, told = await andon(*add, "--json", stdin="short\n")
    assert (code, json.loads(told)["code"]) == (1, "password_length")
    assert (await andon(*add, stdin=GOOD + "\n"))[0] == 0
    assert (await andon(*add, stdin=GOOD + "\n"))[0] == 1
    assert (await andon("user", "grant", "ming", "--grant", "root"))[0] == 1
    code, told = await andon("user", "list", "--json")
    assert json.loads(told)[0]["grants"] == [
        {"role": "operator", "area": "FUR-01"}, {"role": "viewer", "area": ""},
    ]  # fmt: skip

    pool = await connect_pool(brain_url)
    accounts = PgAccounts(pool, SystemClock())
    found = await accounts.login("ming", GOOD)
    assert found is not None
    assert found[1].grants == (Grant("operator", "FUR-01"), Grant("viewer"))
    assert (await andon("user", "disable", "ming", "--why", "left"))[0] == 0
    assert await accounts.session(found[0]) is None
    assert await accounts.login("ming", GOOD) is None
    assert (await andon("user", "disable", "ming", "--enable"))[0] == 0
    secret = tmp_path / "new"
    secret.write_text("quite another sentence\n")
    reset = ("user", "password", "ming", "--password-file", str(secret))
    assert (await andon(*reset))[0] == 0
    assert await accounts.login("ming", GOOD) is None
    assert await accounts.login("ming", "quite another sentence") is not None

    code, token = await andon("service", "add", "robot-7", "--grant", "operator", "--days", "1")
    assert code == 0
    device = await accounts.bearer(token.strip())
    assert device is not None
    assert (device.name, device.kind) == ("service:robot-7", "service")
    assert (await andon("service", "revoke", "robot-7"))[0] == 0
    assert await accounts.bearer(token.strip()) is None
    assert (await andon("service", "revoke", "robot-7"))[0] == 1
    await pool.close()

    code, told = await andon("verify", app=audit_cli)
    assert code == 0, told
    code, told = await andon("list", "--target", "ming", "--json", app=audit_cli)
    entries = json.loads(told)
    closed = next(e for e in entries if e["action"] == "account_disabled")
    assert (closed["why"], closed["tier"]) == ("left", "command line")
    assert closed["actor"].startswith("command line")
    out = tmp_path / "audit.jsonl"
    assert (await andon("export", str(out), app=audit_cli))[0] == 0
    lines = out.read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == list(range(1, len(lines) + 1))
    assert GOOD not in out.read_text()
