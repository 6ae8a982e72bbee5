"""What the tests of outside clients share: the control socket by hand, everything held against the schemas."""
import contextlib
import json
import time

from cli_harness import SOURCE, WAIT_S, Skipped, checked, equal

try:
    import jsonschema
    import msgpack
    import zmq
except ImportError:
    jsonschema = msgpack = zmq = None


ERRORS = {"BUSY": 8, "TIMEOUT": 9, "CANCELLED": 10, "CLOSED": 11, "UNKNOWN_BUDGET": 13, "BUDGET_EXHAUSTED": 14, "INVALID": 1,
          "UNKNOWN_PERMIT": 16, "CONFLICT": 17, "NO_USAGE": 21, "RANGE": 15}


def schema_of(name):
    if not zmq:
        raise Skipped("python3 has no zmq, no msgpack or no jsonschema")
    return json.loads((SOURCE / "schemas" / f"{name}.schema.json").read_text())


@contextlib.contextmanager
def control(where):
    """ask: sends a frame, or a command that is valid, and receives an answer that is; receive; send."""
    schema_of("commands")
    endpoint = json.loads((where.folder / "headgate.db.lock").read_text())["control"]
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger, socket.rcvtimeo = 0, WAIT_S * 1000
        socket.sndhwm = socket.rcvhwm = 0
        socket.connect(endpoint)

        def receive():
            receive.frame = socket.recv()
            message = msgpack.unpackb(receive.frame)
            return checked(message, "events" if "payload" in message else "commands")

        def send(command):
            socket.send(command if isinstance(command, bytes) else msgpack.packb(checked(command, "commands")))

        def ask(command):
            send(command)
            return receive()
        yield ask, receive, send


class Asker:
    """One connection; requests count up."""

    def __init__(self, line):
        self.ask_raw, self.receive, self.send_raw = line
        self.request = 0

    def send(self, kind, **fields):
        self.request += 1
        self.send_raw({"v": 1, "type": kind, "request": self.request, **fields})
        return self.request

    def ask(self, kind, **fields):
        request = self.send(kind, **fields)
        found = self.receive()
        equal(found["request"], request, found)
        return found

    def done(self, kind, error=None, **fields):
        found = self.ask(kind, **fields)
        equal((found["type"], found["error"]), ("COMMAND_DONE", ERRORS[error] if error else 0), found)
        return found

    def acquire(self, tokens, **fields):
        found = self.ask("ACQUIRE_PERMIT", maxTokens=tokens, **fields)
        equal((found["type"], found["tokens"]), ("PERMIT_GRANTED", tokens), found)
        return found["permit"]


def until(holds, about):
    """Waits for what another process does by itself."""
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end, f"{about} did not come"
        time.sleep(0.02)
