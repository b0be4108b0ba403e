"""Secrets that were read are taken out of texts and data, in every form that they travel in."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from shared import redaction

SECRET = 's3cr"et/value'
FORMS = (SECRET, json.dumps(SECRET)[1:-1], quote(SECRET, safe=""),
         base64.b64encode(SECRET.encode()).decode())  # fmt: skip


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_FORMS", {})
    redaction.remember(SECRET)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_hidden(form: str) -> None:
    assert redaction.cleaned(f"a {form} b") == f"a {redaction.HIDDEN} b"
    data = {"deep": [{"x": f"<{form}>"}], f"k{form}": 1}
    assert redaction.clean(data) == {
        "deep": [{"x": f"<{redaction.HIDDEN}>"}], f"k{redaction.HIDDEN}": 1,
    }  # fmt: skip


def test_what_holds_none_is_the_same_object_and_numbers_stay() -> None:
    redaction.remember("1234567")
    data = {"at": 12345678, "text": "plain"}
    assert redaction.clean(data) == data
    untouched = {"text": "plain"}
    assert redaction.clean(untouched) is untouched


def test_a_short_word_is_no_secret() -> None:
    redaction.remember("abc")
    assert redaction.cleaned("abc") == "abc"
