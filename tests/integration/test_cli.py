#!/usr/bin/env python3
"""The subcommands beside `run`: status, watch, limit, init, describe, against a real runtime on a real ledger.

usage: test_cli.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

try:
    import msgpack
    import zmq
except ImportError:
    msgpack = zmq = None

SOURCE = pathlib.Path(__file__).resolve().parents[2]
WAIT_S = 30
FIGURES = {"budget", "hardLimit", "totalUsed", "reserved", "remaining", "available", "usagePercent", "shouldThrottle",
           "throttled", "openPermits", "maxConcurrency", "effectiveConcurrency", "running", "waiting", "waitsFor",
           "waitsForThrottle", "needed", "seq", "live"}


class Skipped(Exception):
    pass


def equal(found, expected, about=""):
    assert found == expected, f"{about} found {found!r}, expected {expected!r}"


def headgate(*arguments, code=0, cwd=None, locale="C"):
    """Runs the program to its end; its stdout, or (stdout, stderr) where it is meant to fail."""
    done = subprocess.run([HEADGATE, *map(str, arguments)], capture_output=True, encoding="utf-8", timeout=WAIT_S,
                          cwd=cwd, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": locale})
    assert done.returncode == code, f"{arguments}: exit {done.returncode}: {done.stdout}{done.stderr}"
    return (done.stdout, done.stderr) if code else done.stdout


def status(*arguments):
    out = headgate("status", "--json", *arguments)
    equal(out.count("\n"), 1, "lines of JSON")
    return json.loads(out)


class Place:
    """A folder with a configuration whose ledger is in it."""

    def __init__(self, folder, limit=200000, **sections):
        self.folder = pathlib.Path(folder)
        self.config = self.folder / "devs.config.json"
        self.ledger = self.folder / "headgate.db"
        budget = {"hardLimitTokens": limit, **sections.pop("tokenBudget", {})}
        self.config.write_text(json.dumps({"tokenBudget": budget, **sections}))


@contextlib.contextmanager
def place(**sections):
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        yield Place(folder, **sections)


class Runtime:
    """serve_for_tests on a configuration; each command is answered by one line."""

    def __init__(self, config):
        self.process = subprocess.Popen([SERVE, str(config)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, bufsize=1)
        line = self.process.stdout.readline().strip()
        if line != "ready":
            raise AssertionError(f"the runtime did not start: {line} {self.process.communicate()[1]}")

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        return self.process.stdout.readline().strip()

    def tell(self, *commands):
        for command in commands:
            equal(self.ask(command), "HG_OK", command)

    def acquire(self, command):
        permit = self.ask(command)
        assert re.fullmatch("[0-9a-f]{16}", permit), f"{command}: {permit}"
        return permit

    def end(self):
        out, err = self.process.communicate(timeout=WAIT_S)
        assert self.process.returncode == 0 and out == "closed HG_OK\n", (self.process.returncode, out, err)

    def kill(self):
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def runtime(config):
    served = Runtime(config)
    try:
        yield served
        if served.process.poll() is None:
            served.end()
    finally:
        if served.process.poll() is None:
            served.kill()


class Follower:
    """A program that prints lines until it is told to stop; its output is read as it comes."""

    def __init__(self, *command):
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
        self.lines, self.notes, self.news = [], [], threading.Condition()
        self.readers = [threading.Thread(target=self._read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.notes))]
        for reader in self.readers:
            reader.start()

    def _read(self, stream, into):
        for line in stream:
            with self.news:
                into.append(line.rstrip("\n"))
                self.news.notify_all()

    def until(self, holds, about):
        with self.news:
            assert self.news.wait_for(holds, WAIT_S), f"{about} did not come: {self.lines} {self.notes}"

    def note(self, text, times=1):
        self.until(lambda: sum(text in note for note in self.notes) >= times, repr(text))

    def types(self):
        return [json.loads(line)["type"] for line in self.lines]

    def end(self, signal_number=None):
        if signal_number:
            self.process.send_signal(signal_number)
        code = self.process.wait(WAIT_S)
        for reader in self.readers:
            reader.join()
        return code


@contextlib.contextmanager
def watch(*arguments, live=True):
    follower = Follower(HEADGATE, "watch", *arguments)
    try:
        if live:
            follower.note("following ")
        yield follower
    finally:
        if follower.process.poll() is None:
            follower.process.kill()
            follower.end()


def events_endpoint(where):
    return f"ipc://{where.ledger}.d/events.ipc"


# ------------------------------------------------------------------------------------------------------------- init

def test_init_writes_a_configuration_that_is_accepted():
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        told = headgate("init", cwd=folder)
        assert "devs.config.json" in told and "hardLimitTokens" in told
        config = pathlib.Path(folder, "devs.config.json")
        written = json.loads(config.read_text())
        equal(set(written), {"_comment", "tokenBudget", "ledger", "scheduler", "eventBus", "llm"})
        explained = " ".join(written["_comment"])
        for section in ("tokenBudget", "ledger", "scheduler", "eventBus", "llm"):
            for field in written[section]:
                assert field in explained, f"{section}.{field} is not explained"
        _, err = headgate("status", cwd=folder, code=1)
        assert "no ledger" in err and "did you mean" not in err, err
        with runtime(config):
            equal(status("--config", config)["hardLimit"], written["tokenBudget"]["hardLimitTokens"])


def test_init_writes_over_nothing():
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        mine = pathlib.Path(folder, "mine.json")
        mine.write_text("precious")
        _, err = headgate("init", mine, code=2)
        assert "mine.json" in err and mine.read_text() == "precious"
        os.symlink(pathlib.Path(folder, "nowhere"), pathlib.Path(folder, "link"))
        headgate("init", pathlib.Path(folder, "link"), code=2)
        assert not pathlib.Path(folder, "nowhere").exists()
        headgate("init", pathlib.Path(folder, "no", "such", "folder.json"), code=2)
        headgate("init", mine, mine, code=2)
        headgate("init", "--no-such", code=2)


# ----------------------------------------------------------------------------------------------------------- status

def test_status_of_a_living_runtime():
    with place() as here, runtime(here.config) as served:
        served.tell("record 181000 one")
        permit = served.acquire("acquire 5000 two")
        found = status("--config", here.config)
        assert FIGURES <= set(found), FIGURES - set(found)
        expected = {"budget": "default", "hardLimit": 200000, "totalUsed": 181000, "reserved": 5000, "remaining": 19000,
                    "available": 14000, "usagePercent": 90.5, "shouldThrottle": True, "throttled": True,
                    "openPermits": 1, "maxConcurrency": 4, "effectiveConcurrency": 1, "running": 1, "waiting": 0,
                    "live": True}
        equal({name: found[name] for name in expected}, expected)
        assert found["seq"] > 0
        served.tell(f"settle {permit} 4000")
        found = status("--ledger", here.ledger)
        equal((found["totalUsed"], found["reserved"], found["live"]), (185000, 0, True))


def test_status_without_a_runtime_reads_the_ledger():
    with place() as here:
        with runtime(here.config) as served:
            served.tell("record 50000")
            live = status("--config", here.config)
        for source in (("--config", here.config), ("--ledger", here.ledger)):
            found = status(*source)
            equal((found["live"], found["running"], found["waiting"]), (False, 0, 0))
            for name in ("budget", "hardLimit", "totalUsed", "reserved", "remaining", "available", "usagePercent",
                         "shouldThrottle", "throttled"):
                equal(found[name], live[name], name)
            assert found["seq"] >= live["seq"]


def test_status_finds_the_configuration_of_the_folder():
    with place() as here:
        with runtime(here.config) as served:
            served.tell("record 7")
        out = headgate("status", "--json", cwd=here.folder)
        equal(json.loads(out)["totalUsed"], 7)


def test_status_after_a_kill_does_not_hang():
    with place() as here, runtime(here.config) as served:
        served.tell("record 1000")
        served.acquire("acquire 300")
        served.kill()
        assert pathlib.Path(f"{here.ledger}.d", "control.ipc").is_socket()
        found = status("--config", here.config)
        equal((found["live"], found["totalUsed"], found["reserved"], found["openPermits"]), (False, 1000, 300, 1))
        equal((found["remaining"], found["available"]), (199000, 198700))
        equal(status("--config", here.config), found, "reading changes nothing:")


def test_status_of_a_runtime_that_does_not_answer():
    with place() as here, runtime(here.config) as served:
        os.kill(served.process.pid, signal.SIGSTOP)
        try:
            _, err = headgate("status", "--config", here.config, code=1)
            assert f"pid {served.process.pid}" in err and "did not answer" in err, err
        finally:
            os.kill(served.process.pid, signal.SIGCONT)
        assert status("--config", here.config)["live"]


def test_status_of_a_budget():
    budgets = {"budgets": {"research": {"hardLimitTokens": 50000}}}
    with place(tokenBudget=budgets) as here:
        with runtime(here.config) as served:
            served.acquire("acquire 20000 t research")
            for budget, available in (("research", 30000), ("default", 180000)):
                found = status("--config", here.config, "--budget", budget)
                equal((found["budget"], found["reserved"], found["available"]), (budget, 20000, available))
            _, err = headgate("status", "--config", here.config, "--budget", "reserach", code=2)
            assert "reserach" in err, err
            served.kill()
        equal(status("--config", here.config, "--budget", "research")["reserved"], 20000)
        _, err = headgate("status", "--config", here.config, "--budget", "reserach", code=2)
        assert "reserach" in err, err


def test_status_for_people():
    with place() as here, runtime(here.config) as served:
        served.tell("record 101000", "concurrency 2", "start 60000 a", "start 50000 b")
        served.acquire("next")
        table = headgate("status", "--config", here.config)
        for part in ("200,000 tokens", "101,000 tokens", "99,000 tokens", "50.50 %", "at 90 %", "1 running of 2 at once",
                     "1 waiting", "tokens of budget default; needs 50,000, 39,000 available"):
            assert part in table, f"{part!r} is not in\n{table}"
        bar = re.search(r"\[(.*)\]", table).group(1)
        equal(bar, "#" * 25 + "+" * 15 + "." * 5 + "|" + "." * 5)
        fine = re.search(r"\[(.*)\]", headgate("status", "--config", here.config, locale="C.UTF-8")).group(1)
        equal(fine, bar.translate(str.maketrans("#+.|", "█▒░│")))
        served.kill()
        assert "no runtime is living" in headgate("status", "--config", here.config)


def test_status_says_what_is_wrong():
    with place() as here:
        _, err = headgate("status", "--config", here.config, code=1)
        assert "no ledger" in err and str(here.ledger) in err
        _, err = headgate("status", "--ledger", here.folder / "other.db", code=1)
        assert "other.db" in err
        foreign = here.folder / "text.db"
        foreign.write_text("this is a text and no database at all " * 100)
        _, err = headgate("status", "--ledger", foreign, code=4)
        assert "text.db" in err and foreign.read_text().startswith("this is a text")
        _, err = headgate("status", "--config", here.folder / "none.json", code=2)
        assert "none.json" in err
        (here.folder / "bad.json").write_text('{"tokenBudget": {}}')
        _, err = headgate("status", "--config", here.folder / "bad.json", code=2)
        assert "ConfigurationError" in err and "hardLimitTokens" in err
        _, err = headgate("status", "--config", here.config, "--ledger", here.ledger, code=2)
        assert "--ledger" in err
        headgate("status", "--no-such", code=2)
        headgate("status", "extra", "--config", here.config, code=2)
        here.config.unlink()
        _, err = headgate("status", cwd=here.folder, code=2)
        assert "--config" in err and "--ledger" in err
        assert not here.ledger.exists()


# ------------------------------------------------------------------------------------------------------------ limit

def test_limit_of_a_living_runtime_lets_the_queue_go_on():
    with place(limit=10000) as here, runtime(here.config) as served:
        first = served.acquire("acquire 9000 first")
        served.tell("start 8000 second")
        out = headgate("limit", "default", "20k", "--config", here.config)
        equal(out, "default: 10,000 → 20,000 tokens\n")
        served.acquire("next")
        equal(status("--config", here.config)["hardLimit"], 20000)
        served.tell(f"release {first}")


def test_limit_without_a_runtime():
    with place(limit=10000) as here:
        with runtime(here.config) as served:
            served.tell("record 500")
        equal(headgate("limit", "default", "2_000_000", "--config", here.config), "default: 10,000 → 2,000,000 tokens\n")
        found = status("--config", here.config)
        equal((found["live"], found["hardLimit"], found["totalUsed"]), (False, 2000000, 500))
        equal(headgate("limit", "--ledger", here.ledger, "default", "3M"), "default: 2,000,000 → 3,000,000 tokens\n")
        equal(status("--ledger", here.ledger)["hardLimit"], 3000000)
        with runtime(here.config):
            equal(status("--ledger", here.ledger)["live"], True)
            equal(headgate("limit", "--ledger", here.ledger, "default", "7"), "default: 3,000,000 → 7 tokens\n")
        equal(status("--config", here.config)["remaining"], -493)


def test_limit_outlives_a_restart():
    with place(limit=10000) as here:
        with runtime(here.config):
            headgate("limit", "default", "15000", "--config", here.config)
        with runtime(here.config):
            equal(status("--config", here.config)["hardLimit"], 15000)


def test_limit_refuses():
    with place() as here:
        for wrong in ("0", "-5", "1.2.3", "x", "", "12Q", "9007199254740992", "99999999999999999999M"):
            _, err = headgate("limit", "--config", here.config, "default", "--", wrong, code=2)
            assert wrong in err, (wrong, err)
        headgate("limit", "--config", here.config, "default", code=2)
        headgate("limit", "--config", here.config, code=2)
        headgate("limit", "--config", here.config, "default", "1k", "more", code=2)
        headgate("limit", "--config", here.config, "--ledger", here.ledger, "default", "1k", code=2)
        _, err = headgate("limit", "--ledger", here.ledger, "default", "1k", code=1)
        assert str(here.ledger) in err and not here.ledger.exists()
        with runtime(here.config):
            _, err = headgate("limit", "--config", here.config, "nobody", "1k", code=2)
            assert "nobody" in err
        _, err = headgate("limit", "--config", here.config, "nobody", "1k", code=2)
        assert "nobody" in err
        equal(status("--config", here.config)["hardLimit"], 200000)


# ------------------------------------------------------------------------------------------------------------ watch

def test_watch_prints_each_event_as_a_line_of_json():
    with place() as here, runtime(here.config) as served:
        with watch(events_endpoint(here), "--json") as follower:
            served.tell("record 1000 one", "record 2000 two")
            permit = served.acquire("acquire 500 three")
            served.tell(f"settle {permit} 400", "correct -100")
            follower.until(lambda: "USAGE_CORRECTED" in follower.types(), "the correction")
            equal(follower.end(signal.SIGINT), 0)
            events = [json.loads(line) for line in follower.lines]
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


def test_watch_by_topics():
    with place(limit=1000) as here, runtime(here.config) as served:
        with watch("--config", here.config, "--json", "--topics", "CONCURRENCY_THROTTLED,CONCURRENCY_RESTORED") as follower:
            served.tell("record 905", "correct -100")
            follower.until(lambda: len(follower.lines) == 2, "two events")
            throttled, restored = map(json.loads, follower.lines)
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


def test_watch_refuses():
    with place() as here:
        for arguments, part in ((["--from", "1"], "not in this version"), (["somewhere"], "ipc://PATH"),
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
        assert "following" in follower.stderr.readline()
        served.tell("record 1")
        assert json.loads(follower.stdout.readline())["type"] == "USAGE_RECORDED"
        follower.stdout.close()
        equal(follower.wait(WAIT_S), 0)
        equal(follower.stderr.read(), "")
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


# --------------------------------------------------------------------------------------------- subscribers, describe

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
                follower.until(lambda: follower.types()[-1] == "TASK_FINISHED", "the last event")
                reference.until(lambda: reference.types()[-1] == "TASK_FINISHED", "the last event")
            finally:
                follower.process.kill()
                follower.end()
            heard = [json.loads(line) for line in follower.lines]
            known = [json.loads(line) for line in reference.lines]
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


def test_describe():
    schema = json.loads(headgate("describe", "--schema"))
    text = json.dumps(schema)
    page = headgate("describe", "--markdown")
    for name in ("USAGE_RECORDED", "CONCURRENCY_THROTTLED", "HEARTBEAT", "STATUS_REPORT"):
        assert name in text and name in page, name
    errors = headgate("describe", "--errors").splitlines()
    defined = re.findall(r"^ERROR\((\w+), (\d+), \"(.*)\"\)", (SOURCE / "schemas" / "errors.def").read_text(), re.M)
    equal([line.split(None, 2) for line in errors], [[number, "HG_" + name, text] for name, number, text in defined])
    counters = headgate("describe", "--counters").splitlines()
    defined = re.findall(r"^COUNTER\(\w+, (\w+),", (SOURCE / "schemas" / "counters.def").read_text(), re.M)
    equal([line.split()[0] for line in counters], defined)
    for arguments in ([], ["--schema", "--errors"], ["--no-such"], ["--schema", "more"]):
        headgate("describe", *arguments, code=2)


def test_help():
    for subcommand in ("status", "watch", "limit", "init", "describe"):
        assert headgate(subcommand, "--help").startswith(f"usage: headgate {subcommand}")


def main(names):
    tests = [(name, test) for name, test in globals().items()
             if name.startswith("test_") and (not names or any(wanted in name for wanted in names))]
    failed = skipped = 0
    for name, test in tests:
        try:
            test()
        except Skipped as reason:
            skipped += 1
            print(f"SKIPPED {name}: {reason}")
        except Exception as problem:  # a failed test must not hide the others
            failed += 1
            line = problem.__traceback__
            while line.tb_next and line.tb_next.tb_frame.f_code.co_filename == __file__:
                line = line.tb_next
            print(f"FAILED {name}, line {line.tb_lineno}: {type(problem).__name__}: {problem}")
    print(f"{len(tests) - failed - skipped} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BUILD = pathlib.Path(sys.argv[1]).resolve()
    HEADGATE, SERVE = str(BUILD / "headgate"), str(BUILD / "tests" / "serve_for_tests")
    for program in (HEADGATE, SERVE):
        if not os.access(program, os.X_OK):
            sys.exit(f"test_cli.py: there is no program {program}: build it first")
    sys.exit(main(sys.argv[2:]))
