#!/usr/bin/env python3
"""The subcommands orphans, settle and correct, and who waits in status, against a real runtime on a real ledger.

usage: test_orphans.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import json
import sys

from cli_harness import equal, headgate, main, place, runtime, status


def orphans(where):
    return [json.loads(line) for line in headgate("orphans", "--json", "--config", where.config).splitlines()]


def killed(where, *commands):
    """A runtime that dies with permits open; their ids."""
    with runtime(where.config) as served:
        permits = [served.acquire(command) for command in commands]
        served.kill()
    return permits


def test_orphans_are_listed_charged_and_settled_late():
    with place() as here:
        first, second = killed(here, "acquire 5000 one", "acquire 700 two")
        found = orphans(here)
        equal([(each["permit"], each["tokens"], each["state"], each["taskId"]) for each in found],
              [(first, 5000, "open", "one"), (second, 700, "open", "two")])
        equal(status("--config", here.config)["totalUsed"], 0)  # to look changes nothing
        with runtime(here.config) as served:
            equal({each["state"] for each in orphans(here)}, {"charged"})
            equal(status("--config", here.config)["totalUsed"], 5700)
            assert "5,000" in headgate("orphans", "--config", here.config)
            headgate("settle", "--config", here.config, first, "1200")
            headgate("settle", "--config", here.config, first, "1200")
            _, err = headgate("settle", "--config", here.config, first, "1201", code=1)
            assert "other content" in err, err
            equal([each["permit"] for each in orphans(here)], [second])
            equal(status("--config", here.config)["totalUsed"], 1900)
        headgate("settle", "--ledger", here.ledger, second, "0")  # no runtime lives
        # The same again hears what the first heard, in every later life too; it counts once.
        headgate("settle", "--ledger", here.ledger, second, "0")
        _, err = headgate("settle", "--ledger", here.ledger, second, "1", code=1)
        assert "other content" in err, err
        with runtime(here.config):
            headgate("settle", "--config", here.config, first, "1200")
            _, err = headgate("settle", "--config", here.config, first, "1201", code=1)
            assert "other content" in err, err
        equal(status("--config", here.config)["totalUsed"], 1200)
        equal(headgate("orphans", "--ledger", here.ledger), "no orphans\n")


def test_task_ids_cannot_write_on_a_terminal():
    """They come from batch files: a row of its own, a colour, an 8-bit control sequence."""
    with place(scheduler={"maxConcurrency": 1}) as here:
        with runtime(here.config) as served:
            served.acquire("acquire 50 a\x1b[31m\x9bb")
            served.tell("start 50 c\x1b]0;d\x07")
            table = headgate("status", "--config", here.config)
            assert "first c?]0;d?, needs" in table and "\x1b" not in table, table
            found = orphans(here)
            served.kill()
        table = headgate("orphans", "--config", here.config)
        assert "a?[31m??b" in table and "\x1b" not in table and "\x9b" not in table, table
        equal([each["taskId"] for each in orphans(here)], ["a\x1b[31m\x9bb"])  # whole for programs
        equal(found, [])


def test_orphans_by_policy():
    for policy, used, reserved, state in (("charge", 900, 0, ["charged"]), ("keep", 0, 900, ["kept"]),
                                          ("release", 0, 0, ["released"])):
        with place(tokenBudget={"orphanedReservations": policy}) as here:
            killed(here, "acquire 900 one")
            with runtime(here.config):
                found = status("--config", here.config)
                equal((found["totalUsed"], found["reserved"]), (used, reserved), policy)
                found = orphans(here)
                equal([each["state"] for each in found], state, policy)
                headgate("settle", "--config", here.config, found[0]["permit"], "70")  # the truth, late
                found = status("--config", here.config)
                equal((found["totalUsed"], found["reserved"], orphans(here)), (70, 0, []), policy)


def test_call_that_still_runs_is_settled_by_who_made_it():
    with place() as here, runtime(here.config) as served:
        permit = served.acquire("acquire 900 one")
        _, err = headgate("settle", "--config", here.config, permit, "5", code=1)
        assert permit in err and "still open" in err, err
        found = status("--config", here.config)
        equal((found["openPermits"], found["reserved"], found["totalUsed"]), (1, 900, 0))
        served.tell(f"settle {permit} 77")
        found = status("--config", here.config)
        equal((found["openPermits"], found["reserved"], found["totalUsed"]), (0, 0, 77))


def test_what_settle_refuses():
    with place() as here:
        _, err = headgate("settle", "--config", here.config, "xyz", "5", code=2)
        assert "16 hex digits" in err, err
        _, err = headgate("settle", "--config", here.config, "00000000000000aa", "five", code=2)
        assert "not a number of tokens" in err, err
        headgate("settle", "--config", here.config, "00000000000000aa", code=2)
        with runtime(here.config):
            _, err = headgate("settle", "--config", here.config, "00000000000000aa", "5", code=1)
            assert "00000000000000aa" in err and "no open or orphaned permit" in err, err


def test_corrections_count_once():
    with place() as here:
        with runtime(here.config) as served:
            served.tell("record 5000")
            headgate("correct", "--config", here.config, "default", "-2k", "--why", "counted twice", "--id", "ticket 7")
            headgate("correct", "--config", here.config, "default", "-2k", "--why", "counted twice", "--id", "ticket 7")
            equal(status("--config", here.config)["totalUsed"], 3000)
            _, err = headgate("correct", "--config", here.config, "default", "-2_001", "--why", "counted twice", "--id",
                              "ticket 7", code=1)
            assert "other content" in err, err
        headgate("correct", "--ledger", here.ledger, "default", "-2k", "--why", "counted twice", "--id", "ticket 7")
        equal(status("--config", here.config)["totalUsed"], 3000)
        headgate("correct", "--ledger", here.ledger, "--why=a bill of last week", "default", "+100")
        headgate("correct", "--ledger", here.ledger, "--why=a bill of last week", "default", "+100")  # another one
        equal(status("--config", here.config)["totalUsed"], 3200)
        _, err = headgate("correct", "--ledger", here.ledger, "default", "-3201", "--why", "too much", code=2)
        assert "range" in err, err


def test_what_correct_refuses():
    with place() as here:
        for words in (("default", "-1"), ("default", "-1", "--why", ""), ("default", "--why", "x"), ("--why", "x"),
                      ("default", "one", "--why", "x"), ("default", "-1", "7", "--why", "x"),
                      ("nobody", "-1", "--why", "x"), ("default", "-1", "--why", "x" * 513),
                      ("default", "-1", "--why", "x", "--id", "k" * 129)):
            if words[0] == "nobody":
                with runtime(here.config):
                    _, err = headgate("correct", "--config", here.config, *words, code=2)
                assert "no budget has this name" in err, err
            else:
                headgate("correct", "--config", here.config, *words, code=2)


def test_status_says_who_waits_and_for_what():
    budgets = {"budgets": {"research": {"hardLimitTokens": 1000}, "papers": {"hardLimitTokens": 900, "parent": "research"},
                           "mail": {"hardLimitTokens": 5000}}}
    with place(tokenBudget=budgets, scheduler={"maxConcurrency": 3}) as here, runtime(here.config) as served:
        served.acquire("acquire 600 first research")
        served.tell("start 500 second research", "start 300 third papers", "start 500 fourth research")
        found = status("--config", here.config)
        waiting = {each["budget"]: each for each in found["waitingTasks"]}
        equal(found["waiting"], 3)
        equal(set(waiting), {"research", "papers"})
        equal((waiting["research"]["count"], waiting["research"]["waitsFor"], waiting["research"]["needed"],
               waiting["research"]["taskId"]), (2, "research", 500, "second"))
        equal((waiting["papers"]["count"], waiting["papers"]["waitsFor"], waiting["papers"]["waitsForThrottle"]),
              (1, "research", False))
        table = headgate("status", "--config", here.config)
        assert "research: 2 wait for tokens of research; first second, needs 500" in table, table
        served.acquire("acquire 10 fifth mail")
        served.acquire("acquire 10 sixth mail")
        served.tell("start 10 seventh mail")
        waiting = {each["budget"]: each for each in status("--config", here.config)["waitingTasks"]}
        equal((waiting["mail"]["count"], waiting["mail"]["waitsFor"]), (1, ""))


if __name__ == "__main__":
    sys.exit(main(globals()))
