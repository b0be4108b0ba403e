"""The driver `river`: an estimator of River learns from its inputs and scores them as they come.

Loaded by name from the registry; runs in a driver child under `computed`. Parameters and state are
plain JSON; nothing is ever unpickled.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from edge_node.adapters.functions.computed import Call, ComputedDriver, FunctionOptions
from edge_node.adapters.functions.estimators import ESTIMATORS, Estimator, Outputs
from edge_node.adapters.functions.files import site_file, state_file
from edge_node.adapters.functions.readings import Value
from edge_node.adapters.sources.port import BAD, Driver, DriverInfo, Sink, Source
from shared.clock import Clock
from shared.errors import ConfigError
from shared.telemetry import logger

log = logger("river")
SAVE_EVERY_MS = 60_000


class RiverOptions(FunctionOptions):
    """`options:` of a `river` source."""

    estimator: Literal[
        "zscore", "gaussian", "half_space_trees", "adwin", "quantile", "linear_regression",
        "logistic_regression",
    ]  # fmt: skip
    parameters: dict[str, Any] = Field(default={})
    """Of the estimator; docs/howto/computed-tags.md lists them."""
    parameters_file: str = ""
    """The same as a JSON file below the site's `functions` folder; `parameters` outrank it."""
    target: str = ""
    """Of a regression: the input that is predicted from the others."""
    learn: bool = True
    """False: the parameters stay as they are given."""


def parameters_of(kind: Any, given: dict[str, Any]) -> Any:
    """The estimator's parameters in its own model; ConfigError names the first fault."""
    try:
        return kind.parameters.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"parameters.{path}: {first['msg']}",
            mend=f"the parameters are {', '.join(kind.parameters.model_fields)}",
        ) from error


class RiverFunction:
    """One estimator, its inputs and where it keeps what it has learnt."""

    every_sample = True

    def __init__(self, source: Source) -> None:
        self._source = source
        self._options: RiverOptions = source.options
        kind = ESTIMATORS[self._options.estimator]
        names = [point.id for point in source.inputs]
        if self._options.target:
            names.remove(self._options.target)
        self._names, self._many = names, kind.many
        self._estimator: Estimator | None = None
        self._given: dict[str, Any] = {}
        self._last: Outputs = {}
        self._saved_at = 0

    def load(self) -> None:
        """Make the estimator from its parameters; go on from what it had learnt."""
        kind = ESTIMATORS[self._options.estimator]
        given = dict(self._options.parameters)
        if self._options.parameters_file:
            given = {**self._from_file(), **given}
        parameters = parameters_of(kind, given)
        try:
            self._estimator = kind(parameters, self._names)
        except ValueError as error:
            raise ConfigError(str(error), mend="correct the parameters") from error
        self._given = parameters.model_dump(mode="json")
        self._restore()

    def _from_file(self) -> dict[str, Any]:
        path = site_file(self._source, self._options.parameters_file)
        try:
            read = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"is not JSON: {error}", where=self._options.parameters_file,
                mend="write an object of the estimator's parameters",
            ) from error  # fmt: skip
        if not isinstance(read, dict):
            raise ConfigError(
                "is not an object", where=self._options.parameters_file, mend='write {"…": …}'
            )
        return read

    def _restore(self) -> None:
        assert self._estimator is not None
        path = state_file(self._source, "river.json")
        if not self._options.learn or not path.is_file():
            return
        try:
            kept = json.loads(path.read_bytes())
            if kept["of"] == self._of():  # other parameters or inputs begin afresh
                self._estimator.restore(kept["state"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("state_unreadable", path=str(path), error=repr(error))

    def _of(self) -> dict[str, Any]:
        options = self._options
        return {"estimator": options.estimator, "inputs": self._names, "parameters": self._given}

    def call(self, call: Call) -> Mapping[str, Value | None] | Value | None:
        """Learn and score what has come."""
        assert self._estimator is not None
        if self._many:
            self._step_all(call)
        else:
            for row in call.rows:
                if row.quality != BAD and isinstance(row.value, bool | int | float):
                    self._last = self._estimator.step([float(row.value)], None, self._options.learn)
        if call.at - self._saved_at >= SAVE_EVERY_MS:
            if self._saved_at:
                self._save()
            self._saved_at = call.at
        return {point.address: self._last.get(point.address) for point in self._source.points}

    def _step_all(self, call: Call) -> None:
        assert self._estimator is not None
        numbers = dict(zip(call.readings, call.numbers(), strict=True))
        target = numbers.pop(self._options.target, None)
        known = target if target is not None and not math.isnan(target) else None
        x = list(numbers.values())
        if any(map(math.isnan, x)):
            self._last = {}
        else:
            self._last = self._estimator.step(x, known, self._options.learn)

    def _save(self) -> None:
        state = self._estimator.state() if self._estimator is not None else None
        if state is None or not self._options.learn:
            return
        path = state_file(self._source, "river.json")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = path.with_suffix(".new")
            new.write_text(json.dumps({"of": self._of(), "state": state}), encoding="utf-8")
            new.replace(path)
        except OSError as error:  # it goes on learning; a restart then begins at the last save
            log.warning("state_not_saved", path=str(path), error=str(error))

    def close(self) -> None:
        """Keep what was learnt."""
        self._save()


def verify(source: Source) -> None:
    """Whether the estimator, its parameters, inputs and tags fit together."""
    options: RiverOptions = source.options
    if options.parameters_file:
        site_file(source, options.parameters_file)
    parameters_of(ESTIMATORS[options.estimator], options.parameters)
    _check(source)


def _check(source: Source) -> None:
    options: RiverOptions = source.options
    kind = ESTIMATORS[options.estimator]
    tags = [point.id for point in source.inputs]
    if options.target and (not kind.target or options.target not in tags):
        raise ConfigError(
            f"source {source.id}: the target {options.target!r} is not one of its inputs"
            if kind.target else f"source {source.id}: {options.estimator} has no target",
            mend="add the tag to `inputs`" if kind.target else "remove `target`",
        )  # fmt: skip
    features = len(tags) - bool(options.target)
    if features < 1 or (not kind.many and features != 1):
        raise ConfigError(
            f"source {source.id}: {options.estimator} takes "
            f"{'one input or more' if kind.many else 'one input'}, not {features}",
            mend="correct `inputs`; one source for each tag",
        )
    for point in source.points:
        if point.address not in kind.outputs:
            raise ConfigError(
                f"source {source.id}: {options.estimator} has no output {point.address!r}",
                mend=f"write one of {', '.join(kind.outputs)}",
            )


def check_address(address: str, kind: str) -> str:
    """The name of an output of any estimator."""
    if kind == "string":
        return "an estimator gives numbers: use the type number or boolean"
    known = sorted({name for one in ESTIMATORS.values() for name in one.outputs})
    return "" if address in known else f"{address!r} is no output: write one of {', '.join(known)}"


def build(source: Source, sink: Sink, clock: Clock) -> Driver:
    """The driver of one estimator."""
    try:
        import river as _  # noqa: F401 - says at once that it is not there
    except ImportError as error:
        raise ConfigError(
            f"source {source.id}: river is not installed",
            mend="pip install 'andon[models]', then start the edge again",
        ) from error
    _check(source)
    what = f"river {source.options.estimator}"
    return ComputedDriver(source, sink, clock, RiverFunction(source), what)


DRIVER = DriverInfo(
    name="river", options=RiverOptions, build=build, check_address=check_address, computed=True,
    verify=verify,
)  # fmt: skip
