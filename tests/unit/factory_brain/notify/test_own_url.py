"""The address in messages where a site gives none."""

from __future__ import annotations

import pytest

from factory_brain.bootstrap.notify import own_url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_a_server_that_listens_everywhere_is_not_found_everywhere(host: str) -> None:
    found = own_url(host, 8080)
    assert found.startswith("http://")
    assert found.endswith(":8080")
    assert found[len("http://") : -len(":8080")] not in ("", "0.0.0.0", "[::]")


def test_an_address_that_is_given_is_the_address() -> None:
    assert own_url("10.1.2.3", 80) == "http://10.1.2.3:80"
    assert own_url("fd00::1", 80) == "http://[fd00::1]:80"
