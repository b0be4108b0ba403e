"""Computed sources for tests: a source value for a function, a driver child that is fed samples."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from array import array
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_node.adapters.functions.computed import Call
from edge_node.adapters.functions.readings import Readings
from edge_node.adapters.sources import registry
from edge_node.adapters.sources.port import Source
from edge_node.application.ipc import Configure, Inputs
from shared.clock import ManualClock
from tests.support.edge_children import Child, child

NOW = 1_700_000_000_000


def configure(
    driver: str, inputs: Sequence[str], outputs: Mapping[str, str], options: dict[str, Any],
    **more: Any,
) -> Configure:  # fmt: skip
    """A first frame; a type may follow the name: `RUN:boolean`."""

    def tag(name: str, address: str = "", **stale: int) -> dict[str, Any]:
        name, _, kind = name.partition(":")
        return {"id": name, "address": address, "type": kind or "number", "stale_after": 10_000}

    source = {
        "id": "calc", "driver": driver, "url": more.pop("url", ""), "options": options,
        "interval": more.pop("interval", 100), "inputs": [name.split(":")[0] for name in inputs],
    }  # fmt: skip
    given = [tag(name) | more.get("input", {}) for name in inputs]
    tags = [tag(name, address) | more.get("tag", {}) for name, address in outputs.items()]
    return Configure(source=source, tags=tags, inputs=given, settings=more.get("settings", {}))


def source_of(message: Configure) -> Source:
    """The checked source of a first frame."""
    return registry.configured(message)[1]


def numbers(rows: Sequence[tuple[int, float] | tuple[int, float, int]], at: int = NOW) -> Inputs:
    """Samples (place, value, quality?)."""
    return Inputs(
        tags=array("i", [row[0] for row in rows]).tobytes(),
        times=array("q", [at] * len(rows)).tobytes(),
        values=array("d", [row[1] for row in rows]).tobytes(),
        qualities=bytes(row[2] if len(row) > 2 else 0 for row in rows),
    )


def call_of(source: Source, *values: float | str) -> Call:
    """A call with one good sample of each input."""
    readings = Readings(source.inputs, ManualClock(NOW))
    texts = [(i, NOW, v, 0) for i, v in enumerate(values) if isinstance(v, str)]
    floats = [(i, v) for i, v in enumerate(values) if not isinstance(v, str)]
    columns = numbers(floats)
    rows = readings.take(
        Inputs(tags=columns.tags, times=columns.times, values=columns.values,
               qualities=columns.qualities, texts=texts)
    )  # fmt: skip
    return Call(readings.all(), tuple(rows), NOW)


@contextlib.asynccontextmanager
async def computed(message: Configure) -> AsyncIterator[Child]:
    """A computed driver's child."""
    async with child("edge_node.driver_child", "--source", "calc") as running:
        running.send(message)
        yield running


def feed(running: Child, *values: float) -> None:
    """One good sample of each input, now."""
    running.send(numbers(list(enumerate(values)), round(time.time() * 1000)))


def compiled(folder: Path, name: str, code: str) -> Path:
    """A shared library made by the machine's C compiler; the test is skipped without one."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("NO C COMPILER: functions of shared libraries are not tested here")
    made = folder / f"{name}.so"
    text = folder / f"{name}.c"
    text.write_text(code)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(text), "-lm"],
        check=True, timeout=60,
    )  # fmt: skip
    return made


def linear_model(path: Path, weights: list[list[float]]) -> None:
    """y = x W, and total = sum of y, as an ONNX file."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    matrix = np.asarray(weights, dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["y"]),
            helper.make_node("ReduceSum", ["y"], ["total"], keepdims=0),
        ],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, matrix.shape[0]])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, matrix.shape[1]]),
            helper.make_tensor_value_info("total", TensorProto.FLOAT, []),
        ],
        [numpy_helper.from_array(matrix, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
