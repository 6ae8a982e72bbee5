#!/usr/bin/env python3
"""headgate run, end to end, against llm-sim: python3 test_run.py BUILD_DIR [NAME ...]

Standard library only. What holds in every case: the provider never billed more than the ledger says was used, and the
ledger never more than the limit; no custom_id has two results; a call that has its result is not made again.
"""
import contextlib
import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys

from cli_harness import HEADGATE, equal, main
from run_harness import CHAT, WAIT_S, chat_line, place, sim, wait_until, whole_lines


# ------------------------------------------------------------------------------------------------ whole runs


def test_every_line_is_called_once_and_a_second_run_calls_nothing():
    with sim() as server, place(300) as here:
        config = here.config(10_000_000, scheduler={"maxConcurrency": 32})
        summary, _ = here.run("--config", config, "--base-url", server.url)
        stats = here.check(server, summary, done=300)
        equal(stats["requests"], 300, "requests")
        equal(stats["tokens"], summary["budget"]["totalUsed"], "tokens")
        equal(summary["requests"]["doneNow"], 300)
        assert not here.errors.exists()
        summary, _ = here.run("--config", config, "--base-url", server.url)
        equal(here.check(server, summary, done=300)["requests"], 300, "requests")
        equal((summary["requests"]["doneNow"], summary["requests"]["doneBefore"]), (0, 300))


def test_errors_of_every_kind_then_a_resume():
    flags = ["--rate-429", 8, "--retry-after", 0, "--rate-500", 8, "--rate-cut", 4, "--rate-malformed", 4,
             "--rate-no-usage", 4, "--seed", 7]
    with sim(*flags) as server, place(400) as here:
        config = here.config(10_000_000, scheduler={"maxConcurrency": 64})
        summary, _ = here.run("--config", config, "--base-url", server.url, code=(0, 1))
        stats = here.check(server, summary)
        for kind in ("rejected_429", "failed_500", "cut_off", "malformed", "no_usage"):
            assert stats[kind] > 0, (kind, stats)
        assert summary["run"]["retries"] > 0 and summary["run"]["estimated"] > 0, summary
        equal(len(here.results()) + len(here.failures()), 400, "lines with a fate")
        for _ in range(10):
            summary, _ = here.run("--config", config, "--base-url", server.url, code=(0, 1))
            if summary["exit"] == 0:
                break
        stats = here.check(server, summary, done=400)
        equal(stats["duplicates"], 0, "calls repeated after a success")


def test_all_endpoints():
    user = [{"role": "user", "content": "hello"}]
    bodies = {CHAT: {"model": "m", "messages": user, "max_tokens": 20},
              "/v1/responses": {"model": "m", "input": "hello", "max_output_tokens": 20},
              "/v1/completions": {"model": "m", "prompt": "hello", "max_tokens": 20},
              "/v1/embeddings": {"model": "m", "input": "hello"},
              "/v1/messages": {"model": "m", "messages": user, "max_tokens": 20}}
    lines = [{"custom_id": url, "method": "POST", "url": url, "body": body} for url, body in bodies.items()]
    with sim("--require-key", "secret") as server, place(lines) as here:
        keys = {"OPENAI_API_KEY": "secret", "ANTHROPIC_API_KEY": "secret"}
        summary, _ = here.run("--limit", "100k", "--base-url", server.url, env=keys)
        stats = here.check(server, summary, done=len(bodies))
        equal(stats["tokens"], summary["budget"]["totalUsed"], "tokens")
        equal(summary["run"]["estimated"], 0, "estimates")


def test_missing_cap_is_sent():
    line = chat_line(0)
    del line["body"]["max_tokens"]
    with sim("--output-fill", 100) as server, place([line]) as here:
        config = here.config(100_000, llm={"defaultMaxTokens": 33})
        summary, _ = here.run("--config", config, "--base-url", server.url)
        here.check(server, summary, done=1)
        equal(here.results()[0]["response"]["body"]["usage"]["completion_tokens"], 33, "output")


