#!/usr/bin/env python3
"""headgate audit: with and without a runtime, on ledgers that are right and on such that were changed; and the audit that a
runtime makes after its start.

usage: test_audit.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import json
import os
import sqlite3
import sys
import tempfile
import time

from cli_harness import WAIT_S, Runtime, equal, headgate, main, place, runtime, status, watch

TREE = {"budgets": {"research": {"hardLimitTokens": 90000}, "papers": {"hardLimitTokens": 50000, "parent": "research"}}}


def audit(where, code=0):
    told = headgate("audit", "--json", "--config", where.config, code=code)
    out = told[0] if code else told
    equal(out.count("\n"), 1, "lines of JSON")
    found = json.loads(out)
    equal(found["differences"] == 0, code == 0, "differences")
    return found


def work(served):
    served.tell("record 1000 one")
    permits = [served.acquire(f"acquire 500 task-{i} {('default', 'research', 'papers')[i % 3]}") for i in range(4)]
    served.tell(f"settle {permits[0]} 321", f"settle {permits[1]} 700", f"release {permits[2]}", "correct -100")


def change(where, sql):
    ledger = sqlite3.connect(where.ledger)
    with ledger:
        ledger.executescript(sql)
    ledger.close()


def query(where, sql):
    ledger = sqlite3.connect(where.ledger)
    rows = ledger.execute(sql).fetchall()
    ledger.close()
    return rows


def told_by_event(follower, seq):
    """The payload of the AUDIT_DONE of the audit up to this row."""
    def found():
        return [event["payload"] for event in follower.events()
                if event["type"] == "AUDIT_DONE" and event["payload"]["audited"] == seq]
    follower.until(found, "AUDIT_DONE")
    return found()[0]


def test_a_ledger_that_is_right():
    with place(tokenBudget=TREE) as here:
        with runtime(here.config) as served:
            work(served)
            found = audit(here)
            equal((found["live"], found["permits"], found["found"]), (True, 4, []))
            assert found["rows"] == found["seq"] > 12, found
            text = headgate("audit", "--ledger", here.ledger)
            assert text.endswith("4 permits: all agrees\n") and text.count("\n") == 1, text
        found = audit(here)
        equal((found["live"], found["permits"]), (False, 4))
        text = headgate("audit", cwd=here.folder)
        assert text.startswith(str(here.ledger)) and "all agrees" in text, text


def test_a_ledger_that_was_changed():
    with place(tokenBudget=TREE) as here:
        with runtime(here.config) as served:
            work(served)
        used = status("--config", here.config)["totalUsed"]
        change(here, "UPDATE token_budget SET total_used = total_used + 77 WHERE name = 'default';"
                     "UPDATE reservation SET used = used - 1 WHERE used = 321")
        found = audit(here, code=1)
        equal(found["differences"], 2)
        permit, total = sorted(found["found"], key=lambda one: one["check"])
        equal((total["check"], total["subject"], total["stored"], total["summed"], total["difference"]),
              ("used", "default", used + 77, used, 77))
        equal((permit["check"], permit["stored"], permit["summed"]), ("permit", 320, 321))
        assert len(permit["permit"]) == 16, permit
        out, _ = headgate("audit", "--config", here.config, code=1)
        lines = out.splitlines()
        equal(len(lines), 3)
        assert any(f"stored as {used + 77}, {used} is the sum, the difference is 77" in line for line in lines), out
        assert lines[-1].endswith("2 differences"), out

        # A runtime finds it too, tells it, and goes on.
        with runtime(here.config) as served, watch("--json", "--config", here.config) as follower:
            live = audit(here, code=1)
            equal(live["live"], True)
            equal([one["text"] for one in live["found"]], [one["text"] for one in found["found"]])
            done = told_by_event(follower, live["seq"])
            equal((done["differences"], done["rows"]), (2, live["rows"]))
            equal(done["reason"], live["found"][0]["text"])
            served.tell("record 5 more")
            told = status("--config", here.config)
            assert told["audited"] >= live["seq"], told
            equal((told["auditDifferences"], told["auditFailed"]), (2, False))
            assert "2 differences" in headgate("status", "--config", here.config)
        equal(status("--config", here.config)["auditDifferences"], 2, "without a runtime")


def test_a_runtime_audits_after_its_start():
    with place() as here:
        for life in (1, 2):
            with runtime(here.config) as served:
                served.tell("record 5 one")
                told = wait_for_audit(here)
                equal(told["auditDifferences"], 0)
                assert "audit" not in headgate("status", "--config", here.config)
            rows = query(here, "SELECT audited, differences, reason FROM event WHERE event = 'AUDIT_DONE'")
            equal(len(rows), life)
            equal(rows[-1], (told["audited"], 0, None))


def wait_for_audit(where):
    deadline = time.monotonic() + WAIT_S
    while not (told := status("--config", where.config))["audited"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert told["audited"] > 0, told
    return told


def test_old_rows_are_folded():
    with place(tokenBudget=TREE, ledger={"keepDays": 2}) as here:
        with runtime(here.config) as served:
            work(served)
            wait_for_audit(here)
        before, totals = query(here, "SELECT count(*) FROM journal")[0][0], status("--config", here.config)
        change(here, "UPDATE journal SET at = at - 3 * 86400000000")
        for _ in range(20):  # it folds when it has time: a life may end before it does
            with runtime(here.config):
                wait_for_audit(here)
            if query(here, "SELECT count(*) FROM fold")[0][0]:
                break
        (first, oldest), = query(here, "SELECT min(seq), min(at) FROM journal WHERE permit IS NULL")
        assert first > 5 and oldest > (time.time() - 86400) * 1000000, (first, oldest)
        left = query(here, "SELECT DISTINCT permit FROM journal WHERE seq <= ?".replace("?", str(before)))
        equal(len(left), 1, "permits that have not ended and keep their rows")
        found = audit(here)
        assert found["rows"] < found["seq"], found
        equal(found["permits"], 1)
        after = status("--config", here.config)
        equal(after["totalUsed"], totals["totalUsed"] + totals["reserved"])  # the open one was charged


def test_a_killed_runtime_leaves_a_ledger_that_is_right():
    with place(tokenBudget=TREE) as here:
        for _ in range(3):
            served = Runtime(here.config)
            work(served)
            served.kill()
            equal(audit(here)["live"], False)


def test_what_cannot_be_audited():
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        _, err = headgate("audit", cwd=folder, code=2)
        assert "devs.config.json" in err, err
        ledger = os.path.join(folder, "some.db")
        _, err = headgate("audit", "--ledger", ledger, code=4)
        assert "no ledger" in err and not os.path.exists(ledger), err
        with open(ledger, "w") as file:
            file.write("this is a letter and no ledger. " * 50)
        _, err = headgate("audit", "--ledger", ledger, code=4)
        assert "not a ledger" in err, err
        headgate("audit", "--no-such", code=2)
        headgate("audit", "too", "many", code=2)
        assert "Exit:" in headgate("audit", "--help")
    with place(tokenBudget=TREE) as here:
        with runtime(here.config) as served:
            work(served)
        change(here, "DROP TABLE topic")
        _, err = headgate("audit", "--config", here.config, code=4)
        assert "no such table: topic" in err, err


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
