"""Aliases of one person, and colleagues who are none."""

from __future__ import annotations

import pytest

from group_cloud.domain.two_people import same_person


@pytest.mark.parametrize(
    "other",
    [
        "anna", "ANNA", "Anna@works.example", "WORKS\\anna", "anna-admin", "anna.adm", "anna_2",
        "Ａnna", "ánna", " anna ", "local anna", "anna\u200b", "",
    ],
)  # fmt: skip
def test_the_same_person_by_another_name(other: str):
    assert same_person("anna", other)
    assert same_person(other, "anna")


@pytest.mark.parametrize(
    ("one", "other"),
    [("anna", "joanna"), ("王芳", "王伟"), ("anna.wei", "anna.li"), ("admin", "anna")],
)
def test_two_people(one: str, other: str):
    assert not same_person(one, other)
