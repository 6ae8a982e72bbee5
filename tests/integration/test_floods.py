#!/usr/bin/env python3
"""What one client of the control socket can do to the others: nothing. Floods of commands, and answers that nobody reads.

usage: test_floods.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import contextlib
import sqlite3
import sys

from cli_harness import control_endpoint, equal, headgate, main, place, runtime, status
from outside_harness import Asker, control, until
from test_doors import check_growth, is_sanitized, resident_mib, sockets

try:
    import msgpack
    import zmq
except ImportError:
    zmq = None

WEEK_MS = 7 * 24 * 3600 * 1000


@contextlib.contextmanager
def askers(here, count):
    with contextlib.ExitStack() as opened:
        yield [Asker(opened.enter_context(control(here))) for _ in range(count)]


def test_acquires_of_nine_clients_lock_nobody_out():
    with place(limit=10**9, scheduler={"maxConcurrency": 1}) as here, runtime(here.config), askers(here, 10) as all_of_them:
        *hogs, honest = all_of_them
        held = honest.acquire(10)
        for hog in hogs:
            for _ in range(8192):
                hog.send("ACQUIRE_PERMIT", maxTokens=10, leaseMs=WEEK_MS)
        until(lambda: status("--config", here.config)["waiting"] > 20000, "the acquires")
        equal(honest.ask("STATUS")["type"], "STATUS_REPORT")
        honest.done("RECORD", tokens=1)
        headgate("limit", "default", "5M", "--config", here.config)
        waits = honest.send("ACQUIRE_PERMIT", maxTokens=10, firstInLine=True)
        honest.send("SETTLE_PERMIT", permit=held, tokens=1)
        answers = {found["request"]: found["type"] for found in (honest.receive(), honest.receive())}
        equal(answers, {waits: "PERMIT_GRANTED", waits + 1: "COMMAND_DONE"})


def last_of(asker, kind):
    """Asks, and takes all parts of the answer; the last of them."""
    request = asker.send(kind)
    while True:
        found = asker.receive()
        if "payload" not in found and not found["type"].startswith(("SNAPSHOT_BUDGET", "SNAPSHOT_TOPIC", "AUDIT_DIFF")):
            equal((found["request"], found["type"]), (request, f"{kind}_REPORT"))
            return found


def test_questions_of_one_client_keep_no_other_waiting():
    with place(limit=10**9) as here, runtime(here.config) as served, askers(here, 2) as (hog, honest):
        served.tell("burst 2000")
        for kind, flood in (("REPLAY", 500), ("SNAPSHOT", 4000)):
            for _ in range(flood):
                hog.send(kind)
            for _ in range(5):
                last_of(honest, kind)
            ping = hog.send("PING")  # whose answer comes at once, behind what the flood has been answered
            had = 0
            while (found := hog.receive()).get("request") != ping:
                had += found["type"] == f"{kind}_REPORT"
            assert had < flood, "another client waited for all of them"
            for _ in range(flood - had):
                while hog.receive()["type"] != f"{kind}_REPORT":
                    pass


def test_audits_of_many_clients_are_one():
    with place(limit=10**9) as here, runtime(here.config) as served, askers(here, 9) as all_of_them:
        *hogs, honest = all_of_them
        for hog in hogs:
            for _ in range(100):
                hog.send("AUDIT")
        last_of(honest, "AUDIT")
        served.end()
        with contextlib.closing(sqlite3.connect(here.ledger)) as ledger:
            audits = ledger.execute("SELECT count(*) FROM journal WHERE event = 'AUDIT_DONE'").fetchone()[0]
        assert 1 <= audits <= 4, f"{audits}: our own, one that was under way, one for all, and the next"


def test_answers_that_nobody_reads_are_bounded_and_given_back():
    """docs/operations.md: 4 MiB for each, and one answer more."""
    hogs = 12
    with place(limit=10**9) as here, runtime(here.config) as served, askers(here, 1) as (honest,):
        served.tell("burst 5000")
        before = resident_mib(served)
        with sockets() as connect:
            stuck = [connect(zmq.DEALER, control_endpoint(here), rcvhwm=1) for _ in range(hogs)]
            for hog in stuck:
                for _ in range(300):
                    hog.send(msgpack.packb({"v": 1, "type": "REPLAY", "request": 1}))
            for _ in range(20):
                equal(last_of(honest, "REPLAY")["count"], 256, "an honest client is told all the same")
                honest.done("RECORD", tokens=1)
            check_growth(served, before, hogs * (4 + 1) + 32)
            stuck_mib = resident_mib(served)

        def is_given_back():
            honest.done("PING")
            return is_sanitized() or resident_mib(served) - before < max(stuck_mib - before, 48) / 2
        until(is_given_back, "the memory")


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
