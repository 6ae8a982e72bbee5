"""The connection of a client: one thread owns the socket, sends, receives, renews leases, and connects anew."""
import atexit
import collections
import concurrent.futures
import contextlib
import heapq
import itertools
import math
import os
import socket
import threading
import time
from typing import Any, Callable, Deque, Dict, Generic, List, Optional, Tuple, TypeVar

import msgpack
import zmq
import zmq.utils.monitor

from ._errors import Closed, DeadlinePassed, Forked, HeadgateError, InvalidArgument, LedgerChanged, error_of
from ._place import Place, context

T = TypeVar("T")
Message = Dict[str, Any]

WINDOW = 8000           # commands without an answer; a runtime takes 8,192 of a connection
RETRY_S = 0.1           # between attempts to connect
WELCOME_S = 5.0         # for the first answer of a connection
GRACE_S = 5.0           # that a runtime may be late with the refusal of an acquire
RENEWALS_A_LEASE = 3
FOREVER_S = 2.0**31     # a timeout as long is none
CLOSED_CODE, UNKNOWN_PERMIT_CODE = 11, 16


class Call(Generic[T]):
    """A command, until its answer has come; after the loss of a connection it is sent again."""

    def __init__(self, command: Message, read: Callable[[List[Message]], T], timeout: Optional[float]) -> None:
        self.command, self.read = command, read
        if timeout is not None and math.isnan(timeout):
            raise InvalidArgument("timeout is no number")
        self.timeout = timeout if timeout is None or timeout < FOREVER_S else None
        self.deadline: Optional[float] = None  # from when it is asked on
        self.future: "concurrent.futures.Future[T]" = concurrent.futures.Future()
        self.parts: List[Message] = []

    @property
    def acquires(self) -> bool:
        return bool(self.command["type"] == "ACQUIRE_PERMIT")


class Lease:
    """A permit that is renewed until it ends."""

    def __init__(self, permit: str, seconds: float) -> None:
        self.permit, self.seconds = permit, seconds
        self.lost = False  # it ended before a renewal came: the permit is an orphan


