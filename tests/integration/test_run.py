#!/usr/bin/env python3
"""headgate run, end to end, against llm-sim: python3 test_run.py BUILD_DIR [NAME ...]

Standard library only. What holds in every case: the provider never billed more than the ledger says was used, and the
ledger never more than the limit; no custom_id has two results; a call that has its result is not made again.
"""
import contextlib
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios

from cli_harness import HEADGATE, equal, main
from run_harness import CHAT, WAIT_S, audit, chat_line, place, sim, wait_until, whole_lines


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
        summary = here.run_to_the_last("--config", config, "--base-url", server.url)
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


def streamed_lines(count, stream):
    user = [{"role": "user", "content": "hello"}]
    bodies = [(CHAT, {"messages": user, "max_tokens": 90, "n": 2}), ("/v1/responses", {"input": "hello", "max_output_tokens": 90}),
              ("/v1/completions", {"prompt": "hello", "max_tokens": 90}), ("/v1/messages", {"messages": user, "max_tokens": 90})]
    for i in range(count):
        url, body = bodies[i % len(bodies)]
        body = {"model": "m", "user": str(i), **body, **({"stream": True} if stream else {})}
        yield {"custom_id": str(i), "method": "POST", "url": url, "body": body}


def words_of(body):
    """What a model said, whichever the endpoint."""
    if "choices" in body:
        return [choice["message"]["content"] if "message" in choice else choice["text"] for choice in body["choices"]]
    parts = body["content"] if "content" in body else [part for item in body["output"] for part in item["content"]]
    return [part["text"] for part in parts]


def test_streams_are_answered_as_other_calls_are():
    shapes = []
    for stream in (True, False):
        with sim() as server, place(list(streamed_lines(40, stream))) as here:
            summary, _ = here.run("--limit", "1M", "--base-url", server.url)
            stats = here.check(server, summary, done=40)
            equal(stats["tokens"], summary["budget"]["totalUsed"], "tokens")
            equal(summary["run"]["estimated"], 0, "estimates")
            results = {result["custom_id"]: result["response"]["body"] for result in here.results()}
            assert all(all(words_of(body)) and body["usage"] for body in results.values()), results
            shapes.append({id: {"object": body.get("object"), "type": body.get("type"), "choices": len(words_of(body))}
                           for id, body in results.items()})
    equal(shapes[0], shapes[1])


def test_streams_that_break_off_are_charged_in_full():
    flags = ["--rate-429", 5, "--retry-after", 0, "--rate-500", 5, "--rate-cut", 5, "--rate-malformed", 5,
             "--rate-no-usage", 5, "--seed", 9]
    with sim(*flags) as server, place(list(streamed_lines(400, True))) as here:
        config = here.config(10_000_000, scheduler={"maxConcurrency": 32})
        summary = here.run_to_the_last("--config", config, "--base-url", server.url)
        stats = here.check(server, summary, done=400)
        equal(stats["duplicates"], 0, "calls repeated after a success")
        for kind in ("rejected_429", "failed_500", "cut_off", "malformed", "no_usage"):
            assert stats[kind] > 0, (kind, stats)


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
        stream["body"]["stream"] = "yes"
        here.batch.write_text(text + json.dumps(stream) + "\n")
        here.lines.append(stream)
        summary, _ = here.run("--limit", "100k", "--base-url", server.url, code=1)
        here.check(server, summary, done=3)
        equal((summary["requests"]["invalid"], summary["requests"]["duplicates"]), (1, 1))
        equal(summary["requests"]["failures"], {"invalid_request": 1})
        codes = sorted(failure["error"]["code"] for failure in here.failures())
        equal(codes, ["duplicate_custom_id", "invalid_line", "invalid_request"])


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


def test_results_in_the_order_of_the_input():
    with sim("--latency-ms", 1, "--latency-jitter-ms", 40, "--rate-500", 10) as server, place(120) as here:
        flags = ["--limit", "10M", "--max-concurrency", 16, "--base-url", server.url]
        summary, _ = here.run(*flags, "--order", "input")
        here.check(server, summary, done=120)
        ids = [result["custom_id"] for result in here.results()]
        equal(ids, [line["custom_id"] for line in here.lines])
        here.write(here.lines[60:] + here.lines[:60])  # a later run puts them anew
        summary, _ = here.run(*flags, "--order", "input")
        equal(summary["requests"]["doneNow"], 0)
        equal([result["custom_id"] for result in here.results()], [line["custom_id"] for line in here.lines])
        _, said = here.run(*flags, "--order", "best", code=2)
        assert "--order takes completion or input" in said, said


def test_the_order_of_the_input_needs_a_file_to_read_again():
    with sim() as server, place(3) as here:
        os.mkfifo(here.folder / "pipe")
        for batch in ("-", here.folder / "pipe", "/dev/stdin"):  # as <(...) of a shell
            done = subprocess.run(here.command("--limit", "10M", "--base-url", server.url, "--order", "input", batch=batch),
                                  capture_output=True, input=here.batch.read_bytes(), timeout=WAIT_S, **here.options())
            equal(done.returncode, 2, done.stderr)
            assert b"a batch file that can be read again" in done.stderr, done.stderr
        equal((server.stats()["requests"], here.output.exists()), (0, False))


def of_stdout(here, *flags, code=0, stdin=subprocess.DEVNULL, batch=None):
    """The results of a run that writes them to standard output, and what it said."""
    process = here.start(*flags, "-o", "-", stdin=stdin, batch=batch)
    out, said = process.communicate(timeout=WAIT_S)
    equal(process.returncode, code, said)
    return [json.loads(line) for line in out.splitlines()], said


