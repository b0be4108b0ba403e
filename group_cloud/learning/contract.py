"""What every learner of the group is: it learns one labelled thing at a time and is plain data.

Called by everything that runs learners; one check list in the tests runs over all of them. It
decides nothing. numpy comes with the first array: a cloud that has nothing to learn needs none.
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from shared.errors import AndonError

if TYPE_CHECKING:
    import numpy.typing as npt


class UnlabelledError(AndonError):
    """A limit may not adapt to what nobody has judged, nor to a drill."""


@runtime_checkable
class Learner(Protocol):
    """Bounded in memory; the same data in the same order with the same seed give the same state.

    Beside these, a learner has `score(x)` or `propose(...)`.
    """

    def learn_one(self, x: Any, y: Any) -> Any:
        """Take one thing and what people said of it; raises UnlabelledError where limits come of
        it and nobody has said anything."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """All of its state as plain data, with `schema` naming its form and version."""
        ...

    @classmethod
    def restore(cls, data: dict[str, Any]) -> Self:
        """The learner that wrote `data`; raises ValueError on data of another schema."""
        ...


def packed(array: npt.NDArray[Any]) -> dict[str, Any]:
    """An array as plain data: its bytes in base64, compressed, little-endian."""
    import numpy as np

    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    body = base64.b64encode(zlib.compress(np.ascontiguousarray(little).tobytes(), 1))
    return {"dtype": little.dtype.str, "shape": list(array.shape), "body": body.decode()}


def unpacked(data: dict[str, Any]) -> npt.NDArray[Any]:
    """Read what `packed` wrote."""
    import numpy as np

    body = zlib.decompress(base64.b64decode(data["body"]))
    found = np.frombuffer(body, np.dtype(data["dtype"])).reshape(data["shape"])
    return found.astype(found.dtype.newbyteorder("="))


def checked_schema(data: dict[str, Any], schema: str) -> dict[str, Any]:
    """The data if it is of that schema; raises ValueError."""
    if data.get("schema") != schema:
        raise ValueError(f"a snapshot of {data.get('schema')!r}, not of {schema!r}")
    return data
