"""`andon tags` against a real OPC UA server: what the engineer at the panel sees and may do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_node.tags_cli import app
from tests.support.opcua_servers import Plant, opcua_plant

pytestmark = pytest.mark.timeout(120)
Andon = Callable[..., Coroutine[Any, Any, Result]]
TAGS = """\
sources:
  - {id: plc, edge: e1, driver: opcua, url: "URL", interval: 100ms}
tags:
  - {id: COUNT, source: plc, address: "ns=1;s=Count", asset: A, name: {zh: 数, en: N}, unit: pcs}
  - {id: SMALL, source: plc, address: "ns=1;s=Small", asset: A, name: {zh: 数, en: N}, scale: 0.1}
  - {id: SHUT, source: plc, address: "ns=1;s=Slow", asset: A, name: {zh: 数, en: N}, access: [read]}
  - {id: NONE, source: plc, address: "ns=1;s=Nope", asset: A, name: {zh: 数, en: N}}
  - {id: OVER, source: plc, address: "ns=1;s=Slow", asset: A, name: {zh: 数, en: N}, max: 0.2}
"""
INFO = "site: f9\nname: {zh: 厂, en: Site}\nedges: [{id: e1, name: {zh: 边, en: Edge}}]\n"


def site(folder: Path, url: str) -> Path:
    (folder / "tags").mkdir()
    (folder / "site.yaml").write_text(INFO, encoding="utf-8")
    (folder / "tags" / "a.yaml").write_text(TAGS.replace("URL", url), encoding="utf-8")
    return folder


async def andon(*words: Any) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, [str(word) for word in words])


def lines(result: Result) -> dict[str, Any]:
    return {tag["tag"]: tag for tag in json.loads(result.stdout)["tags"]}


async def test_tags_are_read_written_and_looked_for(tmp_path: Path) -> None:
    async with opcua_plant() as plant:
        folder = site(tmp_path, plant.url)
        await reads(plant, folder)
        await writes(plant, folder)
        found = await andon("browse", folder, "plc", "--json")
        nodes = {node["name"]: node for node in json.loads(found.stdout)}
        assert nodes["Count"]["address"] == "ns=1;s=Count"
        assert (nodes["Count"]["type"], nodes["Small"]["value"]) == ("Int64", 42)
        assert nodes["Server"]["children"]
        below = await andon("browse", folder, "plc", nodes["Server"]["path"], "--json")
        assert "ServerStatus" in [node["name"] for node in json.loads(below.stdout)]
        assert (await andon("browse", folder, "plc", "ns=1;s=Nope")).exit_code == 2


async def reads(plant: Plant, folder: Path) -> None:
    await plant.set("Count", 7)
    good = await andon("test", folder, "COUNT", "SMALL", "--seconds", "1", "--json")
    assert good.exit_code == 0, good.output
    count = lines(good)["COUNT"]
    assert (count["value"], count["quality"], count["unit"]) == (7.0, "good", "pcs")
    assert count["rate"] > 0
    assert 0 <= count["age_s"] < 60
    whole = await andon("test", folder, "plc", "--seconds", "1", "--json")
    assert whole.exit_code == 1
    said = lines(whole)
    assert said["COUNT"]["holds"]
    assert "BadNodeIdUnknown" in said["NONE"]["wrong"]
    assert "address" in said["NONE"]["mend"]
    assert said["OVER"]["quality"] == "bad"
    assert "within its range" in said["OVER"]["wrong"]
    shown = await andon("test", folder, "COUNT", "NONE", "--seconds", "1")
    assert "7 pcs" in shown.stdout
    assert "mend: " in shown.stdout
    away = await andon("test", folder, "COUNT", "--url", "opc.tcp://127.0.0.1:1/x", "--json")
    assert away.exit_code == 1
    assert "no session with opc.tcp://127.0.0.1:1/x" in lines(away)["COUNT"]["wrong"]


async def writes(plant: Plant, folder: Path) -> None:
    order = ("test", folder, "SMALL", "--seconds", "0.5", "--write", "SMALL=4.2", "--json")
    unsure = await andon(*order)
    assert unsure.exit_code == 2
    assert "--yes" in unsure.output
    assert await plant.nodes["Small"].read_value() == 0
    done = await andon(*order, "--yes")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["written"][0]["readback"] == 42
    assert await plant.nodes["Small"].read_value() == 42
    for wrong, why in (("SHUT=1", "no write"), ("SMALL=x", "not a number"), ("SMALL", "VALUE")):
        refused = await andon("test", folder, "plc", "--write", wrong, "--yes")
        assert (refused.exit_code, why in refused.output) == (2, True), refused.output


async def test_what_cannot_be_run_is_said_with_exit_code_2(tmp_path: Path) -> None:
    folder = site(tmp_path, "opc.tcp://127.0.0.1:1/x")
    for words, why in (
        (("test", folder, "COUTN"), "did you mean 'COUNT'?"),
        (("browse", folder, "COUNT"), "there is no source"),
        (("test", tmp_path / "none", "plc"), "no such site folder"),
    ):
        result = await andon(*words)
        assert (result.exit_code, why in result.output) == (2, True), result.output
