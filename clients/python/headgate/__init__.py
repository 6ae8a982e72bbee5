"""A client of Headgate: permits, records and events of a hard token budget.

    import headgate

    hg = headgate.connect()
    with hg.permit(max_output=800, prompt=prompt, budget="evals") as p:
        p.settle(call_the_model(prompt, max_tokens=800))

The same for asyncio: headgate.aio. What a runtime says and takes: docs/protocol.md of Headgate.
"""
from . import aio
from ._client import Headgate, Permit, connect
from ._commands import Budget, Counted, Snapshot, Usage
from ._errors import (ERRORS, Busy, BudgetExhausted, Cancelled, Closed, Conflict, DeadlinePassed, EventsGone, Forked,
                      HeadgateError, InvalidArgument, LedgerChanged, NoRuntime, NoUsage, OutOfRange, ProtocolError,
                      StoreFailed, UnknownBudget, UnknownPermit, WouldDeadlock)
from ._events import Event, EventStream

__version__ = "0.1.0"

__all__ = ["ERRORS", "Budget", "BudgetExhausted", "Busy", "Cancelled", "Closed", "Conflict", "Counted",
           "DeadlinePassed", "Event", "EventStream", "EventsGone", "Forked", "Headgate", "HeadgateError",
           "InvalidArgument", "LedgerChanged", "NoRuntime", "NoUsage", "OutOfRange", "Permit", "ProtocolError",
           "Snapshot", "StoreFailed", "UnknownBudget", "UnknownPermit", "Usage", "WouldDeadlock", "aio", "connect"]
