#!/usr/bin/env python3
"""headgate watch and the subscribers of examples/, against a real runtime and against a bus that says anything.

usage: test_watch.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import contextlib
import fcntl
import json
import os
import pathlib
import pty
import random
import re
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import time

from cli_harness import (HEADGATE, SOURCE, WAIT_S, Follower, Runtime, Skipped, checked, control_endpoint, equal,
                         events_endpoint, headgate, main, place, runtime, status, watch)

try:
    import msgpack
    import zmq
except ImportError:
    msgpack = zmq = None


# ------------------------------------------------------------------------------------------------------------ watch

def test_watch_prints_each_event_as_a_line_of_json():
    with place() as here, runtime(here.config) as served:
        with watch(events_endpoint(here), "--json") as follower:
            served.tell("record 1000 one", "record 2000 two")
            permit = served.acquire("acquire 500 three")
            served.tell(f"settle {permit} 400", "correct -100")
            follower.until(lambda: "USAGE_CORRECTED" in follower.types(), "the correction")
            equal(follower.end(signal.SIGINT), 0)
            events = follower.events()
            equal([e["type"] for e in events],
                  ["USAGE_RECORDED", "USAGE_RECORDED", "TOKENS_RESERVED", "TASK_STARTED", "TOKENS_SETTLED",
                   "TASK_FINISHED", "USAGE_CORRECTED"])
            equal([e["seq"] for e in events], list(range(events[0]["seq"], events[0]["seq"] + 7)))
            equal((events[0]["payload"]["taskId"], events[0]["payload"]["usedDelta"]), ("one", 1000))
            equal(events[1]["prev"], events[0]["seq"])
            equal(sum(e["payload"].get("usedDelta", 0) for e in events), 3300)
            equal({e["budget"] for e in events if e["type"] != "RUNTIME_STARTED"}, {"default"})
            equal(follower.notes, [f"headgate watch: following {events_endpoint(here)}"])


def test_watch_ends_with_the_runtime_that_it_found():
    with place() as here:
        served = Runtime(here.config)
        with watch("--config", here.config, "--json") as follower, watch("--ledger", here.ledger, "--topics",
                                                                         "USAGE_RECORDED") as other:
            served.tell("record 5")
            served.end()
            equal((follower.end(), other.end()), (0, 0))
            equal(follower.types()[0], "USAGE_RECORDED")
            equal(follower.types()[-1], "RUNTIME_STOPPED")
            equal(len(other.lines), 1)
            for each in (follower, other):
                assert "the runtime has ended" in each.notes[-1], each.notes
    with place() as here:
        _, err = headgate("watch", "--config", here.config, code=1)
        assert "no runtime" in err, err


def test_watch_follows_an_endpoint_over_restarts():
    with place() as here:
        served = Runtime(here.config)
        with watch(events_endpoint(here), "--json") as follower:
            served.end()
            follower.until(lambda: "RUNTIME_STOPPED" in follower.types(), "the stop")
            with runtime(here.config) as again:
                def heard_again():
                    again.tell("record 1")
                    return "USAGE_RECORDED" in follower.types()
                deadline = time.monotonic() + WAIT_S
                while not heard_again():
                    assert time.monotonic() < deadline, follower.notes
                    time.sleep(0.05)
            equal(follower.end(signal.SIGTERM), 0)


def test_no_event_is_published_before_it_is_stored():
    """kill -9 while events flow: the ledger has every one that anybody heard of."""
    with place(limit=10_000_000) as here:
        for round_ in range(3):
            served = Runtime(here.config)
            with watch(events_endpoint(here), "--json") as follower:
                served.process.stdin.write("record 1\n" * 8000)
                served.process.stdin.flush()
                wanted = random.randrange(1, 3000)
                follower.until(lambda: len(follower.lines) >= wanted, f"event {wanted}")
                served.process.kill()
                served.process.wait()
                follower.note("nothing is heard")  # what was under way has come
                heard = checked(json.loads(follower.lines[-1]))["seq"]
            with contextlib.closing(sqlite3.connect(here.ledger)) as db:
                [(stored,)] = db.execute("SELECT max(seq) FROM journal")
            assert stored >= heard, (round_, stored, heard)


def test_watch_by_topics():
    with place(limit=1000) as here, runtime(here.config) as served:
        with watch("--config", here.config, "--json", "--topics", "CONCURRENCY_THROTTLED,CONCURRENCY_RESTORED") as follower:
            served.tell("record 905", "correct -100")
            follower.until(lambda: len(follower.lines) == 2, "two events")
            throttled, restored = follower.events()
            equal(throttled["payload"], {"from": 4, "to": 1, "usagePercent": 90.5})
            equal(restored["payload"], {"from": 1, "to": 4, "usagePercent": 80.5})
            equal(follower.end(signal.SIGINT), 0)


def test_watch_for_people():
    with place() as here, runtime(here.config) as served:
        with watch("--config", here.config) as follower:
            served.tell("record 12345 evil\x1b[2Jname")
            follower.until(lambda: follower.lines, "a line")
            line = follower.lines[0]
            assert re.match(r"\d\d:\d\d:\d\d\.\d\d\d USAGE_RECORDED +default ", line), line
            for part in ("taskId evil?[2Jname", "usedDelta +12,345", "used 12,345", "limit 200,000"):
                assert part in line, line
            assert "HEARTBEAT" not in line and "cachedTokens" not in line and "\x1b" not in line


def test_watch_says_when_nothing_is_heard():
    with place() as here, runtime(here.config) as served:
        with watch(events_endpoint(here), "--json") as follower:
            os.kill(served.process.pid, signal.SIGSTOP)
            try:
                follower.note("nothing is heard")
            finally:
                os.kill(served.process.pid, signal.SIGCONT)
            follower.note("heard again")
            served.tell("record 1")
            follower.until(lambda: follower.lines, "an event")
            equal(sum("nothing is heard" in note for note in follower.notes), 1)
        with watch(f"ipc://{here.folder}/nobody.ipc", live=False) as follower:
            follower.note("nothing is heard")
            equal(follower.end(signal.SIGINT), 0)


def test_watch_begins_with_an_earlier_row():
    with place() as here:
        first = Runtime(here.config)
        first.tell(*(f"record {number} first" for number in range(1, 400)))
        first.end()
        with runtime(here.config) as served:
            served.tell("record 7 second")
            with watch("--config", here.config, "--json", "--from", "1") as all_rows, \
                    watch("--config", here.config, "--json", "--from", "300") as late, \
                    watch("--ledger", here.ledger, "--json", "--from", "1", "--topics",
                          "RUNTIME_STARTED,RUNTIME_STOPPED") as lives:
                for number in range(20):
                    served.tell(f"record {number} third")
                served.tell("correct -3")
                for follower in (all_rows, late):
                    follower.until(lambda: "USAGE_CORRECTED" in follower.types(), "the correction")
                for follower in (all_rows, late, lives):
                    equal(follower.end(signal.SIGINT), 0)
            events = all_rows.events()
            equal([event["seq"] for event in events], list(range(1, len(events) + 1)))
            equal([event["payload"]["taskId"] for event in events if event["type"] == "USAGE_RECORDED"],
                  ["first"] * 399 + ["second"] + ["third"] * 20)
            equal(late.events(), events[299:])
            equal(lives.events(), [event for event in events if event["type"].startswith("RUNTIME_")])
            equal(len(lives.lines), 3)


class Printed:
    """watch with its output in a file."""

    def __init__(self, folder, name, *arguments):
        self.path = pathlib.Path(folder, name)
        with open(self.path, "w") as out:
            self.process = subprocess.Popen([HEADGATE, "watch", *map(str, arguments)], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=subprocess.PIPE, text=True)
        assert "following" in self.process.stderr.readline()
        self.seqs, self.rest, self.file = [], "", open(self.path)

    def read(self):
        for line in self.file:
            line = self.rest + line
            self.rest = "" if line.endswith("\n") else line
            if not self.rest:
                self.seqs.append(int(re.search(r'"seq":(\d+)', line)[1]))
        return self.seqs

    def until(self, seq):
        deadline = time.monotonic() + 4 * WAIT_S
        while not self.read() or self.seqs[-1] < seq:
            assert time.monotonic() < deadline, f"{self.path.name}: row {seq} did not come: {len(self.seqs)} {self.seqs[-3:]}"
            time.sleep(0.05)

    def end(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGINT)
        notes = self.process.communicate(timeout=WAIT_S)[1]
        self.read()
        self.file.close()
        return notes


# More than waits for a subscriber that does not read: HG_EVENTS_HWM on each side, and what the system keeps between.
MANY = 260_000


def remote(where):
    """As from another machine: where the events are and where commands are taken, and no file."""
    return events_endpoint(where), "--control", control_endpoint(where)


def test_watch_repairs_a_loss_that_no_later_event_shows():
    wanted = {"all": None, "one": ["USAGE_RECORDED"], "some": ["USAGE_RECORDED", "USAGE_CORRECTED", "AUDIT_DONE"],
              "remote": None}
    with place(limit=10_000_000) as here:
        with runtime(here.config) as served:
            followers = [Printed(here.folder, name, *(remote(here) if name == "remote" else ["--config", here.config]),
                                 "--json", *(["--topics", ",".join(topics)] if topics else []))
                         for name, topics in wanted.items()]
            try:
                served.tell("record 1")
                for follower in followers:
                    follower.until(1)
                    os.kill(follower.process.pid, signal.SIGSTOP)
                served.tell(f"burst {MANY}", "correct -1", "burst 1000")
                newest = status("--config", here.config)["seq"]
                for follower in followers:
                    os.kill(follower.process.pid, signal.SIGCONT)
                    follower.until(newest - 2)  # the audit after the start has a row somewhere
                served.tell("record 1", "record 1", "record 1")  # and goes on
                for follower in followers:
                    follower.until(newest + 1)
            finally:
                notes = [follower.end() for follower in followers]
        equal(notes, [""] * 4)
        with contextlib.closing(sqlite3.connect(here.ledger)) as db:
            journal = db.execute("SELECT seq, event FROM journal ORDER BY seq").fetchall()
        for follower, topics in zip(followers, wanted.values()):
            expected = [seq for seq, kind in journal if follower.seqs[0] <= seq <= follower.seqs[-1]
                        and (not topics or kind in topics)]
            at = next((i for i, pair in enumerate(zip(follower.seqs, expected)) if pair[0] != pair[1]), None)
            assert follower.seqs == expected, (follower.path.name, len(follower.seqs), len(expected), at)


def test_watch_repairs_over_a_kill():
    """What was written while watch was stopped, by a runtime that is dead by now, is told by the next one."""
    with place(limit=10_000_000) as here:
        first = Runtime(here.config)
        followers = [Printed(here.folder, name, *found, "--json", "--from", "1")
                     for name, found in (("found", ["--config", here.config]), ("remote", remote(here)))]
        try:
            first.tell("record 1")
            for follower in followers:
                follower.until(2)
                os.kill(follower.process.pid, signal.SIGSTOP)
            first.tell("burst 5000", "record 1")
            first.kill()
            with runtime(here.config) as again:
                for follower in followers:
                    os.kill(follower.process.pid, signal.SIGCONT)
                again.tell("burst 5000")
                newest = status("--config", here.config)["seq"]
                for follower in followers:
                    follower.until(newest)
        finally:
            notes = [follower.end() for follower in followers]
        for follower in followers:
            equal(follower.seqs == list(range(1, follower.seqs[-1] + 1)), True, "every row once and in order:")
        assert newest > 10_000, notes


def test_watch_refuses():
    with place() as here:
        for arguments, part in ((["--from", "0"], "from 1 on"), (["--from", "x"], "from 1 on"),
                                (["--from", "1", "ipc://x"], "--control"), (["--control", "ipc://x"], "belongs to an ENDPOINT"),
                                (["ipc://x", "--control", "x"], "ipc://PATH"), (["somewhere"], "ipc://PATH"),
                                (["http://127.0.0.1:80"], "tcp://HOST:PORT"), (["ipc://"], "ipc://"),
                                (["tcp://nonsense"], "cannot connect"), (["ipc:///" + "x" * 200], "cannot connect"),
                                (["--topics", "TASK_STARTD"], "TASK_STARTED"), (["--topics", ""], "no event"),
                                (["--topics", "STATUS"], "no event"), (["ipc://x", "--config", here.config], "not both"),
                                (["ipc://x", "ipc://y"], "one endpoint"), (["--no-such"], "usage:")):
            _, err = headgate("watch", *arguments, code=2)
            assert part in err, (arguments, err)


def test_watch_ends_quietly_when_its_reader_goes_away():
    with place() as here, runtime(here.config) as served:
        command = [HEADGATE, "watch", "--json", events_endpoint(here)]
        follower = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert "following" in follower.stderr.readline()
            served.tell("record 1")
            assert checked(json.loads(follower.stdout.readline()))["type"] == "USAGE_RECORDED"
            follower.stdout.close()
            equal(follower.wait(WAIT_S), 0)
            equal(follower.stderr.read(), "")
        finally:
            follower.kill()
            follower.wait()
            follower.stderr.close()


@contextlib.contextmanager
def publisher(folder):
    """A bus of our own, which can say anything."""
    if not zmq:
        raise Skipped("python3 has no zmq or no msgpack")
    context = zmq.Context()
    socket = context.socket(zmq.XPUB)
    endpoint = f"ipc://{folder}/said.ipc"
    socket.bind(endpoint)
    try:
        yield socket, endpoint
    finally:
        socket.close(0)
        context.term()


def event(kind, seq, prev, ledger="L1", **payload):
    body = {"v": 1, "type": kind, "ledgerId": ledger, "seq": seq, "prev": prev, "at": 1763894400123456,
            "budget": "default", "payload": payload}
    return [kind.encode(), msgpack.packb(body)]


def test_watch_tells_a_gap():
    with place() as here, publisher(here.folder) as (socket, endpoint):
        follower = Follower(HEADGATE, "watch", "--json", endpoint)
        assert socket.recv()[:1] == b"\x01"  # subscribed
        story = [event("TASK_STARTED", 10, 4), event("TASK_FINISHED", 11, 3), event("TASK_STARTED", 12, 10),
                 event("TASK_STARTED", 20, 15),                 # missed: 13 to 15
                 event("TASK_FINISHED", 21, 11),                # not missed: its topic has no gap
                 event("STORE_DEGRADED", None, None),           # a notice
                 event("TASK_STARTED", 900, 800, ledger="L2"),  # another ledger counts for itself
                 event("FROM_THE_FUTURE", 901, 1),
                 event("TASK_STARTED", 902, 901, ledger="L2")]  # missed
        for frames in story:
            socket.send_multipart(frames)
        follower.until(lambda: len(follower.lines) == len(story), "all events")
        equal([(e["type"], e["seq"]) for e in map(json.loads, follower.lines)],
              [(f[0].decode(), msgpack.unpackb(f[1])["seq"]) for f in story])
        equal(follower.end(signal.SIGINT), 0)
        missed = [note for note in follower.notes if "missed" in note]
        equal(missed, ["headgate watch: missed events of TASK_STARTED after seq 12, up to seq 15",
                       "headgate watch: missed events of TASK_STARTED after seq 900, up to seq 901"])


def test_watch_survives_what_is_no_event():
    with place() as here, publisher(here.folder) as (socket, endpoint):
        follower = Follower(HEADGATE, "watch", endpoint)
        assert socket.recv()[:1] == b"\x01"
        socket.send_multipart([b"TASK_STARTED"])
        socket.send_multipart([b"TASK_STARTED", b""])
        socket.send_multipart([b"TASK_STARTED", b"\xdd\x10\x00\x00\x00"])
        socket.send_multipart([b"TASK_STARTED", msgpack.packb([1, 2])])
        socket.send_multipart([b"TASK_STARTED", b"x", b"y"])
        socket.send_multipart([b"TASK_STARTED", msgpack.packb({"type": "TASK_STARTED", "deep": [[[[[[[[[[]]]]]]]]]]})])
        socket.send_multipart(event("TASK_FAILED", 5, 0, taskId="t", reason="\x9b31m\r\n" + "z" * 6000, attempt=2))
        follower.until(lambda: follower.lines, "the event")
        equal(follower.end(signal.SIGINT), 0)
        equal(len(follower.lines), 1)
        assert "TASK_FAILED" in follower.lines[0] and "attempt 2" in follower.lines[0]
        assert not re.search("[\x00-\x1f\x7f-\x9f]", follower.lines[0]), follower.lines[0]
        assert sum("not an event" in note for note in follower.notes) >= 3, follower.notes


# -------------------------------------------------------------------------------------------------- the live screen

class Terminal:
    """watch at a pseudo terminal; what it draws, as the rows of the screen."""

    def __init__(self, *arguments, columns=100, rows=24, locale="C.UTF-8", **environment):
        try:
            self.master, slave = pty.openpty()
        except OSError as error:
            raise Skipped(f"there is no terminal to be had: {error}") from error
        self.resize(columns, rows)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen([HEADGATE, "watch", *map(str, arguments)], stdin=slave, stdout=slave,
                                        stderr=subprocess.PIPE, start_new_session=True, text=True,
                                        env={**os.environ, "LC_ALL": locale, "TERM": "xterm", "NO_COLOR": "",
                                             **environment})
        self.output = ""

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, timeout):
        if select.select([self.master], [], [], timeout)[0]:
            self.output += os.read(self.master, 65536).decode(errors="replace")
            return True
        return False

    def screen(self):
        """The newest whole picture: each begins at the top left and draws each row anew."""
        pictures = self.output.split("\x1b[H")
        return [re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", row) for row in pictures[-1].replace("\r", "").split("\n")]

    def until(self, holds, about):
        deadline = time.monotonic() + WAIT_S
        while not holds(self.screen()):
            assert time.monotonic() < deadline and self.process.poll() is None, (about, self.screen())
            self.read(0.1)

    def end(self, signal_number=None, key=None):
        """Its exit code and stderr, once the terminal is as it was."""
        if signal_number:
            self.process.send_signal(signal_number)
        if key:
            os.write(self.master, key)
        deadline = time.monotonic() + WAIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            self.read(0.1)
        while self.read(0):
            pass
        equal(termios.tcgetattr(self.slave), self.before, "the terminal's modes:")
        equal(self.output.count("\x1b[?1049h"), self.output.count("\x1b[?1049l"), "the alternate screen:")
        equal(self.output.count("\x1b[?25l"), self.output.count("\x1b[?25h"), "the cursor:")
        os.close(self.slave)
        os.close(self.master)
        err = self.process.stderr.read()
        self.process.stderr.close()
        return self.process.returncode, err


def has(*parts):
    return lambda rows: all(any(part in row for row in rows) for part in parts)


def test_watch_draws_a_live_screen_at_a_terminal():
    with place(limit=1000) as here, runtime(here.config) as served:
        screen = Terminal("--config", here.config)
        screen.until(has("concurrency 4 of 4", "limit 1,000", "following"), "a first picture")
        served.tell("record 905 evil\x1b[2Jname")
        screen.until(has("used 905", "90.50 %", "1 of 4 (throttled)", "CONCURRENCY_THROTTLED", "evil?[2Jname"),
                     "the throttle")
        permit = served.acquire("acquire 5 t")
        served.tell("start 5 waits")
        screen.until(has("1 running", "1 waiting", "reserved 5", "█", "─"), "the queue")
        equal(len(screen.screen()), 24)
        screen.resize(40, 10)
        screen.until(lambda rows: len(rows) == 10 and "905 + 5 of 1,000" in rows[2], "the small screen")
        assert all(len(row) <= 40 for row in screen.screen()), screen.screen()
        served.tell(f"release {permit}")
        os.kill(served.process.pid, signal.SIGSTOP)
        try:
            screen.until(has("▲ nothing is heard"), "the silence")
        finally:
            os.kill(served.process.pid, signal.SIGCONT)
        screen.until(lambda rows: not has("▲")(rows), "that it is heard again")
        assert "\x1b[1m" in screen.output
        equal(screen.end(key=b"q"), (0, ""))


def test_watch_gives_the_terminal_back():
    with place() as here:
        with runtime(here.config):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                screen = Terminal("--config", here.config, locale="C", NO_COLOR="1")
                screen.until(has("4 of 4 - 0 running"), "a picture in ASCII")
                assert screen.output.isascii() and not re.search("\x1b\\[[0-9;]*[1-9]m", screen.output), screen.output
                equal(screen.end(number), (0, ""))
            screen = Terminal("--config", here.config)
            screen.until(has("concurrency 4 of 4"), "a picture")
            screen.process.send_signal(signal.SIGTSTP)
            os.waitid(os.P_PID, screen.process.pid, os.WSTOPPED)
            while screen.read(0.1):
                pass
            assert screen.output.endswith("\x1b[?1049l"), screen.output[-50:]
            equal(termios.tcgetattr(screen.slave), screen.before)
            screen.process.send_signal(signal.SIGCONT)
            drawn = screen.output.count("\x1b[H")
            screen.until(lambda _: screen.output.count("\x1b[H") > drawn, "another picture")
        code, err = screen.end()
        equal((code, "the runtime has ended" in err), (0, True))
        assert "limit 200,000" in screen.output.rpartition("\x1b[?1049l")[2], "the last figures are left behind"


def test_watch_prints_lines_at_a_terminal_when_asked_to():
    with place() as here, runtime(here.config) as served:
        for arguments, environment in ((["--plain"], {}), (["--json"], {}), ([], {"TERM": "dumb"})):
            screen = Terminal("--config", here.config, *arguments, **environment)
            assert "following" in screen.process.stderr.readline()
            served.tell("record 7")
            screen.until(has("USAGE_RECORDED"), "the event")
            assert "\x1b" not in screen.output, screen.output
            equal(screen.end(signal.SIGINT), (0, ""))


def test_watch_draws_what_an_endpoint_says():
    with place(limit=1000) as here, runtime(here.config) as served:
        screen = Terminal(events_endpoint(here))
        screen.until(has("following", "usage is not known yet"), "a first picture")
        served.tell("record 905")
        screen.until(has("used 905", "limit 1,000", "concurrency 1 of 4"), "the figures of the events")
        equal(screen.end(signal.SIGINT), (0, ""))


# ------------------------------------------------------------------------------------------------------ subscribers

def check_subscriber(*command):
    with place() as here, runtime(here.config) as served:
        with watch(events_endpoint(here), "--json") as reference:
            follower = Follower(*command, events_endpoint(here))
            try:
                deadline = time.monotonic() + WAIT_S
                while not follower.lines:  # a subscription takes a moment to arrive
                    assert time.monotonic() < deadline and follower.process.poll() is None, follower.notes
                    served.tell("record 1")
                served.tell("record 1000 last")
                permit = served.acquire("acquire 10 t")
                served.tell(f"settle {permit} 10")
                follower.until(lambda: "TASK_FINISHED" in follower.types(), "the last event")
                reference.until(lambda: "TASK_FINISHED" in reference.types(), "the last event")
            finally:
                follower.process.kill()
                follower.end()
            # The runtime's own audit may come at any time behind it.
            heard, known = (each.events()[:each.types().index("TASK_FINISHED") + 1] for each in (follower, reference))
            equal(heard, known[-len(heard):], "the same events as watch prints:")
            assert len(heard) >= 5


def test_python_subscriber():
    if not zmq:
        raise Skipped("python3 has no zmq or no msgpack")
    script = SOURCE / "examples" / "subscribe.py"
    code = [line for line in script.read_text().splitlines() if line.strip() and not line.startswith(("#", '"""'))]
    assert len(code) <= 15, f"{len(code)} lines of code"
    check_subscriber(sys.executable, script)


def test_node_subscriber():
    modules = pathlib.Path(os.environ.get("HEADGATE_NODE_MODULES", SOURCE / "node_modules"))
    node = shutil.which("node")
    if not node or not (modules / "zeromq").is_dir() or not (modules / "@msgpack" / "msgpack").is_dir():
        raise Skipped("no node, or no zeromq and @msgpack/msgpack in node_modules (HEADGATE_NODE_MODULES)")
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        os.symlink(modules.resolve(), pathlib.Path(folder, "node_modules"))
        shutil.copy(SOURCE / "examples" / "subscribe.mjs", folder)
        check_subscriber(node, pathlib.Path(folder, "subscribe.mjs"))


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
