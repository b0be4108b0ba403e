"""Export and import give the same playbook: every verb, every guard, Hypothesis trees."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.playbook.cacao.export import to_cacao
from shared.playbook.cacao.reading import as_yaml, assembled, from_cacao
from shared.playbook.loader import digest_of, load_text
from shared.playbook.model import VERBS, Playbook
from tests.support.cacao_schemas import DECLARED, MENDED, errors

Step = dict[str, Any]
AT = 1_700_000_000_000
TEXTS = st.sampled_from(
    ["plain", "带 ${inputs.limit} 的话", "$${kept}", "a: b # c", "${alarm.asset}"]
)
WORDS = TEXTS | st.fixed_dictionaries({"zh": TEXTS, "en": TEXTS})
TIMES = st.sampled_from(["0s", "5s", "90s", "1h30m", "250ms", "${inputs.wait}"])
FIXED = st.sampled_from(["1s", "90s", "1h30m"])
CONDITIONS = st.sampled_from([
    "true", 'inputs.limit > 5 && inputs.mode == "fast"',
    "inputs.limit >= -1.5 || inputs.on == true",
    'tag("T").value < inputs.limit', "steps.decide.answer == \"vent\"", "alarm.value > 3",
])  # fmt: skip
DATA = st.fixed_dictionaries(
    {"v": WORDS | st.sampled_from([-4, 1, 60]) | st.booleans()},
    optional={"wait": TIMES, "name": WORDS},
)
PEOPLE = st.sampled_from([
    ["role:shift-lead"], ["user:ann", "team:thermal"], ["role:shift-lead", "user:${run.started_by}"]
])  # fmt: skip
COMMAND = st.fixed_dictionaries(
    {"device": st.just("burner"), "op": st.just("set"), "expires": FIXED},
    optional={"args": DATA, "require": CONDITIONS.map(lambda one: [one]),
              "verify": st.fixed_dictionaries({"until": CONDITIONS, "within": FIXED}),
              "on_unknown": st.sampled_from(["ask", "fail"]), "approval": st.just("decide")},
)  # fmt: skip
HTTP = st.fixed_dictionaries(
    {"endpoint": st.just("mes")},
    optional={"method": st.sampled_from(["POST", "PUT"]), "path": TEXTS, "body": DATA,
              "expect": st.just([200, 409])},
)  # fmt: skip
HOOK = st.fixed_dictionaries(
    {"endpoint": st.just("cmms"), "type": st.just("a.b")},
    optional={"data": DATA, "detach": st.booleans()},
)
LEAVES = {
    "notify": st.fixed_dictionaries({"to": PEOPLE, "message": WORDS},
                                    optional={"channel": st.just("call")}),
    "http": HTTP, "webhook": HOOK, "command": COMMAND,
    "emit": st.fixed_dictionaries({"event": st.just("a.b")}, optional={"data": DATA}),
    "ask": st.fixed_dictionaries(
        {"to": PEOPLE, "question": WORDS, "options": st.just(["vent", "keep"]), "within": FIXED},
        optional={"labels": st.just({"vent": {"zh": "开", "en": "open"}}), "quorum": st.just(2),
                  "deny": PEOPLE, "reminders": st.just(["1s", "2s"])}),
    "wait": TIMES,
    "wait_until": st.fixed_dictionaries({"condition": CONDITIONS, "within": TIMES},
                                        optional={"for": FIXED}),
    "set": DATA, "set_incident": DATA, "log": TEXTS,
    "call": st.fixed_dictionaries({"playbook": st.just("other")}, optional={"inputs": DATA}),
    "stop": st.fixed_dictionaries({}, optional={"reason": st.just("done")}),
    "fail": st.fixed_dictionaries({"outcome": st.just("failure")},
                                  optional={"kind": st.just("worn")}),
    "compensate_all": st.just({"reason": "undo"}),
}  # fmt: skip
MORE = {
    "name": WORDS,
    "if": CONDITIONS,
    "timeout": TIMES.filter(lambda text: text != "0s"),
    "on_error": st.just("continue"),
    "on_timeout": st.sampled_from(["continue", "escalate"]),
    "retry": st.just({"max": 2, "delay": "5s", "jitter": 0.1}),
    "escalate": st.just([{"after": "10s", "to": ["role:boss"]}, {"after": "1m", "then": "vent"}]),
    "compensate": st.builds(lambda spec: {"command": spec}, COMMAND),
}


BLOCKS = ("switch", "cases", "parallel", "for_each", "repeat", "try")


@st.composite
def leaves(draw: st.DrawFn, verb: str) -> Step:
    """A step that holds no others."""
    return {verb: draw(LEAVES[verb]), **draw(st.fixed_dictionaries({}, optional=MORE))}


@st.composite
def some(draw: st.DrawFn, depth: int, least: int = 0) -> list[Step]:
    """A few steps, blocks among them until it is deep enough."""
    found: list[Step] = []
    for _ in range(draw(st.integers(least, 3 if depth == 0 else 2))):
        kind = draw(st.sampled_from([*LEAVES, *(BLOCKS * 3 if depth < 3 else ())]))
        found.append(draw(held(kind, depth + 1) if kind in BLOCKS else leaves(kind)))
    return found


@st.composite
def held(draw: st.DrawFn, kind: str, depth: int) -> Step:
    """A step that holds others."""
    more = draw(st.fixed_dictionaries({}, optional=MORE))
    if kind in ("switch", "cases"):
        whens = ['steps.decide.answer == "vent"', "steps['decide'].answer == \"keep\""]
        if kind == "switch":
            whens = [draw(CONDITIONS) for _ in range(draw(st.integers(1, 3)))]
        arms = [{"when": when, "steps": draw(some(depth))} for when in whens]
        if draw(st.booleans()):
            arms.append({"otherwise": True, "steps": draw(some(depth))})
        return {"switch": arms, **more}
    if kind == "parallel":
        names = ["b0", "b1", "b2"][: draw(st.integers(2, 3))]
        branches = [{"id": name, "steps": draw(some(depth))} for name in names]
        wait = draw(st.sampled_from([{}, {"wait": "any"}, {"wait": 1}]))
        return {"parallel": {"branches": branches, **wait}, **more}
    if kind == "try":
        rules = [draw(st.none() | CONDITIONS) for _ in range(draw(st.integers(1, 3)))]
        catch = [{**({"when": when} if when else {}), "steps": draw(some(depth))} for when in rules]
        return {"try": {"steps": draw(some(depth, 1)), "catch": catch}, **more}
    loop: Step = {"max": 2, "steps": draw(some(depth, 1))}
    if kind == "for_each":
        return {"for_each": {**loop, "items": "[1, 2]", "together": 2}, **more}
    extra = draw(st.fixed_dictionaries({}, optional={"until": CONDITIONS, "pause": TIMES}))
    return {"repeat": {**loop, **extra}, **more}


@st.composite
def bodies(draw: st.DrawFn) -> tuple[list[Step], list[Step], list[Step]]:
    """Steps, handlers and `finally`."""
    rules = [draw(st.none() | CONDITIONS) for _ in range(draw(st.integers(0, 2)))]
    catch = [{**({"when": when} if when else {}), "steps": draw(some(2))} for when in rules]
    return draw(some(0, 1)), catch, draw(some(2))


def document(steps: list[Step], catch: list[Step], last: list[Step]) -> Step:
    """A whole document; every step gets an id, the first of each verb a speaking one."""
    found: Step = {
        "schema": "playbook/v1", "playbook": "round-trip", "version": 3,
        "name": {"zh": "来回", "en": "round"}, "owner": "team:x", "labels": {"a": "b"},
        "inputs": {
            "limit": {"type": "number", "default": 5, "unit": "°C",
                      "tunable": {"min": 1, "max": 9}},
            "wait": {"type": "duration", "default": "5m"},
            "mode": {"type": "choice", "options": ["fast", "slow"], "default": "fast"},
            "on": {"type": "boolean", "default": True}, "asset": {"type": "string"},
        },
        "devices": {"burner": {"type": "b.m", "bind": "alarm.asset", "role": "burner"}},
        "endpoints": {"mes": {"type": "http"}, "cmms": {"type": "webhook"}},
        "triggers": [
            {"id": "hot", "alarm": "A", "for": "10s", "where": "alarm.value > 1",
             "throttle": {"once_within": "5m"}},
            {"id": "nightly", "cron": "0 6 * * 1-5"}, {"id": "told", "event": "a.b"},
        ],
        "concurrency": {"key": "alarm.asset", "mode": "queued", "max": 3},
        "leave_when": [{"alarm": "cleared", "then": "compensate"}],
        "deadline": "45m", "on_restart": "ask", "budget": {"duration": "2h", "commands": 9},
        "steps": steps, "outcome": {"success": "steps.decide.ok", "metrics": {"wait": "5000ms"}},
        "offline": {"after": "30s", "steps": [{"id": "alone", "log": "alone"}]},
    }  # fmt: skip
    found |= {key: value for key, value in (("catch", catch), ("finally", last)) if value}
    count = [0]
    for block in (steps, *(handler["steps"] for handler in catch), last):
        numbered(block, count)
    return found


def made(steps: list[Step], catch: list[Step], last: list[Step]) -> Playbook:
    """The playbook of a document of its own (drawn parts may be shared)."""
    parts = json.loads(json.dumps([steps, catch, last]))
    return Playbook.model_validate(document(*parts))


def numbered(steps: list[Step], count: list[int]) -> None:
    """Give every step an id."""
    for one in steps:
        count[0] += 1
        one.setdefault("id", f"s{count[0]}")
        tried, side = one.get("try") or {}, one.get("parallel") or {}
        parts = [*one.get("switch", []), *side.get("branches", []), one.get("for_each"),
                 one.get("repeat"), tried, *tried.get("catch", [])]  # fmt: skip
        for part in parts:
            numbered((part or {}).get("steps", []), count)


@settings(max_examples=25, deadline=None)
@given(bodies())
def test_any_playbook_comes_back_equal(body: tuple[list[Step], list[Step], list[Step]]) -> None:
    book = made(*body)
    exported = to_cacao(book, AT, AT)
    found, notes, ours = assembled(json.loads(json.dumps(exported)), "x.json")
    assert digest_of(Playbook.model_validate(found)) == digest_of(book)
    assert (notes, ours) == ([], True)


@settings(max_examples=4, deadline=None)
@given(bodies())
def test_any_playbook_comes_back_equal_as_text_and_its_export_is_valid(
    body: tuple[list[Step], list[Step], list[Step]],
) -> None:
    book = made(*body)
    exported = to_cacao(book, AT, AT)
    assert errors(exported, DECLARED) == errors(exported, MENDED) == []
    found, notes, _ = assembled(exported, "x.json")
    assert load_text(as_yaml(found, notes, "x.json"), "x.yaml").digest == digest_of(book)


def every_verb() -> list[Step]:
    """A document with each verb once."""
    inner = [{"log": "in"}]
    return [
        {"id": "decide", "ask": {"to": ["role:a"], "question": "?", "options": ["vent", "keep"],
                                 "within": "5m"}},
        {"notify": {"to": ["user:ann"], "message": "m"}}, {"http": {"endpoint": "mes"}},
        {"webhook": {"endpoint": "cmms", "type": "t"}}, {"emit": {"event": "a"}},
        {"command": {"device": "burner", "op": "set", "expires": "9s"}}, {"wait": "5s"},
        {"wait_until": {"condition": "alarm.value > 1", "within": "1m"}}, {"set": {"a": 1}},
        {"set_incident": {"note": "n"}}, {"call": {"playbook": "other", "inputs": {"a": 1}}},
        {"switch": [{"when": "alarm.value > 2", "steps": inner}]}, {"log": "l"},
        {"parallel": {"branches": [{"id": "a", "steps": inner}, {"id": "b", "steps": []}]}},
        {"for_each": {"items": "[1]", "max": 1, "steps": inner}},
        {"repeat": {"max": 2, "until": "alarm.value > 1", "steps": inner}},
        {"try": {"steps": inner, "catch": [{"steps": inner}]}}, {"compensate_all": {}},
        {"fail": {"outcome": "failure"}}, {"stop": {}},
    ]  # fmt: skip


def test_every_verb_has_its_place_in_cacao() -> None:
    book = made(every_verb(), [], [])
    assert {step.verb for step in book.steps} == set(VERBS)
    exported = to_cacao(book, AT, AT)
    assert errors(exported, DECLARED) == errors(exported, MENDED) == []
    kinds = {node["type"] for node in exported["workflow"].values()}
    assert kinds == {"start", "end", "action", "parallel", "if-condition", "while-condition",
                     "playbook-action"}  # fmt: skip
    found = from_cacao(json.dumps(exported), "x.json")
    assert found.loaded.digest == digest_of(book)


def test_the_same_playbook_gives_the_same_document() -> None:
    book = made(every_verb(), [], [])
    assert json.dumps(to_cacao(book, AT, AT)) == json.dumps(to_cacao(book, AT, AT))
