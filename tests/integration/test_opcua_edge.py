"""The edge's OPC UA server: the engine and its child, a real client, and no brain anywhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from asyncua import ua

from tests.support import opcua_contract as contract
from tests.support.brain_world import until as until_async
from tests.support.edge_plants import free_port
from tests.support.edge_world import Engine, until
from tests.support.opcua_clients import PASSWORD, Served, connected

pytestmark = pytest.mark.timeout(90)
ALARM = "X-1.TT-1.HI"


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    (tmp_path / "page").write_text(PASSWORD + "\n")
    made = Engine(
        tmp_path, f"nats://127.0.0.1:{free_port()}",  # nobody listens there
        opcua_url=f"opc.tcp://127.0.0.1:{free_port()}/andon", opcua_anonymous=True,
        page_password_file=str(tmp_path / "page"),
    )  # fmt: skip
    made.start()
    try:
        await made.ready()
        yield made
        assert made.stop() == 0
    finally:
        if made.process is not None and made.process.poll() is None:
            made.kill()


@pytest.fixture
async def served(engine: Engine) -> Served:
    async def come() -> None:
        await engine.tell("s1", samples=[["TT-1", 105]])

    async def go() -> None:
        await engine.tell("s1", samples=[["TT-1", 80]])

    async def shelved(held: bool) -> None:
        """The edge decides by itself."""

    await until(lambda: engine.events("opcua_listening"), 30, engine.log_text()[-2000:])
    url = str(engine.events("opcua_listening")[-1]["url"])
    return Served(url, ALARM, "X-1", "X-1", 700, " 105", "X-1.TT-2.HI", come, go, shelved)


async def test_conditions_are_told_refreshed_acknowledged_and_shelved(served: Served) -> None:
    await contract.browsed_told_and_refreshed(served)
    await contract.shelved(served)


async def test_the_engine_outlives_its_server_and_starts_it_again(
    engine: Engine, served: Served
) -> None:
    async with connected(served.url, "li") as li:
        await li.listen()
        await contract.kept_to_itself(served, li)
        await served.come()
        raised = await li.told(ConditionName=ALARM, ActiveState_Id=True)
        assert await li.say("acknowledge", raised, "去现场") == "Good"
        (process,) = [
            each for each in psutil.Process(engine.process.pid).children()  # type: ignore[union-attr]
            if "edge_node.opcua_child" in each.cmdline()
        ]  # fmt: skip
        process.kill()
    await served.go()  # while nobody serves it
    await until(lambda: len(engine.events("opcua_listening")) == 2, 30, engine.log_text()[-2000:])
    assert [each["child"] for each in engine.events("child_ended")] == ["opcua"]
    assert engine.process is not None
    assert engine.process.poll() is None
    async with connected(served.url, "wang") as wang:
        await wang.listen()
        assert await wang.refresh() == []
        await served.come()
        raised = await wang.told(ConditionName=ALARM, ActiveState_Id=True)
        assert await wang.say("acknowledge", raised) == "Good"
        await wang.told(ConditionName=ALARM, AckedState_Id=True, ClientUserId="wang")
    await another_site_is_followed(engine, served)


async def another_site_is_followed(engine: Engine, served: Served) -> None:
    """An alarm's node comes and goes with the site's files."""
    async with connected(served.url) as guest:
        await guest.listen()
        node = guest.client.get_node(f"ns={await guest.space()};s=alarm/X-1.TT-2.HI")
        assert await node.read_browse_name()
        for path in (engine.site / "alarms").iterdir():
            text = path.read_text()
            path.write_text(text.replace("X-1.TT-2.HI\n", "X-1.TT-2.HIGH\n"))

        async def renamed() -> bool:
            other = guest.client.get_node(f"ns={node.nodeid.NamespaceIndex};s=alarm/X-1.TT-2.HIGH")
            try:
                return bool(await other.read_browse_name())
            except ua.uaerrors.BadNodeIdUnknown:
                return False

        assert await until_async(renamed, 30)
        with pytest.raises(ua.uaerrors.BadNodeIdUnknown):
            await node.read_browse_name()


async def test_a_server_that_cannot_start_says_why() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge_node.opcua_child", "--url", "opc.tcp://127.0.0.1:4842/andon",
        stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert "nobody could log in" in errors.decode()
    assert "Traceback" not in errors.decode()
