"""Computed sources as children of their own: budgets, crashes, hangs, memory, tables, alignment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from edge_node.adapters.children import Drivers
from edge_node.application.ipc import Configure, Inputs, Samples, Write, pack
from edge_node.application.relay import Relay
from edge_node.domain.tags import TagTable
from shared.clock import SystemClock
from shared.site.tags import SourceSpec, TagSpec
from tests.support.computed import compiled, computed, configure, feed, linear_model, numbers
from tests.support.edge_children import Child

pytestmark = pytest.mark.timeout(240)
FUNCTIONS = """
import re, time

def double(now):
    return now["A"].value * 2

def pair(now):
    return {"sum": now["A"].value + now["B"].value, "text": f"{now['A'].value:g}", "on": True}

def moody(now):
    value = now["A"].value
    if value == 1:
        raise ValueError("one is not allowed")
    if value == 2:
        time.sleep(0.3)
    if value == 3:
        return {"OUT": 3, "SURPRISE": 1}
    if value == 4:
        return bytearray(900 << 20)[0]
    return value

def hang(now):
    while now["A"].value > 5:
        pass
    return 1

def hold_the_lock(now):
    return bool(re.match(r"(a+)+$", "a" * 40 + "b")) if now["A"].value > 5 else 1
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "f.py").write_text(FUNCTIONS)
    return tmp_path


def python(site: Path, function: str, tags: dict[str, str], **more: Any) -> Any:
    options = {"file": "functions/f.py", "function": function, **more.pop("options", {})}
    settings = {"site_dir": str(site), "state_dir": str(site / "state")}
    return configure("python", more.pop("inputs", ["A"]), tags, options, settings=settings, **more)


async def fed(
    child: Child, values: list[float], what: Callable[[], Any], seconds: float = 45
) -> Any:
    """Feed until it shows: on a loaded machine a call may be over its budget."""
    deadline = time.monotonic() + seconds
    while True:
        feed(child, *values)
        with contextlib.suppress(AssertionError):
            return await child.until(what, 2)
        assert time.monotonic() < deadline, (child.states[-3:], child.samples[-5:])


async def test_a_function_computes_at_each_sample_and_its_output_stays_fresh(site: Path) -> None:
    tags = {"S": "sum", "T:string": "text", "ON:boolean": "on"}
    message = python(site, "pair", tags, inputs=["A", "B"], tag={"stale_after": 900})
    async with computed(message) as child:
        await fed(child, [2, 3], lambda: child.last(0) == (5.0, 0))
        assert child.last(2) == (1.0, 0)
        await child.until(lambda: child.texts and child.texts[-1][2:] == ("2", 0))
        assert child.state == "connected"
        before = len(child.of(0))
        await child.until(lambda: len(child.of(0)) >= before + 3, 5)  # said again by itself
        assert child.last(0) == (5.0, 0)
        child.send(numbers([(0, 9.0, 2)]))
        await child.until(lambda: (child.last(0) or (0, 0))[1] == 2)
        assert child.states[-1].detail == "waits: A is bad"
        order = Write(id="w", address="sum", value=1.0, timeout_ms=500)
        assert (await child.write(order)).outcome == "failed"


async def test_a_failing_call_costs_its_output_and_says_why(site: Path) -> None:
    options = {"budget": "100ms", "memory_mb": 300}
    async with computed(python(site, "moody", {"OUT": "OUT"}, options=options)) as child:
        await fed(child, [7], lambda: child.last(0) == (7.0, 0))
        for value, told in (
            (1, "ValueError: one is not allowed (f.py:13)"),
            (2, "over its budget of 100 ms"),
            (3, "gave 'SURPRISE', which is the address of no tag"),
            (4, "MemoryError"),
        ):
            await fed(child, [value], lambda told=told: told in child.states[-1].detail)
            assert (child.last(0) or (0, 0))[1] == 2
            await fed(child, [7], lambda: child.last(0) == (7.0, 0))
            assert child.states[-1].detail == ""
        for _ in range(3):
            said = len(child.of(0))
            await fed(child, [1], lambda said=said: len(child.of(0)) > said)
        await child.until(lambda: child.state == "failed")
        await fed(child, [8], lambda: child.last(0) == (8.0, 0))
        assert child.state == "connected"