class Connection:
    def __init__(self, place: Place) -> None:
        self.place = place
        self.welcome: "concurrent.futures.Future[Message]" = concurrent.futures.Future()
        self._process = os.getpid()
        self._inbox: Deque[Tuple[Callable[..., None], Tuple[Any, ...]]] = collections.deque()
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._closing = threading.Lock()
        self._closed = False
        self._why: HeadgateError = Closed("the connection is closed")
        # From here on the thread's own.
        self._numbers = itertools.count(1)
        self._calls: Dict[int, Call[Any]] = {}       # all that have no answer yet
        self._unsent: Deque[int] = collections.deque()
        self._sent = 0
        self._renewals: Dict[int, Lease] = {}
        self._leases: Dict[str, Lease] = {}
        self._timers: List[Tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._socket: "Optional[zmq.Socket[bytes]]" = None
        self._monitor: "Optional[zmq.Socket[bytes]]" = None
        self._live = False
        self._hello = 0
        self._told_s = 0.0          # when the runtime was last told anything
        self._ping_s = 10.0          # it must be told something as often, while an acquire waits
        self._pings = 0
        self._acquires = 0
        self._ledger = ""
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="headgate", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    # ------------------------------------------------------------------------------------------- from any thread

    def submit(self, call: Call[T]) -> "concurrent.futures.Future[T]":
        self.check()
        if call.timeout is not None:
            call.deadline = time.monotonic() + call.timeout
        self._post(self._begin, call)
        if self._closed:  # perhaps behind the last thing that the thread did
            self._fail(call)
        return call.future

    def check(self) -> None:
        if os.getpid() != self._process:
            raise Forked()
        if self._closed:
            raise self._why

    def cancel(self, call: Call[T]) -> None:
        """An acquire that nobody waits for any more: also its grant is given back, should it have come already."""
        if not call.future.cancel():
            call.future.add_done_callback(self._give_back)
        if not self._closed:
            self._post(self._cancelled, call)

    def forget(self, permit: str) -> None:
        """Renews it no more."""
        if not self._closed:
            self._post(self._leases.pop, permit, None)

    def close(self) -> None:
        if os.getpid() != self._process:
            return
        with self._closing:
            if not self._closed:
                self._closed = True
                self._post(self._end)
        if threading.current_thread() is not self._thread:
            atexit.unregister(self.close)
            self._thread.join()

    def _post(self, act: Callable[..., Any], *arguments: Any) -> None:
        self._inbox.append((act, arguments))
        try:
            self._bell.send(b"!")
        except (BlockingIOError, OSError):
            pass  # it is ringing already, or the thread has ended

    # --------------------------------------------------------------------------------------------- in the thread

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._ear, zmq.POLLIN)
        try:
            self._connect()
            self._turn(poller)
        except Exception as problem:  # nobody must wait for a thread that has ended
            self._why = HeadgateError(f"the connection failed: {problem!r}", 4)
            self._closed = self._stop = True
            raise
        finally:
            self._hang_up()
            for call in list(self._calls.values()):
                self._fail(call)
            self._hear_others({})  # what came in last
            self._bell.close()
            self._ear.close()

    def _turn(self, poller: "zmq.Poller") -> None:
        while not self._stop:
            watched = [each for each in (self._socket, self._monitor) if each is not None]
            for each in watched:
                poller.register(each, zmq.POLLIN)
            wait = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else 60.0
            ready = dict(poller.poll(int(wait * 1000) + 1))
            for each in watched:
                poller.unregister(each)
            self._hear_others(ready)
            if self._socket is not None and self._socket in ready:
                self._hear_runtime(self._socket)
            if self._monitor is not None and self._monitor in ready:
                self._hear_monitor(self._monitor)
            self._run_timers()
            self._flush()

    def _hear_others(self, ready: Dict[Any, int]) -> None:
        if ready and (self._ear.fileno() in ready or self._ear in ready):
            try:
                while self._ear.recv(4096):
                    pass
            except BlockingIOError:
                pass
        while self._inbox:
            act, arguments = self._inbox.popleft()
            act(*arguments)

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), act))

    def _end(self) -> None:
        self._stop = True

    # ------------------------------------------------------------------------------------- connecting, and losing

    def _connect(self) -> None:
        if self._stop:
            return
        try:
            endpoints = self.place.endpoints()
            dealer = context().socket(zmq.DEALER)
            self._socket = dealer
            dealer.linger = 0
            dealer.sndhwm = dealer.rcvhwm = 2 * WINDOW
            dealer.setsockopt(zmq.RECONNECT_IVL, -1)  # one connection: another runtime is never taken for it
            self.place.secure(dealer, endpoints.control)
            self._monitor = dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED)
            dealer.connect(endpoints.control)
        except (HeadgateError, zmq.ZMQError):
            self._hang_up()
            self._after(RETRY_S, self._connect)
            return
        self._hello = next(self._numbers)
        self._send({"type": "HELLO", "request": self._hello})

        def too_late() -> None:
            if self._socket is dealer and not self._live:
                self._lost()
        self._after(WELCOME_S, too_late)

    def _hang_up(self) -> None:
        if self._socket is not None:
            if self._monitor is not None:
                self._socket.disable_monitor()
                self._monitor.close(0)
            self._socket.close(0)
        self._socket = self._monitor = None
        self._live = False

    def _lost(self) -> None:
        """The runtime, if there is one, has forgotten what was asked: it is asked again in the same order."""
        self._hang_up()
        self._renewals.clear()
        for number in [number for number, call in self._calls.items() if call.future.done()]:
            self._take(number)
        for call in self._calls.values():
            call.parts.clear()
        self._unsent = collections.deque(sorted(self._calls))
        self._sent = 0
        self._after(RETRY_S, self._connect)

    def _hear_monitor(self, monitor: "zmq.Socket[bytes]") -> None:
        while self._monitor is monitor and monitor.poll(0):
            zmq.utils.monitor.recv_monitor_message(monitor)
            if self._socket is not None:
                self._hear_runtime(self._socket)  # what it said last
            if self._monitor is monitor:
                self._lost()

    def _welcomed(self, message: Message) -> None:
        if self._ledger and message["ledger"] != self._ledger:
            self._why = LedgerChanged(f"the ledger is {message['ledger']}, it was {self._ledger}")
            self._closed = self._stop = True
            return
        self._ledger = message["ledger"]
        self._live = True
        if not self.welcome.done():
            self.welcome.set_result(message)
        for lease in self._leases.values():
            self._renew_now(lease)

    # --------------------------------------------------------------------------------------------------- sending

    def _send(self, command: Message) -> bool:
        assert self._socket is not None
        try:
            self._socket.send(msgpack.packb(command), zmq.DONTWAIT)
            self._told_s = time.monotonic()
            return True
        except zmq.ZMQError:
            return False

    def _begin(self, call: Call[Any]) -> None:
        if self._stop:
            self._fail(call)
            return
        number = next(self._numbers)
        call.command["request"] = number
        self._calls[number] = call
        self._unsent.append(number)
        if call.acquires:
            self._acquires += 1
            self._expect_pings(call)
        if call.deadline is not None:
            self._after(max(0.0, call.deadline - time.monotonic()), lambda: self._expire(number))

    def _flush(self) -> None:
        while self._live and self._unsent and self._sent < WINDOW:
            call = self._calls.get(self._unsent[0])
            if call is not None and not call.future.done():
                if call.acquires and call.deadline is not None:
                    call.command["timeoutMs"] = max(1, int((call.deadline - time.monotonic()) * 1000))
                try:
                    if not self._send(call.command):
                        return
                    self._sent += 1
                except (TypeError, ValueError, OverflowError) as problem:  # it can't be packed: that is its own failure
                    self._fail(call, InvalidArgument(repr(problem)))
                    self._take(self._unsent[0])
            elif call is not None:  # cancelled before it was sent
                self._take(self._unsent[0])
            self._unsent.popleft()

    def _expire(self, number: int) -> None:
        call = self._calls.get(number)
        if call is None or call.future.done():
            return
        if call.acquires and self._live and call.deadline is not None and time.monotonic() < call.deadline + GRACE_S:
            self._after(GRACE_S, lambda: self._expire(number))  # the runtime answers
            return
        why = "" if self._live else f"no runtime at {self.place}"
        self._fail(call, DeadlinePassed(why))
        self._cancelled(call)

    def _cancelled(self, call: Call[Any]) -> None:
        """The acquire stays until its answer comes, and a grant is released."""
        number = call.command.get("request", 0)
        if self._calls.get(number) is call and call.acquires and self._live and number not in self._unsent:
            self._send({"type": "CANCEL_ACQUIRE", "request": number})

    # ------------------------------------------------------------------------------------------------- receiving

    def _hear_runtime(self, dealer: "zmq.Socket[bytes]") -> None:
        for _ in range(1000):
            try:
                frame = dealer.recv(zmq.DONTWAIT)
            except zmq.ZMQError:
                return
            try:
                message = msgpack.unpackb(frame)
                self._answered(message["request"], message)
            except (ValueError, KeyError, TypeError, msgpack.UnpackException):
                continue  # no answer that this version knows

    def _answered(self, number: int, message: Message) -> None:
        if number == self._hello:
            if message["type"] == "WELCOME":
                self._welcomed(message)
            else:  # it stops
                self._lost()
            return
        if number in self._renewals:
            lease = self._renewals.pop(number)
            if message.get("error") == UNKNOWN_PERMIT_CODE and self._leases.pop(lease.permit, None):
                lease.lost = True
            return
        call = self._calls.get(number)
        if call is None:
            return
        done = message["type"] == "COMMAND_DONE"
        if done and message["error"] == CLOSED_CODE and not call.future.done():
            self._sent -= 1  # it stops: the next one is asked
            call.parts.clear()
            return
        call.parts.append(message)
        if message["type"] in ("SNAPSHOT_BUDGET", "SNAPSHOT_TOPIC"):
            return
        self._sent -= 1
        self._take(number)
        granted = message["type"] == "PERMIT_GRANTED"
        if call.future.done() or not call.future.set_running_or_notify_cancel():  # nobody waits
            if granted:
                self._release(message["permit"])
        elif done and message["error"]:
            call.future.set_exception(error_of(message))
        else:
            if granted:
                self._hold(message)
            try:
                call.future.set_result(call.read(call.parts))
            except Exception as problem:  # a runtime of another version
                call.future.set_exception(problem)

    def _take(self, number: int) -> None:
        call = self._calls.pop(number)
        if call.acquires:
            self._acquires -= 1

    def _fail(self, call: Call[Any], error: Optional[HeadgateError] = None) -> None:
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # it has its answer
            if not call.future.done():
                call.future.set_exception(error or self._why)

    # --------------------------------------------------------------------------------------------------- leases

    def _hold(self, granted: Message) -> None:
        lease = Lease(granted["permit"], granted["leaseMs"] / 1000)
        self._leases[lease.permit] = lease
        self._after(lease.seconds / RENEWALS_A_LEASE, lambda: self._renew(lease))

    def lease(self, permit: str) -> Optional[Lease]:
        return self._leases.get(permit)

    def _renew(self, lease: Lease) -> None:
        if self._leases.get(lease.permit) is lease:
            self._renew_now(lease)
            self._after(lease.seconds / RENEWALS_A_LEASE, lambda: self._renew(lease))

    def _renew_now(self, lease: Lease) -> None:
        if self._live:
            number = next(self._numbers)
            self._renewals[number] = lease
            self._send({"type": "RENEW_PERMIT", "request": number, "permit": lease.permit})

    def _expect_pings(self, call: Call[Any]) -> None:
        every = (call.command.get("leaseMs") or 30000) / 1000 / RENEWALS_A_LEASE
        if every < self._ping_s or not self._pings:
            self._ping_s = min(self._ping_s, every)
            self._pings += 1
            round_ = self._pings
            self._after(self._ping_s, lambda: self._ping(round_))

    def _ping(self, round_: int) -> None:
        if round_ != self._pings:
            return  # a later acquire has a shorter lease
        if not self._acquires:
            self._pings = 0
            return
        if self._live and time.monotonic() - self._told_s >= self._ping_s / 2:
            self._send({"type": "PING", "request": 0})
        self._after(self._ping_s, lambda: self._ping(round_))

    def _release(self, permit: str) -> None:
        if self._live:
            self._send({"type": "RELEASE_PERMIT", "request": 0, "permit": permit, "outcome": 1,
                        "reason": "nobody waits for it"})

    def _give_back(self, future: "concurrent.futures.Future[Any]") -> None:
        if not future.cancelled() and future.exception() is None:
            permit = future.result()["permit"]
            self._post(self._leases.pop, permit, None)
            self._post(self._release, permit)
