"""The people of `playbook_authors.py`, logged in at a running brain.

Loaded as a pytest plug-in beside `brain_fixtures`; a module says itself what is in the `folder`.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from factory_brain.bootstrap import Brain
from shared.identity.policy import User
from tests.support.playbook_authors import ROLES, Person


@pytest.fixture
async def people(folder: Path, brain: Brain, web: httpx.AsyncClient) -> dict[str, Person]:
    made: dict[str, Person] = {}
    for name, role in ROLES.items():
        await brain.accounts.create(name, "correct horse battery", [role])
        token = await brain.accounts.open_session(User(name, (role,)), "local")
        made[name] = Person(web, token)
    return made