@pytest.mark.parametrize(
    ("function", "code", "said"), [("hang", 3, True), ("hold_the_lock", -14, False)]
)
async def test_a_hung_call_ends_the_process_also_while_it_holds_the_lock(
    site: Path, function: str, code: int, said: bool
) -> None:
    options = {"budget": "50ms", "hang_after": "400ms"}
    async with computed(python(site, function, {"OUT": "x"}, options=options)) as child:
        await fed(child, [1], lambda: child.last(0) == (1.0, 0))
        began = time.monotonic()
        feed(child, 9)
        await child.until(lambda: child.process.returncode is not None)
        assert child.process.returncode == code
        assert time.monotonic() - began < 30
        if said:
            assert (child.last(0) or (0, 0))[1] == 2
            assert child.state == "failed"
            assert "has not come back for 0.4 s" in child.states[-1].detail


async def test_a_crashing_library_ends_its_child_only(site: Path) -> None:
    compiled(
        site / "functions", "crash",
        "double f(const double *in, const double *t, int n) {"
        " return in[0] > 5 ? *(volatile double *)8 : in[0]; }",
    )  # fmt: skip
    options = {"library": "functions/crash.so", "function": "f"}
    message = configure("clib", ["A"], {"OUT": "0"}, options, settings={"site_dir": str(site)})
    async with computed(message) as child:
        await fed(child, [1], lambda: child.last(0) == (1.0, 0))
        feed(child, 9)
        await child.until(lambda: child.process.returncode is not None)
        assert child.process.returncode == -11


async def test_a_fault_of_the_site_is_a_state_and_no_crash_loop(site: Path) -> None:
    options = {"library": "functions/none.so", "function": "f"}
    message = configure("clib", ["A"], {"OUT": "7"}, {**options, "form": "vector"})
    async with computed(message) as child:
        await child.until(lambda: child.state == "failed")
        assert "the address '7' names no output" in child.states[-1].detail
        feed(child, 1)
        await asyncio.sleep(0.2)
        assert child.process.returncode is None


async def test_a_missing_file_heals_when_it_comes(site: Path) -> None:
    message = python(site, "late", {"OUT": "x"}, options={"file": "functions/late.py"})
    async with computed(message) as child:
        await child.until(lambda: child.state == "failed")
        assert "no such file" in child.states[-1].detail
        (site / "functions" / "late.py").write_text("def late(now): return 4\n")
        await fed(child, [1], lambda: child.last(0) == (4.0, 0))


async def test_an_estimator_learns_every_sample_and_keeps_what_it_learnt(site: Path) -> None:
    settings = {"site_dir": str(site), "state_dir": str(site / "state")}
    options = {"estimator": "zscore", "parameters": {"grace": 3}, "budget": "1s"}
    message = configure("river", ["A"], {"M": "mean"}, options, settings=settings)
    async with computed(message) as child:
        child.send(numbers([(0, 1.0), (0, 2.0), (0, 3.0), (0, 4.0)], round(time.time() * 1000)))
        await child.until(lambda: child.last(0) == (2.0, 0))
    async with computed(message) as child:
        feed(child, 99)
        await child.until(lambda: child.last(0) == (2.5, 0))


class Table(BaseHTTPRequestHandler):
    """Recipes by name; what a test sets here is served."""

    rows: dict[str, Any] = {}  # noqa: RUF012
    asked: list[str] = []  # noqa: RUF012
    broken = False

    def do_GET(self) -> None:
        """One recipe."""
        key = unquote(self.path.rsplit("/", 1)[1])
        self.asked.append(key)
        row = self.rows.get(key)
        self.send_response(500 if self.broken else 200 if row else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [row]}).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def http() -> Iterator[str]:
    Table.rows, Table.asked, Table.broken = {}, [], False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Table)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/recipes/{{key}}"
    server.shutdown()
    server.server_close()
    thread.join(5)


def recipe(child: Child, key: str) -> None:
    child.send(Inputs(texts=[(0, round(time.time() * 1000), key, 0)]))