def test_results_on_standard_output():
    with place(20) as here, sim() as server:
        flags = ["--limit", "1M", "--base-url", server.url]
        lines = here.batch.read_text().splitlines()
        here.batch.write_text("\n".join([lines[3], "no JSON", *lines]) + "\n")
        for again in (1, 2):
            results, said = of_stdout(here, *flags, code=1)
            equal(sorted(result["custom_id"] for result in results), sorted(f"r-{i}" for i in range(20)))
            assert all(result["response"]["status_code"] == 200 for result in results), results
            assert "20" in said and "go on" not in said, said
            equal(server.stats()["requests"], 20 * again, "nothing is remembered")
            failures = whole_lines(here.folder / "batch.errors.jsonl")
            equal([failure["error"]["code"] for failure in failures], ["invalid_line", "duplicate_custom_id"])
            equal([failure["error"]["line"] for failure in failures], [2, 6])
            equal(audit(here.folder / "batch.db"), server.stats()["tokens"])
        equal(sorted(path.name for path in here.folder.iterdir() if path.is_file() and "-" not in path.name
                     and "lock" not in path.name),
              ["batch.db", "batch.errors.jsonl", "batch.jsonl"])


def test_standard_input_to_standard_output():
    with place(20) as here, sim() as server, open(here.batch, encoding="utf-8") as batch:
        results, _ = of_stdout(here, "--limit", "1M", "--base-url", server.url, stdin=batch, batch="-")
        equal(len({result["custom_id"] for result in results}), 20)
        equal(audit(here.folder / "headgate.db"), server.stats()["tokens"])
        assert not (here.folder / "headgate.errors.jsonl").exists()


def waiting_in(pipe):
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


@contextlib.contextmanager
def full_pipe(lines):
    """A run whose first result does not fit into the pipe that nobody reads."""
    with place([chat_line(i, max_tokens=1300) for i in range(lines)]) as here, \
            sim("--text-bytes", 6000, "--output-fill", 100) as server:
        process = here.start("--limit", "10M", "--base-url", server.url, "--max-concurrency", 8, "-o", "-", pipesize=4096)
        wait_until(lambda: waiting_in(process.stdout) == 4096, "a full pipe")
        yield process, server


def test_reader_that_is_slow_is_waited_for():
    with full_pipe(200) as (process, server):
        out, said = process.communicate(timeout=WAIT_S)
        equal((process.returncode, said.count("trying again"), said.count("going on")), (0, 0, 0), said)
        equal(len({json.loads(line)["custom_id"] for line in out.splitlines()}), 200)
        equal(server.stats()["requests"], 200)


def test_reader_that_does_not_read_can_be_left():
    with full_pipe(200) as (process, server):
        process.send_signal(signal.SIGINT)
        equal(process.wait(WAIT_S), 4)
        said = process.communicate()[1]
        assert "its reader is behind" in said and "trying again" not in said, said
        assert server.stats()["requests"] < 200, server.stats()


def test_reader_that_goes_away_ends_the_run():
    with place(1000) as here, sim("--latency-ms", 5) as server:
        process = here.start("--limit", "10M", "--base-url", server.url, "--max-concurrency", 8, "-o", "-")
        assert json.loads(process.stdout.readline())["response"]["status_code"] == 200
        process.stdout.close()
        equal(process.wait(WAIT_S), 4)
        said = process.stderr.read()
        process.stderr.close()
        assert "nobody reads the results" in said and "trying again" not in said, said
        assert server.stats()["requests"] < 1000, server.stats()


def test_failures_go_where_they_are_told_to():
    with place(3) as here, sim() as server:
        here.batch.write_text(here.batch.read_text() + "no JSON\n")
        summary, _ = here.run("--limit", "1M", "--base-url", server.url, "--errors", "bad.jsonl", code=1)
        equal((summary["errors"], summary["requests"]["invalid"]), ("bad.jsonl", 1))
        equal([line["error"]["line"] for line in whole_lines(here.folder / "bad.jsonl")], [4])
        assert not here.errors.exists()


def test_two_runs_cannot_share_results():
    with sim("--latency-ms", 7000) as server, place(3) as here:
        flags = ["--limit", "10M", "--base-url", server.url]
        process = here.start(*flags)
        wait_until(lambda: server.stats()["in_flight"] > 0, "a call in flight")
        elsewhere = here.config(10_000_000, ledger={"path": "other.db"})
        second, third = here.start(*flags), here.start("--config", elsewhere, "--base-url", server.url)
        _, said = third.communicate(timeout=WAIT_S)
        equal(third.returncode, 2, said)
        assert "another run is writing to" in said, said
        _, said = second.communicate(timeout=WAIT_S)
        equal(second.returncode, 2, said)  # a guest on the ledger
        assert "permits come from the runtime that lives on" in said and "another run is writing to" in said, said
        process.communicate(timeout=WAIT_S)
        equal((process.returncode, len(here.results()), server.stats()["requests"]), (0, 3, 3))


# ------------------------------------------------------------------------------------------------ pipes


def test_batch_from_a_pipe():
    for name in ("/dev/stdin", "-"):
        with sim() as server, place(20) as here:
            process = here.start("--limit", "10M", "--base-url", server.url, "--json", batch=name,
                                 stdin=subprocess.PIPE)
            out, said = process.communicate(here.batch.read_text(), timeout=WAIT_S)
            equal(process.returncode, 0, said)
            here.check(server, json.loads(out), done=20)


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


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