def test_failures_keep_their_answers():
    with sim("--always-status", 400) as server, place(5) as here:
        summary, _ = here.run("--limit", "100k", "--base-url", server.url, code=1)
        equal(summary["requests"]["failures"], {"http_400": 5})
        equal(summary["budget"]["totalUsed"], 0, "used")
        for failure in here.failures():
            equal(failure["response"]["status_code"], 400)
            assert "error" in failure["response"]["body"] and failure["error"] is None, failure
        equal(here.results(), [])


def test_bad_lines_and_duplicates_are_told():
    with sim() as server, place(3) as here:
        text = here.batch.read_text() + "this is no JSON\n" + json.dumps(chat_line(1)) + "\n"
        stream = chat_line(9)
        stream["body"]["stream"] = True
        here.batch.write_text(text + json.dumps(stream) + "\n")
        here.lines.append(stream)
        summary, _ = here.run("--limit", "100k", "--base-url", server.url, code=1)
        here.check(server, summary, done=3)
        equal((summary["requests"]["invalid"], summary["requests"]["duplicates"]), (1, 1))
        equal(summary["requests"]["failures"], {"invalid_request": 1})
        codes = sorted(failure["error"]["code"] for failure in here.failures())
        equal(codes, ["duplicate_custom_id", "invalid_line", "invalid_request"])


def test_batch_from_a_pipe():
    for name in ("/dev/stdin", "-"):
        with sim() as server, place(20) as here:
            process = here.start("--limit", "10M", "--base-url", server.url, "--json", batch=name,
                                 stdin=subprocess.PIPE)
            out, said = process.communicate(here.batch.read_text(), timeout=WAIT_S)
            equal(process.returncode, 0, said)
            here.check(server, json.loads(out), done=20)


# ------------------------------------------------------------------------------------------------ the budget


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
        rows = db.execute("SELECT event, permit, used, from_count, to_count FROM journal ORDER BY seq").fetchall()
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


def test_limit_with_a_configuration_changes_the_limit():
    with sim() as server, place(3) as here:
        config = here.config(100)
        here.run("--config", config, "--base-url", server.url, code=3)
        summary, _ = here.run("--config", config, "--base-url", server.url, "--limit", "50k")
        here.check(server, summary, done=3)
        equal(summary["budget"]["hardLimit"], 50000)


# ------------------------------------------------------------------------------------------------ flags


def test_sizes():
    good = {"200000": 200000, "200k": 200000, "2M": 2000000, "2_000_000": 2000000, "1.5M": 1500000, "0.001k": 1,
            "1G": 10**9, "9007199254740991": 2**53 - 1}
    with place(2) as here:
        for text, tokens in good.items():
            summary, _ = dry_run(here, text)
            equal(summary["hardLimit"], tokens, text)
        for text in ("0", "-1", "", "abc", "1.5", "1.2345k", "2MM", "1__000", "_1", "1e6", "9007199254740992", "1T",
                     "9999999999G", " 5", "5 "):
            _, said = dry_run(here, text, code=2)
            assert "--limit" in said, (text, said)


def dry_run(here, limit, code=(0, 3), *flags):
    process = here.start("--dry-run", "--json", *([f"--limit={limit}"] if limit else []), *flags)
    out, said = process.communicate(timeout=WAIT_S)
    assert process.returncode in (code if isinstance(code, tuple) else (code,)), (limit, process.returncode, out, said)
    return (json.loads(out) if out else None), said


def test_dry_run_says_what_it_may_cost():
    with sim("--output-fill", 100) as server, place(10) as here:
        summary, _ = dry_run(here, "10M", code=0)
        equal((summary["requests"], summary["doneBefore"], summary["invalid"], summary["fits"]), (10, 0, 0, True))
        equal((summary["totalUsed"], summary["available"]), (0, 10_000_000))
        small, large = summary["smallestRequest"], summary["largestRequest"]
        assert 40 < small <= large and 10 * small <= summary["mostTokens"] <= 10 * large, summary
        equal(dry_run(here, summary["mostTokens"], code=0)[0]["fits"], True)
        equal(dry_run(here, summary["mostTokens"] - 1, code=3)[0]["fits"], False)
        equal(sorted(os.listdir(here.folder)), ["batch.jsonl"], "files")
        done, _ = here.run("--limit", summary["mostTokens"], "--max-concurrency", 10, "--base-url", server.url)
        assert done["budget"]["totalUsed"] <= summary["mostTokens"]
        summary, _ = dry_run(here, "10M", code=0)
        equal((summary["requests"], summary["doneBefore"], summary["mostTokens"]), (0, 10, 0))


