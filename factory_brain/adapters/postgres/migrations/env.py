"""Alembic's entry: the brain's tables."""

from sqlmodel import SQLModel

import factory_brain.adapters.postgres.tables
import factory_brain.adapters.postgres.tables_playbook  # noqa: F401  (both declare tables)
from shared.postgres.migrate import run_env

run_env(SQLModel.metadata)
