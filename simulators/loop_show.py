"""Runs the drill of the learning loop on a running system and shows what came of it.

Called by `andon drill learning-loop` and by the acceptance test; decides nothing.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from shared.clock import SystemClock
from simulators.drill import DrillError
from simulators.drill_clients import PERSON, ControlClient
from simulators.loop_clients import FactoryClient, GroupClient
from simulators.loop_drill import LoopDrill
from simulators.loop_plant import LoopPlant
from simulators.loop_record import Figures, LoopScore, Scene

NOTE = "模拟装置上的数字 / figures of simulated plants"


async def loop(up: dict[str, Any], password: str, window_s: float, console: Console) -> LoopScore:
    """Log in at both tiers and run it; raises DrillError or TransportError."""
    scene, clock = Scene(), SystemClock()
    url = up["console"].get(scene.site)
    if not url or not up["simulators"] or not up.get("cloud"):
        raise DrillError(f"needs the demo: site {scene.site!r}, its simulators and the group cloud")
    brain, group = FactoryClient(url), GroupClient(up["cloud"])
    control = ControlClient(up["simulators"])
    try:
        await brain.login(PERSON, password)
        await group.login(PERSON, password)
        plant = LoopPlant(scene, brain, control, clock)
        runner = LoopDrill(scene, plant, brain, group, clock, window_s)
        return await runner.run(lambda text: console.print(text, markup=False, highlight=False))
    finally:
        await brain.aclose()
        await group.aclose()
        await control.aclose()


def show(score: LoopScore, console: Console) -> None:
    """The score line by line, then the figures before and after."""
    lines = Table(title="演练 DRILL · 学习闭环 / The learning loop")
    for name in ("步骤 / step", "结果 / result"):
        lines.add_column(name)
    for name in ("用时 / took", "限时 / within"):
        lines.add_column(name, justify="right")
    for line in score.lines:
        result = "[green]通过 ok[/]" if line.passed else f"[red]未通过 FAIL[/] {line.reason}"
        took = "—" if line.seconds is None else f"{line.seconds:.1f} s"
        lines.add_row(line.what, result, took, f"{line.within:g} s")
    console.print(lines)
    console.print(_figures(score.figures))
    verdict = "通过 / passed" if score.passed else "未通过 / failed"
    console.print(f"{verdict}  {score.points}/{score.of}  {score.seconds:.1f} s  ({NOTE})")


def _figures(found: Figures) -> Table:
    table = Table(title=f"前后对比 / before and after · {NOTE}")
    table.add_column("")
    table.add_column("前 / before", justify="right")
    table.add_column("后 / after", justify="right")
    table.add_row(
        "报警/分钟 · alarms per minute", _text(found.per_minute(found.before_alarms)),
        _text(found.per_minute(found.after_alarms)),
    )  # fmt: skip
    table.add_row(
        "真故障报出 · true fault told after", _text(found.fault_before_s, "s"),
        _text(found.fault_after_s, "s"),
    )  # fmt: skip
    for name, zh in (("limit", "限值"), ("on_delay_s", "报警延时")):
        table.add_row(
            f"{zh} · {name}", _text(found.engineer.get(name)), _text(found.proposed.get(name))
        )
    stages = ", ".join(f"{stage} {at:.1f} s" for stage, at in found.stages_s.items())
    table.caption = (
        f"阶段 / stages: {stages or '—'}\n"
        f"撤回 / taken back: {found.rollback_why.get('zh', '')} "
        f"{found.rollback_why.get('en', '')} ({_text(found.rollback_after_fault_s, 's')})"
    )
    return table


def _text(value: float | None, unit: str = "") -> str:
    return "—" if value is None else f"{value:.4g} {unit}".rstrip()
