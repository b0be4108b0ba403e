"""Signatures by the published vector of Standard Webhooks; forgeries and old messages refused."""

from __future__ import annotations

import pytest

from shared.errors import ConfigError
from shared.webhooks import headers, new_secret, sign, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, STAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'


def test_the_published_vector() -> None:
    assert sign(SECRET, ID, STAMP, BODY) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_genuine_and_forged() -> None:
    given = headers(SECRET, ID, STAMP, BODY)
    assert verify(SECRET, given, BODY, STAMP + 299)
    assert not verify(SECRET, given, BODY, STAMP + 301)
    assert not verify(SECRET, given, BODY + b" ", STAMP)
    assert not verify(new_secret(), given, BODY, STAMP)
    assert not verify(SECRET, {**given, "webhook-id": "msg_other"}, BODY, STAMP)
    assert not verify(SECRET, {}, BODY, STAMP)


def test_two_secrets_overlap_while_they_rotate() -> None:
    old = sign(SECRET, ID, STAMP, BODY)
    both = {**headers(new_secret(), ID, STAMP, BODY)}
    both["webhook-signature"] += f" {old}"
    assert verify(SECRET, both, BODY, STAMP)


def test_a_secret_that_is_not_base64_is_told() -> None:
    with pytest.raises(ConfigError, match="whsec_"):
        sign("whsec_???", ID, STAMP, BODY)
