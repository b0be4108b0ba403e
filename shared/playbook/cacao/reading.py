"""A CACAO v2 document as a playbook: Andon's own comes back equal, any other becomes a draft.

Called by `andon playbook import`. What cannot be a structured, bounded plan is refused with its
place and reason. Opens no socket, evaluates nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from shared.playbook.cacao.chains import Chains
from shared.playbook.cacao.export import playbook_variables, summary
from shared.playbook.cacao.foreign import Foreign
from shared.playbook.cacao.graph import CHECK, Graph, Node, Note, refused
from shared.playbook.cacao.names import EXTENSION, brief, slug
from shared.playbook.cacao.natives import Natives
from shared.playbook.cacao.scope import Scope, own_ids
from shared.playbook.loader import Loaded, load_text

MOST_BYTES = 4 * 1024 * 1024
_HEAD = ("schema", "playbook", "version", "name", "description", "labels")


@dataclass(frozen=True, slots=True)
class Imported:
    """A draft: its text, as the loader reads it, and what is left to a person."""

    text: str
    loaded: Loaded
    notes: list[Note]
    ours: bool
    """Whether Andon wrote the document, so that nothing was guessed."""


@dataclass(frozen=True, slots=True)
class Drafted:
    """A draft's text before anybody has looked whether it is a playbook."""

    playbook: str
    text: str
    notes: list[Note]
    ours: bool


def from_cacao(data: bytes | str, name: str) -> Imported:
    """The playbook of a CACAO file; raises PlaybookFaults with place and reason."""
    made = drafted(data, name)
    return Imported(made.text, load_text(made.text, name), made.notes, made.ours)


def drafted(data: bytes | str, name: str) -> Drafted:
    """The text that a CACAO file becomes; raises PlaybookFaults with place and reason."""
    document = _document(data, name)
    try:
        found, notes, ours = assembled(document, name)
        text = as_yaml(found, notes, name)
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration, RecursionError,
            YAMLError) as error:  # fmt: skip
        # Only what the shape checks of the graph let through; never a traceback for a bad file.
        said = f"{type(error).__name__}: {error}"[:200]
        raise refused(
            "cacao_malformed", name, f"内容不符合 CACAO（{said}）",
            f"not shaped as CACAO is ({said})", CHECK,
        ) from error  # fmt: skip
    return Drafted(str(found["playbook"]), text, notes, ours)


def assembled(document: Node, name: str) -> tuple[Node, list[Note], bool]:
    """The playbook's document, what is left to a person, and whether it was ours."""
    extension = (document.get("playbook_extensions") or {}).get(EXTENSION)
    ours = isinstance(extension, dict) and isinstance(extension.get("document"), dict)
    head = _our_head(document, extension, name) if ours and extension else _draft(document)
    graph = Graph(document, name)
    scope = Scope({} if ours else document, name, {} if ours else head["inputs"])
    if ours:
        _our_variables(document, head, scope)
    scope.reserve(own_ids(document))
    chains = Chains(graph, Natives(head), Foreign(graph, scope))
    finish = extension.get("finally") if ours and extension else None
    found = _whole(document["workflow_start"], graph.exception, head, chains, finish)
    if document.get("workflow_exception") != graph.exception:
        scope.note(f"{name}#/workflow_exception", "指向的 end 步骤不存在，视为没有异常处理",
                   "the end step it names is not there: taken as no handler")  # fmt: skip
    _settle(found, document, scope, graph, ours)
    return found, scope.notes, ours


def _document(data: bytes | str, name: str) -> Node:
    mend = ("给出 CACAO 2.0 的 JSON", "give a JSON document of CACAO 2.0")
    if len(data) > MOST_BYTES:
        raise refused("cacao_too_large", name, "文件过大", "the file is too large", mend)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        said = (f"不是 JSON：{error}", f"no JSON: {error}")
        raise refused("cacao_not_json", name, *said, mend) from None
    version = document.get("spec_version") if isinstance(document, dict) else None
    if version != "cacao-2.0" or document.get("type") != "playbook":
        raise refused("cacao_version", f"{name}#/spec_version", f"不是 CACAO 2.0 预案（{version}）",
                      f"no CACAO 2.0 playbook ({version})", mend)  # fmt: skip
    if not isinstance(document.get("workflow"), dict) or "workflow_start" not in document:
        raise refused(
            "cacao_no_workflow", f"{name}#/workflow", "workflow 须为“步骤 id: 步骤”",
            "`workflow` must map step ids to steps, and `workflow_start` name one", mend,
        )  # fmt: skip
    return document


