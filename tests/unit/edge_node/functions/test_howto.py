"""The examples of docs/howto/computed-tags.md load, pass the site's check and compute."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_node.adapters.functions.align import DRIVER as ALIGN
from edge_node.adapters.functions.c_library import CFunction
from edge_node.adapters.functions.estimators import ESTIMATORS
from edge_node.adapters.functions.onnx_model import OnnxFunction
from edge_node.adapters.functions.python_function import PythonFunction
from edge_node.adapters.functions.river_model import RiverFunction
from edge_node.adapters.sources.port import Source
from edge_node.adapters.sources.site_check import check
from edge_node.application.ipc import Configure
from shared.clock import ManualClock
from shared.paths import demo_sites
from shared.site.loader import SiteFaults, load_site
from shared.site.site import Site
from tests.architecture.tree import ROOT
from tests.support.computed import NOW, call_of, compiled, numbers, source_of

PAGE = (ROOT / "docs" / "howto" / "computed-tags.md").read_text(encoding="utf-8")
KEY = """tags:
  - {id: RECIPE-NO, source: furnace-opcua, address: "i=1", asset: FUR-01, name: {zh: 配, en: R}}
"""


def probabilities(path: Path) -> None:
    """A model of three inputs with an output `probabilities` of two."""
    weights = numpy_helper.from_array(np.asarray([[0, 1], [0, 1], [0, 1]], np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["probabilities"])
    graph = helper.make_graph(
        [node], "p", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])], [weights],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("howto") / "f1"
    shutil.copytree(demo_sites() / "f1", made)
    (made / "functions").mkdir(exist_ok=True)
    blocks = re.findall(r"```\w+\n(?:# |/\* )(\w+/[\w.]+)[^\n]*\n(.*?)```", PAGE, re.S)
    assert len(blocks) == len(re.findall(r"```\w+\n", PAGE)) == 8
    for name, text in blocks:
        (made / name).write_text(text, encoding="utf-8")
    (made / "tags" / "key.yaml").write_text(KEY, encoding="utf-8")
    compiled(made / "functions", "hardness", (made / "functions" / "hardness.c").read_text())
    probabilities(made / "functions" / "quality.onnx")
    return made


@pytest.fixture(scope="module")
def site(folder: Path) -> Site:
    return load_site(folder)


def source(site: Site, name: str) -> Source:
    spec = site.sources[name]
    return source_of(
        Configure(
            source=spec.model_dump(), settings={"site_dir": str(site.folder)},
            tags=[tag.model_dump() for tag in site.tags.values() if tag.source == name],
            inputs=[site.tags[tag].model_dump() for tag in spec.inputs],
        )
    )  # fmt: skip


def faults(folder: Path) -> list[str]:
    try:
        load_site(folder, checks=[check])
    except SiteFaults as found:
        return [str(fault) for fault in found.faults]
    return []


def test_the_examples_pass_the_sites_check(folder: Path) -> None:
    assert faults(folder) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("tags/computed.yaml", "furnace.py", "furnance.py", "no such file"),
        ("tags/computed.yaml", "function: balance", "function: balanse", "mean 'balance'?"),
        ("functions/furnace.py", "return {", "return {{", "functions/furnace.py:4"),
        ("tags/hardness.yaml", 'address: "1"', 'address: "2"', "names no output"),
        ("tags/quality.yaml", "[25, 25, 60]", "[25, 25]", "one length"),
        ("tags/learning.yaml", "grace: 60", "graze: 60", "parameters.graze"),
        ("tags/recipe.yaml", ":key", ":number", "no parameter :key"),
        ("tags/aligned.yaml", "[TT-101, TT-102]", "[TT-101]", "not in `inputs`"),
    ],
)
def test_a_mistake_in_an_example_is_found_with_its_place(
    folder: Path, tmp_path: Path, file: str, old: str, new: str, told: str
) -> None:
    site = Path(shutil.copytree(folder, tmp_path / "f1"))
    text = (site / file).read_text(encoding="utf-8")
    assert old in text
    (site / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    found = faults(site)
    assert len(found) == 1, found
    assert told in found[0]
    assert re.match(r"tags/\w+\.yaml:\d+:\d+: ", found[0])
    assert "mend:" in found[0]


@pytest.mark.parametrize(
    ("name", "kind", "given", "wanted"),
    [
        ("furnace-calc", PythonFunction, (1200, 1150, 300), {"spread": 50, "uneven": True}),
        ("hardness", CFunction, (1200, 1100), {"0": 41.0, "1": 2300.0}),
        ("quality", OnnxFunction, (1205, 1175, 360), {"probabilities[1]": 2.0}),
        ("gas-strange", RiverFunction, (300,), {"z": None}),
    ],
)
def test_the_examples_compute(
    site: Site, name: str, kind: Any, given: tuple[float, ...], wanted: dict[str, Any]
) -> None:
    of = source(site, name)
    function = kind(of)
    function.load()
    assert function.call(call_of(of, *map(float, given))) == wanted


async def test_the_example_of_an_alignment_gives_a_row(site: Site) -> None:
    got: list[Any] = []

    class Sink:
        def sample(self, *row: Any) -> None:
            got.append(row)

        def state(self, *said: Any) -> None:
            del said

    driver: Any = ALIGN.build(source(site, "same-slab"), Sink(), ManualClock(NOW))  # type: ignore
    for at, place, value in ((0, 0, 1180.0), (90_000, 1, 1175.0), (95_000, 0, 1190.0)):
        driver.feed(numbers([(place, value)], NOW + at))
    assert [row[2] for row in got] == [1180.0, 1175.0]


def test_the_page_lists_every_estimator_with_its_outputs_and_parameters() -> None:
    for name, kind in ESTIMATORS.items():
        (line,) = re.findall(rf"^\| `{name}` \|.*$", PAGE, re.M)
        if "the same" not in line:
            wanted = {*kind.outputs, *kind.parameters.model_fields}
            assert wanted <= set(re.findall(r"`(\w+)`", line)), name
