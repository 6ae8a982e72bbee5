#!/usr/bin/env python3
"""The subcommands status, limit, init and describe, against a real runtime on a real ledger.

usage: test_cli.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

from cli_harness import HEADGATE, SOURCE, WAIT_S, equal, headgate, main, place, runtime, status

FIGURES = {"budget", "hardLimit", "totalUsed", "reserved", "remaining", "available", "usagePercent", "shouldThrottle",
           "throttled", "openPermits", "maxConcurrency", "effectiveConcurrency", "running", "waiting", "waitsFor",
           "waitsForThrottle", "needed", "seq", "live"}


# ------------------------------------------------------------------------------------------------------------- init

def test_init_writes_a_configuration_that_is_accepted():
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        told = headgate("init", cwd=folder)
        assert "devs.config.json" in told and "hardLimitTokens" in told
        config = pathlib.Path(folder, "devs.config.json")
        written = json.loads(config.read_text())
        equal(set(written), {"_comment", "tokenBudget", "ledger", "scheduler", "eventBus", "serve", "llm"})
        explained = " ".join(written["_comment"])
        for section in ("tokenBudget", "ledger", "scheduler", "eventBus", "serve", "llm"):
            for field in written[section]:
                assert field in explained, f"{section}.{field} is not explained"
        _, err = headgate("status", cwd=folder, code=1)
        assert "no ledger" in err and "did you mean" not in err, err
        with runtime(config):
            equal(status("--config", config)["hardLimit"], written["tokenBudget"]["hardLimitTokens"])


def test_init_takes_a_limit():
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        assert " 2500000 tokens" in headgate("init", "--limit", "2.5M", "mine.json", cwd=folder)
        config = pathlib.Path(folder, "mine.json")
        equal(json.loads(config.read_text())["tokenBudget"]["hardLimitTokens"], 2_500_000)
        with runtime(config):
            equal(status("--config", config)["hardLimit"], 2_500_000)
        for limit in ("0", "-1", "$20", "1.5", "many", "9007199254740992"):
            _, err = headgate("init", "--limit", limit, "other.json", cwd=folder, code=2)
            assert f'"{limit}" is not a number of tokens' in err, err
        assert not pathlib.Path(folder, "other.json").exists()


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


def test_a_path_that_is_no_text_is_refused_with_the_reason():
    with place() as here:
        ledger = os.fsencode(here.folder) + b"/\xff.db"
        found = subprocess.run([HEADGATE, "serve", "--ledger", ledger, "--limit", "5"], capture_output=True, timeout=WAIT_S)
        equal((found.returncode, b"no UTF-8" in found.stderr), (2, True), found.stderr)


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


def test_status_says_that_a_throttle_keeps_slots():
    with place() as here, runtime(here.config) as served:
        served.tell("concurrency 1", "start 1000 a", "start 1000 b")
        permit = served.acquire("next")
        found, table = status("--config", here.config), headgate("status", "--config", here.config)
        equal((found["waiting"], found["waitsFor"], found["waitsForThrottle"]), (1, "", False))
        assert re.search("waits for +a free slot\n", table), table
        served.tell("concurrency 4", f"settle {permit} 1000")
        served.acquire("next")
        served.tell("record 181000", "start 1000 c")
        found, table = status("--config", here.config), headgate("status", "--config", here.config)
        equal((found["effectiveConcurrency"], found["waiting"]), (1, 1))
        equal((found["waitsFor"], found["waitsForThrottle"]), ("", True))
        assert re.search("waits for +the throttle to open, or a free slot\n", table), table


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


def test_a_ledger_named_alone_keeps_its_budgets_and_policies():
    """Neither budgets that hold nothing nor policies other than the default ones are lost, and usage is no obstacle."""
    policies = {"throttlePercent": 50, "throttleBasis": "committed", "restoreBelowPercent": 40,
                "orphanedReservations": "keep",
                "budgets": {"used": {"hardLimitTokens": 5000}, "unused": {"hardLimitTokens": 700, "parent": "used"}}}
    with place(limit=10000, tokenBudget=policies, scheduler={"maxConcurrency": 9, "throttledConcurrency": 2}) as here:
        with runtime(here.config) as served:
            served.acquire("acquire 800 task used")
            served.kill()
        equal(headgate("limit", "--ledger", here.ledger, "used", "6k"), "used: 5,000 → 6,000 tokens\n")
        equal(headgate("limit", "--ledger", here.ledger, "unused", "900"), "unused: 700 → 900 tokens\n")
        headgate("correct", "--ledger", here.ledger, "used", "+4300", "--why", "test")
        found = status("--ledger", here.ledger, "--budget", "used")
        equal((found["reserved"], found["totalUsed"], found["shouldThrottle"]), (800, 4300, True))  # kept, not charged
        found = status("--ledger", here.ledger)
        equal((found["maxConcurrency"], found["effectiveConcurrency"], found["shouldThrottle"]), (9, 2, True))
        assert "(at 50 %)" in headgate("status", "--ledger", here.ledger)
        with runtime(here.config):
            equal(status("--config", here.config, "--budget", "used")["hardLimit"], 6000)
            equal(status("--config", here.config, "--budget", "unused")["hardLimit"], 900)
            equal(status("--config", here.config)["hardLimit"], 10000)
            equal(status("--ledger", here.ledger)["live"], True)
            table = headgate("status", "--ledger", here.ledger)
            assert "throttle" in table and "(at " not in table, table


def test_limit_outlives_a_restart():
    with place(limit=10000) as here:
        with runtime(here.config):
            headgate("limit", "default", "15000", "--config", here.config)
        with runtime(here.config):
            equal(status("--config", here.config)["hardLimit"], 15000)


def test_limit_refuses():
    with place() as here:
        for wrong in ("0", "-5", "1.2.3", "x", "", "12Q", "9007199254740992", "99999999999999999999M"):
            for words in (("default", "--", wrong), ("default", wrong)):
                _, err = headgate("limit", "--config", here.config, *words, code=2)
                assert f'"{wrong}" is not a number of tokens from 1 to' in err and "usage" not in err, (wrong, err)
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


# --------------------------------------------------------------------------------------------------------- describe

def test_describe():
    page = headgate("describe", "--markdown")
    assert page in (SOURCE / "docs" / "protocol.md").read_text()
    for flag, file in (("--schema", "events"), ("--commands", "commands")):
        text = headgate("describe", flag)
        equal(text, (SOURCE / "schemas" / f"{file}.schema.json").read_text())
        for reference in json.loads(text)["oneOf"]:
            assert f"### {reference['$ref'].removeprefix('#/$defs/')}\n" in page, reference
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


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
