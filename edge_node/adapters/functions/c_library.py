"""The driver `clib`: a function of a C-ABI shared library (C, C++, Matlab Coder) computes tags.

Loaded by name from the registry; the call runs in a driver child without Python's lock. A library
that writes where it must not ends this child only.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_node.adapters.functions.computed import Call, ComputedDriver, FunctionOptions
from edge_node.adapters.functions.files import site_file
from edge_node.adapters.functions.readings import Value
from edge_node.adapters.sources.port import Driver, DriverInfo, Sink, Source
from shared.clock import Clock
from shared.errors import ConfigError

CType = Literal["double", "float", "int", "bool"]
C_TYPES: dict[str, Any] = {
    "double": ctypes.c_double, "float": ctypes.c_float, "int": ctypes.c_int32,
    "bool": ctypes.c_bool,
}  # fmt: skip


class Argument(BaseModel):
    """One argument of a function that takes its inputs one by one, as Matlab Coder writes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str | list[str] = ""
    """Tag of `inputs`, handed over by value; a list of tags as an array."""
    constant: float | None = None
    output: str | list[str] = ""
    """Address of a tag (or a list of them: an array); a pointer is handed over."""
    type: CType = "double"

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.input) + bool(self.output) + (self.constant is not None) != 1:
            raise ValueError("an argument is one of input, constant and output")
        return self


class ClibOptions(FunctionOptions):
    """`options:` of a `clib` source."""

    library: str
    """Below the site's `functions` folder, for example functions/libheat.so."""
    function: str
    form: Literal["value", "vector", "arguments"] = "value"
    """value: double f(const double *in, const double *times, int n), one output;
    vector: int f(const double *in, int n, double *out, int m), not 0 is a fault;
    arguments: as `arguments` and `returns` say."""
    outputs: int | None = Field(default=None, ge=1, le=1024)
    """m of the form `vector`; as many as the source has tags, if not given."""
    arguments: list[Argument] = Field(default=[], max_length=64)
    returns: CType | Literal["void"] = "double"
    """Of the form `arguments`: what the function itself returns, the output `return`."""
    init: str = ""
    """void f(void), called once after loading."""
    terminate: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.form == "arguments") != bool(self.arguments):
            raise ValueError("`arguments` belong to `form: arguments`, and it needs them")
        return self


class CFunction:
    """One function of one library."""

    every_sample = False

    def __init__(self, source: Source) -> None:
        self._source = source
        self._options: ClibOptions = source.options
        self._library: ctypes.CDLL | None = None
        self._function: Any = None
        self._places = {point.id: place for place, point in enumerate(source.inputs)}

    def load(self) -> None:
        """Load the library and declare the function."""
        options = self._options
        path = site_file(self._source, options.library)
        try:
            self._library = ctypes.CDLL(str(path))
        except OSError as error:
            raise ConfigError(
                f"cannot be loaded: {error}", where=options.library,
                mend="build it as a shared library for this machine (cc -shared -fPIC)",
            ) from error  # fmt: skip
        self._function = self._symbol(options.function)
        self._declare()
        if options.init:
            self._symbol(options.init)()

    def _symbol(self, name: str) -> Any:
        try:
            return getattr(self._library, name)
        except AttributeError as error:
            raise ConfigError(
                f"exports no function {name!r}", where=self._options.library,
                mend='correct the name; a C++ function needs extern "C"',
            ) from error  # fmt: skip

    def _declare(self) -> None:
        doubles, function = ctypes.POINTER(ctypes.c_double), self._function
        match self._options.form:
            case "value":
                function.argtypes, function.restype = (
                    [doubles, doubles, ctypes.c_int], ctypes.c_double,
                )  # fmt: skip
            case "vector":
                function.argtypes, function.restype = (
                    [doubles, ctypes.c_int, doubles, ctypes.c_int], ctypes.c_int,
                )  # fmt: skip
            case "arguments":
                returns = self._options.returns
                function.restype = None if returns == "void" else C_TYPES[returns]
                function.argtypes = [
                    ctypes.POINTER(C_TYPES[a.type])
                    if a.output or isinstance(a.input, list)
                    else C_TYPES[a.type]
                    for a in self._options.arguments
                ]

    def call(self, call: Call) -> Mapping[str, Value | None] | Value | None:
        """One call of the C function."""
        numbers = call.numbers()
        match self._options.form:
            case "value":
                return self._value(call, numbers)
            case "vector":
                return self._vector(numbers)
        return self._by_arguments(numbers)

    def _value(self, call: Call, numbers: list[float]) -> float:
        count = len(numbers)
        times = [float(reading.time) for reading in call.readings.values()]
        row = ctypes.c_double * count
        return self._function(row(*numbers), row(*times), count)

    def _vector(self, numbers: list[float]) -> dict[str, Value | None]:
        points = self._source.points
        size = self._options.outputs or len(points)
        out = (ctypes.c_double * size)(*([float("nan")] * size))
        row = (ctypes.c_double * len(numbers))(*numbers)
        code = self._function(row, len(numbers), out, size)
        if code != 0:
            raise RuntimeError(f"{self._options.function} returned {code}")
        return {point.address: out[int(point.address)] for point in points}

    def _by_arguments(self, numbers: list[float]) -> dict[str, Value | None]:
        given: list[Any] = []
        arrays: list[tuple[list[str], Any]] = []
        for argument in self._options.arguments:
            kind = C_TYPES[argument.type]
            if argument.output:
                names = _listed(argument.output)
                given.append((kind * len(names))())
                arrays.append((names, given[-1]))
            elif argument.input:
                row = [_as_c(argument.type, numbers[self._places[tag]])
                       for tag in _listed(argument.input)]  # fmt: skip
                many = isinstance(argument.input, list)
                given.append((kind * len(row))(*row) if many else row[0])
            else:
                given.append(_as_c(argument.type, argument.constant or 0.0))
        answer: dict[str, Any] = {"return": self._function(*given)}
        for names, array in arrays:
            answer |= dict(zip(names, array, strict=True))
        return {point.address: answer[point.address] for point in self._source.points}

    def close(self) -> None:
        """Tell the library."""
        if self._library is not None and self._options.terminate:
            self._symbol(self._options.terminate)()
        self._library = None


