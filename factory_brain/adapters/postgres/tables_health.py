"""The health of the system itself."""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations
