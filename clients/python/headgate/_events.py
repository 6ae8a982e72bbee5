"""Events, each once and in order: what a subscription misses is asked for by REPLAY, over restarts of a runtime too."""
import time
import types
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Optional, Tuple, Type, Union
from collections import deque
from concurrent.futures import Future, TimeoutError as NotYet

import msgpack
import zmq

from ._connection import Message
from ._errors import DeadlinePassed, EventsGone, HeadgateError, LedgerChanged, error_of
from ._fields import checked
from ._place import Place, context, is_tcp

HELD_MAX = 10000       # events that wait for the proof that none is missing before them
SILENCE_S = 2.0        # without a heartbeat: the runtime is looked for again
CONNECT_S = 2.0        # until somebody is there who can be asked for a replay
ANSWER_S = 5.0         # for a portion of a replay
QUEUE = 20000          # events that wait in the socket; what comes on top is replayed


class Event:
    """One event. `map` is all of it, as docs/protocol.md has it."""

    __slots__ = ("map",)

    def __init__(self, found: Message) -> None:
        self.map = found

    @property
    def type(self) -> str:
        return str(self.map["type"])

    @property
    def seq(self) -> Optional[int]:
        """None: it is told before its row can be written (STORE_DEGRADED)."""
        seq: Optional[int] = self.map["seq"]
        return seq

    @property
    def prev(self) -> Optional[int]:
        prev: Optional[int] = self.map["prev"]
        return prev

    @property
    def at(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return int(self.map["at"])

    @property
    def budget(self) -> str:
        return str(self.map["budget"])

    @property
    def ledger_id(self) -> str:
        return str(self.map["ledgerId"])

    @property
    def payload(self) -> Dict[str, Any]:
        payload: Dict[str, Any] = self.map["payload"]
        return payload

    def __repr__(self) -> str:
        return f"<{self.type} {self.seq} {self.payload}>"


class Order:
    """What was heard, put in order; no socket and no clock. All rows of the topics up to `reached` have been told."""

    def __init__(self, topics: Tuple[str, ...], reached: int, ledger: str) -> None:
        self.topics, self.reached, self.ledger = topics, reached, ledger
        self.goal = 0                      # rows up to this one are known to be there: replayed until they are told
        self._held: List[Message] = []     # heard in order, but a row of another topic may be missing before them
        self._newest: Dict[str, int] = {}  # of each type, among those that are held

    def wants(self, topic: str) -> bool:
        return not self.topics or topic.startswith(self.topics)

    def hear(self, event: Message) -> List[Message]:
        """What can be told now. With `goal` over `reached` something is missing."""
        self._same_ledger(event)
        if event["type"] == "HEARTBEAT":
            return self._beat(event["payload"])
        seq, reached = event["seq"], self.reached
        if seq is None:
            return [event]
        if seq <= reached or self._held and seq <= self._held[-1]["seq"]:
            return []
        if seq == reached + 1:
            self.reached = seq
            return [event]
        known = max(reached, self._newest.get(event["type"], 0))
        if not self.topics or event["prev"] > known or len(self._held) >= HELD_MAX:
            self._miss(seq)
            return []
        if self.topics == (event["type"],):  # the only one: prev says all
            self.reached = seq
            return [event]
        self._held.append(event)
        self._newest[event["type"]] = seq
        return []

    def _beat(self, beat: Message) -> List[Message]:
        if beat.get("unheard", 0) > self.reached:
            self._miss(beat["newest"])
            return []
        missed = [newest for topic, newest in beat["topics"].items()
                  if self.wants(topic) and newest > max(self.reached, self._newest.get(topic, 0))]
        if missed:
            self._miss(max(missed))
            return []
        told, self._held = self._held, []
        self._newest.clear()
        self.reached = max(self.reached, beat["newest"])
        return told

    def _miss(self, seq: int) -> None:
        """The journal has what is held as well."""
        self.goal = max([self.goal, seq, *self._newest.values()])
        self._held.clear()
        self._newest.clear()

    def told_again(self, portion: List[Message], reached: int) -> List[Message]:
        """A whole portion of a replay; what is held comes with it, or with the next one."""
        for event in portion:
            self._same_ledger(event)
        self._held.clear()
        self._newest.clear()
        told = [event for event in portion if event["seq"] > self.reached]
        self.reached = max(self.reached, reached)
        return told

    def _same_ledger(self, event: Message) -> None:
        if self.ledger != event["ledgerId"]:
            raise LedgerChanged(f"the ledger is {event['ledgerId']}, it was {self.ledger}")


class EventStream:
    """An iterator over events that never ends by itself, for one thread at a time; a lost runtime is waited for.

    Between two calls nothing runs: what a slow reader loses is replayed."""

    def __init__(self, place: Place, welcome: Message, ask: "Callable[[], Future[int]]",
                 topics: Union[str, Iterable[str], None], ledger: Optional[str]) -> None:
        """`ask` says behind which row it begins; it is called again when no answer came."""
        chosen = (topics,) if isinstance(topics, str) else tuple(topics or ())
        if any("," in topic for topic in chosen):
            raise HeadgateError("a topic has no comma: give a list", 1)
        if is_tcp(place.url or "") and not place.events_url and welcome["events"].startswith("ipc://"):
            raise HeadgateError(f"the runtime at {place.url} has its events at {welcome['events']}, which other "
                                "machines can't reach: set events_url (HEADGATE_EVENTS_URL) to an endpoint of its "
                                "eventBus.bind", 2)
        self._topics = () if "" in chosen else chosen
        checked({"topics": ",".join(self._topics)})
        self._ledger = ledger or welcome["ledger"]
        self._place, self._welcome, self._ask = place, welcome, ask
        self.after: "Optional[Future[int]]" = ask()
        self._order: Optional[Order] = None
        self._subscriber: "Optional[zmq.Socket[bytes]]" = None
        self._dealer: "Optional[zmq.Socket[bytes]]" = None
        self._request = 0
        self._ready: Deque[Message] = deque()
        self._silent_s = time.monotonic()
        self._behind = True   # of the journal: what was missed is asked for
        self._asked = False
        self._since_s = 0.0   # since when an answer, or somebody to ask, is waited for
        self.closed = False

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def next(self, timeout: Optional[float] = None) -> Optional[Event]:
        """The next event; None when none came within `timeout` seconds, or when the stream is closed."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._ready:
            left = None if end is None else end - time.monotonic()
            if self.closed or left is not None and left < 0:
                return None
            self._work(SILENCE_S if left is None else min(left, SILENCE_S))
        return Event(self._ready.popleft())

    def batch(self, timeout: float) -> List[Event]:
        """All that can be told without waiting, once there is one; empty after `timeout` seconds."""
        event = self.next(timeout)
        if event is None:
            return []
        told = [event, *map(Event, self._ready)]
        self._ready.clear()
        return told

    def close(self) -> None:
        self.closed = True
        self._hang_up()

    def __enter__(self) -> "EventStream":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], problem: Optional[BaseException],
                 trace: Optional[types.TracebackType]) -> None:
        self.close()

    # --------------------------------------------------------------------------------------------------- sockets

    def _work(self, wait: float) -> None:
        """Subscribed first, and replayed then: so nothing is between the two."""
        if self._order is None:
            self._begin(wait)
        elif self._subscriber is None and not self._subscribe():
            time.sleep(min(wait, 0.1))
        elif self._behind:
            self._replay(self._order, wait)
        else:
            self._listen(self._order, wait)

    def _begin(self, wait: float) -> None:
        if self.after is None:
            self.after = self._ask()
        try:
            self._order = Order(self._topics, self.after.result(wait), self._ledger)
        except DeadlinePassed:  # a lost runtime is waited for
            self.after = None
        except NotYet:
            pass
        except Exception:
            self.after = None
            raise

    def _subscribe(self) -> bool:
        try:
            events = self._place.endpoints().events or self._welcome["events"]
            socket = context().socket(zmq.SUB)
            self._subscriber = socket
            socket.linger, socket.rcvhwm = 0, QUEUE
            for topic in (*self._topics, "HEARTBEAT") if self._topics else ("",):
                socket.subscribe(topic)
            self._place.secure(socket, events)
            socket.connect(events)
        except (HeadgateError, zmq.ZMQError):
            self._hang_up()
            return False
        self._silent_s = time.monotonic()
        return True

    def _hang_up(self) -> None:
        for socket in (self._subscriber, self._dealer):
            if socket is not None:
                socket.close(0)
        self._subscriber = self._dealer = None
        self._behind, self._asked, self._since_s = True, False, 0.0

    def _listen(self, order: Order, wait: float) -> None:
        subscriber = self._subscriber
        assert subscriber is not None
        if not subscriber.poll(wait * 1000):
            if time.monotonic() - self._silent_s >= SILENCE_S:
                self._hang_up()
            return
        self._silent_s = time.monotonic()
        for _ in range(1000):
            try:
                frames = subscriber.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            event = _decoded(frames[-1])
            if event is not None and len(frames) == 2:
                self._ready.extend(order.hear(event))
            if order.goal > order.reached:
                self._behind = True
                return

    def _replay(self, order: Order, wait: float) -> None:
        """A portion; who does not come, or does not answer, is given up."""
        if self._dealer is None and not self._dial():
            return
        dealer = self._dealer
        assert dealer is not None
        self._since_s = self._since_s or time.monotonic()
        if not self._asked:
            if dealer.poll(wait * 1000, zmq.POLLOUT):
                self._question(order, dealer)
            elif time.monotonic() - self._since_s > CONNECT_S:
                self._hang_up()
            return
        while dealer.poll(wait * 1000):
            message = _decoded(dealer.recv())
            if message is None:
                continue
            if "payload" in message:
                self._portion.append(message)
            elif message.get("request") == self._request:
                self._asked, self._since_s = False, 0.0
                self._answered(order, message)
                return
        if time.monotonic() - self._since_s > ANSWER_S:
            self._hang_up()

    def _dial(self) -> bool:
        try:
            control = self._place.endpoints().control
            self._dealer = context().socket(zmq.DEALER)
            self._dealer.linger = 0
            self._dealer.immediate = True  # nothing waits for a peer that is not there
            self._dealer.setsockopt(zmq.RECONNECT_IVL, -1)
            self._place.secure(self._dealer, control)
            self._dealer.connect(control)
        except (HeadgateError, zmq.ZMQError):
            self._hang_up()
            return False
        return True

    def _question(self, order: Order, dealer: "zmq.Socket[bytes]") -> None:
        self._request += 1
        self._portion: List[Message] = []
        try:
            dealer.send(msgpack.packb({"v": 1, "type": "REPLAY", "request": self._request, "after": order.reached,
                                       "topics": ",".join(self._topics)}), zmq.DONTWAIT)
        except zmq.Again:  # it has just gone
            self._hang_up()
            return
        self._asked, self._since_s = True, time.monotonic()

    def _answered(self, order: Order, report: Message) -> None:
        if report["type"] == "COMMAND_DONE":
            error = error_of(report)
            if error.name in ("HG_ERR_INVALID", "HG_ERR_PROTOCOL"):
                raise error
            self._hang_up()  # it is busy, or stops
            time.sleep(0.1)
            return
        if report["oldest"]:
            gone = EventsGone(f"rows before {report['oldest']} are no longer kept", 23)
            gone.oldest = report["oldest"]
            raise gone
        if report["count"] != len(self._portion):
            return  # some of it was lost: once more
        self._ready.extend(order.told_again(self._portion, report["reached"]))
        self._behind = report["reached"] < max(order.goal, report["newest"])


def _decoded(frame: bytes) -> Optional[Message]:
    try:
        found = msgpack.unpackb(frame)
        return found if isinstance(found, dict) and "type" in found else None
    except (ValueError, msgpack.UnpackException):
        return None
