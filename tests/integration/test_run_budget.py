#!/usr/bin/env python3
"""headgate run and its budget, against llm-sim: python3 test_run_budget.py BUILD_DIR [NAME ...]

Standard library only. What holds in every case: the provider never billed more than the ledger says was used, and the
ledger never more than the limit; no custom_id has two results; a call that has its result is not made again.
"""
import contextlib
import json
import shlex
import signal
import sqlite3
import subprocess
import sys

import cli_harness
from cli_harness import HEADGATE, equal, main
from run_harness import CHAT, WAIT_S, chat_line, place, set_limit, sim


# ------------------------------------------------------------------------------------------------ inside the limit


def test_output_is_capped_to_what_the_budget_has_left():
    """Without llm.mayCapOutput the fifth call would be left; with it, it is sent with what is free beside its input."""
    for may_cap, done, capped in ((False, 4, 0), (True, 5, 1)):
        with sim("--output-fill", 100) as server, place([chat_line(i, max_tokens=2000) for i in range(8)]) as here:
            config = here.config(10_000, llm={"mayCapOutput": may_cap}, scheduler={"maxConcurrency": 1})
            summary, _ = here.run("--config", config, "--base-url", server.url, code=3)
            here.check(server, summary, done=done)
            equal((summary["run"]["capped"], summary["run"]["capIgnored"]), (capped, 0))
            used = [line["response"]["body"]["usage"]["completion_tokens"] for line in here.results()]
            equal(used[:4], [2000] * 4)
            assert all(256 <= tokens < 2000 for tokens in used[4:]), used
            process = here.start("--config", config, "--base-url", server.url)
            _, said = process.communicate(timeout=WAIT_S)
            equal((process.returncode, "lower output cap" in said), (3, False), said)


def test_throttle_closes_and_the_run_ends_inside_the_budget():
    lines = [chat_line(i, max_tokens=400) for i in range(60)]
    with sim("--output-fill", 100, "--latency-ms", 10) as server, place(lines) as here:
        config = here.config(20000, scheduler={"maxConcurrency": 4})
        summary, _ = here.run("--config", config, "--base-url", server.url, code=3)
        here.check(server, summary)
        assert summary["budget"]["usagePercent"] >= 90, summary
        equal((summary["run"]["throttles"], summary["run"]["overruns"]), (1, 0), "throttles, overruns")
        assert summary["run"]["throttledMs"] > 0, summary
        check_throttle(here.folder / "headgate.db", limit=20000)


def check_throttle(ledger, limit):
    """From the journal alone: it closed once, in the row that crossed 90 %, and from then on one ran at a time."""
    with contextlib.closing(sqlite3.connect(ledger)) as db:
        rows = db.execute("SELECT event, permit, used, from_count, to_count FROM event ORDER BY seq").fetchall()
    running, settled, most, closed, after = set(), [0, 0], 0, False, 0
    for event, permit, used, from_count, to_count in rows:
        if event == "CONCURRENCY_THROTTLED":
            equal((closed, from_count, to_count), (False, 4, 1), "the throttle")
            assert settled[-2] < limit * 0.9 <= settled[-1], settled
            closed = True
        elif event == "TOKENS_RESERVED":
            assert not (closed and running), (permit, running)
            running.add(permit)
            most = max(most, len(running))
            after += closed
        elif event in ("TOKENS_SETTLED", "TOKENS_RELEASED"):
            settled.append(used)
            running.remove(permit)
    equal((most, closed, running), (4, True, set()), "most at a time, closed, left running")
    assert after >= 1, "nothing ran under the throttle"


