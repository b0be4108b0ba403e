"""Check 25: a dry run on a live alarm of a running brain speaks to its REST interface alone."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from factory_brain.bootstrap import Brain
from shared.cli.playbook import app
from shared.paths import demo_sites, playbook_library
from tests.support.brain_world import ALARM, FakeEdge, log_in, transition, until

pytest_plugins = ("tests.support.brain_fixtures",)
FURNACE = playbook_library() / "furnace" / "furnace-overtemp.yaml"


async def test_check_25_a_dry_run_on_a_live_alarm_opens_no_socket_to_a_device(
    brain: Brain,
    edge: FakeEdge,
    web: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    await log_in(web)
    await edge.send(transition(1, active=True, acked=False, kind="raised"))
    await until(lambda: _live(web))
    before = (await web.get("/api/runs")).json()["runs"]
    spoken_to: list[Any] = []
    connect = socket.socket.connect

    def watched(self: socket.socket, address: Any) -> None:
        spoken_to.append(address)
        connect(self, address)

    password = Path(str(brain.settings.admin_password_file))

    def run() -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "connect", watched)
            return CliRunner().invoke(app, [
                "dry-run", str(FURNACE), "--site", str(demo_sites() / "f1"), "--json",
                "--alarm", ALARM, "--url", str(web.base_url), "--password-file", str(password),
            ])  # fmt: skip

    result = await asyncio.to_thread(run)
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert (told["alarm"]["value"], told["alarm"]["asset"]) == (1291.5, "FUR-01")
    assert told["devices"]["burner"] == "FUR-01/burner"
    # No edge has sent a sample here, so no tag is known: the command would not be given.
    hold = next(one for one in told["happens"] if one["path"] == "/steps/hold-heat")
    assert (hold["phase"], hold["data"]["kind"]) == ("failed", "interlock")
    ports = {address[1] for address in spoken_to if isinstance(address, tuple)}
    assert ports <= {brain.settings.http_port, *_own_servers(brain)}
    assert brain.settings.http_port in ports
    assert (await web.get("/api/runs")).json()["runs"] == before
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password")
    given = ["dry-run", str(FURNACE), "--site", str(demo_sites() / "f1"), "--url",
             str(web.base_url), "--alarm"]  # fmt: skip
    for alarm, file in ((ALARM, wrong), ("NO.SUCH", password)):
        refused = await asyncio.to_thread(
            CliRunner().invoke, app, [*given, alarm, "--password-file", str(file)]
        )
        assert refused.exit_code == 2, refused.output


def _own_servers(brain: Brain) -> set[int]:
    """The brain itself lives in this process and goes on speaking to its database and its bus."""
    urls = (brain.settings.database_url, brain.settings.nats_url)
    return {int(url.rsplit(":", 1)[1].split("/")[0].split("?")[0]) for url in map(str, urls)
            if url.rsplit(":", 1)[1][:1].isdigit()}  # fmt: skip


async def _live(web: httpx.AsyncClient) -> bool:
    return (await web.get(f"/api/alarms/{ALARM}")).status_code == 200
