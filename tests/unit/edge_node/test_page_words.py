"""The local page's words: both languages complete, nothing named that does not exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import edge_node.web.local_api as local_api
from shared.alarm import machine, states

WEB = Path(local_api.__file__).parent
WORDS = (WEB / "words.js").read_text(encoding="utf-8")
SCRIPTS = "".join((WEB / n).read_text(encoding="utf-8") for n in ("page.js", "system.js"))
PAGE = (WEB / "page.html").read_text(encoding="utf-8")
CODES = json.loads((WEB / "codes.json").read_text(encoding="utf-8"))


def block(name: str, language: str) -> str:
    """One language's object literal of a table in words.js."""
    table = WORDS.split(f"const {name} = {{", 1)[1].split("\n};", 1)[0]
    zh, en = table.split("\n  en: {", 1)
    return zh if language == "zh" else en


def keys(name: str, language: str) -> set[str]:
    return set(re.findall(r"[{,\s](\w+): [\"\[]", block(name, language)))


def test_both_languages_have_the_same_words_with_the_same_places() -> None:
    assert len(keys("WORDS", "zh")) > 80
    assert keys("WORDS", "zh") == keys("WORDS", "en")
    assert keys("STATES", "zh") == keys("STATES", "en") == set(states.LETTERS)
    for key in keys("WORDS", "zh"):
        places = [
            sorted(re.findall(r"\{(\w+)\}", found[1]))
            for language in ("zh", "en")
            if (found := re.search(rf'[{{,\s]{key}: "([^"]*)"', block("WORDS", language)))
        ]
        assert not places or places[0] == places[1], key


def test_every_word_that_the_page_asks_for_is_there() -> None:
    named = set(re.findall(r'word\("(\w+)"', SCRIPTS)) | set(re.findall(r'data-text="(\w+)"', PAGE))
    assert len(named) > 60
    assert named - keys("WORDS", "zh") == set()
    actions = set(re.findall(r"\w+: \[\"(\w+)\", ", SCRIPTS))
    assert actions == {"acknowledge", "confirm", "reset", "shelve", "unshelve", "out_of_service",
                       "suppress", "disable", "comment"}  # fmt: skip
    assert set(local_api.Action.__args__) - keys("WORDS", "zh") == set()  # type: ignore[attr-defined]


def test_every_state_has_a_look_of_its_own() -> None:
    style = (WEB / "page.css").read_text(encoding="utf-8")
    for state in ("shelved", "suppressed", "out_of_service", "disabled"):
        assert f"tr.{state}" in style
        assert f".state.{state}" in style
    marks = re.findall(r'(\w+): "([^"]*)"', WORDS.split("const MARKS = {", 1)[1].split("};")[0])
    assert len({mark for _, mark in marks}) == len(marks) == len(states.LETTERS)


def test_what_the_alarm_machine_refuses_is_worded() -> None:
    source = Path(machine.__file__).read_text(encoding="utf-8")
    results = set(re.findall(r'"((?:Bad|REJECT)_\w+)"', source))
    assert len(results) > 5
    for language in ("zh", "en"):
        assert results - set(CODES[language]) == set()
