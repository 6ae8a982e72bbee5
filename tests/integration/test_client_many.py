#!/usr/bin/env python3
"""Many processes of the Python client against one budget of `headgate serve`: the hard limit holds, and a kill -9
leaves nothing behind past the policy.

usage: test_client_many.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import json
import random
import signal
import sys

from cli_harness import HEADGATE, Follower, equal, main, place, status
from client_harness import connected, ended, journal, python_client, python_program
from test_client_python import until

PROCESSES = 16
WORKER = """
import json, random, sys, time, headgate
config, seed, lease = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
rng = random.Random(seed)
settled = 0
hg = headgate.connect(config=config, lease=lease)
print("begins")
try:
    while True:
        with hg.permit(max_tokens=rng.randint(50, 150), task_id=f"of {seed}") as permit:
            used = rng.randint(0, permit.tokens)
            time.sleep(rng.random() * 0.01)
            permit.settle(used)
            settled += used
except headgate.BudgetExhausted:
    print(json.dumps(settled))
"""


def serve(where):
    follower = Follower(HEADGATE, "serve", "--config", where.config)
    lock = where.folder / "headgate.db.lock"
    follower.until(lambda: lock.exists() and follower.notes + follower.lines, "the runtime")
    return follower


def workers(where, lease):
    found = [python_program(WORKER, where.config, str(seed), str(lease)) for seed in range(PROCESSES)]
    for each in found:
        each.until(lambda: "begins" in each.lines, "a process")
    return found


def summed(where):
    """What the journal adds up to, while it runs."""
    rows = journal(where, "used_delta, reserved_delta")
    return sum(used or 0 for used, _ in rows), sum(reserved or 0 for _, reserved in rows)


def test_the_limit_holds():
    python_client()
    limit = 60_000
    with place(limit=limit, scheduler={"maxConcurrency": 8}) as here:
        server = serve(here)
        try:
            all_ = workers(here, 30)
            for each in all_:
                ended(each)
            settled = sum(json.loads(each.lines[-1]) for each in all_)
            found = status("--config", here.config)
            equal((found["totalUsed"], found["reserved"], found["openPermits"]), (settled, 0, 0))
            assert limit - 150 <= settled <= limit, settled
            assert sum(json.loads(each.lines[-1]) > 0 for each in all_) > PROCESSES // 2
        finally:
            equal(server.end(signal.SIGTERM), 0)
        equal(summed(here), (settled, 0))


def test_killed_processes_leave_nothing_past_the_policy():
    python_client()
    limit, rng = 60_000, random.Random(7)
    with place(limit=limit, scheduler={"maxConcurrency": 8}) as here:
        server = serve(here)
        try:
            all_ = workers(here, 2)
            dead = rng.sample(all_, 6)
            with connected(here) as client:
                for each in dead:
                    before = client.usage().total_used
                    until(lambda: client.usage().total_used >= before + 2000, "work goes on")
                    each.end(signal.SIGKILL)
                for each in all_:
                    if each not in dead:
                        ended(each)
                until(lambda: client.usage().open_permits == 0, "what the dead held is an orphan")
                found = client.usage()
            equal((found.reserved, found.running, found.waiting), (0, 0, 0))
            assert limit - 150 <= found.total_used <= limit, found
        finally:
            equal(server.end(signal.SIGTERM), 0)
        equal(summed(here), (found.total_used, 0))
        orphans = journal(here, "event", "event = 'RESERVATION_ORPHANED'")
        assert len(orphans) <= len(dead), orphans
        living = sum(json.loads(each.lines[-1]) for each in all_ if each not in dead)
        assert living <= found.total_used, (living, found)


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
