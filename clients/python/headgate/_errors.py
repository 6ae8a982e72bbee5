"""What a runtime refuses: one exception for each code that a caller may want to tell from the others."""
from typing import Any, Dict, Optional, Tuple, Type


class HeadgateError(Exception):
    """`code` and `name` are those of `headgate describe --errors`."""

    code: int = 0
    name: str = ""

    def __init__(self, reason: str = "", code: Optional[int] = None) -> None:
        if code is not None:
            self.code, self.name = code, name_of(code)
        self.reason = reason or TEXTS.get(self.name, "")
        super().__init__(f"{self.name}: {self.reason}")


class InvalidArgument(HeadgateError, ValueError):
    pass


class StoreFailed(HeadgateError):
    """The outcome is unknown. A record or correction with the same usage_id may be sent again."""


class LedgerChanged(HeadgateError):
    """The runtime that answers now has another ledger: its permits and event numbers are others."""


class Busy(HeadgateError):
    pass


class DeadlinePassed(HeadgateError, TimeoutError):
    pass


class Cancelled(HeadgateError):
    pass


class Closed(HeadgateError):
    pass


class Forked(HeadgateError):
    """A connection belongs to the process that made it: connect again in the child."""


class UnknownBudget(HeadgateError):
    pass


class BudgetExhausted(HeadgateError):
    """The request can never fit. `budget` is the one that is short, `left` is what it has left at most."""

    budget: str = ""
    left: int = 0


class OutOfRange(HeadgateError):
    pass


class UnknownPermit(HeadgateError):
    pass


class Conflict(HeadgateError):
    pass


class WouldDeadlock(HeadgateError):
    pass


class ProtocolError(HeadgateError):
    pass


class NoUsage(HeadgateError):
    pass


class NoRuntime(HeadgateError):
    pass


class EventsGone(HeadgateError):
    """Rows that were asked for are no longer kept; `oldest` is the first that is: take a snapshot, or begin there."""

    oldest: int = 0


ERRORS: Tuple[Tuple[int, str, str, Type[HeadgateError]], ...] = (
    (1, "HG_ERR_INVALID", "an argument is outside what the call accepts", InvalidArgument),
    (2, "HG_ERR_CONFIG", "the configuration cannot be used", HeadgateError),
    (3, "HG_ERR_NO_MEMORY", "there is not enough memory", HeadgateError),
    (4, "HG_ERR_SYSTEM", "the operating system refused a file, a socket or a thread", HeadgateError),
    (5, "HG_ERR_STORE", "the ledger cannot be read or written; the outcome is unknown", StoreFailed),
    (6, "HG_ERR_LEDGER_IN_USE", "another runtime holds this ledger", HeadgateError),
    (7, "HG_ERR_LEDGER_FOREIGN", "this is another ledger", LedgerChanged),
    (8, "HG_ERR_BUSY", "a queue is full; ask again when some answers have come", Busy),
    (9, "HG_ERR_TIMEOUT", "the deadline passed before an answer came", DeadlinePassed),
    (10, "HG_ERR_CANCELLED", "the request was cancelled", Cancelled),
    (11, "HG_ERR_CLOSED", "the runtime or the connection is closed", Closed),
    (12, "HG_ERR_FORKED", "a forked child must not use the connection of its parent", Forked),
    (13, "HG_ERR_UNKNOWN_BUDGET", "no budget has this name", UnknownBudget),
    (14, "HG_ERR_BUDGET_EXHAUSTED", "the request can never fit into what is left of the budget", BudgetExhausted),
    (15, "HG_ERR_RANGE", "tokens or a total would leave the range 0 to 2^53 - 1", OutOfRange),
    (16, "HG_ERR_UNKNOWN_PERMIT", "no open or orphaned permit has this id", UnknownPermit),
    (17, "HG_ERR_CONFLICT", "the same id was used before with other content", Conflict),
    (18, "HG_ERR_SEQUENCE", "a numbered command came out of order", HeadgateError),
    (19, "HG_ERR_WOULD_DEADLOCK", "every open permit is held by clients that wait for another", WouldDeadlock),
    (20, "HG_ERR_PROTOCOL", "a frame of the wrong shape", ProtocolError),
    (21, "HG_ERR_NO_USAGE", "the answer says nothing usable about tokens", NoUsage),
    (22, "HG_ERR_NO_RUNTIME", "no runtime is living on this ledger", NoRuntime),
    (23, "HG_ERR_EMPTY", "there is nothing (more) to give", EventsGone),
    (24, "HG_ERR_STILL_OPEN", "the permit is still open: who holds it will settle it", HeadgateError),
)

TEXTS: Dict[str, str] = {name: text for _, name, text, _ in ERRORS}
_NAMES: Dict[int, str] = {code: name for code, name, _, _ in ERRORS}
_TYPES: Dict[int, Type[HeadgateError]] = {code: kind for code, _, _, kind in ERRORS}

for _code, _name, _, _kind in ERRORS:
    if _kind is not HeadgateError:
        _kind.code, _kind.name = _code, _name


def name_of(code: int) -> str:
    return _NAMES.get(code, f"HG_ERR_{code}")


def error_of(done: Dict[str, Any]) -> HeadgateError:
    """The exception that a COMMAND_DONE with an error stands for."""
    error = _TYPES.get(done["error"], HeadgateError)(done.get("reason", ""), done["error"])
    if isinstance(error, BudgetExhausted):
        error.budget, error.left = done.get("budget", ""), done.get("tokens", 0)
    return error