async def test_a_lookup_over_http_follows_its_key_and_outlives_an_outage(http: str) -> None:
    Table.rows = {"R1": {"limit": 80, "name": "黄铜"}, "R 2/x": {"limit": "95.5", "name": "钢"}}
    options = {"member": "data.0", "refresh": "200ms", "grace": "1500ms", "timeout": "1s"}
    tags = {"LIM": "limit", "NAME:string": "name"}
    message = configure("lookup", ["KEY:string"], tags, options, url=http)
    async with computed(message) as child:
        recipe(child, "R1")
        await child.until(lambda: child.last(0) == (80.0, 0))
        assert child.texts[-1][2:] == ("黄铜", 0)
        Table.rows["R1"] = {"limit": 81, "name": "黄铜"}
        await child.until(lambda: child.last(0) == (81.0, 0))
        recipe(child, "R 2/x")
        await child.until(lambda: (child.last(0) or (0, 0))[0] == 95.5)
        recipe(child, "R9")
        await child.until(lambda: "no row for 'R9'" in child.states[-1].detail)
        assert (child.last(0) or (0, 0))[1] == 2
        recipe(child, "R1")
        await child.until(lambda: child.last(0) == (81.0, 0))
        Table.broken = True
        await child.until(lambda: child.last(0) == (81.0, 1), 5)  # uncertain, not gone
        assert child.state == "connected"
        await child.until(lambda: child.state == "failed")
        assert (child.last(0) or (0, 0))[1] == 2
        assert "older than `grace`" in child.states[-1].detail
        Table.broken = False
        await child.until(lambda: child.last(0) == (81.0, 0))
    assert {"R1", "R 2/x", "R9"} <= set(Table.asked)


async def test_a_lookup_in_sql_binds_its_key(tmp_path: Path) -> None:
    base = sqlite3.connect(tmp_path / "mes.db")
    base.execute("create table batch (id integer, speed real, grade text)")
    base.execute("insert into batch values (7, 12.5, 'A'), (8, 20, null)")
    base.commit()
    options = {"query": "select speed, grade from batch where id = :key", "refresh": "200ms"}
    tags = {"SPEED": "speed", "GRADE:string": "grade"}
    url = f"sqlite+aiosqlite:///{tmp_path / 'mes.db'}"
    async with computed(configure("lookup", ["BATCH"], tags, options, url=url)) as child:
        await fed(child, [7], lambda: child.last(0) == (12.5, 0))
        await child.until(lambda: child.texts and child.texts[-1][2:] == ("A", 0))
        base.execute("update batch set speed = 13 where id = 7")
        base.commit()
        await child.until(lambda: child.last(0) == (13.0, 0))
        await fed(child, [8], lambda: child.last(0) == (20.0, 0))
        assert child.texts[-1][2:] == ("", 2)  # null has no value
    base.close()


async def test_streams_are_aligned_by_a_belt() -> None:
    options = {
        "by": "belt", "belt": {"speed": "SPEED"},
        "streams": [{"tag": "ZONE", "at": 0}, {"tag": "WIDTH", "at": 2}],
    }  # fmt: skip
    tags = {"Z": "ZONE", "W": "WIDTH"}
    async with computed(configure("align", ["ZONE", "WIDTH", "SPEED"], tags, options)) as child:
        began = round(time.time() * 1000) - 5000
        for second, rows in enumerate(
            ([(2, 1.0), (0, 500.0)], [(2, 1.0), (0, 600.0)], [(2, 1.0), (1, 30.0)])
        ):
            child.send(numbers(rows, began + 1000 * second))
        await child.until(lambda: (0, began + 2000, 500.0, 0) in child.samples)
        assert (1, began + 2000, 30.0, 0) in child.samples
        assert child.states[-1].state == "connected"


