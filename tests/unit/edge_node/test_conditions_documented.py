"""Every alarm in the guide to conditions loads as part of a site, and does what the guide says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.site.loader import load_site
from shared.site.site import Site
from tests.architecture.tree import ROOT
from tests.support.edge_rules import standing
from tests.support.edge_script import Script

GUIDE = ROOT / "docs" / "howto" / "write-alarm-conditions.md"
TAGS = {
    "TT-1": "number", "TT-1.SP": "number", "TT-2": "number", "FT-7": "number", "MODE": "string",
    "PUMP.START": "boolean", "PUMP.RUNNING": "boolean", "VALVE.CMD": "string",
    "VALVE.POS": "string", "DOOR.OPEN": "boolean",
}  # fmt: skip
SHORT = {"number": "", "string": "text:", "boolean": "bool:"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder: Path = tmp_path_factory.mktemp("site")
    name = {"zh": "名", "en": "name"}
    (folder / "tags").mkdir()
    (folder / "alarms").mkdir()
    edges = [{"id": "e1", "name": name}]
    plant = {
        "sources": [{"id": "s1", "edge": "e1", "driver": "opcua", "url": "opc.tcp://x"}],
        "tags": [
            {"id": tag, "source": "s1", "address": f"ns=2;s={tag}", "asset": "X-1", "name": name,
             "type": kind, "stale_after": "10s"}
            for tag, kind in TAGS.items()
        ],
    }  # fmt: skip
    (folder / "site.yaml").write_text(json.dumps({"site": "f9", "name": name, "edges": edges}))
    (folder / "tags" / "plant.yaml").write_text(json.dumps(plant))
    blocks = re.findall(r"```yaml\n(alarms:.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    for number, block in enumerate(blocks):
        (folder / "alarms" / f"block{number}.yaml").write_text(block, encoding="utf-8")
    return load_site(folder)


def high(s: Script) -> None:
    s.at(0).sample("TT-1", 1250).at(6)


def mode(s: Script) -> None:
    s.at(0).text("MODE", "RUN").at(1).text("MODE", "TRIPPED")


def deviation(s: Script) -> None:
    s.at(0).sample("TT-1.SP", 1000).sample("TT-1", 970)


def rate(s: Script) -> None:
    for second in range(40):
        s.at(second).sample("TT-1", 1000 + second)


def odd(s: Script) -> None:
    for second in range(60):
        s.at(second).sample("TT-1", 1000 + second % 3)
    s.at(60).sample("TT-1", 1100)


def stale(s: Script) -> None:
    s.at(0).sample("TT-1", 1000).at(21)


def bad(s: Script) -> None:
    s.at(0).sample("TT-1", 1000, 2)


def pump(s: Script) -> None:
    s.at(0).sample("PUMP.RUNNING", 0).sample("PUMP.START", 1).at(6)


def valve(s: Script) -> None:
    s.at(0).text("VALVE.POS", "CLOSED").text("VALVE.CMD", "OPEN").at(11)


def chatter(s: Script) -> None:
    for second, value in ((0, 1), (5, 0), (10, 1), (15, 0), (20, 1)):
        s.at(second).sample("PUMP.RUNNING", value)


def door(s: Script) -> None:
    # The script begins at 06:13:20 on a Wednesday in Shanghai; 22:00 is 56,800 s later.
    s.at(0).sample("DOOR.OPEN", 1).at(56_809)
    assert "DOOR.NIGHT" not in standing(s)
    s.at(56_811)


def cooling(s: Script) -> None:
    s.at(0).sample("PUMP.RUNNING", 1).sample("FT-7", 30).sample("TT-2", 90)


def silent(s: Script) -> None:
    s.at(0).sample("TT-2", 75).at(17)


def upset(s: Script) -> None:
    cooling(s)
    for second, value in ((2, 0), (3, 1), (4, 0), (5, 1)):
        s.at(second).sample("PUMP.RUNNING", value)


def risk(s: Script) -> None:
    s.at(0).sample("FT-7", 40).sample("TT-2", 90)


def rare(s: Script) -> None:
    s.at(0).sample("FT-7", 60)


RAISES: dict[str, Callable[[Script], None]] = {
    "TT-1.HI": high, "MODE.BAD": mode, "TT-1.DEV": deviation, "TT-1.RATE": rate,
    "TT-1.ODD": odd, "TT-1.STALE": stale, "TT-1.BAD": bad, "PUMP.STUCK": pump,
    "VALVE.STUCK": valve, "PUMP.CHATTER": chatter, "DOOR.NIGHT": door, "COOLING.POOR": cooling,
    "TT-2.SILENT": silent, "LINE.UPSET": upset, "BEARING.RISK": risk, "FT-7.RARE": rare,
}  # fmt: skip


def test_the_guide_shows_each_kind_and_nothing_untested(site: Site) -> None:
    assert site.alarms.keys() == RAISES.keys()
    kinds = {alarm.kind for alarm in site.alarms.values()}
    assert len(kinds) == 10


@pytest.mark.parametrize("name", list(RAISES))
def test_an_example_does_what_it_says(site: Site, name: str) -> None:
    spoken_of = {"LINE.UPSET": ["COOLING.POOR", "PUMP.CHATTER"]}.get(name, [])
    alarms = [site.alarms[one] for one in (*spoken_of, name)]
    script = Script([SHORT[kind] + tag for tag, kind in TAGS.items()], alarms)
    assert name not in standing(script)
    RAISES[name](script)
    assert name in standing(script)
