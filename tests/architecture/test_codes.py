"""Every refusal has words in both languages."""

from __future__ import annotations

import re

from shared.cli.error_codes import codes, wordings
from tests.architecture.tree import ROOT


def test_every_code_is_worded_in_both_languages() -> None:
    words = wordings(ROOT)
    missing = {
        (language, code): files
        for code, files in codes(ROOT).items()
        for language in ("zh", "en")
        if not words[language].get(code.replace(".", "_"))
    }
    assert missing == {}


def test_codes_are_really_found() -> None:
    found = codes(ROOT)
    assert "not_logged_in" in found
    assert found["cross_site"] == ["shared/web/auth.py"]


def test_both_languages_word_the_same_codes_with_the_same_parameters() -> None:
    words = wordings(ROOT)
    assert set(words["zh"]) == set(words["en"])
    placeholder = re.compile(r"\{(\w+)\}")
    for code, english in words["en"].items():
        assert set(placeholder.findall(english)) == set(placeholder.findall(words["zh"][code])), (
            code
        )
        assert re.search(r"[\u4e00-\u9fff]", words["zh"][code]), code