def test_wrong_usage_says_what_to_do():
    with place(1) as here:
        cases = [([], "hardLimitTokens"), (["--limit", "1k", "--progress", "often"], "--progress"),
                 (["--limit", "1k", "--max-concurrency", "0"], "--max-concurrency"),
                 (["--limit", "1k", "--bind", "tcp://0.0.0.0:5555"], "loopback|127.0.0.1"),
                 (["--limit", "1k", "--base-url", "ftp://x"], "no http or https URL"), (["--config", "nowhere.json"], "nowhere.json"),
                 (["--limit", "1k", "-o", here.folder / "nowhere" / "r.jsonl"], "directory"),
                 (["--limit", "1k", "-o", here.batch], "batch file")]
        for flags, word in cases:
            _, said = here.run(*flags, code=2)
            assert any(part in said for part in word.split("|")), (flags, said)
        here.batch.unlink()
        _, said = here.run("--limit", "1k", code=2)
        assert "batch.jsonl" in said, said


def test_the_table_and_the_progress_line():
    with sim("--latency-ms", 20) as server, place(60) as here:
        command = [HEADGATE, "run", here.batch, "-o", here.output, "--progress", "always", "--limit", "1M",
                   "--base-url", server.url]
        done = subprocess.run(list(map(str, command)), capture_output=True, timeout=WAIT_S,
                              env={**os.environ, "LC_ALL": "C"})
        equal((done.returncode, done.stdout), (0, b""), done.stderr)
        live, _, table = done.stderr.decode("ascii").partition("requests ")
        assert live.count("\r") >= 2 and "running 4/4" in live and " % of 1,000,000" in live, live
        assert "60 done" in table and "of 1,000,000 tokens used" in table, table


def test_two_runs_cannot_share_results():
    with sim("--latency-ms", 7000) as server, place(3) as here: # longer than a starter waits for the ledger
        flags = ["--limit", "10M", "--base-url", server.url]
        process = here.start(*flags)
        wait_until(lambda: server.stats()["in_flight"] > 0, "a call in flight")
        elsewhere = here.config(10_000_000, ledger={"path": "other.db"})
        second, third = here.start(*flags), here.start("--config", elsewhere, "--base-url", server.url)
        _, said = third.communicate(timeout=WAIT_S)
        equal(third.returncode, 2, said)
        assert "another run is writing to" in said, said
        _, said = second.communicate(timeout=WAIT_S)
        equal(second.returncode, 4, said)
        assert f"another runtime (pid {process.pid}" in said, said
        process.communicate(timeout=WAIT_S)
        equal((process.returncode, len(here.results()), server.stats()["requests"]), (0, 3, 3))


def test_standard_input_may_be_a_file():
    with sim() as server, place(20) as here, open(here.batch, encoding="utf-8") as batch:
        process = here.start("--limit", "10M", "--base-url", server.url, "--json", batch="-", stdin=batch)
        out, said = process.communicate(timeout=WAIT_S)
        equal(process.returncode, 0, said)
        equal(json.loads(out)["requests"]["lines"], 20)
        here.check(server, json.loads(out), done=20)


def test_a_quiet_pipe_does_not_keep_calls_from_ending():
    with sim() as server, place(6) as here:
        pipe_name = here.folder / "pipe"
        os.mkfifo(pipe_name)
        text = here.batch.read_text()
        cut = text.index("r-3") # inside the fourth line
        process = here.start("--limit", "10M", "--base-url", server.url, "--json", batch=pipe_name)
        with open(pipe_name, "w", encoding="utf-8") as pipe:
            pipe.write(text[:cut])
            pipe.flush()
            wait_until(lambda: here.output.exists() and len(whole_lines(here.output)) == 3, "the first three results")
            pipe.write(text[cut:])
        out, said = process.communicate(timeout=WAIT_S)
        equal(process.returncode, 0, said)
        here.check(server, json.loads(out), done=6)


