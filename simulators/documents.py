"""YAML files into checked models, with every complaint at file:line:column.

Used for the simulators' configuration and for drill scenarios; never writes a file.
"""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.errors import ConfigError
from shared.site.yaml_file import complaints, read_yaml

Model = TypeVar("Model", bound=BaseModel)


def load(path: Path, model: type[Model]) -> Model:
    """Read `path` as `model`; raises ConfigError that names every fault and how to mend it."""
    document = read_yaml(path)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first, *others = complaints(error, document, str(path), sorted(_keys(model)))
        more = "".join(f"\n{other}" for other in others)
        raise ConfigError(first.message, where=first.where, mend=f"{first.mend}{more}") from None


def _keys(annotation: Any) -> set[str]:
    """Every key that may be written anywhere in a model, for did-you-mean."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        found = set(annotation.model_fields)
        for field in annotation.model_fields.values():
            found |= _keys(field.annotation)
        return found
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, list, dict, tuple):
        return set().union(*(_keys(part) for part in typing.get_args(annotation)))
    return set()
