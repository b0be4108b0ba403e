"""`andon tags …`: look through a device and try its tags, for the engineer at the panel.

Registered as a verb of the `andon` command. Runs the drivers in this process, beside a running edge
or without one; writes to a device only what is named and confirmed.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from edge_node.adapters.sources.port import Node
    from edge_node.adapters.tag_trial import TagReport, Trial
    from shared.site.model import TagSpec
    from shared.site.site import Site

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="点位调试 / look through devices, try tags"
)
SiteArgument = Annotated[Path, typer.Argument(help="工厂目录 / folder of site.yaml")]
Config = Annotated[
    Path | None,
    typer.Option(help="边缘配置 / the edge's settings: URLs, passwords, certificates"),
]
Url = Annotated[str, typer.Option(help="替代 url / instead of the source's url")]
AsJson = Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")]


@app.callback()
def root() -> None:
    """点位调试 / look through devices, try tags."""


@app.command()
def browse(
    site: SiteArgument,
    source: Annotated[str, typer.Argument(help="数据源 / source")],
    path: Annotated[str, typer.Argument(help="位置 / where, as listed")] = "",
    config: Config = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """列出设备节点 / list what lies in a device: addresses, types, values."""
    trial = _trials(site, [source], config, url, as_json, whole=True)[0]
    from shared.errors import AndonError

    try:
        nodes = asyncio.run(trial.browse(path))
    except (AndonError, OSError) as error:
        _cannot(str(error), as_json)
    if as_json:
        typer.echo(json.dumps([asdict(node) for node in nodes], ensure_ascii=False))
    else:
        _show_nodes(nodes)


@app.command("test")
def try_tags(
    site: SiteArgument,
    names: Annotated[list[str], typer.Argument(help="数据源或点位 / sources or tags")],
    seconds: Annotated[float, typer.Option(min=0.2, max=3600, help="秒 / how long to read")] = 3.0,
    write: Annotated[
        list[str] | None, typer.Option(help="TAG=VALUE, 写入 / write (unit of the tag)")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="确认写入 / really write")] = False,
    config: Config = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """读点位 / read tags: value, quality, time, age, rate, or what is wrong and the mend."""
    orders = [order.partition("=") for order in write or []]
    wanted = names + [tag for tag, _, _ in orders if tag not in names]
    trials = _trials(site, wanted, config, url, as_json)
    writes = _writes(trials, orders, yes, as_json)

    async def all_of_them() -> list[list[TagReport]]:
        return await asyncio.gather(*(trial.run(seconds, writes[trial]) for trial in trials))

    reports = [report for some in asyncio.run(all_of_them()) for report in some]
    written = [done for trial in trials for done in trial.written]
    sound = all(report.holds for report in reports) and all(
        result.outcome == "done" for _, result in written
    ) and len(written) == len(orders)  # fmt: skip
    if as_json:
        document = {
            "holds": sound, "tags": [{**asdict(r), "holds": r.holds} for r in reports],
            "written": [
                {"tag": tag, "outcome": r.outcome, "detail": r.detail, "readback": r.readback}
                for tag, r in written
            ],
            "sources": {t.source.id: {"state": t.watch.last_state, "detail": t.watch.detail}
                        for t in trials},
        }  # fmt: skip
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        _show_reports(reports)
        for tag, result in written:
            typer.echo(f"写入 / write {tag}: {result.outcome} {result.detail} {result.readback!r}")
    if not sound:
        raise typer.Exit(1)


def _trials(
    folder: Path, names: Sequence[str], config: Path | None, url: str, as_json: bool,
    whole: bool = False,
) -> list[Trial]:  # fmt: skip
    """A trial for each source that is named, or whose tags are."""
    from edge_node.adapters.tag_trial import Trial
    from shared.clock import SystemClock
    from shared.errors import ConfigError
    from shared.site.loader import load_site

    for library in ("asyncua", "pymodbus", "snap7", "c104"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        site = load_site(folder)
        chosen = _chosen(site, names, whole)
        clock = SystemClock()
        return [
            Trial(site.sources[source], tags, _settings(source, config, url), clock)
            for source, tags in chosen.items()
        ]
    except ConfigError as error:
        _cannot(str(error), as_json)


def _chosen(site: Site, names: Sequence[str], whole: bool) -> dict[str, list[TagSpec]]:
    from shared.errors import ConfigError

    chosen: dict[str, dict[str, TagSpec]] = {}
    for name in names:
        if name in site.sources:
            tags = {t.id: t for t in site.tags.values() if t.source == name and not whole}
            chosen.setdefault(name, {}).update(tags)
        elif name in site.tags and not whole:
            tag = site.tags[name]
            chosen.setdefault(tag.source, {})[tag.id] = tag
        else:
            known = [*site.sources, *([] if whole else site.tags)]
            close = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(
                f"there is no source{'' if whole else ' or tag'} {name!r}",
                mend=f"did you mean {close[0]!r}?" if close else f"one of {', '.join(known[:8])}",
            )
    return {source: list(tags.values()) for source, tags in chosen.items()}


def _settings(source: str, config: Path | None, url: str) -> dict[str, Any]:
    """What the edge would give the driver, and that it may run beside the edge itself."""
    given: dict[str, Any] = {"trial": True}
    if config is not None:
        from edge_node.settings import load_settings

        settings = load_settings(config)
        given |= settings.device_credentials.get(source, {})
        if source in settings.source_urls:
            given["url"] = settings.source_urls[source]
        given.setdefault("state_dir", str(settings.state_dir / "drivers" / source))
    return {**given, "url": url} if url else given


def _writes(
    trials: Sequence[Trial], orders: Sequence[tuple[str, str, str]], yes: bool, as_json: bool
) -> dict[Trial, dict[str, Any]]:
    from edge_node.adapters.tag_trial import raw_of
    from shared.errors import ConfigError

    writes: dict[Trial, dict[str, Any]] = {trial: {} for trial in trials}
    for tag_id, mark, text in orders:
        if not mark:
            _cannot(f"--write {tag_id}: 应为 TAG=VALUE / write TAG=VALUE", as_json)
        for trial in trials:
            tag = trial.tag(tag_id)
            if tag is None:
                continue
            try:
                writes[trial][tag_id] = raw_of(tag, text)
            except ConfigError as error:
                _cannot(str(error), as_json)
    if orders and not yes:
        told = "; ".join(f"{tag} = {text}" for tag, _, text in orders)
        _cannot(
            f"不写 / not written without --yes: {told}\n"
            "  此写入绕过联锁 / this write passes by the interlocks of the edge",
            as_json,
        )
    return writes


def _show_reports(reports: Sequence[TagReport]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for head in ("tag", "value", "quality", "source time", "age s", "per s", "address"):
        table.add_column(head, overflow="fold")
    for report in reports:
        moment = report.source_time
        table.add_row(
            report.tag, _shown(report.value, report.unit), report.quality or "—",
            datetime.fromtimestamp(moment / 1000).astimezone().strftime("%m-%d %H:%M:%S.%f")[:-3]
            if moment is not None else "—",
            "—" if report.age_s is None else f"{report.age_s:.1f}", f"{report.rate:g}",
            report.address,
        )  # fmt: skip
    console = Console(soft_wrap=True)
    console.print(table)
    told: set[tuple[str, str]] = set()
    for report in reports:
        if not report.holds and (report.wrong, report.mend) not in told:
            told.add((report.wrong, report.mend))
            typer.echo(f"{report.tag}: {report.wrong}\n  mend: {report.mend}")


def _shown(value: float | bool | str | None, unit: str) -> str:
    if value is None:
        return "—"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".rstrip()


def _show_nodes(nodes: Sequence[Node]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for head in ("", "name", "type", "value", "address / path"):
        table.add_column(head, overflow="fold")
    for node in nodes:
        mark = "+" if node.children else ""
        shown = "" if node.value is None else str(node.value)
        table.add_row(mark, node.name, node.type, shown, node.address or node.path)
    Console(soft_wrap=True).print(table)


def _cannot(message: str, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(json.dumps({"holds": None, "error": message}, ensure_ascii=False))
    typer.echo(f"andon tags: {message}", err=True)
    raise typer.Exit(2)