def _listed(names: str | list[str]) -> list[str]:
    return names if isinstance(names, list) else [names] if names else []


def _as_c(name: str, number: float) -> bool | int | float:
    if name in ("double", "float"):
        return number
    if math.isnan(number):
        raise ValueError("an input that is not usable has no whole number")
    return bool(number) if name == "bool" else round(number)


def verify(source: Source) -> None:
    """Whether the library is there and arguments, inputs and tags fit together."""
    site_file(source, source.options.library)
    _check(source)


def _check(source: Source) -> None:
    options: ClibOptions = source.options
    inputs = {point.id for point in source.inputs}
    addresses = [point.address for point in source.points]
    known = {name for a in options.arguments for name in _listed(a.output)} | (
        {"return"} if options.returns != "void" else set()
    )
    for tag in (tag for argument in options.arguments for tag in _listed(argument.input)):
        if tag not in inputs:
            raise ConfigError(
                f"source {source.id}: the argument {tag!r} is not one of its inputs",
                mend="add the tag to `inputs`, or correct the argument",
            )
    if options.form == "value" and len(addresses) != 1:
        raise ConfigError(
            f"source {source.id}: a function of the form `value` computes one tag, not "
            f"{len(addresses)}",
            mend="use `form: vector` or `form: arguments`",
        )
    size = options.outputs or len(addresses)
    for address in addresses:
        fits = address in known if options.form == "arguments" else (
            options.form == "value" or (address.isdecimal() and int(address) < size)
        )  # fmt: skip
        if not fits:
            named = ", ".join(sorted(known)) if known else f"0 to {size - 1}"
            raise ConfigError(
                f"source {source.id}: the address {address!r} names no output",
                mend=f"write one of {named}",
            )


def check_address(address: str, kind: str) -> str:
    """A place of the output vector, or the name of an output argument."""
    if kind == "string":
        return "a C function gives numbers: use the type number or boolean"
    return "" if address else "write the place of the output, an output's name, or return"


def build(source: Source, sink: Sink, clock: Clock) -> Driver:
    """The driver of one C function."""
    _check(source)
    options: ClibOptions = source.options
    what = f"{options.library}:{options.function}"
    return ComputedDriver(source, sink, clock, CFunction(source), what)


DRIVER = DriverInfo(
    name="clib", options=ClibOptions, build=build, check_address=check_address, computed=True,
    verify=verify,
)  # fmt: skip
