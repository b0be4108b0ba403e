"""The driver `onnx`: an ONNX model computes tags by onnxruntime, on one thread of the processor.

Loaded by name from the registry; runs in a driver child under `computed`. A model is a file of the
site; it is data to the runtime, not code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_node.adapters.functions.computed import Call, ComputedDriver, FunctionOptions
from edge_node.adapters.functions.files import site_file
from edge_node.adapters.functions.readings import Value
from edge_node.adapters.sources.port import Driver, DriverInfo, Sink, Source
from shared.clock import Clock
from shared.errors import ConfigError

_ADDRESS = re.compile(r"(?:(?P<name>[^\[\]\s]+)(?:\[(?P<place>\d+)\])?)")
DTYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(int64)": "int64",
    "tensor(int32)": "int32", "tensor(bool)": "bool", "tensor(float16)": "float16",
}  # fmt: skip


class Scaler(BaseModel):
    """(value - mean) / scale for each input, as training did it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: list[float]
    scale: list[float]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.mean) != len(self.scale) or 0 in self.scale:
            raise ValueError("mean and scale are of one length, and no scale is 0")
        return self


class OnnxOptions(FunctionOptions):
    """`options:` of an `onnx` source."""

    model: str
    """Below the site's `functions` folder, for example functions/quality.onnx."""
    input: str = ""
    """Name of the model's input; its first, if not given. It gets one row of all `inputs`."""
    scaler: Scaler | None = None
    shape: list[int] = Field(default=[], max_length=6)
    """Shape of the row, if it is not [1, number of inputs]; for example [1, 1, 8, 8]."""


class OnnxFunction:
    """One model, one session."""

    every_sample = False

    def __init__(self, source: Source) -> None:
        self._source = source
        self._options: OnnxOptions = source.options
        self._session: Any = None
        self._input, self._dtype = "", "float32"
        self._wanted: list[tuple[str, str, int]] = []
        """(address, output, place in the output) of each tag."""

    def load(self) -> None:
        """Open the model; check that its input and outputs fit the source."""
        import onnxruntime

        path = site_file(self._source, self._options.model)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        settings.log_severity_level = 4  # the runtime's own lines; faults come as exceptions
        try:
            session = onnxruntime.InferenceSession(
                str(path), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime has no common class for its faults
            raise ConfigError(
                f"cannot be loaded: {error}", where=self._options.model,
                mend="export the model again; this runtime is onnxruntime "
                f"{onnxruntime.__version__}",
            ) from error  # fmt: skip
        self._choose_input(session.get_inputs())
        outputs = [output.name for output in session.get_outputs()]
        self._wanted = [
            (point.address, *_place(point.address, outputs, self._options.model))
            for point in self._source.points
        ]
        self._session = session

    def _choose_input(self, inputs: Sequence[Any]) -> None:
        named = {one.name: one for one in inputs}
        name = self._options.input or inputs[0].name
        if name not in named or len(named) != 1:
            raise ConfigError(
                f"has the inputs {', '.join(named)}", where=self._options.model,
                mend="a model takes one input here: one row of all values"
                if len(named) != 1 else f"write `input: {inputs[0].name}`",
            )  # fmt: skip
        one, count = named[name], len(self._source.inputs)
        if one.type not in DTYPES:
            raise ConfigError(
                f"its input is a {one.type}", where=self._options.model,
                mend=f"export it with one of {', '.join(DTYPES)}",
            )  # fmt: skip
        width = one.shape[-1] if one.shape else None
        if not self._options.shape and isinstance(width, int) and width != count:
            raise ConfigError(
                f"takes {width} values, the source has {count} inputs",
                where=self._options.model, mend="correct `inputs`, in the order of training",
            )  # fmt: skip
        self._input, self._dtype = name, DTYPES[one.type]

    def call(self, call: Call) -> Mapping[str, Value | None] | Value | None:
        """One row through the model."""
        import numpy as np

        row = np.asarray(call.numbers(), dtype="float64")
        if (scaler := self._options.scaler) is not None:
            row = (row - np.asarray(scaler.mean)) / np.asarray(scaler.scale)
        shaped = row.reshape(self._options.shape or [1, len(row)]).astype(self._dtype)
        names = sorted({name for _, name, _ in self._wanted})
        answers = dict(zip(names, self._session.run(names, {self._input: shaped}), strict=True))
        return {address: _at(answers[name], name, place) for address, name, place in self._wanted}

    def close(self) -> None:
        """Nothing to save."""
        self._session = None


def _place(address: str, outputs: list[str], model: str) -> tuple[str, int]:
    if address.isdecimal():
        return outputs[0], int(address)
    found = _ADDRESS.fullmatch(address)
    name = found["name"] if found else address
    if name not in outputs:
        raise ConfigError(
            f"has no output {name!r}", where=model, mend=f"write one of {', '.join(outputs)}"
        )
    return name, int(found["place"] or 0) if found else 0


def _at(answer: Any, name: str, place: int) -> Value | None:
    if not hasattr(answer, "reshape"):
        raise ConfigError(
            f"the output {name!r} is no tensor", mend="export the classifier without ZipMap"
        )
    flat = answer.reshape(-1)
    if place >= len(flat):
        raise ConfigError(
            f"the output {name!r} has {len(flat)} values, not {place + 1}",
            mend="correct the tag's address",
        )
    value = flat[place].item()
    return value.decode() if isinstance(value, bytes) else value


def verify(source: Source) -> None:
    """Whether the model is there and its scaler fits the inputs."""
    options: OnnxOptions = source.options
    site_file(source, options.model)
    if options.scaler is not None and len(options.scaler.mean) != len(source.inputs):
        raise ConfigError(
            f"source {source.id}: the scaler is for {len(options.scaler.mean)} inputs, not "
            f"{len(source.inputs)}",
            mend="give one mean and one scale for each input",
        )


def check_address(address: str, kind: str) -> str:
    """`0`, `name` or `name[3]`."""
    del kind
    if address.isdecimal() or _ADDRESS.fullmatch(address):
        return ""
    return f"{address!r} is no output: write its place (0), its name, or name[3]"


def build(source: Source, sink: Sink, clock: Clock) -> Driver:
    """The driver of one model."""
    try:
        import onnxruntime as _  # noqa: F401 - says at once that it is not there
    except ImportError as error:
        raise ConfigError(
            f"source {source.id}: onnxruntime is not installed",
            mend="pip install 'andon[models]', then start the edge again",
        ) from error
    return ComputedDriver(source, sink, clock, OnnxFunction(source), source.options.model)


DRIVER = DriverInfo(
    name="onnx", options=OnnxOptions, build=build, check_address=check_address, computed=True,
    verify=verify,
)  # fmt: skip
