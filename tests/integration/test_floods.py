#!/usr/bin/env python3
"""What one client of the control socket can do to the others: nothing. Floods of commands, and answers that nobody reads.

usage: test_floods.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import contextlib
import sys

from cli_harness import HEADGATE, WAIT_S, equal, headgate, main, place, runtime, status
from outside_harness import Asker, control, until

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


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