def test_budgets_of_lines():
    lines = [dict(chat_line(i), budget="small") for i in range(3)] + [chat_line(3)]
    lines.append(dict(chat_line(4), budget="nobody"))
    with sim() as server, place(lines) as here:
        config = here.config(100_000, tokenBudget={"budgets": {"small": {"hardLimitTokens": 100}}})
        summary, _ = here.run("--config", config, "--base-url", server.url, code=3)
        here.check(server, summary, done=1)
        equal(summary["requests"]["leftForBudget"], 3)
        equal(summary["requests"]["failures"], {"unknown_budget": 1})
        first = shlex.split(summary["goOn"])
        equal(first[:2], ["headgate", "limit"])
        assert "small" in first, first
        _, said = here.run("--config", config, "--base-url", server.url, "--budget", "nobody", code=2)
        assert "nobody" in said, said


def test_cap_that_is_ignored_stops_the_run():
    with sim("--ignore-cap", "--output-fill", 100) as server, place(50) as here:
        summary, _ = here.run("--limit", "10M", "--max-concurrency", 2, "--base-url", server.url, code=2)
        here.check(server, summary)
        equal(summary["stopped"], "cap_ignored")
        assert "outputCapField" in summary["hint"], summary
        assert server.stats()["requests"] <= 2


# ------------------------------------------------------------------------------------------------ a limit that is too small


def test_limit_too_small_then_the_command_that_goes_on():
    with sim("--output-fill", 100) as server, place(100) as here:
        summary, _ = here.run("--limit", "5k", "--max-concurrency", 8, "--base-url", server.url, code=3)
        stats = here.check(server, summary)
        equal(summary["budget"]["hardLimit"], 5000)
        left = summary["requests"]["leftForBudget"]
        assert 0 < left < 100 and left == 100 - len(here.results()), summary
        assert summary["smallestNeed"] > summary["budget"]["remaining"], summary
        assert not here.failures() and (here.folder / "results.db").exists()
        command = shlex.split(summary["goOn"])
        equal(command[:2], ["headgate", "run"])
        done = subprocess.run([HEADGATE, *command[1:]], capture_output=True, text=True, cwd=here.folder,
                              timeout=WAIT_S)
        equal(done.returncode, 0, done.stderr)
        stats = here.check(server, json.loads(done.stdout), done=100)
        equal((stats["duplicates"], stats["requests"]), (0, 100))