def test_a_quiet_pipe_can_be_interrupted():
    with sim() as server, place(2) as here:
        pipe_name = here.folder / "pipe"
        os.mkfifo(pipe_name)
        for writes in (False, True):
            process = here.start("--limit", "10M", "--base-url", server.url, "--json", batch=pipe_name)
            with open(os.open(pipe_name, os.O_RDWR if writes else os.O_RDONLY | os.O_NONBLOCK), "rb+" if writes else
                      "rb", buffering=0) as pipe:
                if writes:
                    pipe.write(here.batch.read_bytes())
                    wait_until(lambda: here.output.exists() and len(whole_lines(here.output)) == 2, "two results")
                else:
                    wait_until(here.output.exists, "the opening")
                process.send_signal(signal.SIGINT)
                out, said = process.communicate(timeout=WAIT_S)
            equal(process.returncode, 130, said)
            assert json.loads(out)["goOn"], out


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


def set_limit(here, *words):
    done = subprocess.run(list(map(str, [HEADGATE, "limit", *words])), capture_output=True, text=True, cwd=here.folder)
    equal(done.returncode, 0, done.stderr)


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


def test_dry_run_of_the_rest():
    with sim("--output-fill", 100) as server, place(20) as here:
        one, _ = dry_run(here, "10M", code=0)
        limit = one["largestRequest"] + 200
        run, _ = here.run("--limit", limit, "--base-url", server.url, code=3)
        done, used = run["requests"]["doneNow"], run["budget"]["totalUsed"]
        assert 0 < done < 20 and used > 0, run
        before = {name: (here.folder / name).read_bytes() for name in ("results.jsonl", "batch.jsonl")}
        rest, _ = dry_run(here, limit, code=3)
        equal((rest["requests"], rest["doneBefore"], rest["totalUsed"]), (20 - done, done, used))
        equal(rest["available"], limit - used)
        assert rest["mostTokens"] < one["mostTokens"] and rest["tooLarge"] > 0 and not rest["fits"], rest
        enough = used + rest["mostTokens"]
        equal(dry_run(here, enough - 1, code=3)[0]["fits"], False)
        equal(dry_run(here, enough, code=0)[0]["fits"], True)
        set_limit(here, "--ledger", here.folder / "results.db", "default", enough)
        held, _ = dry_run(here, limit, code=0) # which was said before
        equal(held["hardLimit"], enough)
        equal({name: (here.folder / name).read_bytes() for name in before}, before, "files")
        with contextlib.closing(sqlite3.connect(here.folder / "results.db")) as ledger:
            openings = ledger.execute("SELECT value FROM meta WHERE key = 'opening'").fetchone()[0]
        equal(openings, 2, "openings: of the run and of the limit")
        here.check(server, here.run("--limit", enough, "--base-url", server.url)[0], done=20)


def test_dry_run_knows_the_budgets():
    lines = [dict(chat_line(i), budget="evals") for i in range(3)] + [chat_line(3), dict(chat_line(4), budget="none")]
    with place(lines) as here:
        config = here.config(1_000_000, tokenBudget={"budgets": {"evals": {"hardLimitTokens": 1000}}})
        summary, said = dry_run(here, None, 1, "--config", config)
        equal((summary["requests"], summary["invalid"], summary["shortBudget"], summary["fits"]), (4, 1, "evals", False))
        assert 'line 5: there is no budget "none"' in said, said
        process = here.start("--dry-run", "--config", config)
        table, _ = process.communicate(timeout=WAIT_S)
        assert "4 to run, 0 done before" in table and 'budget     "evals"' in table and "of 1,000 tokens" in table, table


def test_dry_run_beside_a_run():
    with sim("--latency-ms", 30000) as server, place(5) as here:
        process = here.start("--limit", "1M", "--base-url", server.url)
        wait_until(lambda: server.stats()["in_flight"] >= 4, "four calls in flight")
        summary, _ = dry_run(here, "1M", code=0)
        assert summary["reserved"] > 0 and summary["available"] == 1_000_000 - summary["reserved"], summary
        process.kill()
        process.communicate()


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
