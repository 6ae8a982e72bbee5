"""The client for asyncio. The socket and the leases belong to a thread: an event loop that is busy loses no permit."""
import asyncio
import threading
import types
from typing import Any, AsyncIterator, Iterable, List, Optional, Type, TypeVar, Union

from . import _client, _commands as commands
from ._answers import Refused
from ._commands import Counted, Snapshot, Usage
from ._connection import Call, Connection
from ._events import Event, EventStream
from ._permit import PermitState

T = TypeVar("T")


class Permit(PermitState):
    """A slot and a reservation, for the time of an `async with` block or from acquire() to settle() or release()."""

    async def acquire(self) -> "Permit":
        self._once()
        try:
            self._hold(await asyncio.wrap_future(self._connection.submit(self._call)))
        except asyncio.CancelledError:
            self._connection.cancel(self._call)
            raise
        return self

    async def settle(self, answer: Any = None, *, outcome: str = "done", reason: str = "", **details: Any) -> Counted:
        """As headgate.Permit.settle()."""
        call = commands.settle(self.id, answer, outcome, reason, self._with_model(details), self._timeout)
        counted = await _wait(self._connection, call)
        self._end()
        return self._counted(counted)

    async def release(self, *, outcome: str = "done", reason: str = "") -> None:
        """As headgate.Permit.release()."""
        await _wait(self._connection, commands.release(self.id, outcome, reason, self._timeout))
        self._end()

    async def __aenter__(self) -> "Permit":
        return await self.acquire() if self._granted is None else self

    async def __aexit__(self, kind: Optional[Type[BaseException]], problem: Optional[BaseException],
                        trace: Optional[types.TracebackType]) -> None:
        if not self._ended:
            call: Call[Any] = commands.leave(self.id, problem, self._refused, self._timeout)
            try:
                await _wait(self._connection, call)
            except Exception:
                if problem is None:
                    raise  # else the problem is what the caller must hear of
            finally:
                self._end()


class Events:
    """`async for event in hg.events()`. A thread follows; it waits while a reader is behind."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._ready: List[Event] = []   # in reverse
        self._news: "asyncio.Queue[Union[List[Event], BaseException]]"
        self._room = threading.Semaphore(4)  # batches that nobody has taken yet
        self._wanted = threading.Semaphore(0)  # released when somebody asks again after an error
        self._failed = self._closed = False

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._closed:
            raise StopAsyncIteration
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._news = asyncio.Queue()
            self._thread = threading.Thread(target=self._follow, name="headgate-events", daemon=True)
            self._thread.start()
        if self._failed:
            self._failed = False
            self._wanted.release()
        while not self._ready:
            found = await self._news.get()
            if isinstance(found, BaseException):
                self._failed = True
                raise found
            self._room.release()
            self._ready = found[::-1]
            if self._closed:
                raise StopAsyncIteration
        return self._ready.pop()

    def _follow(self) -> None:
        assert self._loop is not None
        found: Union[List[Event], BaseException]
        while not self._closed:
            try:
                found = self._stream.batch(0.2)
            except Exception as problem:
                found = problem
            if isinstance(found, list):
                if not found:
                    continue
                self._room.acquire()
            try:
                self._loop.call_soon_threadsafe(self._news.put_nowait, found)
            except RuntimeError:
                break  # the loop is closed
            if not isinstance(found, list):
                self._wanted.acquire()
        self._stream.close()

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._room.release()
        self._wanted.release()
        if self._loop is None:
            self._stream.close()
        else:
            self._news.put_nowait([])  # who waits

    async def __aenter__(self) -> "Events":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.aclose()


class Headgate:
    """A connection to a runtime, for the tasks of an event loop; the calls are those of headgate.Headgate."""

    def __init__(self, client: _client.Headgate) -> None:
        self._client = client
        self._connection, self._timeout, self._lease = client._connection, client._timeout, client._lease

    def permit(self, max_output: Optional[int] = None, *, prompt: Any = None, max_tokens: Optional[int] = None,
               min_tokens: Optional[int] = None, budget: str = "default", task_id: str = "", attempt: int = 0,
               first_in_line: bool = False, parent: Optional[Permit] = None, from_parent: bool = False,
               lease: Optional[float] = None, timeout: Optional[float] = None, refused: Refused = (),
               model: str = "") -> Permit:
        """For an `async with` block; as headgate.Headgate.permit()."""
        call = commands.acquire(max_output, prompt, max_tokens, min_tokens, budget, task_id, attempt, first_in_line,
                                parent.id if parent else "", from_parent, lease or self._lease, timeout, model)
        return Permit(self._connection, call, self._timeout, refused, model)

    async def acquire(self, max_output: Optional[int] = None, **options: Any) -> Permit:
        return await self.permit(max_output, **options).acquire()

    async def settle(self, permit: str, answer: Any = None, *, outcome: str = "done", reason: str = "",
                     **details: Any) -> Counted:
        call = commands.settle(permit, answer, outcome, reason, details, self._timeout)
        self._connection.forget(permit)
        return commands.of_id(await self._ask(call))

    async def release(self, permit: str, *, outcome: str = "done", reason: str = "") -> None:
        call = commands.release(permit, outcome, reason, self._timeout)
        self._connection.forget(permit)
        await self._ask(call)

    async def record(self, answer: Any = None, *, budget: str = "default", task_id: str = "",
                     usage_id: Optional[str] = None, **details: Any) -> Counted:
        return await self._ask(commands.record(answer, budget, task_id, usage_id, details, self._timeout))

    async def correct(self, tokens: int, *, why: str, budget: str = "default", usage_id: Optional[str] = None) -> None:
        await self._ask(commands.correct(tokens, budget, why, usage_id, self._timeout))

    async def usage(self, budget: str = "default") -> Usage:
        return await self._ask(commands.usage(budget, self._timeout))

    async def snapshot(self) -> Snapshot:
        return await self._ask(commands.snapshot(self._timeout))

    async def set_limit(self, tokens: int, *, budget: str = "default") -> None:
        await self._ask(commands.set_limit(budget, tokens, self._timeout))

    async def set_max_concurrency(self, count: int) -> None:
        await self._ask(commands.set_max_concurrency(count, self._timeout))

    def events(self, from_seq: Optional[int] = None, topics: Union[str, Iterable[str], None] = None,
               ledger: Optional[str] = None) -> Events:
        """As headgate.Headgate.events(); leave it by aclose() or an `async with` block."""
        return Events(self._client._stream(from_seq, topics, ledger))

    @property
    def ledger_id(self) -> str:
        return self._client.ledger_id

    @property
    def version(self) -> str:
        return self._client.version

    @property
    def unit(self) -> str:
        """As headgate.Headgate.unit."""
        return self._client.unit

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._client.close)

    async def __aenter__(self) -> "Headgate":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    async def _ask(self, call: Call[T]) -> T:
        return await _wait(self._connection, call)


async def _wait(connection: Connection, call: Call[T]) -> T:
    """What was once asked is done, also when its task is cancelled meanwhile."""
    return await asyncio.shield(asyncio.wrap_future(connection.submit(call)))


async def connect(url: Optional[str] = None, **options: Any) -> Headgate:
    """As headgate.connect(), with the same options."""
    loop = asyncio.get_running_loop()
    return Headgate(await loop.run_in_executor(None, lambda: _client.connect(url, **options)))
