"""The exception tree, and refusals as values.

AndonError
 ├─ ConfigError        a setting or a site file is wrong: says where and how to mend it
 ├─ ContractError      a message is not of the agreed form
 ├─ TransportError     the bus or a device did not answer (always safe to report, not to ignore)
 │   ├─ RetryableTransportError
 │   └─ PermanentTransportError
 ├─ StoreError         a database or disk refused
 │   └─ UnstorableError  what was to be written is to blame: no waiting mends it
 └─ OutcomeUnknown     an actuation may or may not have happened: a value for people, no retry

Anything an operator can cause is a `Rejected` value, not an exception; its code is translated in
`shared/locales`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class AndonError(Exception):
    """Root of all faults raised by Andon."""


class ConfigError(AndonError):
    """A setting or file is wrong.

    `where` is `file:line:column` as far as known; `mend` says what to do.
    """

    def __init__(self, message: str, *, where: str = "", mend: str = "") -> None:
        self.message, self.where, self.mend = message, where, mend
        head = f"{where}: {message}" if where else message
        super().__init__(f"{head}\n  mend: {mend}" if mend else head)


class ContractError(AndonError):
    """A message is not of the agreed form."""


class TransportError(AndonError):
    """The bus or a device did not do as asked."""


class RetryableTransportError(TransportError):
    """Trying again later may work; nothing was done."""


class PermanentTransportError(TransportError):
    """Trying again cannot work."""


class StoreError(AndonError):
    """A database or a disk refused."""


class UnstorableError(StoreError):
    """What was to be written can never be written; the disk is not to blame."""


class OutcomeUnknown(AndonError):
    """An actuation may or may not have happened."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refusal that explains itself: a code with its parameters."""

    code: str
    params: dict[str, Any] = field(default_factory=dict)
