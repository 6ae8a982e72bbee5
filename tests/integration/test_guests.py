#!/usr/bin/env python3
"""Processes that share the budget of a runtime in another one: headgate run beside headgate serve, and hosts that are
killed.

usage: test_guests.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate, tests/serve_for_tests and bench/llm-sim)
"""
import contextlib
import json
import signal
import sqlite3
import sys

from cli_harness import HEADGATE, Follower, Runtime, equal, headgate, main, serving, status
from run_harness import WAIT_S, place, sim, wait_until


def test_a_batch_and_a_service_share_one_budget():
    with sim() as server, place(300) as here:
        config = here.config(1_000_000, scheduler={"maxConcurrency": 8})
        with serving(config) as host:
            other = Runtime(config)  # an embedder, a guest too
            equal(other.ask("record 5000 outside"), "HG_OK")
            permit = other.acquire("acquire 700 held")
            summary, said = here.run("--config", config, "--base-url", server.url)
            assert "permits come from the runtime that lives on" in said, said
            equal(summary["requests"]["doneNow"], 300)
            figures = status("--config", config)
            equal((figures["totalUsed"], figures["reserved"]), (server.stats()["tokens"] + 5000, 700))
            equal(other.ask(f"settle {permit} 300"), "HG_OK")
            other.end()
            equal(host.end(signal.SIGTERM), 0)
        equal(status("--config", config)["totalUsed"], server.stats()["tokens"] + 5300)
        assert "all agrees" in headgate("audit", "--config", config)


def test_two_batches_together_stay_inside_the_limit():
    with sim() as server, place(400) as here, place(400) as there:
        config = here.config(9000, scheduler={"maxConcurrency": 8})
        with serving(config):
            runs = [each.start("--json", "--config", config, "--base-url", server.url) for each in (here, there)]
            ended = [run.communicate(timeout=WAIT_S) for run in runs]
            equal([run.returncode for run in runs], [3, 3], ended)
            figures = status("--config", config)
            used = server.stats()["tokens"]
            equal((figures["totalUsed"], figures["reserved"]), (used, 0))
            assert 0 < used <= 9000 and here.results() and there.results(), (used, ended)


def test_what_a_provider_pushes_back_is_told_to_the_host():
    with sim("--rate-429", 40, "--retry-after", 0, "--latency-ms", 5) as server, place(100) as here:
        config = here.config(1_000_000, scheduler={"maxConcurrency": 16}, llm={"maxAttempts": 100})
        with serving(config) as host:
            summary, _ = here.run("--config", config, "--base-url", server.url)
            assert summary["run"]["pushbacks"] > 0, summary
            equal(host.end(signal.SIGTERM), 0)
        with contextlib.closing(sqlite3.connect(here.folder / "headgate.db")) as ledger:
            rows = ledger.execute("SELECT task_id, from_count, to_count FROM event WHERE event = 'PROVIDER_PUSHBACK' "
                                  "ORDER BY seq").fetchall()
        assert rows and all(task == "results" and before != after for task, before, after in rows), rows
        equal(rows[0][1], 16)


def test_the_host_s_limit_holds():
    with sim() as server, place(3) as here:
        config = here.config(1_000_000)
        with serving(config):
            summary, said = here.run("--config", config, "--limit", "5000", "--base-url", server.url)
            assert "its limit of 1,000,000 tokens holds; --limit says 5,000" in said, said
            equal((summary["budget"]["hardLimit"], status("--config", config)["hardLimit"]), (1_000_000, 1_000_000))


def test_a_host_that_is_killed_ends_the_batch_which_can_go_on():
    with sim("--latency-ms", 150) as server, place(200) as here:
        config = here.config(10_000_000, scheduler={"maxConcurrency": 8})
        with serving(config) as host:
            run = here.start("--json", "--config", config, "--base-url", server.url)
            wait_until(lambda: len(here.results()) >= 20, "some results")
            host.process.kill()
            out, said = run.communicate(timeout=WAIT_S)
            equal(run.returncode, 4, said)
            summary = json.loads(out)
            assert summary["requests"]["doneNow"] < 200 and "headgate run" in summary["goOn"], summary
        summary, said = here.run("--config", config, "--base-url", server.url)  # on its own now
        assert "permits come from" not in said, said
        here.check(server, summary, done=200)
        assert "all agrees" in headgate("audit", "--config", config)


def test_a_host_that_comes_back_is_another_one():
    with place(1) as here:
        config = here.config(1000)
        with serving(config) as host:
            guest = Runtime(config)
            permit = guest.acquire("acquire 100 held")
            host.process.kill()
            host.end()
        with serving(config):
            # What the guest held is an orphan, and the guest itself can't go on: nobody may think that it still holds it.
            wait_until(lambda: guest.ask("record 1") == "HG_ERR_STORE", "the end of the guest")
            equal(guest.ask("acquire 1"), "HG_ERR_STORE")
            guest.kill()
            assert permit in headgate("orphans", "--config", config), permit
            headgate("settle", "--config", config, permit, "30")


def test_a_guest_that_asks_for_more_than_is_left_is_told():
    with place(1) as here:
        config = here.config(1000)
        with serving(config):
            guest = Runtime(config)
            equal(guest.ask("acquire 1001"), "HG_ERR_BUDGET_EXHAUSTED")
            equal(guest.ask("acquire 1 t nobody"), "HG_ERR_UNKNOWN_BUDGET")
            guest.end()


def test_a_runtime_for_a_moment_is_nobody_s_host():
    """While limits are set in a closed ledger again and again, runtimes open and close: none is the guest of those."""
    with place(1) as here:
        config = here.config(1000)
        changer = Follower("/bin/sh", "-c", 'for i in $(seq 40); do "$0" limit --config "$1" default $((1000 + i)) || exit 9; done',
                           HEADGATE, str(config))
        for _ in range(10):
            alone = Runtime(config)
            equal(alone.ask("record 1"), "HG_OK")
            alone.end()
        equal(changer.end(), 0, changer.notes)
        equal(status("--config", config)["totalUsed"], 10)


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
