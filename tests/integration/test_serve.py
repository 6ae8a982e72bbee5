#!/usr/bin/env python3
"""headgate serve with real signals, a service manager's socket and clients on its control socket.

usage: test_serve.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import json
import pathlib
import resource
import signal
import socket
import sys
import tempfile

from cli_harness import HEADGATE, SOURCE, WAIT_S, Follower, equal, headgate, main, place, serving, status, watch
from outside_harness import ERRORS, Asker, control, until


def rewrite(where, **changes):
    said = json.loads(where.config.read_text())
    for section, fields in changes.items():
        said.setdefault(section, {}).update(fields)
    where.config.write_text(json.dumps(said))


def test_sigterm_lets_open_permits_settle():
    with place(limit=1000, scheduler={"maxConcurrency": 2}) as here, serving(here.config) as server, control(here) as line:
        asker = Asker(line)
        held = asker.acquire(100)
        server.process.send_signal(signal.SIGTERM)
        server.note("30 seconds to settle")

        def admits():  # it may for a moment, and a permit that nobody settles would be waited for
            found = asker.ask("ACQUIRE_PERMIT", maxTokens=1)
            if found["type"] == "PERMIT_GRANTED":
                asker.done("RELEASE_PERMIT", permit=found["permit"])
            return found.get("error") != ERRORS["CLOSED"]
        until(lambda: not admits(), "the end of admission")
        server.process.send_signal(signal.SIGHUP)  # comes too late, and does no harm
        asker.done("SETTLE_PERMIT", permit=held, tokens=42)
        equal(server.end(), 0)
        server.note("all that was accepted is on disk")
        equal((status("--config", here.config)["totalUsed"], server.lines), (42, []))


def test_a_permit_that_is_not_settled_in_time_is_an_orphan():
    with place(limit=1000) as here:
        with serving(here.config, "--drain", "0") as server, control(here) as line:
            held = Asker(line).acquire(100)
            equal(server.end(signal.SIGINT), 0)
        with serving(here.config) as server, control(here) as line:
            equal(Asker(line).ask("LIST_ORPHANS")["permit"], held)


def test_a_second_signal_ends_at_once():
    with place(limit=1000) as here, serving(here.config) as server, control(here) as line:
        Asker(line).acquire(100)
        server.process.send_signal(signal.SIGTERM)
        server.note("seconds to settle")
        equal(server.end(signal.SIGTERM), -signal.SIGTERM)


def test_sighup_takes_up_limits_and_keeps_all_else():
    with place(limit=100, scheduler={"maxConcurrency": 4}) as here, serving(here.config) as server, control(here) as line, \
            watch("--config", here.config, "--json") as watching:
        asker = Asker(line)
        asker.done("RECORD", tokens=60)
        held = asker.acquire(30)
        waiting = asker.send("ACQUIRE_PERMIT", maxTokens=30)
        until(lambda: status("--config", here.config)["waiting"] == 1, "the acquire")
        rewrite(here, tokenBudget={"hardLimitTokens": 200, "throttlePercent": 80}, scheduler={"maxConcurrency": 7})
        server.process.send_signal(signal.SIGHUP)
        found = asker.receive()  # what waited and now fits is granted
        equal((found["type"], found["request"]), ("PERMIT_GRANTED", waiting))
        server.note("was read again")
        server.note("tokenBudget.throttlePercent has changed and takes effect at the next start")
        asker.done("SETTLE_PERMIT", permit=held, tokens=30)
        figures = asker.ask("STATUS")
        equal((figures["totalUsed"], figures["hardLimit"], figures["maxConcurrency"]), (90, 200, 7))
        watching.until(lambda: "TASK_FINISHED" in watching.types(), "the end of the task")
        types = watching.types()
        assert "RUNTIME_STOPPED" not in types and "LIMIT_CHANGED" in types, types
        # One that is wrong changes nothing.
        here.config.write_text('{"tokenBudget": {"hardLimitTokens": "many"}}')
        server.process.send_signal(signal.SIGHUP)
        server.note("all stays as it was")
        # What was set by hand stays while the file says what it said.
        asker.done("LIMIT", budget="default", tokens=500)
        here.config.write_text("{}")
        rewrite(here, tokenBudget={"hardLimitTokens": 200}, scheduler={"maxConcurrency": 7})
        server.process.send_signal(signal.SIGHUP)
        server.note("was read again", times=2)
        equal(asker.ask("STATUS")["hardLimit"], 500)
        asker.done("RELEASE_PERMIT", permit=found["permit"])
        equal(server.end(signal.SIGTERM), 0)
    equal([event for event in watching.events() if event["type"] == "LIMIT_CHANGED"][0]["payload"]["reason"],
          "configuration")


def test_a_limit_that_was_read_again_is_no_news_at_the_next_start():
    with place(limit=100) as here:
        with serving(here.config) as server:
            rewrite(here, tokenBudget={"hardLimitTokens": 200})
            server.process.send_signal(signal.SIGHUP)
            server.note("was read again")
            headgate("limit", "--config", here.config, "default", "300")
            equal(server.end(signal.SIGTERM), 0)
        with serving(here.config):
            equal(status("--config", here.config)["hardLimit"], 300)


def test_a_service_manager_is_told():
    with place(limit=1000) as here, tempfile.TemporaryDirectory(prefix="hg-") as folder, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = str(pathlib.Path(folder) / "notify")
        manager.bind(path)
        manager.settimeout(WAIT_S)

        def told(wanted):
            while wanted not in (said := manager.recv(4096).decode()).splitlines():
                pass
            return said
        with serving(here.config, env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000", "PATH": "/usr/bin:/bin"}) as server:
            told("READY=1")
            told("WATCHDOG=1")
            assert "0 of 1,000 tokens used" in told("WATCHDOG=1")
            server.process.send_signal(signal.SIGHUP)
            told("RELOADING=1")
            told("READY=1")
            server.process.send_signal(signal.SIGTERM)
            told("STOPPING=1")
            equal(server.end(), 0)


def test_a_ledger_that_is_not_written_makes_serve_deaf_to_no_signal():
    """SIGHUP asks for forty limits, of which the first waits for the disk; SIGTERM comes behind it."""
    budgets = {f"b{number}": {"hardLimitTokens": 500} for number in range(40)}
    with place(limit=100_000, tokenBudget={"budgets": budgets}) as here:
        with serving(here.config, "--drain", "1") as server:
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, 4096))
            said = json.loads(here.config.read_text())
            for budget in said["tokenBudget"]["budgets"].values():
                budget["hardLimitTokens"] = 600
            here.config.write_text(json.dumps(said))
            server.process.send_signal(signal.SIGHUP)
            server.note("not all of ")
            equal(sum("the limit is" in note for note in server.notes), 0)
            equal(server.end(signal.SIGTERM), 4)


def test_one_ledger_has_one_server():
    with place(limit=1000) as here, serving(here.config):
        err = headgate("serve", "--config", here.config, code=4)[1]
        assert "holds" in err and str(here.ledger) in err, err


def test_flags():
    with place(limit=1000) as here:
        for flags, said in ((("--ledger", here.ledger), "--limit"), (("--limit", "5"), "--ledger"),
                            (("--ledger", here.ledger, "--limit", "5x"), "not a number of tokens"),
                            (("--config", here.config, "--drain", "-1"), "--drain"),
                            (("--config", here.folder / "none.json"), "none.json"),
                            (("--config", here.config, "more"), "usage")):
            err = headgate("serve", *flags, code=2)[1]
            assert said in err, (flags, err)
        assert "usage: headgate serve" in headgate("serve", "--help")
        server = Follower(HEADGATE, "serve", "--ledger", here.ledger, "--limit", "2k")
        server.note("events at")
        equal(status("--ledger", here.ledger)["hardLimit"], 2000)
        server.process.send_signal(signal.SIGHUP)
        server.note("no configuration to read again")
        equal(server.end(signal.SIGTERM), 0)


def test_the_unit_is_what_serve_is():
    unit = (SOURCE / "packaging" / "headgate.service.in").read_text()
    assert "Type=notify" in unit and "WatchdogSec=" in unit and "ExecReload=/bin/kill -HUP $MAINPID" in unit, unit
    help_text = headgate("serve", "--help")
    flags = next(line for line in unit.splitlines() if line.startswith("ExecStart=")).split()[2:]
    for flag in (flag for flag in flags if flag.startswith("--")):
        assert flag in help_text, flag


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
