"""Planted mistakes in links.yaml: each is found at its file, line and column, with a mend."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shared.paths import demo_sites
from shared.site.loader import SiteFaults, load_site

IN = """\
inbound:
  - id: doors
    verify: bearer
    secret: token
    map: {type: "'door'", asset: "body.asset"}
"""
SIGNED = """\
inbound:
  - id: doors
    verify: hmac-sha256-header
    secret: token
    map: {type: "'door'", asset: "body.asset", alarm: "body.key", active: "body.open"}
"""
OUT = """\
outbound:
  - id: cmms
    endpoint: cmms
"""
DEV = """\
devices:
  - id: beacon-1
    kind: beacon
"""


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        (IN.replace("bearer", "none"), "links.yaml:3:5", "whoever reaches this address"),
        (IN.replace("bearer", "basic"), "links.yaml:3:5", "standard-webhooks"),
        (IN.replace("body.asset", "bdy.asset"), "links.yaml:5:27", "unknown name bdy"),
        (IN.replace("body.asset", "body.asset +"), "links.yaml:5:27", "map.asset"),
        (IN.replace('asset"}', 'asset", alarm: "body.x"}'), "links.yaml:5:5", "needs `active`"),
        (IN.replace("token", "../token"), "links.yaml:4:5", "secret"),
        (IN.replace("id: doors", "id: " + "x" * 30), "links.yaml:2:5", "at most 26"),
        (SIGNED, "links.yaml:3:5", "timestamp_header"),
        (OUT.replace("endpoint: cmms", "endpoint: cmm"), "links.yaml:2:5", "did you mean 'cmms'"),
        (OUT + "    events: event.kid == 'x'\n", "links.yaml:4:5", "kid"),
        (OUT + "    area: NO-SUCH\n", "links.yaml:2:5", "unknown area"),
        (OUT + "    shedule: [5s]\n", "links.yaml:4:5", "did you mean 'schedule'"),
        (DEV + "    shows: alarm.colour == 1\n", "links.yaml:4:5", "colour"),
        (DEV + "  - {id: b, kind: beacon, mqtt: {name: beacon-1}}\n", "links.yaml:4:", "MQTT name"),
        (DEV + "  - {id: beacon-1, kind: beacon}\n", "links.yaml:4:", "used twice"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_where_it_is(tmp_path: Path, text: str, place: str, told: str) -> None:
    site = tmp_path / "site"
    shutil.copytree(demo_sites() / "f1", site)
    (site / "links.yaml").write_text(text)
    with pytest.raises(SiteFaults) as found:
        load_site(site)
    assert any(str(fault).startswith(place) for fault in found.value.faults), str(found.value)
    assert told in str(found.value)


@pytest.mark.parametrize(
    "text",
    [
        SIGNED + "    timestamp_header: x-stamp\n",
        SIGNED.replace('"body.open"', '"body.open", time: "body.at"'),
        SIGNED.replace("hmac-sha256-header", "standard-webhooks"),
        SIGNED.replace(', alarm: "body.key", active: "body.open"', ""),
    ],
)
def test_a_signed_message_that_tells_its_time_may_raise_alarms(tmp_path: Path, text: str) -> None:
    site = tmp_path / "site"
    shutil.copytree(demo_sites() / "f1", site)
    (site / "links.yaml").write_text(text)
    assert set(load_site(site).links.inbound) == {"doors"}


def test_the_demo_has_links_and_follows_them() -> None:
    site, other = load_site(demo_sites() / "f1"), load_site(demo_sites() / "f2")
    assert set(site.links.devices) == {"beacon-1", "wearable-1"}
    kept = site.links.devices
    site.become(other)
    assert kept == {}
