"""Alembic's entry: the brain's tables."""

import importlib
import pkgutil

from sqlmodel import SQLModel

from factory_brain.adapters import postgres
from shared.postgres.migrate import run_env

for module in pkgutil.iter_modules(postgres.__path__):
    if module.name.startswith("tables"):  # each part declares its own
        importlib.import_module(f"{postgres.__name__}.{module.name}")

run_env(SQLModel.metadata)
