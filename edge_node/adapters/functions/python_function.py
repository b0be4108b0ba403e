"""The driver `python`: a function of the plant in a file of the site computes tags.

Loaded by name from the registry; runs in a driver child under `computed`. The code is the plant's
own, from its own site folder; nothing from above is ever run here.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import keyword
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import field_validator

from edge_node.adapters.functions.computed import Call, ComputedDriver, FunctionOptions, explain
from edge_node.adapters.functions.files import site_file
from edge_node.adapters.functions.readings import Reading, Value
from edge_node.adapters.sources.port import Driver, DriverInfo, Sink, Source
from shared.clock import Clock
from shared.errors import ConfigError


class PythonOptions(FunctionOptions):
    """`options:` of a `python` source."""

    file: str
    """Below the site's `functions` folder, for example functions/heat.py."""
    function: str
    """Takes a dict of tag -> reading; returns a value, or a dict of address -> value."""

    @field_validator("file")
    @classmethod
    def _python(cls, name: str) -> str:
        if not name.endswith(".py"):
            raise ValueError("write the name of a .py file below functions/")
        return name

    @field_validator("function")
    @classmethod
    def _name(cls, name: str) -> str:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError("write the name of a function")
        return name


class PythonFunction:
    """One function of one file."""

    every_sample = False

    def __init__(self, source: Source) -> None:
        self._source = source
        self._options: PythonOptions = source.options
        self._function: Callable[[Mapping[str, Reading]], Any] | None = None

    def load(self) -> None:
        """Import the file afresh; its neighbours can be imported, too."""
        path = site_file(self._source, self._options.file)
        folder = str(path.parent)
        if folder not in sys.path:
            sys.path.append(folder)
        module = _imported(path, self._options.file)
        function = getattr(module, self._options.function, None)
        if not callable(function):
            there = [name for name, thing in vars(module).items()
                     if callable(thing) and not name.startswith("_")]  # fmt: skip
            raise ConfigError(
                f"has no function {self._options.function!r}", where=self._options.file,
                mend=f"write one of {', '.join(there) or 'its functions'}",
            )  # fmt: skip
        self._function = function

    def call(self, call: Call) -> Mapping[str, Value | None] | Value | None:
        """The function's answer to the readings now."""
        assert self._function is not None
        return self._function(call.readings)

    def close(self) -> None:
        """Nothing to let go of."""


def _imported(path: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"andon_function_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ConfigError(
            f"{error.msg}", where=f"{name}:{error.lineno}:{error.offset}", mend="correct the line"
        ) from error
    except Exception as error:  # whatever the file does when it is loaded
        raise ConfigError(
            f"cannot be loaded: {explain(error)}", where=name, mend="correct the file"
        ) from error
    return module


def verify(source: Source) -> None:
    """Whether the file is there, is Python and defines the function; runs nothing of it."""
    options: PythonOptions = source.options
    path = site_file(source, options.file)
    try:
        tree = ast.parse(path.read_bytes(), options.file)
    except (SyntaxError, ValueError) as error:
        at = f":{error.lineno}:{error.offset}" if isinstance(error, SyntaxError) else ""
        raise ConfigError(
            str(getattr(error, "msg", error)), where=options.file + at, mend="correct the line"
        ) from error
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    imported = any(isinstance(node, ast.ImportFrom | ast.Assign) for node in tree.body)
    if options.function not in names and not imported:
        close = difflib.get_close_matches(options.function, names, n=1)
        raise ConfigError(
            f"has no function {options.function!r}", where=options.file,
            mend=f"did you mean {close[0]!r}?" if close else f"write one of {', '.join(names)}",
        )  # fmt: skip


def check_address(address: str, kind: str) -> str:
    """Any text names a key of the returned dict."""
    del kind
    return "" if address else "write the key of the function's answer"


def build(source: Source, sink: Sink, clock: Clock) -> Driver:
    """The driver of one function."""
    options: PythonOptions = source.options
    what = f"{options.file}:{options.function}"
    return ComputedDriver(source, sink, clock, PythonFunction(source), what)


DRIVER = DriverInfo(
    name="python", options=PythonOptions, build=build, check_address=check_address, computed=True,
    verify=verify,
)  # fmt: skip
