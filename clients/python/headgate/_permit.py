"""What permits in threads and in asyncio share."""
from typing import Any, Dict, Optional

from ._answers import Refused
from ._commands import Counted
from ._connection import Call, Connection, Lease, Message
from ._errors import HeadgateError


class PermitState:
    """`id`, `tokens` (reserved) and `lost` are known once it is granted."""

    def __init__(self, connection: Connection, call: Call[Message], timeout: Optional[float], refused: Refused,
                 model: str = "") -> None:
        self._connection, self._call, self._timeout, self._model = connection, call, timeout, model
        self._refused = (refused,) if isinstance(refused, type) else tuple(refused)
        if not all(isinstance(kind, type) for kind in self._refused):
            raise TypeError("refused: types of exceptions")
        self._granted: Optional[Message] = None
        self._lease: Optional[Lease] = None
        self._asked = self._ended = False

    @property
    def id(self) -> str:
        return str(self._grant()["permit"])

    @property
    def tokens(self) -> int:
        return int(self._grant()["tokens"])

    @property
    def lost(self) -> bool:
        """Its lease ended before a renewal came: it has lost its slot, and its reservation went the way of an orphan's.
        Settle it all the same: what was used takes the place of the guess."""
        return self._lease is not None and self._lease.lost

    def _grant(self) -> Message:
        if self._granted is None:
            raise HeadgateError("the permit is not granted yet", 1)
        return self._granted

    def _hold(self, granted: Message) -> None:
        self._granted = granted
        self._lease = self._connection.lease(granted["permit"])

    def _once(self) -> None:
        if self._asked:
            raise HeadgateError("a permit is acquired once", 1)
        self._asked = True

    def _with_model(self, details: Dict[str, Any]) -> Dict[str, Any]:
        """A runtime that was restarted has forgotten which model the permit is for."""
        return {"model": self._model, **details} if self._model else details

    def _counted(self, counted: Counted) -> Counted:
        if counted.source != "missing":
            return counted
        return Counted(max(self.tokens, counted.tokens or 0), "missing")

    def _end(self, _: Any = None) -> None:
        self._ended = True
        self._connection.forget(self.id)

    def __repr__(self) -> str:
        if self._granted is None:
            return "<Permit, not granted>"
        return f"<Permit {self.id}, {self.tokens} tokens{', ended' if self._ended else ''}>"
