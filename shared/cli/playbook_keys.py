"""`docs/reference/playbook.md`: every key with its type, default and meaning, from the schema.

Called by `andon gen reference`; words nothing of its own.
"""

from __future__ import annotations

from typing import Any

from shared.playbook.wording import PARTS, words

_HEAD = """JSON Schema: `playbooks/playbook.schema.json`; an editor shows these meanings beside the
keys. A key without a default may be left out, unless it is required. Durations are written `10s`,
`5m`, `1h30m`.
没有默认值的键可以不写（必填者除外）；时长写作 `10s`、`5m`、`1h30m`。
"""
_COLUMNS = ("key / 键", "type / 类型", "default / 默认", "meaning / 含义")


def playbook_text(made: str, schema: dict[str, Any]) -> str:
    """The whole document."""
    text = "# Playbook document / 预案文件\n\n" + made + _HEAD
    parts = {"Playbook": schema, **schema["$defs"]}
    for name in PARTS:
        part, (zh, en) = parts[name], words(name)
        text += f"\n## {name}\n\n{en}\n{zh}。\n\n"
        text += _row(_COLUMNS) + _row(("---",) * len(_COLUMNS))
        need = part.get("required", ())
        for key, found in part["properties"].items():
            zh, en = words(name, key)
            default = "**required / 必填**" if key in need else _default(found)
            text += _row((f"`{key}`", _kind(found), default, f"{en}<br>{zh}"))
    return text


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _default(found: dict[str, Any]) -> str:
    if found.get("default", "") in ("", [], {}, False):
        return "`false`" if found.get("default") is False else ""
    default = found["default"]
    return f"`{default}`"


def _kind(found: dict[str, Any]) -> str:
    if "$ref" in found:
        name = found["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in found:
        return ", ".join(f"`{item}`" for item in found["enum"])
    if "const" in found:
        const = found["const"]
        return f"`{str(const).lower() if isinstance(const, bool) else const}`"
    if options := found.get("anyOf") or found.get("oneOf"):
        kinds = [_kind(one) for one in options if one != {"type": "null"}]
        if kinds == ["text", "object"]:
            return "text, or `{zh, en}`"
        return " or ".join(dict.fromkeys(kinds))
    return _plain(found)


def _plain(found: dict[str, Any]) -> str:
    match found.get("type"):
        case "array":
            return f"list of {_kind(found.get('items', {}))}"
        case "string" if "(ms|s|m|h|d)" in found.get("pattern", ""):
            return "duration"
        case "string" if found.get("pattern", "").startswith("^\\$"):
            return "`${…}`"
        case "string":
            return "text"
        case "integer" | "number" as kind:
            low, high = found.get("minimum"), found.get("maximum")
            return (
                kind if low is None else f"{kind}, {low} to {high}" if high else f"{kind} ≥ {low}"
            )
        case kind:
            return str(kind or "any")
