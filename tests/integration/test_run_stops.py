#!/usr/bin/env python3
"""How headgate run stops and goes on again: python3 test_run_stops.py BUILD_DIR [NAME ...]

Standard library only. What holds in every case: the provider never billed more than the ledger says was used, and the
ledger never more than the limit; no custom_id has two results; a call that has its result is not made again.
"""
import contextlib
import fcntl
import json
import os
import pathlib
import resource
import signal
import socket
import sqlite3
import sys

from cli_harness import equal, main
from run_harness import WAIT_S, answered, chat_line, end_of, orphans, place, sim, wait_until, whole_lines


# ------------------------------------------------------------------------------------------------ not let in


def test_wrong_key_stops_after_a_few_calls():
    with sim("--require-key", "right") as server, place(200) as here:
        flags = ["--limit", "10M", "--max-concurrency", 64, "--base-url", server.url]
        summary, _ = here.run(*flags, code=2, env={"OPENAI_API_KEY": "wrong"})
        equal(summary["stopped"], "access")
        assert "OPENAI_API_KEY" in summary["hint"] and "wrong" not in json.dumps(summary), summary
        assert 1 <= server.stats()["requests"] <= 5, server.stats()
        equal((summary["requests"]["failed"], here.failures(), here.results()), (0, [], []))
        summary, _ = here.run(*flags, code=2)
        assert "no key" in summary["hint"], summary
        summary, _ = here.run(*flags, env={"OPENAI_API_KEY": "right"})
        here.check(server, summary, done=200)


def test_empty_account_stops_too():
    with sim("--always-status", 429, "--quota") as server, place(50) as here:
        summary, _ = here.run("--limit", "10M", "--base-url", server.url, code=2)
        equal((summary["stopped"], summary["requests"]["failed"]), ("access", 0))
        assert "quota" in summary["hint"] and server.stats()["requests"] <= 5, summary


def test_nobody_at_the_url():
    with place(20) as here:
        summary, _ = here.run("--limit", "10M", "--base-url", "http://127.0.0.1:1", code=2)
        equal((summary["stopped"], summary["requests"]["failed"]), ("access", 0))
        assert "http://127.0.0.1:1" in summary["hint"], summary


# ------------------------------------------------------------------------------------------------ interruptions


def test_open_files_bound_the_calls_at_a_time():
    """None waits inside libcurl with a permit and a timeout that runs."""
    def start(here, server, soft, hard):
        return here.start("--json", "--limit", "10M", "--max-concurrency", 300, "--base-url", server.url,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)))
    for soft, hard, most in ((300, 300, 172), (150, 150, 64), (200, 1024, 300)):
        with sim("--latency-ms", 20) as server, place(400) as here:
            out, said = start(here, server, soft, hard).communicate(timeout=WAIT_S)
            summary = json.loads(out)
            equal((summary["requests"]["doneNow"], summary["run"]["retries"]), (400, 0), said)
            equal(said.count("calls at a time instead of 300"), int(most < 300), said)
            assert most == 300 or f"{most} calls at a time instead of 300: no more open files are allowed" in said, said
            with contextlib.closing(sqlite3.connect(here.folder / "results.db")) as ledger:
                [(allowed,)] = ledger.execute("SELECT max_concurrency FROM event WHERE event = 'RUNTIME_STARTED'")
            equal(allowed, most, "concurrency")


def test_what_the_system_refuses_is_no_fault_of_the_ledger():
    with socket.socket() as taken, place(1) as here:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        flags = ["--limit", "1M", "--base-url", "http://127.0.0.1:9"]
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        _, said = here.run(*flags, "--bind", endpoint, code=2)
        assert endpoint in said and "in use" in said, said
        few = here.start(*flags, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)))
        _, said = few.communicate(timeout=WAIT_S)
        equal(few.returncode, 2, said)
        assert "100 file descriptors" in said and "ulimit -n" in said, said
        here.output.with_suffix(".db").write_text("no ledger" * 100)
        _, said = here.run(*flags, code=4)
        assert "results.db" in said, said


