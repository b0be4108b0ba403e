"""Alembic's entry: the cloud's tables."""

from sqlmodel import SQLModel

import group_cloud.adapters.postgres.tables  # noqa: F401  (declares the tables)
from shared.postgres.migrate import run_env

run_env(SQLModel.metadata)
