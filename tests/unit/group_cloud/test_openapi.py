"""The cloud's REST document is made without a database."""

from __future__ import annotations

import sys

from group_cloud.web.app import openapi_app


def test_routes_and_shapes_are_exported_without_a_database():
    document = openapi_app().openapi()
    assert {
        "/api/session",
        "/api/factories",
        "/api/proposals",
        "/api/proposals/{proposal}/decision",
        "/api/stream",
        "/api/healthz",
    } <= document["paths"].keys()
    assert {"Proposal", "FactoryList", "DecisionRequest"} <= document["components"][
        "schemas"
    ].keys()
    decision = document["paths"]["/api/proposals/{proposal}/decision"]["post"]
    assert "Idempotency-Key" in {p["name"] for p in decision["parameters"]}


def test_learning_brings_in_neither_scipy_nor_pandas():
    import subprocess

    code = (
        "import sys, group_cloud.learning.threshold; "
        "print([m for m in ('scipy', 'pandas', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    # numpy comes with river.stats; the rest of the scientific stack must not.
    assert "pandas" not in done.stdout
    assert "sklearn" not in done.stdout
