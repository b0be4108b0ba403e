"""What is live at a site follows from its releases: folder, signatures, several brains."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from factory_brain.adapters.postgres.release_store import PgReleaseStore
from factory_brain.adapters.postgres.run_store import PgRunStore
from factory_brain.application.playbooks.authoring.checking import check
from factory_brain.application.playbooks.authoring.ports import Release
from factory_brain.application.playbooks.authoring.shelf import Shelf
from factory_brain.application.playbooks.releases import Releases
from factory_brain.bootstrap import MIGRATIONS, Brain
from shared.cli.main import app
from shared.clock import SystemClock
from shared.embedded.ports import Ports
from shared.paths import demo_sites
from shared.postgres.audit import audit
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.security import generate_key, load_private
from shared.site.loader import load_site
from shared.site.model import PlaybooksSpec
from tests.support.brain_world import until

pytest_plugins = ["tests.support.brain_fixtures"]
BOOK = """\
schema: playbook/v1
playbook: noted
version: {version}
name: {{zh: 记录, en: Noted}}
triggers: [{{id: hot, alarm: FUR-01.TT-101.HIHI}}]
deadline: 10m
steps:
  - {{id: said, log: "{says}"}}
"""


def book(version: int, says: str = "hello") -> str:
    return BOOK.format(version=version, says=says)


@dataclass
class Place:
    """One database, a folder and a key; brains as one likes."""

    pool: asyncpg.Pool
    folder: Path
    key: Path

    async def brain(self, mode: str = "folder") -> Shelf:
        """A brain that starts: its folder is read, then all releases."""
        site = load_site(demo_sites() / "f1")
        info = site.info.model_copy(update={"playbooks": PlaybooksSpec.model_validate(
            {"releases": mode})})  # fmt: skip
        site, clock = replace(site, info=info), SystemClock()
        releases = Releases(site, PgRunStore(self.pool, clock), clock)
        store = PgReleaseStore(self.pool)
        shelf = Shelf(site, clock, store, releases, load_private(self.key), audit)
        await releases.load(self.folder)
        await shelf.open()
        return shelf

    def write(self, text: str, name: str = "noted.yaml") -> None:
        (self.folder / name).write_text(text)


def live(shelf: Shelf) -> int | None:
    found = shelf.releases.get("noted")
    return found.playbook.version if found else None


async def release(shelf: Shelf, text: str) -> Release:
    async with shelf.store.transaction() as tx:
        made = await shelf.release(tx, await check(shelf.releases, text), "lin", "wu", "")
    assert isinstance(made, Release), made
    await shelf.taken("noted")
    return made


@pytest.fixture
async def place(brain_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    await migrate(brain_url, MIGRATIONS)
    pool = await connect_pool(brain_url, size=4)
    private, _ = generate_key()
    (tmp_path / "key").write_bytes(private)
    folder = tmp_path / "books"
    folder.mkdir()
    yield Place(pool, folder, tmp_path / "key")
    await pool.close()


async def test_the_highest_version_is_live_wherever_it_comes_from(place: Place) -> None:
    place.write(book(1))
    shelf = await place.brain()
    assert live(shelf) == 1
    await release(shelf, book(3))
    assert live(shelf) == 3
    assert live(await place.brain()) == 3  # the folder still has version 1
    place.write(book(2))
    again = await place.brain()
    assert (live(again), again.releases.faults) == (3, [])  # it lags: nothing is released
    place.write(book(4))
    assert live(await place.brain()) == 4
    place.write("# only a remark is new\n" + book(4).replace("\n", "\r\n"))
    assert (await place.brain()).releases.faults == []
    place.write(book(4, "something else"))
    other = await place.brain()
    assert live(other) == 4
    assert ["raise `version`" in fault for fault in other.releases.faults] == [True]
    entry = other.releases.get("noted")
    assert entry is not None
    assert entry.playbook.steps[0].log == "hello"
    (place.folder / "noted.yaml").unlink()
    gone = await place.brain()
    assert (live(gone), gone.refused) == (None, {"noted": "not_in_folder"})
    assert await place.pool.fetchval("SELECT count(*) FROM playbook_release") == 3


async def test_a_site_may_ask_for_signatures(place: Place) -> None:
    place.write(book(1))
    strict = await place.brain("signed")
    assert live(strict) is None
    assert ["sign" in fault for fault in strict.releases.faults] == [True]
    file = place.folder / "noted.yaml"
    said = CliRunner().invoke(
        app, ["playbook", "sign", str(file), "--site", "f1", "--key", str(place.key)]
    )
    assert said.exit_code == 0, said.output
    signed = await place.brain("signed")
    assert live(signed) == 1
    kept = await signed.store.get("noted", 1)
    assert kept is not None
    assert kept.signed_by != "folder"
    # A signature is of one text, one version, one site and one key.
    place.write(book(2))
    assert live(await place.brain("signed")) == 1
    foreign, _ = generate_key()
    (place.folder.parent / "other").write_bytes(foreign)
    other = str(place.folder.parent / "other")
    for site, key in (("f2", str(place.key)), ("f1", other)):
        argv = ["playbook", "sign", str(file), "--site", site, "--key", key]
        assert CliRunner().invoke(app, argv).exit_code == 0
        assert live(await place.brain("signed")) == 1
    file.with_name("noted.yaml.sig").write_text(base64.b64encode(b"short").decode())
    assert live(await place.brain("signed")) == 1
    await release(signed, book(5))
    assert live(await place.brain("signed")) == 5


async def test_a_release_that_was_changed_in_the_database_does_not_run(place: Place) -> None:
    shelf = await place.brain()
    await release(shelf, book(1))
    await release(shelf, book(2))
    async with place.pool.acquire() as connection, connection.transaction():
        await connection.execute("ALTER TABLE playbook_release DISABLE TRIGGER USER")
        await connection.execute(
            "UPDATE playbook_release SET text = replace(text, 'hello', 'bye') WHERE version = 2"
        )
    again = await place.brain()
    assert (live(again), again.refused) == (None, {"noted": "release_signature_invalid"})
    await release(again, book(3))
    assert live(again) == 3


async def test_two_who_release_at_once_get_one_version(place: Place) -> None:
    one, two = await place.brain(), await place.brain()
    found = await asyncio.gather(
        *(_try(each, book(7, says)) for each, says in ((one, "a"), (two, "b")))
    )
    assert sorted(found) == ["released", "version_not_higher"]
    assert await place.pool.fetchval("SELECT count(*) FROM playbook_release") == 1


async def _try(shelf: Shelf, text: str) -> str:
    checked = await check(shelf.releases, text)
    async with shelf.store.transaction() as tx:
        made = await shelf.release(tx, checked, "lin", "wu", "")
    return "released" if isinstance(made, Release) else made.code


async def test_every_brain_of_the_site_takes_a_release_over_within_two_seconds(
    brain: Brain, tmp_path: Path
) -> None:
    port = Ports().take(0)
    mine = tmp_path / "second"
    mine.mkdir()
    settings = brain.settings.model_copy(
        update={"http_port": port, "brain_name": "second", "state_dir": mine}
    )
    second = await Brain.start(settings)
    try:
        for each in (brain, second):
            await until(lambda each=each: _company(each), 20)
        await asyncio.sleep(0.5)  # both look at each other's notes from here on
        for version, shelf, other in ((1, brain.shelf, second), (2, second.shelf, brain)):
            await release(shelf, book(version))
            began = time.monotonic()
            await until(lambda v=version, o=other: _has(o, v), 5)
            assert time.monotonic() - began <= 2
        began = time.monotonic()
        assert await brain.shelf.withdraw("noted", "lin", "test", True) is None
        await until(lambda: _has(second, None), 5)
        assert time.monotonic() - began <= 2
    finally:
        await second.service.shutdown()


async def _company(brain: Brain) -> bool:
    return bool(brain.brains.others)


async def _has(brain: Brain, version: int | None) -> bool:
    return live(brain.shelf) == version
