"""The client for threads: every call waits for its answer."""
import concurrent.futures
import contextlib
import types
from typing import Any, Iterable, Optional, Type, TypeVar, Union

from . import _commands as commands
from ._answers import Refused
from ._commands import Counted, Snapshot, Usage
from ._connection import Call, Connection
from ._errors import NoRuntime
from ._events import EventStream
from ._permit import PermitState
from ._place import Path, find, is_tcp

T = TypeVar("T")


class Permit(PermitState):
    """A slot and a reservation, for the time of a `with` block or from acquire() to settle() or release()."""

    def acquire(self) -> "Permit":
        self._once()
        self._hold(_wait(self._connection, self._call))
        return self

    def settle(self, answer: Any = None, *, outcome: str = "done", reason: str = "", **details: Any) -> Counted:
        """What was used: a number of tokens, a provider's answer (a dict, JSON, or the object of its SDK), or details
        by name (tokens, input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, model,
        response_id, attempt, source)."""
        counted = _wait(self._connection, commands.settle(self.id, answer, outcome, reason,
                                                          self._with_model(details), self._timeout))
        self._end()
        return self._counted(counted)

    def release(self, *, outcome: str = "done", reason: str = "") -> None:
        """Nothing was used, as when the provider refused the call."""
        _wait(self._connection, commands.release(self.id, outcome, reason, self._timeout))
        self._end()

    def __enter__(self) -> "Permit":
        return self.acquire() if self._granted is None else self

    def __exit__(self, kind: Optional[Type[BaseException]], problem: Optional[BaseException],
                 trace: Optional[types.TracebackType]) -> None:
        if not self._ended:
            call: Call[Any] = commands.leave(self.id, problem, self._refused, self._timeout)
            try:
                _wait(self._connection, call)
            except Exception:
                if problem is None:
                    raise  # else the problem is what the caller must hear of
            finally:
                self._end()


