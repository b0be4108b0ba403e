"""The identity server of the session, as a fixture; loaded as a plug-in by its tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.keycloak import Keycloak, Realm, get_keycloak
from tests.support.summary import say


@pytest.fixture(scope="session")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    """The identity server, started once, its realm made by the product."""
    home = get_keycloak()
    server = Keycloak(home, tmp_path_factory.mktemp("keycloak"))
    try:
        server.start()
        say("identity-server", f"a real Keycloak ran ({home.name})")
        yield Realm(server)
    finally:
        server.stop()
