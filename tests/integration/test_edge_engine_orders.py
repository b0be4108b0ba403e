"""The edge engine under orders from above, and when its disk fails."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared.messages.bodies import (
    AlarmTransition,
    CommandRecord,
    DirectiveReport,
    LocalAction,
    SystemEvent,
)
from shared.messages.codec import encode
from shared.messages.control import (
    Command,
    CommandQuery,
    CommandRequest,
    CommandResult,
    Health,
    LeaseAck,
    LeaseGrant,
    Token,
)
from shared.messages.directives import (
    DRY_RUN,
    FILTERED,
    PLAIN,
    SETTINGS,
    AlarmModel,
    AlarmSetting,
    Directive,
    SignedDirective,
    canonical,
)
from tests.support.edge_world import HI, HIHI, NODE, Brain, Engine, World, ask, raised, until

pytest_plugins = ("tests.support.edge_fixtures",)
pytestmark = pytest.mark.timeout(240)


def command(above: Brain, name: str, value: float, **more: Any) -> CommandRequest:
    health = above.health[-1]
    given: dict[str, Any] = {
        "device": "X-1/second", "operation": "set", "args": {"pct": value}, "fence": 1,
        "token": Token(boot=health.boot, mono=health.mono), "expires_ms": 5000,
        "epoch": health.epoch, "verify": f'tag("SP-2").value == {value}', "verify_within_ms": 2000,
        **more,
    }  # fmt: skip
    return CommandRequest(command=Command(id=name, **given))


async def test_commands_from_above(above: Brain, engine: Engine) -> None:
    await until(lambda: above.health and above.health[-1].drivers.get("s2") == "connected", 10)

    now = await ask(above, NODE.command, CommandRequest(health=True), Health)
    assert (now.epoch, now.boot) == (above.health[-1].epoch, above.health[-1].boot)

    async def run(name: str, value: float, **more: Any) -> CommandResult:
        return await ask(above, NODE.command, command(above, name, value, **more), CommandResult)

    done = await run("c1", 30.0)
    assert (done.outcome, done.before, done.readback) == ("done", 10.0, 30.0)
    again = await run("c1", 99.0)
    assert (again.outcome, again.readback) == ("done", 30.0)
    writes = len(engine.writes())
    old = Token(boot=above.health[-1].boot, mono=above.health[-1].mono - 60_000)
    assert (await run("c2", 31.0, token=old)).outcome == "expired"
    cases: list[tuple[str, dict[str, Any]]] = [
        ("other_epoch", {"epoch": "0" * 16}),
        ("other_boot", {"token": Token(boot="0", mono=0)}),
        ("out_of_range", {"args": {"pct": 101.0}}),
        ("bad_argument", {"args": {"x": 1}}),
        ("unknown_device", {"device": "X-1/none"}),
        ("require", {"require": ['tag("TT-2").value > 1000']}),
        ("require", {"require": ['tag("NOWHERE").value > 1']}),
        ("interlock", {"device": "X-1/burner"}),
    ]
    await engine.tell("s1", samples=[["ESD-1", 1]])
    for number, (reason, more) in enumerate(cases):
        result = await run(f"r{number}", 32.0, **more)
        assert (result.outcome, result.reason) == ("refused", reason)
    assert len(engine.writes()) == writes
    assert (await run("c3", 33.0, fence=5)).outcome == "done"
    assert (await run("c4", 34.0, fence=4)).reason == "fenced"
    assert (await run("c5", 35.0, fence=5)).reason == "rate_limited"
    query = CommandRequest(query=CommandQuery(id="c3"))
    assert (await ask(above, NODE.command, query, CommandResult)).outcome == "done"
    query = CommandRequest(query=CommandQuery(id="nobody"))
    assert (await ask(above, NODE.command, query, CommandResult)).outcome == "never_seen"
    await until(lambda: len(above.bodies(CommandRecord)) == 13)
    engine.kill()
    engine.start()
    await until(lambda: len(above.epochs) == 2, 15)
    query = CommandRequest(query=CommandQuery(id="c3"))
    assert (await ask(above, NODE.command, query, CommandResult)).outcome == "done"
    assert len(engine.writes()) == writes + 1


async def test_a_hung_driver_stops_no_reflex_and_its_tags_go_stale(
    above: Brain, engine: Engine
) -> None:
    await engine.tell("s2", hang=True)
    await engine.tell("s1", samples=[["TT-1", 130]])
    assert (await until(lambda: above.bodies(LocalAction), 5))[0].outcome == "done"
    await until(lambda: above.alarms("X-1.TT-2.STALE"), 8)
    await until(lambda: engine.events("driver_hangs"), 25)
    await engine.tell("s2", samples=[["TT-2", 80]])  # a new child answers
    await until(lambda: len(above.alarms("X-1.TT-2.STALE")) == 2, 10)


MEAN = "X-1.SP-2.HI"


def directive(engine: Engine, counter: int, alarm: str, limit: float, **more: Any) -> bytes:
    models = more.pop("models", [])
    deadband = 0 if alarm == MEAN else 2
    setting = AlarmSetting(
        alarm=alarm, limit=limit, deadband=deadband, on_delay_s=0, off_delay_s=0,
        filter=more.pop("filter", ""),
    )  # fmt: skip
    body = Directive(
        schema=more.pop("schema", PLAIN),
        id=f"d{counter}", site="f9", edge=more.pop("edge", "e9"), counter=counter, issued_at=0,
        kind=more.pop("kind", "settings"),
        expires_at=more.pop("expires_at", 1 << 60), settings=[] if models else [setting],
        models=models,
    )  # fmt: skip
    payload = canonical(body)

    def sign(pem: bytes) -> bytes:
        return load_pem_private_key(pem, None).sign(payload)  # type: ignore[union-attr,call-arg]

    keys = (engine.release, more.pop("approval", engine.approval))
    signed = SignedDirective(
        payload=payload, release_signature=sign(keys[0]), approval_signature=sign(keys[1])
    )
    return encode(signed)


async def test_directives_are_verified_swapped_and_survive_offline(
    servers: World, above: Brain, engine: Engine
) -> None:
    async def put(data: bytes, key: str = SETTINGS) -> DirectiveReport:
        before = len(above.bodies(DirectiveReport))
        await above.bus.bucket_put(NODE.directive_bucket, key, data)
        await above.bus.publish(NODE.directive, b"")
        await until(lambda: len(above.bodies(DirectiveReport)) > before, 15)
        return above.bodies(DirectiveReport)[-1]

    await until(lambda: above.health, 10)
    for value in (80, 103, 103, 80):  # what a dry run is to find in the edge's own history
        await engine.tell("s1", samples=[["TT-1", value]])
    await until(lambda: len(above.alarms(HI)) >= 2, 10)
    report = await put(directive(engine, 1, HI, 105, kind="dry_run"), DRY_RUN)
    assert report.status == "dry_run"
    found = report.params["alarms"][HI]
    assert (found["now"][0], found["new"][0]) == (1, 0)
    assert found["samples"] >= 4
    assert (await put(directive(engine, 1, HI, 105), DRY_RUN)).code == "wrong_lane"
    for code, data in (
        ("malformed", b"nonsense"),
        ("bad_approval_signature", directive(engine, 5, HI, 105, approval=engine.release)),
        ("wrong_target", directive(engine, 5, HI, 105, edge="e8")),
        ("expired", directive(engine, 5, HI, 105, expires_at=1)),
        ("out_of_bounds", directive(engine, 5, HI, 116)),
        # What was genuine but forbidden has used up its number.
        ("locked", directive(engine, 6, HIHI, 115)),
        ("unknown_alarm", directive(engine, 7, "X-1.NONE", 105)),
        ("wrong_lane", directive(engine, 8, HI, 105, kind="dry_run")),
    ):
        report = await put(data)
        assert (report.status, report.code) == ("refused", code)
    report = await put(directive(engine, 9, HI, 105))
    assert (report.status, report.settings_version) == ("applied", 9)
    assert (await put(directive(engine, 4, HI, 95))).code == "old_counter"
    engine.kill()
    servers.stop("f9-e9")  # boots without NATS, with the last good settings
    engine.start()
    await engine.ready()
    await engine.tell("s1", samples=[["TT-1", 103]])
    await engine.tell("s1", samples=[["TT-1", 106]])
    await until(lambda: engine.events("alarm_raised"), 5)
    await servers.start("f9-e9")

    def raised_offline() -> AlarmTransition | None:
        found = [t for t in above.bodies(AlarmTransition) if (t.alarm, t.kind) == (HI, "raised")]
        return found[-1] if len(found) > 1 else None

    again = await until(raised_offline, 15)
    assert (again.settings_version, again.value) == (9, 106)
    # A filter comes by another schema; until it is filled the engineer's limit stands for samples.
    assert set(above.health[-1].filters) == {"mean5min", "day"}
    assert (await put(directive(engine, 10, MEAN, 550, filter="mean5min"))).code == "unknown_kind"
    filtered = {"filter": "mean5min", "schema": FILTERED}
    assert (await put(directive(engine, 11, HI, 105, **filtered))).code == "out_of_bounds"
    assert (await put(directive(engine, 12, MEAN, 550, **filtered))).status == "applied"
    await engine.tell("s2", samples=[["SP-2", 520]])
    await until(lambda: above.alarms(MEAN), 10)
    [raised] = [each for each in above.bodies(AlarmTransition) if each.alarm == MEAN]
    assert (raised.settings_version, raised.value) == (12, 520)
    assert engine.events("filter_filling")


def model(**more: Any) -> AlarmModel:
    given: dict[str, Any] = {
        "alarm": "X-1.TT-2.RISK", "type": "logistic", "mean": [50.0], "scale": [10.0],
        "weights": [2.0], "bias": 0.0, **more,
    }  # fmt: skip
    return AlarmModel(**given)


RISK = {
    "id": "X-1.TT-2.RISK", "edge": "e9", "asset": "X-1", "tag": "TT-2", "kind": "model",
    "limit": 0.9, "side": "HI", "priority": 3, "name": {"zh": "风险", "en": "risk"},
    "model": {"type": "logistic", "inputs": ["TT-2"], "mean": [1000.0], "scale": [10.0],
              "weights": [2.0], "bias": 0.0},
}  # fmt: skip


async def test_a_model_comes_down_as_numbers_and_survives_a_restart(
    servers: World, above: Brain, tmp_path: Path
) -> None:
    engine = Engine(tmp_path, servers.url("f9-e9"))
    path = tmp_path / "site" / "alarms" / "a.yaml"
    document = yaml.safe_load(path.read_text())
    document["alarms"].append(RISK)
    path.write_text(yaml.safe_dump(document, allow_unicode=True))
    engine.start()
    try:
        await engine.ready()
        await until(lambda: above.health, 10)

        async def put(data: bytes) -> DirectiveReport:
            before = len(above.bodies(DirectiveReport))
            await above.bus.bucket_put(NODE.directive_bucket, "current", data)
            await above.bus.publish(NODE.directive, b"")
            await until(lambda: len(above.bodies(DirectiveReport)) > before, 15)
            return above.bodies(DirectiveReport)[-1]

        wrongs = (model(alarm=HI), model(type="linear"), model(weights=[1.0, 2.0]))
        for number, wrong in enumerate(wrongs, 3):
            report = await put(directive(engine, number, HI, 0, models=[wrong]))
            assert (report.status, report.code) == ("refused", "bad_value")
        await engine.tell("s2", samples=[["TT-2", 80]])
        report = await put(directive(engine, 6, HI, 0, models=[model()]))
        assert report.status == "applied"
        first = await raised(above, "X-1.TT-2.RISK")  # judged at once by the new numbers
        assert first.settings_version == 6
        engine.kill()
        engine.start()
        await engine.ready()
        await engine.tell("s2", samples=[["TT-2", 20]])
        await engine.tell("s2", samples=[["TT-2", 90]])
        await until(lambda: len(above.alarms("X-1.TT-2.RISK")) >= 3, 10)
    finally:
        if engine.process is not None and engine.process.poll() is None:
            engine.kill()


async def test_a_failing_disk_stops_no_reflex_and_loses_nothing(
    above: Brain, engine: Engine
) -> None:
    await until(lambda: above.health and above.health[-1].drivers.get("s2") == "connected", 10)
    assert engine.process is not None
    pid, limits = engine.process.pid, resource.RLIMIT_FSIZE
    _, hard = resource.prlimit(pid, limits)
    resource.prlimit(pid, limits, (0, hard))  # from now on every write to a file is refused
    await engine.tell("s1", samples=[["TT-1", 110]])
    await until(lambda: above.health[-1].journal_degraded, 10)
    await engine.tell("s1", samples=[["TT-1", 130]])
    await until(engine.writes, 3, "the safe reflex waited for the disk")
    refused = await ask(above, NODE.command, command(above, "c1", 30.0), CommandResult)
    assert (refused.outcome, refused.reason) == ("refused", "journal_degraded")
    await engine.tell("s1", samples=[["TT-1", 80]])
    assert above.alarms() == []
    resource.prlimit(pid, limits, (resource.RLIM_INFINITY, hard))
    await until(lambda: not above.health[-1].journal_degraded, 10)
    await until(lambda: [k for k, _, _ in above.alarms(HIHI)] == ["raised", "returned"], 10)
    kinds = [k for k, _, _ in above.alarms(HI)]
    assert (kinds[0], kinds[-1]) == ("raised", "unsuppressed")
    told = [(e.code, e.active) for e in above.bodies(SystemEvent)]
    assert told == [("journal_degraded", True), ("journal_degraded", False)]
    assert above.bodies(LocalAction)[0].outcome == "done"
    assert above.gapless()
    assert [w["value"] for w in engine.writes()] == [40.0]


async def test_the_annunciation_lease(above: Brain, engine: Engine) -> None:
    await until(lambda: above.health and above.health[-1].annunciating, 10)
    grant = LeaseGrant(id="l1", holder="brain", ttl_ms=3000)
    answer = await ask(above, NODE.lease, grant, LeaseAck)
    assert answer.accepted
    await until(lambda: not above.health[-1].annunciating, 3)
    await until(lambda: above.health[-1].annunciating, 6)
