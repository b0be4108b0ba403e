"""The reference documents and schemas that are made from code.

Called by `andon gen` and by the test that compares them with the files in the repository; writes
nothing itself, and reaches the tiers only through their entry points.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Iterator
from typing import Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from shared.bus import streams
from shared.cli.error_codes import codes, wordings
from shared.cli.playbook import schema_text
from shared.cli.playbook_keys import playbook_text
from shared.cli.playbook_rehearse import schema_text_of_tests
from shared.cli.playbook_rules import rules_text
from shared.cli.roles import roles_text
from shared.console.openapi import export
from shared.messages.subjects import BRAIN, HISTORY, LIVE, REPLAY, Node
from shared.paths import ROOT
from shared.playbook.kinds import KINDS

MADE = "<!-- Made by `make gen`; edits are overwritten. -->\n\n"
OPENAPI, SETTINGS = "andon.openapi", "andon.settings"
PLAYBOOK_SCHEMA = "playbooks/playbook.schema.json"


def documents() -> dict[str, str]:
    """Path in the repository -> text of every generated reference file."""
    apis = {name: _api(name, app) for name, app in _points(OPENAPI)}
    made = {f"shared/console/openapi/{name}.json": _json(api, 1) for name, api in apis.items()}
    made[PLAYBOOK_SCHEMA] = schema_text()
    made["playbooks/playbook-test.schema.json"] = schema_text_of_tests()
    made["docs/reference/playbook-lint.md"] = rules_text(MADE)
    made["docs/reference/subjects.md"] = _subjects()
    made["docs/reference/settings.md"] = _settings()
    made["docs/reference/error-codes.md"] = _codes()
    made["edge_node/web/codes.json"] = _page_codes()
    made["shared/web/problem_words.json"] = made["edge_node/web/codes.json"]
    made["docs/reference/rest.md"] = _rest(apis)
    made["docs/reference/playbook.md"] = playbook_text(MADE, json.loads(made[PLAYBOOK_SCHEMA]))
    tiers = {name: app() for name, app in _points(OPENAPI)}
    made["docs/reference/roles.md"] = roles_text(MADE, tiers)
    return made


def _page_codes() -> str:
    """The wording of every refusal, for the edge's own page, which has no console to ask."""
    return _json(wordings(ROOT), 1)


def command_text(root: typer.Typer) -> str:
    """`docs/reference/commands.md`: every verb with its options, from the command line itself."""
    text = "# Command line\n\n" + MADE
    text += "Exit codes: 0 it holds, 1 it does not, 2 it cannot be run.\n"
    group: Any = typer.main.get_command(root)
    for path, command in sorted(_verbs("andon", group)):
        text += f"\n## {path}\n\n{(command.help or '').strip()}\n"
        rows = [(_usage(p), (getattr(p, "help", "") or "").strip()) for p in command.params]
        if rows:
            text += _table(("argument", "meaning"), rows)
    return text