class Headgate:
    """A connection to a runtime, for any number of threads. See connect()."""

    def __init__(self, connection: Connection, timeout: float, lease: Optional[float]) -> None:
        self._connection, self._timeout, self._lease = connection, timeout, lease

    def permit(self, max_output: Optional[int] = None, *, prompt: Any = None, max_tokens: Optional[int] = None,
               min_tokens: Optional[int] = None, budget: str = "default", task_id: str = "", attempt: int = 0,
               first_in_line: bool = False, parent: Optional[Permit] = None, from_parent: bool = False,
               lease: Optional[float] = None, timeout: Optional[float] = None, refused: Refused = (),
               model: str = "") -> Permit:
        """For a `with` block: waits in line until a slot and the tokens are there, `timeout` seconds at most (None:
        without end). The most that it may use is `max_tokens`, or `max_output` and the bytes of `prompt` (a text, or
        anything that JSON can say, such as a list of messages). Less than that, but `min_tokens` at least, is taken
        where it is named. Where the ledger counts money (docs/configuration.md), name the `model` beside `max_output`: the
        runtime knows what it costs, and prices the answer by it.

        A block that an exception leaves unsettled is charged in full, unless a provider's SDK says that the call was
        refused (a status 400, 401, 403, 404, 413, 422 or 429) or the exception is one of `refused`: then it is
        released. Make one call to a model in a block: of several the last one may be refused when others were billed.
        """
        call = commands.acquire(max_output, prompt, max_tokens, min_tokens, budget, task_id, attempt, first_in_line,
                                parent.id if parent else "", from_parent, lease or self._lease, timeout, model)
        return Permit(self._connection, call, self._timeout, refused, model)

    def acquire(self, max_output: Optional[int] = None, **options: Any) -> Permit:
        """A granted permit, to be settled or released; the options are those of permit()."""
        return self.permit(max_output, **options).acquire()

    def settle(self, permit: str, answer: Any = None, *, outcome: str = "done", reason: str = "",
               **details: Any) -> Counted:
        """Settles a permit by its id, such as one of another process or an orphan."""
        call = commands.settle(permit, answer, outcome, reason, details, self._timeout)
        self._connection.forget(permit)
        return commands.of_id(self._ask(call))

    def release(self, permit: str, *, outcome: str = "done", reason: str = "") -> None:
        call = commands.release(permit, outcome, reason, self._timeout)
        self._connection.forget(permit)
        self._ask(call)

    def record(self, answer: Any = None, *, budget: str = "default", task_id: str = "", usage_id: Optional[str] = None,
               **details: Any) -> Counted:
        """Counts tokens that were spent outside a permit; the same `usage_id` with the same content counts once
        (None: a fresh one)."""
        return self._ask(commands.record(answer, budget, task_id, usage_id, details, self._timeout))

    def correct(self, tokens: int, *, why: str, budget: str = "default", usage_id: Optional[str] = None) -> None:
        """A compensating entry: `tokens` are added to what was used; negative ones are given back."""
        self._ask(commands.correct(tokens, budget, why, usage_id, self._timeout))

    def usage(self, budget: str = "default") -> Usage:
        return self._ask(commands.usage(budget, self._timeout))

    def snapshot(self) -> Snapshot:
        return self._ask(commands.snapshot(self._timeout))

    def set_limit(self, tokens: int, *, budget: str = "default") -> None:
        self._ask(commands.set_limit(budget, tokens, self._timeout))

    def set_max_concurrency(self, count: int) -> None:
        self._ask(commands.set_max_concurrency(count, self._timeout))

    def events(self, from_seq: Optional[int] = None, topics: Union[str, Iterable[str], None] = None,
               ledger: Optional[str] = None) -> EventStream:
        """Each event once and in order, from row `from_seq` on; None: from now on. `topics` are types of events or how
        they begin. `ledger` is the ledgerId that `from_seq` belongs to, where the caller has kept one. From another
        machine it needs the `events_url` of connect()."""
        stream = self._stream(from_seq, topics, ledger)
        if stream.after is not None:
            stream.after.result()  # what is committed from here on is told
        return stream

    def _stream(self, from_seq: Optional[int], topics: Union[str, Iterable[str], None],
                ledger: Optional[str]) -> EventStream:
        self._connection.check()

        def after() -> "concurrent.futures.Future[int]":
            if from_seq is None:
                return self._connection.submit(commands.newest(self._timeout))
            named: "concurrent.futures.Future[int]" = concurrent.futures.Future()
            named.set_result(max(0, from_seq - 1))
            return named
        return EventStream(self._connection.place, self._connection.welcome.result(), after, topics, ledger)

    @property
    def ledger_id(self) -> str:
        return str(self._connection.welcome.result()["ledger"])

    @property
    def version(self) -> str:
        """Of the runtime that answered first."""
        return str(self._connection.welcome.result()["version"])

    @property
    def unit(self) -> str:
        """What amounts count: `tokens`, or `nanodollars` (10^-9 US dollars)."""
        return str(self._connection.welcome.result().get("unit", "tokens"))

    def close(self) -> None:
        """Permits that are open stay so until their lease ends."""
        self._connection.close()

    def __enter__(self) -> "Headgate":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _ask(self, call: Call[T]) -> T:
        return _wait(self._connection, call)


def _wait(connection: Connection, call: Call[T]) -> T:
    try:
        return connection.submit(call).result()
    except BaseException:  # Ctrl-C, too
        if call.acquires:
            connection.cancel(call)
        raise


def connect(url: Optional[str] = None, *, ledger: Optional[Path] = None, config: Optional[Path] = None,
            events_url: Optional[str] = None, server_key: Optional[str] = None, key_file: Optional[Path] = None,
            timeout: float = 30.0, lease: Optional[float] = None, wait: float = 5.0) -> Headgate:
    """Finds a runtime: by `url` (its control endpoint), else HEADGATE_URL, else by ledger or configuration, else by
    devs.config.json in the working directory. NoRuntime when none answers within `wait` seconds.

    `events_url`, else HEADGATE_EVENTS_URL, is where the events are, when `url` is tcp.
    `server_key` and `key_file`, else HEADGATE_SERVER_KEY and HEADGATE_KEY_FILE, are for tcp endpoints with keys: the
    server's public key, and the file with the client's secret one (`headgate keygen`).
    `timeout` (seconds) is that of every command but acquires; a runtime that is lost meanwhile is waited for.
    `lease` (seconds) is that of permits; None: as the runtime says."""
    connection = Connection(find(url, ledger, config, events_url, server_key, key_file))
    try:
        connection.welcome.result(wait)
    except (concurrent.futures.TimeoutError, TimeoutError):
        place = connection.place
        connection.close()
        with contextlib.suppress(concurrent.futures.CancelledError):
            place.endpoints()  # raises when it is not even named
        silent = "; an endpoint with keys says nothing to who lacks the right ones" if is_tcp(str(place)) else ""
        raise NoRuntime(f"nothing answers at {place}{silent}") from None
    except BaseException:
        connection.close()
        raise
    return Headgate(connection, timeout, lease)
