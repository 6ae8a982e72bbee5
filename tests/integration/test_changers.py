#!/usr/bin/env python3
"""Several who change one ledger at once: each may meet the runtime that another one has opened for a moment.

usage: test_changers.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import contextlib
import fcntl
import json
import os
import socket
import sqlite3
import subprocess
import sys

from cli_harness import HEADGATE, WAIT_S, equal, headgate, main, place, runtime, status

EACH = 12


def start(where, *words):
    return subprocess.Popen([HEADGATE, words[0], "--config", str(where.config), *words[1:]], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ends_well(process):
    out, err = process.communicate(timeout=WAIT_S)
    equal(process.returncode, 0, f"{process.args[1:]}: {out}{err} exit")


def journal(where, event, columns):
    with contextlib.closing(sqlite3.connect(f"file:{where.ledger}?mode=ro", uri=True)) as db:
        return db.execute(f"SELECT {columns} FROM journal WHERE event = ? ORDER BY seq", (event,)).fetchall()


@contextlib.contextmanager
def one_that_never_answers(where):
    """Holds the ledger as a runtime does; gives a function that waits until somebody connects to it."""
    path = str(where.folder / "silent.ipc")
    announced = {"pid": os.getpid(), "startedAt": "2025-11-23T13:46:40.123456Z", "events": f"ipc://{path}",
                 "control": f"ipc://{path}"}
    with socket.socket(socket.AF_UNIX) as silent, open(f"{where.ledger}.lock", "w") as lock:
        silent.bind(path)
        silent.listen()
        silent.settimeout(WAIT_S)
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(json.dumps(announced))
        lock.flush()
        yield lambda: silent.accept()[0].close()
        lock.truncate(0)
    os.unlink(path)


def test_many_at_once_without_a_runtime():
    with place(scheduler={"maxConcurrency": EACH}) as here:
        with runtime(here.config) as served:
            permits = [served.acquire(f"acquire 100 task-{i}") for i in range(EACH)]
            served.kill()
        limits = [1000000 + i for i in range(EACH)]
        changers = []
        for i in range(EACH):
            changers.append(start(here, "limit", "default", str(limits[i])))
            changers.append(start(here, "correct", "default", f"+{1000 + i}", "--why", f"bill {i}"))
            changers.append(start(here, "settle", permits[i], str(10 + i)))
        for changer in changers:
            ends_well(changer)
        corrected = [1000 + i for i in range(EACH)]
        settled = [10 + i for i in range(EACH)]
        found = status("--config", here.config)
        equal((found["totalUsed"], found["reserved"], found["openPermits"]), (sum(corrected + settled), 0, 0))
        assert found["hardLimit"] in limits, found
        rows = journal(here, "USAGE_CORRECTED", "reason, used_delta")
        bills = [row for row in rows if row[0].startswith("bill")]
        equal(sorted(bills), sorted((f"bill {i}", corrected[i]) for i in range(EACH)))
        set_to = {limit for limit, reason in journal(here, "LIMIT_CHANGED", "hard_limit, reason") if reason == "command"}
        equal(set_to, set(limits))
        headgate("audit", "--config", here.config)


def test_who_asked_one_that_is_gone_asks_the_next():
    with place() as here:
        for words in (("limit", "default", "300000"), ("correct", "default", "+70", "--why", "a bill"), ("status",)):
            with one_that_never_answers(here) as asked:
                changer = start(here, *words)
                asked()
            with runtime(here.config):
                ends_well(changer)
        found = status("--config", here.config)
        equal((found["hardLimit"], found["totalUsed"]), (300000, 70))


if __name__ == "__main__":
    sys.exit(main(globals()))