async def test_a_lookup_in_postgres_with_the_password_of_the_edge(
    database_url: str, tmp_path: Path
) -> None:
    import asyncpg
    from sqlalchemy import make_url

    connection = await asyncpg.connect(database_url)
    await connection.execute("create table recipe (number int, top numeric, article text)")
    await connection.execute("insert into recipe values (7, 81.5, '黄铜')")
    await connection.close()
    url = make_url(database_url)
    (tmp_path / "password").write_text(f"{url.password or ''}\n")
    bare = url.set(drivername="postgresql+asyncpg", username=None, password=None)
    options = {"query": "select top, article from recipe where number = :key", "refresh": "1s"}
    message = configure(
        "lookup", ["NO"], {"TOP": "top", "ARTICLE:string": "article"}, options,
        url=bare.render_as_string(hide_password=False),
        settings={"user": url.username, "password_file": str(tmp_path / "password")},
    )  # fmt: skip
    async with computed(message) as child:
        await fed(child, [7], lambda: child.last(0) == (81.5, 0))
        await child.until(lambda: child.texts and child.texts[-1][2:] == ("黄铜", 0))


async def test_a_model_computes_in_its_child_within_its_memory(site: Path) -> None:
    linear_model(site / "functions" / "m.onnx", [[1, 2], [10, 20]])
    options = {"model": "functions/m.onnx", "budget": "1s"}
    message = configure(
        "onnx", ["A", "B"], {"Y": "0", "T": "total"}, options, settings={"site_dir": str(site)}
    )
    async with computed(message) as child:
        await fed(child, [3, 4], lambda: child.last(1) == (129.0, 0))
        assert child.last(0) == (43.0, 0)


async def test_a_function_at_an_interval_is_called_without_news_and_sees_what_is_missing(
    site: Path,
) -> None:
    code = "calls = 0\ndef f(now):\n  global calls\n  calls += 1\n"
    code += "  return {'n': calls, 'there': now['B'].good}\n"
    (site / "functions" / "f.py").write_text(code)
    options = {"on": "interval", "require_good": False}
    tags = {"N": "n", "THERE:boolean": "there"}
    message = python(site, "f", tags, inputs=["A", "B"], options=options, interval=50)
    async with computed(message) as child:
        await child.until(lambda: len(child.of(0)) >= 10)
        counts = [value for _, value, _ in child.of(0)][:10]
        assert counts == [float(n) for n in range(1, 11)]
        assert child.last(1) == (0.0, 0)
        await fed(child, [1, 2], lambda: child.last(1) == (1.0, 0))


async def test_a_child_that_does_not_read_costs_a_bounded_buffer_and_is_counted() -> None:
    clock = SystemClock()
    specs = [
        SourceSpec(id="s", edge="e", driver="modbus"),
        SourceSpec(id="c", edge="e", driver="python", inputs=["T"]),
    ]
    tag = {"id": "T", "source": "s", "address": "1", "asset": "X", "name": {"zh": "", "en": ""}}
    drivers = Drivers()
    relay = Relay(TagTable(specs, [TagSpec.model_validate(tag)]), drivers.tell, clock, clock.now_ms)
    frame = Configure(source={}, tags=[])
    deaf = drivers.add("c", ["sh", "-c", "exec sleep 60"], frame, lambda source, message: None)
    running = asyncio.create_task(deaf.run())
    try:
        deadline = time.monotonic() + 10
        while not deaf.running:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        batch = Samples(
            tags=bytes(4000), times=bytes(8000), values=bytes(8000), qualities=bytes(1000)
        )
        for _ in range(200):  # 4 MB
            relay.take("s", batch)
        assert relay.dropped["c"] > 50_000
        process = deaf._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdin.transport.get_write_buffer_size() < (1 << 20) + 50_000
    finally:
        deaf.kill()
        running.cancel()
        await asyncio.wait({running}, timeout=5)


async def test_a_started_child_is_told_where_its_inputs_stand(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    drivers = Drivers()
    first, stands = Configure(source={"id": "c"}, tags=[]), numbers([(0, 5.0)])
    command = ["sh", "-c", f"exec cat > {heard}"]
    told = drivers.add("c", command, first, lambda source, message: None)
    told.then = lambda: stands
    running = asyncio.create_task(told.run())
    try:
        wanted = pack(first) + pack(stands)
        deadline = time.monotonic() + 10
        while not heard.exists() or heard.read_bytes() != wanted:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
    finally:
        told.kill()
        running.cancel()
        await asyncio.wait({running}, timeout=5)
