"""Rights by area, grants from tokens, passwords; all of it pure."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.identity.mapping import grants_of
from shared.identity.passwords import hashed, matches, password_fault
from shared.identity.policy import POLICY, ROLES, Grant, User, prefix_within
from shared.identity.settings import IdentitySettings


def test_a_grant_holds_in_its_area_and_nowhere_else() -> None:
    user = User.of("ming", [Grant("operator", "FUR-01"), Grant("viewer")])
    assert user.may("acknowledge")
    assert user.may("acknowledge", "FUR-01")
    assert user.may("acknowledge", "FUR-01-B2")
    assert not user.may("acknowledge", "FUR-010")
    assert not user.may("acknowledge", "CMP-01")
    assert not user.may("acknowledge", "")
    assert user.may("view", "CMP-01")
    assert not user.may_everywhere("acknowledge")
    assert user.may_everywhere("view")
    assert user.areas("acknowledge") == ("FUR-01",)
    assert user.areas("view") == ("",)
    assert user.areas("administer") == ()


def test_the_asset_tree_decides_where_it_is_known() -> None:
    tree = {"PUMP-9": ("SITE", "HALL-2", "PUMP-9")}
    user = User.of(
        "li", [Grant("operator", "HALL-2")], within=lambda a, area: area in tree.get(a, ())
    )
    assert user.may("acknowledge", "PUMP-9")
    assert not user.may("acknowledge", "HALL-2-X")


def test_a_service_account_is_held_to_its_actions() -> None:
    device = User.of("service:r7", [Grant("operator")], actions=["report_event"])
    assert device.may("report_event")
    assert not device.may("acknowledge")
    assert not device.may_everywhere("view")
    assert device.areas("view") == ()


grants = st.lists(
    st.builds(Grant, st.sampled_from([*ROLES, "root"]), st.sampled_from(["", "A", "A-1", "B"]))
)


@settings(max_examples=200, deadline=None)
@given(grants, st.sampled_from(sorted(POLICY)), st.sampled_from(["A", "A-1", "A-1-x", "B", "C"]))
def test_rights_are_the_union_of_the_grants(held: list[Grant], action: str, asset: str) -> None:
    user = User.of("x", held)
    alone = [User.of("x", [grant]) for grant in held]
    assert user.may(action, asset) == any(one.may(action, asset) for one in alone)
    assert user.may(action) == any(one.may(action) for one in alone)
    assert not user.may(action, asset) or user.may(action)
    assert not user.may_everywhere(action) or user.may(action, asset)


def test_prefixes_end_at_a_separator() -> None:
    assert prefix_within("L1", "L1")
    assert prefix_within("L1-PRESS", "L1")
    assert prefix_within("anything", "")
    assert not prefix_within("L12", "L1")
    assert not prefix_within("", "L1")


CLAIMS = {
    "realm_access": {"roles": ["andon-engineer", "offline_access", "andon-root"]},
    "groups": ["/andon/f1/operator/FUR-01", "/andon/f2/administrator", "/andon/f1", "/x/f1/viewer"],
}


def test_groups_count_at_their_own_site_only() -> None:
    local = IdentitySettings()
    assert grants_of(CLAIMS, local, "f1") == [Grant("engineer"), Grant("operator", "FUR-01")]
    assert grants_of(CLAIMS, local, "f2") == [Grant("engineer"), Grant("administrator")]
    assert grants_of(CLAIMS, local, "") == [Grant("engineer")]
    assert grants_of({}, local, "f1") == []
    assert grants_of({"realm_access": "odd", "groups": 7}, local, "f1") == []


def test_a_mapping_replaces_the_convention() -> None:
    given_settings = IdentitySettings.model_validate(
        {
            "mapping": [
                {"role": "plant-chief", "grant": "administrator"},
                {"group": "/halls/2", "grant": "operator", "area": "HALL-2"},
            ],
            "roles_claim": "roles",
        }
    )
    claims = {**CLAIMS, "roles": ["plant-chief"], "groups": ["/halls/2"]}
    assert grants_of(claims, given_settings, "f1") == [
        Grant("administrator"), Grant("operator", "HALL-2"),
    ]  # fmt: skip
    assert grants_of(CLAIMS, given_settings, "f1") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "oidc"},
        {"mode": "oidc", "issuer": "https://x/y", "client_secret_file": "s", "public_url": "u"},
        {"mapping": [{"role": "a", "group": "b", "grant": "viewer"}]},
        {"mapping": [{"role": "a", "grant": "root"}]},
        {"algorithms": ["none"]},
        {"session_idle": 5},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        IdentitySettings.model_validate(wrong)


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "password_length"), ("x" * 201, "password_length"),
        ("password1234!", "password_common"), ("passwordpassword", "password_common"),
        ("aaaaaaaaaaaaaa", "password_common"), ("123456789012", "password_common"),
        ("we are Ming Li", "password_has_name"),
    ],
)  # fmt: skip
def test_weak_passwords_are_refused(password: str, code: str) -> None:
    fault = password_fault("ming", password)
    assert fault is not None
    assert fault.code == code


def test_a_good_password_is_kept_as_its_hash() -> None:
    assert password_fault("ming", "炉子三号 stands still") is None
    kept = hashed("炉子三号 stands still")
    assert "stands" not in kept
    assert matches(kept, "炉子三号 stands still")
    assert not matches(kept, "炉子三号 stands stil")
    assert not matches("no hash at all", "x")