def _our_head(document: Node, extension: Node, name: str) -> Node:
    """What Andon says of the playbook, if nobody changed what CACAO says of it."""
    head: Node = extension["document"]
    try:
        wanted = summary(head)
        changed = [key for key in ("name", "description", "labels")
                   if document.get(key) != wanted.get(key)]  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise refused("cacao_extension", f"{name}#/playbook_extensions", "Andon 的扩展不完整",
                      f"Andon's extension is not whole: {error}",
                      ("重新导出", "export it again")) from None  # fmt: skip
    if changed:
        raise refused(
            "cacao_changed_outside", f"{name}#/{changed[0]}", f"{changed[0]} 被改动",
            f"{changed[0]} was changed since Andon wrote it",
            ("撤销该修改，导入后在 YAML 中改", "undo it; change it in the YAML after the import"),
        )  # fmt: skip
    return head


def _our_variables(document: Node, head: Node, scope: Scope) -> None:
    given = document.get("playbook_variables") or {}
    for key, wanted in playbook_variables(head).items():
        if given.get(key) != wanted:
            scope.note(f"playbook_variables/{key}", "该变量在外部被改动；沿用 Andon 的定义",
                       "this variable was changed outside; Andon's definition stands")  # fmt: skip


def _draft(document: Node) -> Node:
    name = str(document.get("name") or "CACAO")
    found: Node = {"schema": "playbook/v1", "playbook": slug(name, "playbook"), "version": 1,
                   "name": _plain(name)}  # fmt: skip
    if text := document.get("description"):
        found["description"] = _plain(str(text))
    labels = {str(each).partition(":")[0]: str(each).partition(":")[2] or "true"
              for each in document.get("labels") or []}  # fmt: skip
    labels["imported-from"] = str(document.get("id"))
    return {**found, "labels": labels, "inputs": {}}


def _plain(text: str) -> str:
    return text.replace("${", "$${")


def _whole(start: str, fails: str | None, head: Node, chains: Chains, finish: str | None) -> Node:
    stops = frozenset({finish}) if finish else frozenset[str]()
    found = {**head, "steps": chains.chain(start, stops)}
    if fails is not None and fails != finish and (
        catch := chains.handlers(fails, finish, stops)
    ):  # fmt: skip
        found["catch"] = catch
    if finish:
        found["finally"] = chains.chain(finish)
    return found


def _settle(found: Node, document: Node, scope: Scope, graph: Graph, ours: bool) -> None:
    """Inputs and endpoints that the steps brought, and what was left out."""
    inputs = {**found.get("inputs", {}), **scope.inputs}
    endpoints = {**found.get("endpoints", {}), **scope.endpoints}
    for key, values in (("inputs", inputs), ("endpoints", endpoints)):
        if values:
            found[key] = values
        else:
            found.pop(key, None)
    if not found["steps"]:
        found["steps"] = [{"id": scope.fresh("nothing"), "log": "nothing to do"}]
    for step in graph.unread():
        scope.note(graph.where(step), "没有步骤指向它，未导入", "nothing leads to it: left out")
    if document.get("authentication_info_definitions"):
        scope.note(
            "authentication_info_definitions", "凭据未导入，请用 secret: 写入端点的绑定",
            "credentials were left out: name them as secret: in the site's binding",
        )  # fmt: skip
    for key in ("signatures", "data_marking_definitions"):
        if document.get(key):
            scope.note(key, "未导入", "left out")
    if not ours:
        scope.note("triggers", "请写触发器，使预案能够启动", "write what starts it: `triggers`")


def as_yaml(found: Node, notes: list[Note], name: str) -> str:
    """The text of a draft, with what is left to a person at its head."""
    order = [*_HEAD, *(key for key in found if key not in _HEAD)]
    tail = [key for key in ("steps", "catch", "finally", "outcome", "offline") if key in found]
    keys = [key for key in order if key in found and key not in tail] + tail
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.allow_unicode, yaml.width = False, True, 100
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[attr-defined]
    yaml.representer.ignore_aliases = lambda *_: True  # the loader takes none
    held = StringIO()
    yaml.dump({key: brief(found[key], key) for key in keys}, held)
    lines = [f"# 导入自 / imported from CACAO: {name}"]
    lines += [f"# 待办 / to do: {note.where}: {note.zh} / {note.en}" for note in notes]
    return "\n".join(_one_line(line) for line in lines) + "\n" + held.getvalue()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def shown(notes: list[Note]) -> list[dict[str, Any]]:
    """The notes for machines."""
    return [{"where": n.where, "message": {"zh": n.zh, "en": n.en}} for n in notes]
