"""What the tests of outside clients share: the control socket by hand, everything held against the schemas."""
import contextlib
import json

from cli_harness import SOURCE, WAIT_S, Skipped, checked

try:
    import jsonschema
    import msgpack
    import zmq
except ImportError:
    jsonschema = msgpack = zmq = None


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
            message = msgpack.unpackb(socket.recv())
            return checked(message, "events" if "payload" in message else "commands")

        def send(command):
            socket.send(command if isinstance(command, bytes) else msgpack.packb(checked(command, "commands")))

        def ask(command):
            send(command)
            return receive()
        yield ask, receive, send
