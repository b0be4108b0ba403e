"""Alembic's entry: the cloud's tables."""

import importlib
import pkgutil

from sqlmodel import SQLModel

from group_cloud.adapters import postgres
from shared.postgres.migrate import run_env

for module in pkgutil.iter_modules(postgres.__path__):
    if module.name.startswith("tables"):  # each part declares its own
        importlib.import_module(f"{postgres.__name__}.{module.name}")

run_env(SQLModel.metadata)
