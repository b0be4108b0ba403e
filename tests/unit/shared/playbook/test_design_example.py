"""Check 1 on the design's own worked example, with a reader of its site binding."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from shared.cli.playbook import app
from shared.playbook.lint import Plant, forbidding, lint
from shared.playbook.loader import load_playbook
from shared.site.model import DeviceSpec, OperationSpec
from tests.conftest import DESIGN

EXAMPLES = DESIGN / "examples" / "playbooks"
PLAYBOOK = EXAMPLES / "furnace-overtemp.yaml"
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not PLAYBOOK.exists(), reason=f"no worked example in {EXAMPLES}"),
]


def operation(given: dict[str, Any]) -> OperationSpec:
    """An operation of `binding/v1` as ours."""
    limits = given.get("limits", {})
    return OperationSpec(
        write=given["write"], arg=given.get("arg"), min=limits.get("min"), max=limits.get("max"),
        max_step=limits.get("max_step"), max_per_min=limits.get("max_rate_per_min"),
        idempotent=given.get("idempotent", "no"),
        capture_before="BEFORE" if given.get("capture_before") else None,
    )  # fmt: skip


def bound() -> Plant:
    """What the example's `site-binding.yaml` offers."""
    document = YAML(typ="safe").load((EXAMPLES / "site-binding.yaml").read_text(encoding="utf-8"))
    devices = {
        name: DeviceSpec(
            type=given["type"], edge=given["via"]["edge"], source="s",
            tags=dict.fromkeys(given["tags"], "T"),
            operations={op: operation(spec) for op, spec in given["ops"].items()},
        )
        for name, given in document["devices"].items()
    }  # fmt: skip
    roles = {"furnace-operator", "shift-lead", "area-manager", "plant-manager", "maintenance"}
    unsigned = {name for name, given in document["endpoints"].items() if "sign" not in given}
    return Plant(
        frozenset({"furnace.zone.overtemp"}), devices, frozenset(document["endpoints"]),
        frozenset(roles), unsigned=frozenset(unsigned),
    )  # fmt: skip


def test_check_01_the_worked_example_holds() -> None:
    result = CliRunner().invoke(app, ["lint", str(PLAYBOOK)])
    assert result.exit_code == 0, result.output
    assert CliRunner().invoke(app, ["explain", str(PLAYBOOK)]).exit_code == 0


def test_check_01_against_its_own_binding_only_what_that_leaves_out_is_missed() -> None:
    """The example binds the burner alone: the furnace's type and the fan are elsewhere."""
    found = forbidding(lint(load_playbook(PLAYBOOK), bound(), {}))
    assert {(finding.code, finding.message["en"]) for finding in found} == {
        ("unknown_device_type", "unknown device type 'furnace.gas_fired'"),
        ("unknown_device_type", "unknown device type 'fan.exhaust'"),
    }