def test_interrupts_while_a_run_opens():
    """While it waits for a ledger that somebody holds, and while it reads the results: no call is made, exit 130."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with sim() as server, place(3) as here, open(here.folder / "results.db.lock", "w") as lock:
            (here.folder / "results.db").touch()
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = here.start("--limit", "1M", "--base-url", server.url)
            wait_until(lambda: has_open(process, "results.db.lock"), "the wait for the ledger")
            process.send_signal(number)
            out, said = process.communicate(timeout=WAIT_S)
            equal((process.returncode, out), (130, ""), said)
            assert "interrupted before the first call" in said, said
            equal(server.stats()["requests"], 0)
    with sim() as server, place(3) as here:
        line = json.dumps({"id": "x", "custom_id": "y", "response": {"status_code": 200, "body": {}}, "error": None})
        here.output.write_text((line + "\n") * 1_000_000)
        process = here.start("--limit", "1M", "--base-url", server.url)
        wait_until(lambda: has_open(process, "results.jsonl"), "the reading of results")
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=WAIT_S)
        equal((process.returncode, out), (130, ""), said)
        assert "interrupted before the first call" in said, said
        with contextlib.closing(sqlite3.connect(here.folder / "results.db")) as ledger:
            [(last,)] = ledger.execute("SELECT event FROM journal ORDER BY seq DESC LIMIT 1")
        equal((last, server.stats()["requests"]), ("RUNTIME_STOPPED", 0))  # in order


def has_open(process, name):
    try:
        return any(os.readlink(link).endswith("/" + name) for link in pathlib.Path(f"/proc/{process.pid}/fd").iterdir())
    except FileNotFoundError:
        return False  # closed while we looked


def test_interrupt_lets_calls_end_and_the_next_run_goes_on():
    with sim("--latency-ms", 100) as server, place(200) as here:
        flags = ["--limit", "10M", "--max-concurrency", 8, "--base-url", server.url]
        process = here.start(*flags, "--json")
        wait_until(answered(server, 20), "twenty answers")
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=WAIT_S)
        equal(process.returncode, 130, said)
        summary = json.loads(out)
        stats = here.check(server, summary)
        equal(stats["answered"], len(here.results()), "answers that were kept")
        equal(stats["tokens"], summary["budget"]["totalUsed"], "tokens")
        equal((stats["abandoned"], summary["run"]["estimated"]), (0, 0), "calls that were cut")
        assert "stopping" in said and summary["requests"]["left"] == 200 - len(here.results()), (said, summary)
        summary, _ = here.run(*flags)
        equal(here.check(server, summary, done=200)["duplicates"], 0)


def test_second_interrupt_cuts_calls_and_charges_them():
    with sim("--latency-ms", 30000) as server, place(50) as here:
        flags = ["--limit", "10M", "--max-concurrency", 4, "--base-url", server.url]
        follower = here.follow(*flags)
        wait_until(lambda: server.stats()["in_flight"] >= 4, "four calls in flight")
        follower.process.send_signal(signal.SIGINT)
        follower.note("4 running calls may end")
        equal(server.stats()["in_flight"], 4, "in flight after the first interrupt")
        follower.process.send_signal(signal.SIGTERM)
        summary = end_of(follower, 130)
        here.check(server, summary, done=0)
        equal((summary["run"]["estimated"], summary["requests"]["left"], here.failures()), (4, 50, []))
        with contextlib.closing(sqlite3.connect(here.folder / "results.db")) as ledger:
            calls = ledger.execute("SELECT tokens, used, state FROM reservation").fetchall()
        equal([(used, state) for _, used, state in calls], [(tokens, "settled") for tokens, _, _ in calls])
        equal((len(calls), summary["budget"]["totalUsed"]), (4, sum(tokens for tokens, _, _ in calls)))


def test_kill_then_resume():
    with sim("--latency-ms", 5) as server, place(3000) as here:
        flags = ["--limit", "100M", "--max-concurrency", 32, "--base-url", server.url]
        for round_ in range(4):
            process = here.start(*flags)
            before = server.stats()["answered"]
            wait_until(answered(server, before + 150), "some answers")
            process.kill()
            process.communicate()
        lines = whole_lines(here.output)
        durable = {line["custom_id"] for line in lines}
        written = {int(line["id"][len("batch_req_"):][:16], 16) for line in lines}
        with contextlib.closing(sqlite3.connect(here.folder / "results.db")) as ledger:
            opened = {permit for (permit,) in ledger.execute("SELECT id FROM reservation WHERE state = 'open'")}
        wait_until(lambda: server.stats()["in_flight"] == 0, "the last calls")
        stats = server.stats()
        summary, _ = here.run(*flags)
        here.check(server, summary, done=3000)
        calls = server.stats()["requests"] - stats["requests"]
        equal(calls, 3000 - len(durable), "calls of the last run")
        assert opened, "nothing was open when it died"
        equal((summary["orphans"]["settled"], summary["orphans"]["charged"]["calls"]),
              (len(opened & written), len(opened - written)))


# ------------------------------------------------------------------------------------------------ resuming


def test_torn_line_is_called_again():
    with sim() as server, place(20) as here:
        flags = ["--limit", "10M", "--base-url", server.url]
        here.run(*flags)
        text = here.output.read_bytes()
        here.output.write_bytes(text[:-30])
        summary, said = here.run(*flags)
        equal(here.check(server, summary, done=20)["requests"], 21, "requests")
        assert "torn" in said, said
        equal((summary["requests"]["doneBefore"], summary["requests"]["doneNow"]), (19, 1))


def test_changed_requests():
    with sim() as server, place(4) as here:
        flags = ["--limit", "10M", "--base-url", server.url]
        here.run(*flags)
        changed = [chat_line(i) for i in range(4)]
        changed[2]["body"]["messages"][0]["content"] = "another question"
        here.write(changed)
        summary, _ = here.run(*flags, code=2)
        equal(summary["stopped"], "changed")
        assert "r-2" in summary["reason"] and "--changed" in summary["reason"], summary
        summary, _ = here.run(*flags, "--changed", "keep")
        equal(server.stats()["requests"], 4, "requests")
        summary, _ = here.run(*flags, "--changed", "redo")
        equal((server.stats()["requests"], summary["requests"]["doneNow"]), (5, 1))


def test_fresh_keeps_the_old_results_aside():
    with sim() as server, place(3) as here:
        flags = ["--limit", "10M", "--base-url", server.url]
        here.run(*flags)
        old = here.output.read_bytes()
        summary, _ = here.run(*flags, "--fresh")
        stats = here.check(server, summary, done=3)
        equal((stats["requests"], summary["requests"]["doneNow"], summary["requests"]["doneBefore"]), (6, 3, 0))
        equal((here.folder / "results.jsonl.1").read_bytes(), old, "the old results")
        here.run(*flags, "--fresh")
        equal((here.folder / "results.jsonl.1").read_bytes(), old, "the old results")
        assert (here.folder / "results.jsonl.2").exists()


def test_failures_written_before_a_crash_settle_their_calls():
    with sim("--latency-ms", 30000) as slow, sim() as server, place(13) as here:
        process = here.start("--limit", "10M", "--max-concurrency", 10, "--base-url", slow.url)
        wait_until(lambda: slow.stats()["in_flight"] >= 10, "ten calls in flight")
        process.kill()
        process.communicate()
        with contextlib.closing(sqlite3.connect(here.folder / "results.db")) as ledger:
            permits = ledger.execute("SELECT id, tokens, task_id FROM reservation WHERE state = 'open'").fetchall()
            [(ledger_id,)] = ledger.execute("SELECT value FROM meta WHERE key = 'ledger_id'")
        equal(len(permits), 10, "open permits")
        mark = ledger_id.replace("-", "")[:16]

        def failure(place, status, code, body=None, custom_id=None, mark=mark, **more):
            answer = {"status_code": status, "request_id": None, "body": body} if status else None
            return json.dumps({"id": f"batch_req_{permits[place][0]:016x}{7:016x}{mark}",
                               "custom_id": custom_id or permits[place][2].removeprefix("results/"),
                               "response": answer, "error": {"code": code, "message": "", "line": 1} if code else None,
                               **more})
        # What the run would have written had it come to the end of these calls, but not to their settlement.
        here.errors.write_text("\n".join([
            failure(0, 400, None, {"error": {"message": "no"}}), # cost nothing
            failure(1, 502, "http_error", "bad gateway"),        # nobody knows: all of it
            failure(2, 0, "request_timeout"),                    # the same, and stays open
            failure(3, 0, "invalid_request"),                    # never left
            failure(4, 400, None, custom_id="r-12"),             # of another call
            failure(4, 400, None, mark="0123456789abcdef"),      # of another ledger, which gave the same number
            failure(5, 200, "error_in_answer", {"error": "no", "usage": {"total_tokens": 7, "prompt_tokens": 7,
                                                                         "completion_tokens": 0}}),
            failure(6, 500, None, {"error": "no", "usage": {"total_tokens": 9}}), # what it tells of
            # what the line says was charged: of a stream, of which no figure is left, and of nobody knows how much
            failure(7, 200, "error_in_answer", {"object": "stream", "events": [], "error": "no"}, used_tokens=11),
            failure(8, 0, "connection_failed", used_tokens=permits[8][1], estimated=True),
            failure(9, 0, "connection_failed", cost_nanodollars=5), # of another unit
            failure(0, 400, None)[:60]]))                        # torn
        summary, said = here.run("--limit", "10M", "--base-url", server.url)
        left = sum(permits[place][1] for place in (2, 4, 9))
        equal(summary["orphans"], orphans(settled=7, charged=(3, left)), said)
        stats = here.check(server, summary, done=13)
        equal(summary["budget"]["totalUsed"], stats["tokens"] + 7 + 9 + 11 + left + sum(permits[i][1] for i in (1, 8)))
        with contextlib.closing(sqlite3.connect(here.folder / "results.db")) as ledger:
            sources = dict(ledger.execute("SELECT permit, source FROM event WHERE event = 'TOKENS_SETTLED' AND late = 1"))
        equal([sources[permits[place][0]] for place in (7, 8, 1, 6)], [None, "estimated", "estimated", None], "sources")
        assert not here.errors.exists()


def test_orphans_are_told_once():
    with sim("--latency-ms", 30000) as slow, sim() as server, place(10) as here:
        process = here.start("--limit", "10M", "--max-concurrency", 4, "--base-url", slow.url)
        wait_until(lambda: slow.stats()["in_flight"] >= 4, "four calls in flight")
        process.kill()
        process.communicate()
        flags = ["--limit", "10M", "--base-url", server.url]
        summary, said = here.run(*flags)
        tokens = summary["orphans"]["charged"]["tokens"]
        assert tokens > 0, summary
        equal(summary["orphans"], orphans(charged=(4, tokens)))
        ledger = here.folder / "results.db"
        assert (f"4 calls were open when the last run died, and nobody knows what they used: "
                f"{tokens:,} tokens stay charged, the most that it can be; "
                f"see headgate orphans --ledger {ledger}\n") in said, said
        equal(said.count("the last run died"), 1, said)
        process = here.start(*flags)
        _, table = process.communicate(timeout=WAIT_S)
        assert "interrupted run" not in table and "last run died" not in table, table
        with sim("--latency-ms", 30000) as other:
            process = here.start("--limit", "10M", "--max-concurrency", 1, "--fresh", "--base-url", other.url)
            wait_until(lambda: other.stats()["in_flight"] >= 1, "a call in flight")
            process.kill()
            process.communicate()
        config = here.config(10_000_000, ledger={"path": str(ledger)}, tokenBudget={"orphanedReservations": "keep"})
        summary, said = here.run("--config", config, "--base-url", server.url)
        assert "1 call was open when the last run died, and nobody knows what it used: " in said, said
        assert f"tokens stay reserved, the most that it can be; see headgate orphans --config {config}\n" in said, said


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
