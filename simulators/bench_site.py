"""The site of `andon bench e2e`: one edge, one MQTT device, two alarms without delays.

Written into a temporary folder; the measuring device is the benchmark itself.
"""

from __future__ import annotations

from pathlib import Path

DEVICE = "bench"
SITE, EDGE, SOURCE = "bench", "e1", "bench-mqtt"
ACTING, PLAIN = "BEN-01.ACT", "BEN-01.PLAIN"

_FILES = {
    "site.yaml": """
site: bench
name: {zh: 测量, en: Bench}
edges: [{id: e1, name: {zh: 测量边缘, en: Bench edge}}]
""",
    "tags/bench.yaml": """
sources: [{id: bench-mqtt, edge: e1, driver: mqtt, url: "device:bench", interval: 100ms}]
tags:
  - {id: ACT, source: bench-mqtt, address: "telemetry#values.act", asset: BEN-01,
     name: {zh: 动作, en: Acting}, type: boolean, stale_after: 1h}
  - {id: PLAIN, source: bench-mqtt, address: "telemetry#values.plain", asset: BEN-01,
     name: {zh: 普通, en: Plain}, type: boolean, stale_after: 1h, report: false}
""",
    "alarms/bench.yaml": """
alarms:
  - {id: BEN-01.ACT, edge: e1, asset: BEN-01, tag: ACT, kind: discrete, equals: true, priority: 1,
     name: {zh: 动作, en: Acting}}
  - {id: BEN-01.PLAIN, edge: e1, asset: BEN-01, tag: PLAIN, kind: discrete, equals: true,
     priority: 3, name: {zh: 普通, en: Plain}}
""",
    "reflexes/bench.yaml": """
reflexes:
  - {id: act, alarm: BEN-01.ACT, device: BEN-01/device, operation: act, safe_direction: true}
""",
    "bindings.yaml": """
devices:
  BEN-01/device:
    type: bench.device
    edge: e1
    source: bench-mqtt
    operations: {act: {write: act}}
""",
}


def write_site(folder: Path) -> Path:
    """Write the site's files; returns its folder."""
    for name, text in _FILES.items():
        file = folder / SITE / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.lstrip())
    return folder / SITE
