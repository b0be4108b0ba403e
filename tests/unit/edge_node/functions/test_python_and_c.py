"""The plant's own functions in Python and C, called as the computed driver calls them."""

from __future__ import annotations

import ctypes
import math
from pathlib import Path
from typing import Any

import pytest

from edge_node.adapters.functions.c_library import CFunction
from edge_node.adapters.functions.c_library import build as build_c
from edge_node.adapters.functions.python_function import PythonFunction
from edge_node.adapters.sources.port import Source
from shared.clock import ManualClock
from shared.errors import ConfigError
from tests.support.computed import call_of, compiled, configure, source_of

C = """
#include <math.h>
double bias = 0;
void start(void) { bias = 100; }
void stop(void) { bias = 7; }
double mean(const double *in, const double *times, int n) {
    double s = 0; for (int i = 0; i < n; i++) s += in[i]; return s / n + bias; }
double spread(const double *in, const double *times, int n) { return times[n-1] - times[0]; }
int both(const double *in, int n, double *out, int m) {
    if (in[0] < 0) return 7;
    out[0] = in[0] + in[1]; out[1] = in[0] * in[1]; return 0; }
double coder(double a, float b, int32_t_ k, _Bool on, double *y, const double u[2], double v[2]) {
    *y = a - b; v[0] = u[1]; v[1] = u[0]; return on ? a * b * k : 0; }
""".replace("int32_t_", "int")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "functions").mkdir()
    return tmp_path


def python(site: Path, code: str, function: str = "f", **more: Any) -> PythonFunction:
    (site / "functions" / "f.py").write_text(code)
    options = {"file": "functions/f.py", "function": function}
    message = configure(
        "python", ["A", "B"], more.get("outputs", {"OUT": "out"}), options,
        settings={"site_dir": str(site)},
    )  # fmt: skip
    made = PythonFunction(source_of(message))
    made.load()
    return made


def test_a_function_sees_values_quality_age_and_time(site: Path) -> None:
    made = python(
        site,
        "def f(now):\n    a = now['A']\n    return [a.value, a.good, a.age, a.time, list(now)]\n",
    )
    call = call_of(made._source, 3.5, 4.0)
    assert made.call(call) == [3.5, True, 0.0, 1_700_000_000_000, ["A", "B"]]


def test_a_file_may_import_its_neighbour_and_keep_state(site: Path) -> None:
    (site / "functions" / "neighbour_of_f.py").write_text("FACTOR = 3\n")
    made = python(
        site,
        "from neighbour_of_f import FACTOR\ncalls = 0\n"
        "def f(now):\n    global calls\n    calls += 1\n"
        "    return {'out': calls * FACTOR}\n",
    )
    assert [made.call(call_of(made._source, 1, 2)) for _ in range(2)] == [{"out": 3}, {"out": 6}]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def f(now):\n  return (1\n", "functions/f.py:2:10: '(' was never closed"),
        ("import nothing_of_that_name\n", "No module named"),
        ("def other(now): return 1\n", "write one of other"),
        ("1/0\n", "ZeroDivisionError: division by zero (f.py:1)"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(site: Path, code: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        python(site, code)
    assert told in str(raised.value)
    assert "mend" in str(raised.value)


@pytest.mark.parametrize("name", ["../f.py", "functions/../site.py", "/etc/passwd.py", "tags/f.py"])
def test_only_the_sites_functions_folder_is_read(site: Path, name: str) -> None:
    options = {"file": name, "function": "f"}
    message = configure("python", ["A"], {"OUT": "x"}, options, settings={"site_dir": str(site)})
    with pytest.raises(ConfigError, match="functions folder"):
        PythonFunction(source_of(message)).load()


def c(site: Path, tags: dict[str, str], **options: Any) -> tuple[CFunction, Source]:
    compiled(site / "functions", "lib", C)
    options = {"library": "functions/lib.so", **options}
    message = configure("clib", ["A", "B"], tags, options, settings={"site_dir": str(site)})
    source = source_of(message)
    build_c(source, None, ManualClock())  # type: ignore[arg-type]
    made = CFunction(source)
    made.load()
    return made, source


def test_a_c_function_of_inputs_and_times(site: Path) -> None:
    made, source = c(site, {"OUT": "0"}, function="mean")
    assert made.call(call_of(source, 3, 4)) == 3.5
    made, source = c(site, {"OUT": "0"}, function="mean", init="start")
    assert made.call(call_of(source, 3, 4)) == 103.5
    made, source = c(site, {"OUT": "0"}, function="mean", init="start", terminate="stop")
    made.close()
    again = ctypes.CDLL(str(site / "functions" / "lib.so"))
    assert ctypes.c_double.in_dll(again, "bias").value == 7.0
    made, source = c(site, {"OUT": "0"}, function="spread")
    assert made.call(call_of(source, 3, 4)) == 0.0


def test_a_c_function_with_a_vector_of_outputs(site: Path) -> None:
    made, source = c(site, {"SUM": "0", "PRODUCT": "1"}, function="both", form="vector")
    assert made.call(call_of(source, 3, 4)) == {"0": 7.0, "1": 12.0}
    with pytest.raises(RuntimeError, match="both returned 7"):
        made.call(call_of(source, -3, 4))
    made, source = c(site, {"PRODUCT": "1"}, function="both", form="vector", outputs=2)
    assert made.call(call_of(source, 3, 4)) == {"1": 12.0}


def test_a_c_function_as_matlab_coder_writes_it(site: Path) -> None:
    arguments = [
        {"input": "A"}, {"input": "B", "type": "float"}, {"constant": 2, "type": "int"},
        {"constant": 1, "type": "bool"}, {"output": "y"}, {"input": ["A", "B"]},
        {"output": ["v0", "v1"]},
    ]  # fmt: skip
    outputs = {"R": "return", "Y": "y", "V0": "v0", "V1": "v1"}
    made, source = c(site, outputs, function="coder", form="arguments", arguments=arguments)
    answer = made.call(call_of(source, 3, 4))
    assert answer == {"return": 24.0, "y": -1.0, "v0": 4.0, "v1": 3.0}


def test_a_missing_input_is_nan_to_c(site: Path) -> None:
    made, source = c(site, {"OUT": "0"}, function="mean")
    answer = made.call(call_of(source, 3))
    assert isinstance(answer, float)
    assert math.isnan(answer)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"function": "nope"}, "exports no function 'nope'"),
        ({"function": "both", "form": "vector", "outputs": 1, "_": {"X": "1"}}, "names no output"),
        ({"function": "mean", "_": {"X": "0", "Y": "1"}}, "computes one tag, not 2"),
        ({"function": "coder", "form": "arguments", "arguments": [{"input": "C"}]}, "not one of"),
    ],
)
def test_what_does_not_fit_is_said_before_a_call(
    site: Path, options: dict[str, Any], told: str
) -> None:
    given = dict(options)
    with pytest.raises(ConfigError) as raised:
        c(site, given.pop("_", {"OUT": "return"}), **given)
    assert told in str(raised.value)
    assert "mend" in str(raised.value)


def test_a_file_that_is_no_library_says_so(site: Path) -> None:
    (site / "functions" / "text.so").write_text("no library")
    options = {"library": "functions/text.so", "function": "f"}
    message = configure("clib", ["A"], {"OUT": "0"}, options, settings={"site_dir": str(site)})
    with pytest.raises(ConfigError, match="cannot be loaded"):
        CFunction(source_of(message)).load()
