"""Where a runtime is: an endpoint that is named, or the lock file beside a ledger."""
import dataclasses
import functools
import json
import os
import pathlib
import re
import threading
from typing import Any, Dict, Optional, Tuple, Union

import zmq

from ._errors import HeadgateError, NoRuntime

Path = Union[str, "os.PathLike[str]"]

_contexts: Dict[int, "zmq.Context[zmq.Socket[bytes]]"] = {}
_one_at_a_time = threading.Lock()
Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def context() -> "zmq.Context[zmq.Socket[bytes]]":
    """One for a process, which lives as long: the collection of one whose sockets nobody closed would wait for them."""
    with _one_at_a_time:
        if os.getpid() not in _contexts:
            _contexts[os.getpid()] = zmq.Context()
        return _contexts[os.getpid()]


@dataclasses.dataclass(frozen=True)
class Endpoints:
    control: str
    events: Optional[str]  # None: as the runtime says


@dataclasses.dataclass(frozen=True)
class Place:
    """Found anew at each attempt to connect: a runtime that starts again may be elsewhere."""

    url: Optional[str] = None
    events_url: Optional[str] = None
    ledger: Optional[pathlib.Path] = None
    server_key: Optional[bytes] = None
    secret_key: Optional[bytes] = dataclasses.field(default=None, repr=False)

    def endpoints(self) -> Endpoints:
        if self.url:
            return Endpoints(self.url, self.events_url)
        lock = f"{self.ledger}.lock"
        try:
            with open(lock, encoding="utf-8") as file:
                found: Dict[str, Any] = json.load(file)
            return Endpoints(found["control"], self.events_url or found["events"])
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise NoRuntime(f"{lock} names none: start one with headgate serve") from problem

    def secure(self, socket: "zmq.Socket[bytes]", endpoint: str) -> None:
        """Before the socket is connected. Only tcp has keys: the system guards the file of ipc."""
        if is_tcp(endpoint) and self.server_key and self.secret_key:
            socket.curve_secretkey = self.secret_key
            socket.curve_publickey = zmq.curve_public(self.secret_key)
            socket.curve_serverkey = self.server_key

    def __str__(self) -> str:
        return self.url or f"{self.ledger}.lock"


def is_tcp(endpoint: str) -> bool:
    return endpoint.startswith("tcp://")


def is_key(text: str) -> bool:
    """In Z85 five digits are 32 bits, and a key has 256."""
    if len(text) != 40 or any(digit not in Z85 for digit in text):
        return False
    fives = (text[at:at + 5] for at in range(0, 40, 5))
    return all(functools.reduce(lambda sum_, digit: 85 * sum_ + Z85.index(digit), five, 0) < 2**32 for five in fives)


def secret_key_in(text: str) -> bytes:
    """The 40 characters of a key pair's secret one: behind `secret-key`, or the only key that the file has."""
    named = re.search(r"secret[-_ ]?key\W{1,8}?([^\s\"']{40})(?![^\s\"'])", text, re.IGNORECASE)
    found = [named.group(1)] if named else [word for word in re.split(r"[\s\"']+", text) if len(word) == 40]
    if len(found) != 1 or not is_key(found[0]):
        raise ValueError("there is no secret key of 40 characters")
    return found[0].encode()


def keys(server_key: Optional[str], key_file: Optional[Path]) -> Tuple[Optional[bytes], Optional[bytes]]:
    """The server's public one and our secret one."""
    if not server_key and not key_file:
        return None, None
    if not key_file:
        raise HeadgateError("a server key without a key file: set key_file (HEADGATE_KEY_FILE), too", 2)
    if not server_key:
        raise HeadgateError("a key file without a server key: set server_key (HEADGATE_SERVER_KEY), too", 2)
    if not is_key(server_key):
        raise HeadgateError("server_key (HEADGATE_SERVER_KEY) is no key: those have 40 characters, as headgate keygen "
                            "prints them", 2)
    if not zmq.has("curve"):
        raise HeadgateError("this pyzmq was built without CURVE, so it can't use keys", 2)
    try:
        return server_key.encode(), secret_key_in(pathlib.Path(key_file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise HeadgateError(f"key_file (HEADGATE_KEY_FILE) {key_file}: {problem}", 2) from None


def ledger_of(config: pathlib.Path) -> pathlib.Path:
    try:
        found = json.loads(config.read_text(encoding="utf-8"))
        path: str = found.get("ledger", {}).get("path", "headgate.db")
    except (OSError, ValueError, AttributeError) as problem:
        raise HeadgateError(f"{config}: {problem}", 2) from problem
    return config.resolve().parent / path


def find(url: Optional[str], ledger: Optional[Path], config: Optional[Path], events_url: Optional[str],
         server_key: Optional[str], key_file: Optional[Path]) -> Place:
    environment = os.environ.get
    url = url or environment("HEADGATE_URL") or None
    server, secret = keys(server_key or environment("HEADGATE_SERVER_KEY"),
                          key_file or environment("HEADGATE_KEY_FILE"))
    if url is None:
        ledger = pathlib.Path(ledger).resolve() if ledger else ledger_of(pathlib.Path(config or "devs.config.json"))
    events_url = events_url or environment("HEADGATE_EVENTS_URL") or None
    return Place(url, events_url, None if url else pathlib.Path(str(ledger)), server, secret)
