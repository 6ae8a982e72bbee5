"""What the tests of the clients share: the Python client, and where the Node client can run."""
import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import sys
import tempfile

from cli_harness import SOURCE, WAIT_S, Follower, Runtime, Skipped, checked, runtime
from test_doors import keyed_place

CLIENTS = SOURCE / "clients"
sys.path.insert(0, str(CLIENTS / "python"))
try:
    import headgate as hg
    from headgate import _connection, _events
except ImportError:
    hg = None

wrong = []  # what was sent or heard and is not what its schema says


def _judge(message):
    try:
        checked(message, "events" if "payload" in message else "commands")
    except AssertionError as problem:
        wrong.append(str(problem))


def _judged(kind, name, position):
    original = getattr(kind, name)

    def method(self, *arguments):
        _judge(arguments[position])
        return original(self, *arguments)
    setattr(kind, name, method)


def _judged_frame(decode):
    def decoded(frame):
        message = decode(frame)
        if message:
            _judge(message)
        return message
    return decoded


if hg:
    _judged(_connection.Connection, "_answered", 1)
    _judged(_connection.Connection, "_send", 0)
    _events._decoded = _judged_frame(_events._decoded)


def python_client():
    if not hg:
        raise Skipped("python3 has no zmq or no msgpack")
    return hg


@contextlib.contextmanager
def connected(where, **options):
    with python_client().connect(config=where.config, **options) as client:
        yield client
    assert not wrong, wrong


@contextlib.contextmanager
def lives(config):
    """A runtime that a test may kill and start again: [runtime]."""
    now = [Runtime(config)]
    try:
        yield now
    finally:
        if now[0].process.poll() is None:
            now[0].kill()


def killed(now, config):
    now[0].kill()
    now[0] = Runtime(config)


@contextlib.contextmanager
def keyed():
    """A runtime that can be reached over tcp by one key: its place, it, its endpoints, and the keys of all."""
    with keyed_place(host="127.0.0.1") as (here, (events, control), keys), runtime(here.config) as served:
        yield here, served, events, control, {name: public for name, (public, _) in keys.items()}


def reported(kind, optional, **other):
    """The fields of an answer and their types as its schema has them; `optional` is the type of what may be null."""
    types = {"flag": bool, "text": str, "percent": float, "optional": optional}
    fields = json.loads((SOURCE / "schemas" / "commands.schema.json").read_text())["$defs"][kind]["properties"]
    found = {name: types.get(field["$ref"].rpartition("/")[2], int) for name, field in fields.items()
             if name not in ("v", "type", "request")}
    return {**found, **other}


REPORTS = {"Usage": "STATUS_REPORT", "Budget": "SNAPSHOT_BUDGET", "Snapshot": "SNAPSHOT_REPORT"}


def journal(where, columns="seq, event", condition="1"):
    """Of a ledger that no runtime holds."""
    with contextlib.closing(sqlite3.connect(where.ledger)) as db:
        return db.execute(f"SELECT {columns} FROM journal WHERE {condition} ORDER BY seq").fetchall()


def python_program(code, *arguments):
    """A process of its own with the client as `headgate`."""
    env = {**os.environ, "PYTHONPATH": str(CLIENTS / "python")}
    return Follower(sys.executable, "-u", "-c", code, *arguments, env=env)


@contextlib.contextmanager
def node_program(code, *arguments):
    """As python_program, with `headgate` as its package is called."""
    node = shutil.which("node")
    modules = [pathlib.Path(path) for path in (os.environ.get("HEADGATE_NODE_MODULES"), SOURCE / "node_modules",
                                               CLIENTS / "node" / "node_modules") if path]
    found = [path for path in modules if (path / "zeromq").is_dir() and (path / "@msgpack" / "msgpack").is_dir()]
    if not node or not found:
        raise Skipped("no node, or no zeromq and @msgpack/msgpack (npm install --prefix clients/node, "
                      "or HEADGATE_NODE_MODULES)")
    with tempfile.TemporaryDirectory(prefix="hg-node-") as folder:
        package = pathlib.Path(folder, "node_modules", "headgate")
        shutil.copytree(CLIENTS / "node", package, ignore=shutil.ignore_patterns("node_modules"))
        for name in os.listdir(found[0]):
            if name != "headgate":
                os.symlink((found[0] / name).resolve(), package.parent / name)
        script = pathlib.Path(folder, "program.mjs")
        script.write_text(code)
        follower = Follower(node, script, *arguments)
        try:
            yield follower
        finally:
            if follower.process.poll() is None:
                follower.process.kill()
            follower.end()


def ended(follower, code=0):
    found = follower.process.wait(WAIT_S)
    follower.end()
    assert found == code, f"exit {found}: {follower.lines[-20:]} {follower.notes[-20:]}"
