"""Where a runtime is: an endpoint that is named, or the lock file beside a ledger."""
import dataclasses
import json
import os
import pathlib
import re
import threading
from typing import Any, Dict, Optional, Union

import zmq

from ._errors import HeadgateError, NoRuntime

Path = Union[str, "os.PathLike[str]"]

_contexts: Dict[int, "zmq.Context[zmq.Socket[bytes]]"] = {}
_one_at_a_time = threading.Lock()


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

    def secure(self, socket: "zmq.Socket[bytes]") -> None:
        """Before the socket is connected."""
        if self.server_key and self.secret_key:
            socket.curve_secretkey = self.secret_key
            socket.curve_publickey = zmq.curve_public(self.secret_key)
            socket.curve_serverkey = self.server_key

    def __str__(self) -> str:
        return self.url or f"{self.ledger}.lock"


def secret_key_in(text: str) -> bytes:
    """The 40 characters of a key pair's secret one: behind `secret-key`, or the only key that the file has."""
    named = re.search(r"secret[-_ ]?key\W{1,8}?([^\s\"']{40})(?![^\s\"'])", text, re.IGNORECASE)
    alone = [word for word in re.split(r"[\s\"']+", text) if len(word) == 40]
    if named:
        return named.group(1).encode()
    if len(alone) == 1:
        return alone[0].encode()
    raise HeadgateError("the key file has no secret key of 40 characters", 2)


def ledger_of(config: pathlib.Path) -> pathlib.Path:
    try:
        found = json.loads(config.read_text(encoding="utf-8"))
        path = found.get("ledger", {}).get("path", "headgate.db")
    except (OSError, ValueError, AttributeError) as problem:
        raise HeadgateError(f"{config}: {problem}", 2) from problem
    return config.resolve().parent / path


def find(url: Optional[str], ledger: Optional[Path], config: Optional[Path], events_url: Optional[str],
         server_key: Optional[str], key_file: Optional[Path]) -> Place:
    environment = os.environ.get
    url = url or environment("HEADGATE_URL") or None
    server_key = server_key or environment("HEADGATE_SERVER_KEY") or None
    key_file = key_file or environment("HEADGATE_KEY_FILE") or None
    if server_key and not key_file:
        raise HeadgateError("a server key without a key file: set HEADGATE_KEY_FILE", 2)
    secret = None
    if server_key and key_file:
        try:
            secret = secret_key_in(pathlib.Path(key_file).read_text(encoding="utf-8"))
        except OSError as problem:
            raise HeadgateError(f"{key_file}: {problem}", 2) from problem
    if url is None:
        ledger = pathlib.Path(ledger).resolve() if ledger else ledger_of(pathlib.Path(config or "devs.config.json"))
    events_url = events_url or environment("HEADGATE_EVENTS_URL") or None
    return Place(url, events_url, None if url else pathlib.Path(str(ledger)),
                 server_key.encode() if server_key else None, secret)