def _usage(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{(parameter.name or '').upper()}`"
    return "`" + ", ".join(parameter.opts) + "`"


def _verbs(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    names = getattr(command, "list_commands", None)
    if names is None:
        yield path, command
        return
    for name in names(None):
        yield from _verbs(f"{path} {name}", command.get_command(None, name))


def _points(group: str) -> list[tuple[str, Any]]:
    found = importlib.metadata.entry_points(group=group)
    return [(point.name, point.load()) for point in sorted(found, key=lambda p: p.name)]


def _json(document: Any, indent: int = 2) -> str:
    return json.dumps(document, ensure_ascii=False, indent=indent, sort_keys=True) + "\n"


def _api(name: str, app: Callable[[], Any]) -> dict[str, Any]:
    """The application's routes; shapes that only travel on the event stream come from the DTOs."""
    api = app().openapi()
    shapes = export.brain() if name == "brain" else export.cloud()
    # What a server answers always carries its defaults: the DTO export has them as required.
    api["components"]["schemas"].update(shapes["components"]["schemas"])
    return api


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    clean = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *clean]
    return "\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _subjects() -> str:
    text = "# Subjects, streams and buckets\n\n" + MADE
    text += "`<site>` and `<edge>` are 1-32 of `a-z`, `0-9` and `-`.\n"
    for title, node in (
        ("An edge towards its factory", Node("site", "edge")),
        ("A factory's brain towards the group", Node("site", BRAIN)),
    ):
        lanes = (LIVE, REPLAY) if node.is_brain else (LIVE, REPLAY, HISTORY)
        rows = [(_shown(node.lane(lane)), "up, durable") for lane in lanes]
        rows += [(_shown(s), "up") for s in (node.health, node.hello, node.reply("*"))]
        downs = [node.committed, node.lease, node.command, node.fact, node.directive]
        downs += [] if node.is_brain else [node.sampling]
        rows += [(_shown(subject), "down") for subject in downs]
        rows.append((_shown(node.directive_bucket), "key-value bucket above, read only"))
        text += f"\n## {title}\n" + _table(("subject", "direction"), rows)
        text += "\nMay publish upward: " + ", ".join(_shown(s) for s in node.may_publish) + ".\n"
        text += "\nMay receive from above: " + ", ".join(map(_shown, node.may_receive)) + ".\n"
    text += "\n## Streams\n"
    rows = []
    for tier, specs in (
        ("factory", streams.factory_streams("site")),
        ("group", streams.cloud_streams()),
    ):
        for spec in specs:
            subjects = ", ".join(_shown(subject) for subject in spec.subjects)
            size, days = f"{spec.max_bytes >> 20} MiB", f"{spec.max_age_s / 86400:g} d"
            rows.append((f"`{spec.name}`", tier, subjects, size, days))
    return text + _table(("stream", "tier", "subjects", "most", "oldest"), rows)


def _shown(subject: str) -> str:
    shown = subject.replace(".site.edge", ".<site>.<edge>").replace(".site.", ".<site>.")
    shown = shown.replace("_site_edge", "_<site>_<edge>").replace("_site_", "_<site>_")
    return f"`{shown}`".replace("$JS.site.", "$JS.<site>.")


def _settings() -> str:
    text = "# Settings\n\n" + MADE
    text += "A YAML file by `--config`; environment variables `ANDON_<NAME>` outrank it.\n"
    for name, model in _points(SETTINGS):
        rows = [_setting(key, field) for key, field in model.model_fields.items()]
        text += f"\n## andon {name}\n" + _table(("key", "type", "default"), rows)
    return text


def _setting(key: str, field: Any) -> tuple[str, str, str]:
    kind = getattr(field.annotation, "__name__", None) or str(field.annotation)
    if getattr(field.annotation, "__args__", None):
        kind = str(field.annotation).replace("typing.", "").replace("pathlib.", "")
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        kind = ", ".join(field.annotation.model_fields)
    if field.default_factory is not None:
        return f"`{key}`", f"`{kind}`", "made at start"
    default = field.default
    return f"`{key}`", f"`{kind}`", "required" if default is PydanticUndefined else f"`{default}`"


def _codes() -> str:
    used, words = codes(ROOT), wordings(ROOT)
    rows = []
    for code, files in used.items():
        key = code.replace(".", "_")
        rows.append((f"`{code}`", words["zh"].get(key, ""), words["en"].get(key, ""), files[0]))
    text = "# Refusals and errors\n\n" + MADE
    text += "The code and its parameters travel; the console words them.\n"
    return text + _table(("code", "中文", "English", "raised in"), rows) + _kinds()


def _kinds() -> str:
    rows = [
        (f"`{kind}`", f"{one.zh}<br>{one.en}", f"{one.mend_zh}<br>{one.mend_en}")
        for kind, one in KINDS.items()
    ]
    text = "\n## Failures in playbooks / 预案运行中的失败\n\n"
    text += "`error.kind` in `catch`, and the kind in a run's trace. Words of your own come from\n"
    text += "`fail: {kind: …}`. "
    text += "catch 里的 error.kind，也显示在运行轨迹中。\n"
    return text + _table(("kind / 种类", "when / 何时", "what to do / 怎么办"), rows)


def _rest(apis: dict[str, dict[str, Any]]) -> str:
    text = "# REST interface\n\n" + MADE
    text += (
        "Errors are `application/problem+json` with `code` and `params` (RFC 9457). Writes need\n"
    )
    text += "an `Idempotency-Key`. The full documents are in `shared/console/openapi/`;\n"
    text += "[how to use it](../howto/use-the-api.md) tells of keys, tags, limits and the stream.\n"
    for name, api in apis.items():
        rows = []
        for path, verbs in sorted(api["paths"].items()):
            for verb, operation in sorted(verbs.items()):
                answers = [code for code in operation["responses"] if code.startswith("2")]
                shape = _shape(operation["responses"][answers[0]]) if answers else ""
                body = _shape(operation.get("requestBody", {}))
                what = operation.get("summary", "")
                rows.append((f"`{verb.upper()} {path}`", what, body, shape))
        if name == "brain":
            rows.append(("`WS /api/ws`", "实时流 / The live stream", "", "see how to use it"))
        text += f"\n## {name}\n" + _table(("route", "what for", "body", "answer"), rows)
    return text


def _shape(part: dict[str, Any]) -> str:
    schema = part.get("content", {}).get("application/json", {}).get("schema", {})
    return schema.get("$ref", "").rpartition("/")[2]