def go_on(here, summary):
    """Runs the command that goes on, in a shell as a person would; the summary of its run."""
    assert "'" not in HEADGATE
    command = summary["goOn"].replace("headgate ", f"'{HEADGATE}' ")
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=here.folder, timeout=WAIT_S)
    equal(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def test_the_budget_that_is_short_is_named_and_raised():
    lines = [dict(chat_line(i), budget="evals") for i in range(4)]
    with sim() as server, place(lines) as here: # the parent is short
        config = here.config(100, tokenBudget={"budgets": {"evals": {"hardLimitTokens": 100_000}}})
        summary, _ = here.run("--config", config, "--base-url", server.url, code=3)
        equal(summary["shortBudget"], "default")
        process = here.start("--config", config, "--base-url", server.url)
        _, table = process.communicate(timeout=WAIT_S)
        assert 'than budget "default" has left' in table, table
        equal(shlex.split(summary["goOn"])[:5], ["headgate", "limit", "--config", str(config), "default"])
        assert " evals " not in summary["goOn"], summary
        here.check(server, go_on(here, summary), done=4)
    lines += [dict(chat_line(9), budget="other")]
    with sim() as server, place(lines) as here: # all of them are
        config = here.config(90, tokenBudget={"budgets": {"evals": {"hardLimitTokens": 80},
                                                          "other": {"hardLimitTokens": 95}}})
        summary, _ = here.run("--config", config, "--base-url", server.url, code=3)
        assert "default" in summary["goOn"] and "evals" in summary["goOn"] and "other" in summary["goOn"], summary
        here.check(server, go_on(here, summary), done=5)


# ------------------------------------------------------------------------------------------------ who says the limit


def test_limit_with_a_configuration_changes_the_limit():
    with sim() as server, place(3) as here:
        config = here.config(100)
        here.run("--config", config, "--base-url", server.url, code=3)
        summary, _ = here.run("--config", config, "--base-url", server.url, "--limit", "50k")
        here.check(server, summary, done=3)
        equal(summary["budget"]["hardLimit"], 50000)


def limit_of(here, *flags, code=0):
    summary, said = here.run(*flags, code=code)
    return summary["budget"]["hardLimit"], said


def test_limit_set_by_hand_stays():
    with sim() as server, place(1) as here:
        base = ["--base-url", server.url]
        ledger = ["--ledger", here.folder / "results.db"]
        equal(limit_of(here, "--limit", "50k", *base), (50_000, ""))
        set_limit(here, *ledger, "default", "80k")
        limit, said = limit_of(here, "--limit", "50k", *base)
        equal(limit, 80_000)
        assert "80,000" in said and "--limit says 50,000" in said and "headgate limit --ledger " in said, said
        limit, said = limit_of(here, "--limit", "60k", *base) # says something new
        equal(limit, 60_000)
        assert "80,000" in said and "60,000" in said, said
        equal(limit_of(here, "--limit", "60k", *base), (60_000, "")) # nothing more to tell
        set_limit(here, *ledger, "default", "10k")
        equal(limit_of(here, "--limit", "60k", *base)[0], 10_000) # a lower one stays too


def test_limit_set_by_hand_stays_with_a_configuration_too():
    with sim() as server, place(1) as here:
        config = here.config(100_000, tokenBudget={"budgets": {"evals": {"hardLimitTokens": 1000}}})
        file = ["--config", config, "--base-url", server.url]
        equal(limit_of(here, *file, "--limit", "50k"), (50_000, ""))
        set_limit(here, "--config", config, "default", "80k")
        set_limit(here, "--config", config, "evals", "2k")
        limit, said = limit_of(here, *file, "--limit", "50k")
        equal(limit, 80_000)
        assert "80,000" in said and "--limit says 50,000" in said, said
        assert 'budget "evals": its limit of 2,000' in said and "devs.config.json says 1,000" in said, said
        command = shlex.split(said.partition("To change it: ")[2].splitlines()[0])
        set_limit(here, *command[2:])
        equal(limit_of(here, *file, "--limit", "50k")[0], 50_000)
        equal(limit_of(here, *file)[0], 100_000) # now the file says it
        set_limit(here, "--config", config, "default", "80k")
        limit, said = limit_of(here, *file)
        equal(limit, 80_000)
        assert "devs.config.json says 100,000" in said, said


def test_learnt_reservations_fit_more_calls_side_by_side():
    with sim("--output-mean", 20) as server, place([chat_line(i, max_tokens=2000) for i in range(2500)]) as here:
        config = here.config(200_000, scheduler={"maxConcurrency": 8}, llm={"reservation": "learned"})
        summary, said = here.run("--config", config, "--base-url", server.url)
        here.check(server, summary, done=2500)
        run = summary["run"]
        equal((run["tokens"], summary["budget"]["totalUsed"]), (server.stats()["tokens"],) * 2)
        # From the thousandth on a call reserves a tenth of its bound and less.
        assert run["savedTokens"] > 1300 * 1800 and run["overran"] < 50, run
        # What was learnt is there for the next run, from its first call on.
        here.write([chat_line(i, max_tokens=2000) for i in range(3000, 3100)])
        summary, _ = here.run("--config", config, "--base-url", server.url, "--fresh")
        equal(summary["requests"]["doneNow"], 100)
        assert summary["run"]["savedTokens"] > 100 * 1800, summary
        # A file that is none is said, and learnt anew.
        kept = here.folder / "headgate.db.learned"
        whole = kept.read_text()
        kept.write_text(whole[:len(whole) // 2])
        summary, said = here.run("--config", config, "--base-url", server.url, "--fresh")
        equal((summary["run"]["savedTokens"], said.count("learnt anew")), (0, 1), said)
        assert json.loads(kept.read_text())["models"]["m"], kept.read_text()


def test_status_tells_what_is_saved():
    """The runtime is that of another process, which hears of it and outlives the run."""
    with sim("--output-mean", 20) as server, place([chat_line(i, max_tokens=2000) for i in range(1500)]) as here:
        config = here.config(1_000_000, scheduler={"maxConcurrency": 8}, llm={"reservation": "learned"})
        with cli_harness.serving(config):
            equal(cli_harness.status("--config", config)["savedTokens"], 0)
            run = here.run("--config", config, "--base-url", server.url)[0]["run"]
            told = cli_harness.status("--config", config)
            equal((told["savedTokens"], told["overran"]), (run["savedTokens"], run["overran"]))
            assert told["savedTokens"] > 300 * 1800, told
            said = cli_harness.headgate("status", "--config", config)
            assert f"{told['savedTokens']:,} tokens less were reserved than the bounds" in said, said


# ------------------------------------------------------------------------------------------------ forecasts


def forecasts(here):
    """Of all rows: the budget, what it had used and its limit, and whether the throttle had closed before."""
    with contextlib.closing(sqlite3.connect(here.folder / "headgate.db")) as ledger:
        return ledger.execute("""SELECT budget, used, hard_limit, EXISTS (SELECT 1 FROM event AS earlier
            WHERE earlier.seq < event.seq AND earlier.event = 'CONCURRENCY_THROTTLED')
            FROM event WHERE event = 'BUDGET_FORECAST' ORDER BY seq""").fetchall()


def check_early(here, budget):
    found = [row for row in forecasts(here) if row[0] == budget]
    assert found, forecasts(here)
    _, used, limit, throttled = found[0]
    assert used * 10 <= limit and not throttled, found


def test_a_batch_that_will_not_fit_is_told_of_after_ten_calls():
    with sim() as server, place(2000) as here:
        config = here.config(20_000, scheduler={"maxConcurrency": 8})
        here.run("--config", config, "--base-url", server.url, code=3)
        check_early(here, "default")


def test_the_budget_that_is_too_small_is_named():
    budgets = {"budgets": {"team": {"hardLimitTokens": 30_000}, "large": {"hardLimitTokens": 1_000_000},
                           "small": {"hardLimitTokens": 20_000, "parent": "team"}}}
    lines = [{**chat_line(i), "budget": "large"} if i % 4 == 0 else chat_line(i) for i in range(2000)]
    with sim() as server, place(lines) as here:
        config = here.config(1_000_000, scheduler={"maxConcurrency": 8}, tokenBudget=budgets)
        here.run("--config", config, "--base-url", server.url, "--budget", "small", code=3)
        check_early(here, "small")
        check_early(here, "team")
        equal({row[0] for row in forecasts(here)}, {"small", "team"})


def test_a_guest_tells_its_host_what_it_has_left():
    with sim() as server, place(2000) as here:
        config = here.config(1_000_000, scheduler={"maxConcurrency": 8},
                             tokenBudget={"budgets": {"small": {"hardLimitTokens": 20_000}}})
        with cli_harness.serving(config) as host:
            here.run("--config", config, "--base-url", server.url, "--budget", "small", code=3)
            equal(host.end(signal.SIGTERM), 0)
        check_early(here, "small")
        equal({row[0] for row in forecasts(here)}, {"small"})


def test_nothing_is_told_of_a_batch_that_fits():
    with sim() as server, place(1500) as here:
        config = here.config(120_000, scheduler={"maxConcurrency": 8})
        for _ in range(2):  # again: all lines are done already, in a budget that has little left for as many
            here.run("--config", config, "--base-url", server.url)
        equal(forecasts(here), [])
        with here.batch.open("a") as batch:
            batch.write("".join(json.dumps(chat_line(i)) + "\n" for i in range(1500, 1700)))
        config = here.config(server.stats()["tokens"] + 30_000, scheduler={"maxConcurrency": 8})
        here.run("--config", config, "--base-url", server.url)
        equal(forecasts(here), [])


# ------------------------------------------------------------------------------------------------ counted reservations

LONG = "A long text of which a token is four bytes, so that its bound is about four times what it uses. " * 40


def long_lines(count):
    """Of all endpoints that can be counted, vLLM's among them; some are streams, which a count must not be."""
    bodies = [(CHAT, {"messages": [{"role": "user", "content": LONG}], "max_tokens": 40, "stream": True}),
              ("/v1/completions", {"prompt": LONG, "max_tokens": 40}),
              ("/v1/responses", {"input": LONG, "max_output_tokens": 40, "metadata": {"team": "a"}}),
              ("/v1/messages", {"messages": [{"role": "user", "content": LONG}], "max_tokens": 40, "temperature": 1})]
    return [{"custom_id": f"r-{i}", "method": "POST", "url": bodies[i % 4][0],
             "body": {"model": "m", **bodies[i % 4][1], "user": f"u{i}"}} for i in range(count)]


def counted(here, server, limit, code=0, **llm):
    config = here.config(limit, scheduler={"maxConcurrency": 8},
                         llm={"reservation": "counted", "counter": "vllm", **llm})
    summary, said = here.run("--config", config, "--base-url", server.url, code=code)
    here.check(server, summary)
    assert summary["budget"]["totalUsed"] <= limit, summary
    equal(summary["run"]["tokens"], summary["budget"]["totalUsed"])
    return summary, said


def test_counted_reservations_fit_where_bounds_do_not():
    with sim("--require-key", "KEY") as server, place(long_lines(16)) as here:
        # A bound is 4,000 to 4,900 tokens. A line uses some 1,000 of them.
        config = here.config(17_500, scheduler={"maxConcurrency": 8}, llm={"headers": {"Authorization": "Bearer KEY"}})
        summary, _ = here.run("--config", config, "--base-url", server.url, code=3)
        here.check(server, summary)
        assert summary["requests"]["doneNow"] < 16 and server.stats()["counted"] == 0, summary
    with sim("--require-key", "KEY") as server, place(long_lines(16)) as here:
        summary, said = counted(here, server, 17_500, headers={"Authorization": "Bearer KEY"})
        stats, run = server.stats(), summary["run"]
        equal((summary["requests"]["doneNow"], stats["answered"], stats["bad_requests"]), (16, 16, 0), said)
        assert 3 <= run["countCalls"] <= 16, run
        equal((stats["counted"], run["counted"], run["countFailures"]), (run["countCalls"], run["countCalls"], 0))
        equal((run["overran"], summary["budget"]["totalUsed"]), (0, stats["tokens"]))
        assert run["savedTokens"] > run["counted"] * 2000, run
    with sim() as server, place(long_lines(16)) as here:
        summary, _ = counted(here, server, 1_000_000)  # all bounds fit: nobody is asked
        equal((server.stats()["counted"], summary["run"]["countCalls"], summary["requests"]["doneNow"]), (0, 0, 16))


def test_lines_whose_counts_fail_wait_for_their_bounds():
    with sim("--no-counts") as server, place(long_lines(8)) as here:
        summary, said = counted(here, server, 18_000)
        equal((summary["requests"]["doneNow"], summary["run"]["counted"], summary["run"]["savedTokens"]), (8, 0, 0), said)
        assert summary["run"]["countFailures"] >= 1 and said.count("does not count input tokens") == 1, said
    with sim("--rate-count-500", 100) as server, place(long_lines(8)) as here:
        summary, said = counted(here, server, 18_000)
        run = summary["run"]
        equal((summary["requests"]["doneNow"], run["counted"], server.stats()["counted"]), (8, 0, 0), said)
        assert 1 <= run["countCalls"] <= 16 and run["countFailures"] * 2 <= run["countCalls"], run


def test_counts_that_are_too_low_are_overruns():
    chats = [line for line in long_lines(16) if line["url"] == CHAT]
    with sim("--count-percent", 50, "--output-fill", 100) as server, place(chats) as here:
        summary, said = counted(here, server, 4_600)  # less than a bound, more than all four use
        run = summary["run"]
        equal((summary["requests"]["doneNow"], run["counted"], run["overran"]), (4, 4, 4), said)
        with contextlib.closing(sqlite3.connect(here.folder / "headgate.db")) as ledger:
            rows = ledger.execute("SELECT reason FROM event WHERE event = 'BUDGET_OVERRUN'").fetchall()
        equal(rows, [("over_reservation",)] * 4)


def test_requests_of_a_minute_are_paced():
    with sim() as server, place(12) as here:
        config = here.config(1_000_000, scheduler={"maxConcurrency": 8}, llm={"requestsPerMinute": 200})
        summary, _ = here.run("--config", config, "--base-url", server.url)
        here.check(server, summary, done=12)
        assert summary["run"]["pacedMs"] > 0 and summary["run"]["pushbacks"] == 0, summary


def test_the_summary_says_that_a_limit_was_not_provable():
    """Of a batch whose input cannot be bounded from its text: refused, but where the configuration allows it."""
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    lines = [chat_line(i) for i in range(3)]
    lines[1]["body"]["messages"][0]["content"] = [picture]
    with sim() as server, place(lines) as here:
        summary, said = here.run("--config", here.config(1_000_000), "--base-url", server.url, code=1)
        equal((summary["requests"]["doneNow"], summary["run"]["unbounded"], "provable" in said), (2, 0, False))
        equal([failure["error"]["code"] for failure in here.failures()], ["unbounded_request"])
        config = here.config(1_000_000, llm={"unbounded": "allow"})
        process = here.start("--config", config, "--base-url", server.url)
        out, said = process.communicate(timeout=60)
        equal(process.returncode, 0, said)
        assert "1 requests had no provable bound: the limit was not provable\n" in out + said, (out, said)
        summary, _ = here.run("--config", config, "--base-url", server.url, "--fresh")
        equal((summary["requests"]["doneNow"], summary["run"]["unbounded"]), (3, 1))


def test_a_provider_that_pushes_back_is_told_of():
    with sim("--rate-429", 40, "--retry-after", 0, "--latency-ms", 5) as server, place(200) as here:
        config = here.config(1_000_000, scheduler={"maxConcurrency": 32}, llm={"maxAttempts": 100})
        process = here.start("--config", config, "--base-url", server.url)
        _, said = process.communicate(timeout=WAIT_S)
        equal((process.returncode, len(here.results())), (0, 200), said)
        with contextlib.closing(sqlite3.connect(here.folder / "headgate.db")) as ledger:
            rows = ledger.execute("SELECT task_id, from_count, to_count FROM event WHERE event = 'PROVIDER_PUSHBACK' "
                                  "ORDER BY seq").fetchall()
        assert rows and all(task == "results" and before != after for task, before, after in rows), rows
        equal(rows[0][1], 32)
        assert "the provider pushes back: " in said and "pushback   the provider was too busy" in said, said


def test_status_tells_of_a_run_that_is_pushed_back():
    """Of another process's runtime, which hears of it, and of the run's own."""
    with sim("--rate-429", 60, "--retry-after", 0, "--latency-ms", 50) as server, place(20_000) as here:
        config = here.config(10**9, scheduler={"maxConcurrency": 32}, llm={"maxAttempts": 100})
        for around in (cli_harness.serving(config), contextlib.nullcontext()):
            with around:
                process = here.start("--config", config, "--base-url", server.url)
                told = {"pushedBackTo": 0}
                while told["pushedBackTo"] == 0 and process.poll() is None:
                    told = cli_harness.status("--config", config)
                assert 1 <= told["pushedBackTo"] < 32, (told, process.poll())
                said = cli_harness.headgate("status", "--config", config)
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=WAIT_S)
                assert "the provider is too busy: a run makes " in said, said


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
