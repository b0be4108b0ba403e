"""A refused request, as a value that is raised; the web framework is not needed to say so.

Raised by routes and by what they call, shown by `problem.py`; no wording lives here.
"""

from __future__ import annotations

from typing import Any

from shared.errors import Rejected


class ProblemError(Exception):
    """A refused request."""

    def __init__(self, status: int, code: str, title: str = "", **params: Any) -> None:
        self.status, self.code, self.title, self.params = (
            status,
            code,
            title or code.replace("_", " ").capitalize(),
            params,
        )
        super().__init__(code)

    @classmethod
    def of(cls, status: int, rejected: Rejected) -> ProblemError:
        """From a refusal value."""
        problem = cls(status, rejected.code)
        # Not as keywords: a refusal's parameter may itself be called `status` or `title`.
        problem.params = dict(rejected.params)
        return problem
