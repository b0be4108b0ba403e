"""Standard Webhooks: the 15 cases of its Python library, its vector, and its retry schedule.

Source: standard-webhooks/standard-webhooks, `libraries/python/tests/test_webhooks.py` lines 43-239
(one test each here, by its name) and `spec/standard-webhooks.md` lines 258-271. Where the library
raises, ours answers False: a receiver must not fall over because of what a stranger sent.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest

from shared.errors import ConfigError
from shared.playbook import retries
from shared.playbook.verbs import Retry
from shared.webhooks import headers, sign, verify
from tests.support.playbook_memory import NOW, World, book, finish

ID, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STAMP, TOLERANCE = 1_614_265_330, 300
WRONG = "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="


def given(secret: str = SECRET, at: int = STAMP, **changed: str) -> dict[str, str]:
    """The headers of the library's `PayloadForTesting`."""
    found = {"webhook-id": ID, "webhook-timestamp": str(at),
             "webhook-signature": sign(secret, ID, at, BODY)}  # fmt: skip
    return {**found, **{f"webhook-{key}": value for key, value in changed.items()}}


def without(key: str) -> dict[str, str]:
    return {name: value for name, value in given().items() if name != f"webhook-{key}"}


@pytest.mark.parametrize("secret", ["", "whsec_"])
def test_check_22_empty_secret_raises_error(secret: str) -> None:
    with pytest.raises(ConfigError, match="empty"):
        sign(secret, ID, STAMP, BODY)
    assert not headers("", ID, STAMP, BODY)["webhook-signature"]
    assert not verify("", given(), BODY, STAMP)


REFUSED = {
    "missing_id": without("id"), "missing_timestamp": without("timestamp"),
    "missing_signature": without("signature"), "invalid_timestamp": given(timestamp="hello"),
    "invalid_signature": given(signature="v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA="),
    "old_timestamp": given(at=STAMP - TOLERANCE - 1),
    "new_timestamp": given(at=STAMP + TOLERANCE + 1),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_check_22_what_the_library_refuses(case: str) -> None:
    assert not verify(SECRET, REFUSED[case], BODY, STAMP)


ACCEPTED: dict[str, tuple[str, Mapping[str, str]]] = {
    "valid_signature_and_returns_json": (SECRET, given()),
    "valid_signature_without_returning_json": (SECRET, {**given(), "content-type": "text/plain"}),
    "valid_unbranded_signature": (SECRET, {"svix-id": "other", **given()}),
    "multi_sig_payload": (SECRET, given(signature=" ".join(
        [f"v1,{WRONG}", f"v2,{WRONG}", sign(SECRET, ID, STAMP, BODY), f"v1,{WRONG}"]))),
    "with_prefix": (f"whsec_{SECRET}", given()),
    "without_prefix": (SECRET, given(f"whsec_{SECRET}")),
}  # fmt: skip


@pytest.mark.parametrize("case", ACCEPTED)
def test_check_22_what_the_library_accepts(case: str) -> None:
    secret, told = ACCEPTED[case]
    assert verify(secret, told, BODY, STAMP)


@pytest.mark.parametrize(("secret", "padding"), [
    (SECRET, ""), ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "="),
    ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr", "=="),
])  # fmt: skip
def test_check_22_signature_verification_with_unpadded_secret(secret: str, padding: str) -> None:
    for form in (secret, f"whsec_{secret}"):
        assert verify(form, given(secret + padding), BODY, STAMP)


def test_check_22_sign_function() -> None:
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign(f"whsec_{SECRET}", ID, STAMP, BODY) == expected


def test_check_22_both_secrets_verify_while_one_replaces_the_other() -> None:
    old, new = f"whsec_{SECRET}", "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
    during = headers(f"{new}\n{old}\n", ID, STAMP, BODY)
    assert verify(old, during, BODY, STAMP)
    assert verify(new, during, BODY, STAMP)
    assert verify(f"{new}\n{old}", headers(old, ID, STAMP, BODY), BODY, STAMP)
    assert not verify(new, headers(old, ID, STAMP, BODY), BODY, STAMP)


SINCE_START = ["0s", "5s", "5m5s", "35m5s", "2h35m5s", "7h35m5s", "17h35m5s", "31h35m5s",
               "51h35m5s", "75h35m5s"]  # fmt: skip
"""The column "Time since start" of the specification's example schedule."""
DELAYS_S = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
"""Its column "Delay", after the first."""


def test_check_22_the_schedule_is_exact_on_a_virtual_clock() -> None:
    rule = {"schedule": SINCE_START}
    schedule = retries.offsets(Retry.model_validate(rule), "k")
    assert [(b - a) // 1_000 for a, b in itertools.pairwise(schedule)] == DELAYS_S
    hook = {"endpoint": "c", "type": "t", "detach": True}
    handed = World(book([{"id": "a", "retry": rule, "webhook": hook}]))
    finish(handed)
    assert handed.told[0].data["schedule"] == schedule
    asked = World(
        book([{"id": "a", "retry": rule, "http": {"endpoint": "c"}}], deadline="4d"),
        results=lambda effect, world: ("failed", {"kind": "http_500"}),
        more={"deadline_at": NOW + 4 * 86_400_000},
    )
    assert finish(asked).status == "failure"
    tried = [row for row in asked.rows if row[0] == "/steps/a" and row[2] == "intent"]
    assert [row[4] - NOW for row in tried] == schedule
