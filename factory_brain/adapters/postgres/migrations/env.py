"""Alembic's entry: the brain's tables."""

from sqlmodel import SQLModel

import factory_brain.adapters.postgres.tables  # noqa: F401  (declares the tables)
from shared.postgres.migrate import run_env

run_env(SQLModel.metadata)
