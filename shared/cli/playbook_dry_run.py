"""`andon playbook dry-run`: what a playbook would do about an alarm, by the tags as they are.

Registered by `shared/cli/playbook.py`. Reads a running factory's REST interface when it is given a
URL, and opens no socket without one; it never reaches a device, an edge or a linked system.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from shared.cli.plant_reading import Access, Plant, read_plant
from shared.cli.playbook_output import (
    AsJson,
    File,
    Library,
    books_of,
    cannot,
    columns,
    load,
    say,
    site_of,
    template_of,
)
from shared.clock import SystemClock
from shared.errors import ConfigError
from shared.expression import Reading
from shared.playbook.dry_run import Given, Story, dry_run, wanted_tags
from shared.playbook.explain import brief
from shared.playbook.model import Playbook
from shared.site.site import Site

HIDDEN = frozenset({"until", "require", "verify", "schedule", "detach", "question", "held"})


def register(app: typer.Typer) -> None:
    """Add the verb to `andon playbook`."""
    app.command("dry-run")(dry_run_command)


def dry_run_command(
    file: File,
    site: Annotated[
        Path,
        typer.Option("--site", help="工厂目录或绑定模板 / site folder, or a binding.template.yaml"),
    ],
    alarm: Annotated[
        str, typer.Option("--alarm", help="JSON、@文件, 或运行中工厂的报警 / JSON, @FILE, or an id")
    ],
    url: Annotated[
        str, typer.Option("--url", help="运行中的工厂 / a running factory: its alarm and its tags")
    ] = "",
    user: Annotated[str, typer.Option(help="用户 / who logs in")] = "admin",
    password_file: Annotated[Path | None, typer.Option(help="密码文件 / password file")] = None,
    answer: Annotated[
        list[str] | None, typer.Option("--answer", help="假定的答复 / STEP=OPTION, as if given")
    ] = None,
    library: Library = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """试走预案 / what would happen about a real alarm, by real tags, without doing any of it."""
    loaded = load(file, "dry-run", as_json)
    found = _site(site, url, as_json)
    pairs = [pair.partition("=") for pair in answer or []]
    answers = {step: option for step, _, option in pairs}
    book = loaded.playbook
    if wrong := _not_asked(book, answers):
        cannot(f"dry-run: --answer {wrong}", as_json)
    try:
        plant = _given(alarm) if not url else _running(
            Access(url, user, password_file), alarm, book, found
        )  # fmt: skip
    except ConfigError as error:
        cannot(f"dry-run: {error}", as_json)
    books = {name: each for name, each in books_of(library or []).items() if name != book.playbook}
    told = dry_run(
        Given(book, found, plant.alarm, plant.readings, SystemClock().now_ms(), books, answers)
    )
    _say(book, plant, told) if not as_json else say({
        "playbook": book.playbook, "version": book.version, "alarm": dict(plant.alarm),
        "starts": dict(told.starts), "devices": dict(told.devices), "tags": dict(told.tags),
        "ended": told.ended, "waits_for": list(told.waits_for), "metrics": dict(told.metrics),
        "effects": 0,
        "happens": [
            {"at_ms": w.at_ms, "path": w.path, "verb": w.verb, "phase": w.phase,
             "data": dict(w.data)} for w in told.happens
        ],
    })  # fmt: skip


def _site(path: Path, url: str, as_json: bool) -> Site:
    """The site; a template serves where no running factory's tags are read."""
    if path.is_file() and url:
        cannot("dry-run: --url 需要工厂目录作 --site / --url goes with the site's folder, "
               "a template knows none of its tags", as_json)  # fmt: skip
    if path.is_file():
        return template_of(path, "dry-run", as_json).site
    found = site_of(path, "dry-run", as_json)
    assert found is not None
    return found


def _not_asked(book: Playbook, answers: dict[str, str]) -> str:
    """What is wrong with an assumed answer; empty if none is."""
    asks = {step.id: step.ask.options for step in book.all_steps() if step.ask}
    for step, option in answers.items():
        if step not in asks:
            return f"{step}: 没有这个审批 / no such question: {', '.join(asks) or '-'}"
        if option not in asks[step]:
            return f"{step}={option}: 选项有 / the options are {', '.join(asks[step])}"
    return ""


def _given(text: str) -> Plant:
    """An alarm with its tags from the command line: no socket is opened."""
    where = "--alarm"
    try:
        if text.startswith("@"):
            where = text[1:]
            text = Path(where).read_text(encoding="utf-8")
        document = json.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"无法读取告警 / the alarm cannot be read: {error}", where=where,
            mend='写成 / write {"id": …, "asset": …, "value": …, "tags": {"TAG": 1}}; '
            "或给出 / or give --url",
        ) from None  # fmt: skip
    if not isinstance(document, dict) or not isinstance(document.get("tags", {}), dict):
        raise ConfigError(
            "告警是一个对象 / an alarm is an object", where=where,
            mend='写成 / write {"id": …, "asset": …}',
        )  # fmt: skip
    tags = document.pop("tags", {})
    return Plant(document, {name: _reading(value) for name, value in tags.items()})


def _reading(value: Any) -> Reading:
    """A bare value is good and fresh; {value, good, age_s} says otherwise."""
    if not isinstance(value, dict):
        return Reading(value, value is not None)
    good = bool(value.get("good", True))
    return Reading(value.get("value"), good, float(value.get("age_s", 0.0)))


def _running(access: Access, alarm: str, book: Playbook, site: Site) -> Plant:
    def tags(seen: Mapping[str, Any]) -> list[str]:
        return wanted_tags(book, site, seen)

    return read_plant(access, alarm, tags, site)


def _say(book: Playbook, plant: Plant, told: Story) -> None:
    screen = Console(soft_wrap=True, highlight=False)
    name = f"{book.playbook} v{book.version}"
    screen.print(Text(f"试走，不执行 / DRY RUN, nothing is done: {name}", style="bold"))
    alarm = ", ".join(f"{key}={value}" for key, value in plant.alarm.items())
    screen.print(Text(f"报警 / alarm: {alarm}"))
    for trigger, verdict in told.starts.items():
        screen.print(Text(f"触发 / trigger {trigger}: {verdict}"))
    for logical, device in told.devices.items():
        screen.print(Text(f"设备 / device {logical}: {device or '无 / none'}"))
    for tag, reading in told.tags.items():
        mark = "" if reading["good"] else "  (质量不好 / not good)"
        screen.print(Text(f"位号 / tag {tag} = {reading['value']}{mark}"))
    rows = [("时刻 / at", "步骤 / step", "动作 / verb", "结果 / result", "数据 / data")]
    for one in told.happens:
        data = "  ".join(_shown(key, value) for key, value in one.data.items()
                         if key not in HIDDEN and value not in (None, "", [], {}))  # fmt: skip
        rows.append((f"+{brief(one.at_ms)}", one.path, one.verb, one.phase, data))
    for line in columns(rows, right=(0,)):
        screen.print(Text(line))
    if told.waits_for:
        screen.print(Text(f"等待答复 / waits for: {', '.join(told.waits_for)}"))
    screen.print(Text(f"结局 / would end: {told.ended}", style="bold"))


def _shown(key: str, value: Any) -> str:
    """One datum for the eye; of a text for people the Chinese."""
    if isinstance(value, dict) and set(value) == {"zh", "en"}:
        return value["zh"]
    return f"{key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
