#!/usr/bin/env python3
"""headgate run when things go wrong around it: python3 test_run_faults.py BUILD_DIR [NAME ...]

A provider that goes away, refuses everybody or repeats the key, a terminal that closes, output that nobody can write.
Standard library only.
"""
import contextlib
import http.server
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading

from cli_harness import HEADGATE, equal, main
from run_harness import WAIT_S, Sim, answered, audit, chat_line, end_of, place, serving, sim, wait_until


# ------------------------------------------------------------------------------------------------ providers


class Provider(http.server.ThreadingHTTPServer):
    """Answers call number n with answer(n, headers): a status and a body."""
    daemon_threads = True

    def __init__(self, answer, host="127.0.0.1"):
        provider, self.calls, self.lock = self, 0, threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                with provider.lock:
                    provider.calls += 1
                    status, body = answer(provider.calls, self.headers)
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                if status in (301, 302, 303, 307, 308):
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        super().__init__((host, 0), Handler)
        self.url = f"http://{host}:{self.server_address[1]}"


def provider(answer, **options):
    return serving(Provider(answer, **options))


GOOD = 200, {"id": "x", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}}],
             "usage": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}}


def refusal(message):
    return {"error": {"message": message, "type": "invalid_request_error"}}


def test_provider_that_dies_leaves_the_lines_for_the_next_run():
    with place(600) as here:
        server = Sim("--latency-ms", 5)
        flags = ["--limit", "100M", "--max-concurrency", 8, "--base-url", server.url]
        follower = here.follow(*flags)
        try:
            wait_until(answered(server, 50), "fifty answers")
        finally:
            server.stop()
        summary = end_of(follower, 2)
        equal((summary["stopped"], summary["requests"]["failed"], here.failures()), ("access", 0, []))
        done = len(here.results())
        assert done >= 50 and summary["requests"]["left"] == 600 - done, summary
        assert "in a row" in summary["reason"] and "when it does again" in summary["hint"], summary
        again = Sim("--port", server.url.rsplit(":", 1)[1])
        try:
            summary, _ = here.run(*flags)
            equal((len(here.results()), again.stats()["requests"]), (600, 600 - done))
        finally:
            again.stop()


def test_key_that_is_revoked_leaves_the_lines_for_the_next_run():
    with place(300) as here, provider(lambda n, _: GOOD if n <= 40 else (401, refusal("revoked"))) as server:
        flags = ["--limit", "1M", "--max-concurrency", 4, "--base-url", server.url]
        summary, _ = here.run(*flags, code=2, env={"OPENAI_API_KEY": "sk-good"})
        equal((summary["stopped"], summary["requests"]["doneNow"]), ("access", 40))
        equal((summary["requests"]["failed"], summary["requests"]["left"], here.failures()), (0, 260, []))
        assert "revoked" in summary["reason"] and "OPENAI_API_KEY" in summary["hint"], summary
        # Each of the other three may answer late, so that the row of twenty begins anew.
        assert server.calls <= 40 + 3 * 19 + 20 + 2 * 4, server.calls
        server.calls = -1000
        summary, _ = here.run(*flags)
        equal(len(here.results()), 300)


def test_bad_lines_among_good_ones_fail_alone():
    with place(200) as here, provider(lambda n, _: GOOD if n % 3 else (403, refusal(f"flagged {n}"))) as server:
        summary, _ = here.run("--limit", "1M", "--max-concurrency", 4, "--base-url", server.url, code=1)
        equal(summary["requests"]["failures"], {"http_403": 66})
        equal((len(here.results()), len(here.failures())), (134, 66))
        for failure in here.failures():
            assert failure["response"]["body"]["error"]["message"].startswith("flagged "), failure


def test_answers_that_say_the_url_is_wrong_stop_the_run():
    for status in (301, 302, 303, 307, 308, 404, 405, 410, 501):
        with place(100) as here, provider(lambda *_, status=status: (status, b"<html>no</html>")) as server:
            summary, _ = here.run("--limit", "1M", "--max-concurrency", 16, "--base-url", server.url, code=2)
            equal((summary["stopped"], summary["requests"]["failed"], here.failures()), ("access", 0, []), status)
            equal(summary["requests"]["left"], 100, status)
            assert str(status) in summary["reason"] and server.url in summary["hint"], summary
            assert "base URL" in summary["hint"] and server.calls <= 5, (summary, server.calls)


def test_words_of_a_provider_are_shown_whatever_they_hold():
    words = "no entry\n\x1b[31mfor you\x00 " + "é" * 400
    with place(20) as here, provider(lambda *_: (403, refusal(words))) as server:
        summary, said = here.run("--limit", "1M", "--base-url", server.url, code=2)
        assert "no entry  [31mfor you  éééé" in summary["reason"] and "\x1b" not in summary["reason"], summary
        process = here.start("--limit", "1M", "--base-url", server.url)
        _, said = process.communicate(timeout=WAIT_S)
        assert "no entry  [31mfor you  éééé" in said and "\x1b" not in said, said


def test_key_that_a_provider_repeats_is_written_nowhere():
    key = "sk-secret/one+two"

    def repeat(n, headers):
        assert headers["Authorization"] == f"Bearer {key}"
        if n % 2:
            return GOOD
        said = json.dumps(refusal(f"a wrong key, {key}, really")).replace("/", "\\/") if n % 4 else f"wrong: {key}"
        return 400, said.encode()

    with place(40) as here, provider(repeat) as server:
        config = here.config(1_000_000, eventBus={"bind": []})
        summary, said = here.run("--config", config, "--base-url", server.url, code=1, env={"OPENAI_API_KEY": key})
        equal(len(here.failures()), 20)
        for failure in here.failures():
            assert "wrong" in json.dumps(failure) and "*****" in json.dumps(failure), failure
        for path in here.folder.iterdir():
            if path.is_file():
                assert b"secret" not in path.read_bytes(), path
        assert "secret" not in said + json.dumps(summary), (said, summary)


def test_no_proxy_of_the_environment_holds_beside_ours():
    """The proxy would answer 400; 127.0.0.2 is a host that only the environment names."""
    with provider(lambda *_: (400, refusal("I am the proxy"))) as proxy:
        for host, names, done in (("127.0.0.1", "", 1), ("127.0.0.2", "", 0), ("127.0.0.2", "x.example,127.0.0.2", 1),
                                  ("127.0.0.1", "x.example", 1), ("127.0.0.2", "*", 1)):
            with provider(lambda *_: GOOD, host=host) as server, place(1) as here:
                for name in ("no_proxy", "NO_PROXY"):
                    env = {"http_proxy": proxy.url, "no_proxy": "", "NO_PROXY": "", name: names}
                    if name == "NO_PROXY":
                        del env["no_proxy"]
                    summary, _ = here.run("--limit", "1M", "--fresh", "--base-url", server.url, env=env,
                                          code=1 - done)
                    equal(summary["requests"]["doneNow"], done, (host, names, name))


def test_pause_that_is_too_long_is_left_to_the_next_run():
    with place(100) as here:
        flags = ["--limit", "10M", "--max-concurrency", 4]
        with sim("--rate-429", 100, "--retry-after", 3600) as server:
            summary, _ = here.run(*flags, "--base-url", server.url, code=2)
            equal((summary["stopped"], summary["requests"]["left"], here.failures()), ("access", 100, []))
            assert "3600 s; a run waits 600 s at most" in summary["reason"] and "later" in summary["hint"], summary
            stats = server.stats()
            assert stats["requests"] <= 20 + 2 * 4, stats
        with sim("--rate-429", 30, "--retry-after", 3600) as server:
            summary, _ = here.run(*flags, "--base-url", server.url, code=1)
            failures = here.failures()
            equal(summary["requests"]["failures"], {"retry_after_too_long": len(failures)})
            equal((server.stats()["requests"], summary["run"]["retries"]), (100, 0))
            equal(len(here.results()) + len(failures), 100)
            for failure in failures:
                equal((failure["response"]["status_code"], failure["error"]["code"]), (429, "retry_after_too_long"))
                assert "asks not to be called again for 3600 s" in failure["error"]["message"], failure
        with sim() as server:
            summary, _ = here.run(*flags, "--base-url", server.url)
            equal(summary["requests"]["doneNow"], len(failures))


def test_errors_inside_good_answers_are_no_results():
    """Every third call is told to come again, every third is refused with usage, and a key inside is covered."""
    busy = 200, {"error": {"code": "rate_limit_exceeded", "message": "come again"}}
    broken = 200, {"error": {"type": "invalid_request_error", "message": "sk-secret is flagged"},
                   "usage": {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}}
    with place(9) as here, provider(lambda n, _: (GOOD, busy, broken)[n % 3]) as server:
        config = here.config(1_000_000, scheduler={"maxConcurrency": 1})
        summary, said = here.run("--config", config, "--base-url", server.url, code=1,
                                 env={"OPENAI_API_KEY": "sk-secret"})
        failures = here.failures()
        equal(summary["requests"]["failures"], {"error_in_answer": len(failures)})
        equal((len(here.results()) + len(failures), summary["requests"]["failed"]), (9, len(failures)))
        assert len(failures) > 0 and summary["run"]["retries"] > 0, summary
        for failure in failures:
            equal((failure["response"]["status_code"], failure["error"]["code"]), (200, "error_in_answer"))
            assert "is flagged" in failure["error"]["message"], failure
            assert "sk-secret" not in json.dumps(failure), failure
        equal(summary["budget"]["totalUsed"], 10 * len(here.results()) + 7 * len(failures))
        equal(server.calls, 9 + summary["run"]["retries"])


def usage(tokens):
    return {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}


def test_answers_that_hold_nothing_are_no_results():
    """Each is called once more, and charged what it tells of, or the whole reservation; good ones come between."""
    for body, told in (({}, False), (None, False), (5, False), ({"detail": "Not Found"}, False), ("x", False),
                       ({"errors": [{"message": "x"}]}, False), ({"id": "y", "usage": usage(7)}, True),
                       ({"data": [{"embedding": [1]}], "usage": usage(7)}, True)):
        with place(9) as here, provider(lambda n, _, body=body: GOOD if n % 2 else (200, body)) as server:
            config = here.config(1_000_000, scheduler={"maxConcurrency": 1}, llm={"retryUnknownOutcome": 0})
            summary, _ = here.run("--config", config, "--base-url", server.url, code=1)
            equal((server.calls, len(here.results()), len(here.failures())), (9, 5, 4), body)
            equal(summary["requests"]["failures"], {"invalid_response": 4})
            equal(summary["run"]["estimated"], 0 if told else 4, body)
            for failure in here.failures():
                equal(failure["response"]["body"], body)
                assert "no array of choices" in failure["error"]["message"], failure
            if told:
                equal(summary["budget"]["totalUsed"], 5 * 10 + 4 * 7)
    with place(1) as here, provider(lambda *_: (200, {"detail": "Not Found"})) as server:
        summary, _ = here.run("--limit", "1M", "--base-url", server.url, code=1)
        equal((server.calls, summary["run"]["retries"], summary["run"]["estimated"]), (2, 1, 2))
    with place(100) as here, provider(lambda *_: (200, {"detail": "Not Found"})) as server:
        summary, _ = here.run("--limit", "1M", "--max-concurrency", 4, "--base-url", server.url, code=2)
        equal((summary["stopped"], summary["requests"]["failed"], here.failures()), ("access", 0, []))


def test_errors_inside_choices_are_no_results():
    """The first two are tried again; of three choices one that is good makes a result."""
    bad = {"index": 0, "message": {"content": "half"}, "finish_reason": "error",
           "error": {"code": 503, "message": "upstream is full"}}
    answers = [(200, {"choices": [bad], "usage": usage(7)}), (200, {"choices": [], "usage": usage(8)}),
               (200, {"choices": [bad, {"index": 1, "finish_reason": "stop"}, bad], "usage": usage(9)}),
               (200, {"choices": [{**bad, "error": {"code": 400, "message": "flagged"}}], "usage": usage(20)})]
    with place(2) as here, provider(lambda n, _: answers[n - 1]) as server:
        config = here.config(1_000_000, scheduler={"maxConcurrency": 1}, llm={"retryUnknownOutcome": 2})
        summary, _ = here.run("--config", config, "--base-url", server.url, code=1)
        equal((server.calls, summary["budget"]["totalUsed"]), (4, 7 + 8 + 9 + 20))
        [result], [failure] = here.results(), here.failures()
        equal(len(result["response"]["body"]["choices"]), 3)
        equal((failure["error"]["code"], failure["error"]["message"]),
              ("error_in_answer", "HTTP 200 with an error in it: flagged"))


def test_usage_of_bad_statuses_is_charged():
    answers = [(500, {"error": {"message": "broke"}, "usage": usage(7)}), GOOD,
               (400, {"error": {"message": "flagged"}, "usage": usage(30)}), (400, {"error": {"message": "flagged"}})]
    with place(3) as here, provider(lambda n, _: answers[n - 1]) as server:
        config = here.config(1_000_000, scheduler={"maxConcurrency": 1})
        summary, _ = here.run("--config", config, "--base-url", server.url, code=1)
        equal((server.calls, summary["budget"]["totalUsed"], summary["run"]["estimated"]), (4, 7 + 10 + 30, 0))
        equal(summary["requests"]["failures"], {"http_400": 2})
        equal(audit(here.folder / "headgate.db"), 47)


# ------------------------------------------------------------------------------------------------ terminals, output


def test_hangup_stops_the_run_and_cuts_nothing():
    with sim("--latency-ms", 300) as server, place(200) as here:
        flags = ["--limit", "10M", "--max-concurrency", 8, "--base-url", server.url]
        follower = here.follow(*flags)
        wait_until(lambda: answered(server, 8)() and server.stats()["in_flight"] == 8, "calls in flight")
        follower.process.send_signal(signal.SIGHUP)
        follower.note("stopping")
        follower.process.send_signal(signal.SIGHUP)
        summary = end_of(follower, 130)
        stats = here.check(server, summary, done=server.stats()["answered"])
        equal((stats["abandoned"], summary["run"]["estimated"]), (0, 0), "calls that were cut")
        summary, _ = here.run(*flags)
        equal(here.check(server, summary, done=200)["duplicates"], 0)


def test_hangup_that_is_ignored_stays_so():
    with sim("--latency-ms", 50) as server, place(60) as here:
        process = here.start("--limit", "10M", "--max-concurrency", 4, "--base-url", server.url,
                             preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        wait_until(answered(server, 8), "some answers")
        process.send_signal(signal.SIGHUP)
        _, said = process.communicate(timeout=WAIT_S)
        equal((process.returncode, len(here.results())), (0, 60), said)


def test_terminal_that_is_gone_does_not_end_the_run():
    with sim() as server, place(60) as here:
        reader, writer = os.pipe()
        os.close(reader)
        process = here.start("--limit", "10M", "--base-url", server.url, "--progress", "always", stderr=writer)
        os.close(writer)
        process.communicate(timeout=WAIT_S)
        equal((process.returncode, len(here.results())), (0, 60))


def printed_to(where, *command, cwd):
    """Exit code and stderr of a command whose stdout is `where` ("closed": none at all)."""
    with contextlib.ExitStack() as stack:
        closed = where == "closed"
        out = subprocess.DEVNULL if closed else stack.enter_context(open(where, "w"))
        done = subprocess.run([HEADGATE, *map(str, command)], stdout=out, stderr=subprocess.PIPE, text=True, cwd=cwd,
                              timeout=WAIT_S, preexec_fn=(lambda: os.close(1)) if closed else None)
    return done.returncode, done.stderr


def test_output_that_cannot_be_written_is_no_success():
    with sim() as server, place(30) as here:
        config = here.config(10_000_000)
        where = ["--config", config]
        run = ["run", here.batch, "-o", here.output, "--progress", "never", *where, "--base-url", server.url, "--json"]
        for stdout in ("/dev/full", "closed"):
            code, said = printed_to(stdout, *run, cwd=here.folder)
            assert code == 1 and "output" in said, (stdout, code, said)
            equal(len(here.results()), 30, "results all the same")
            equal(audit(here.folder / "headgate.db"), server.stats()["tokens"], stdout)
            (here.folder / "new.json").unlink(missing_ok=True)
            for command in (["status", *where], ["status", "--json", *where], ["describe", "--schema"],
                            ["describe", "--commands"], ["describe", "--markdown"], ["describe", "--errors"],
                            ["describe", "--counters"],
                            ["init", "new.json"], ["limit", *where, "default", "10M"], ["audit", *where],
                            ["audit", "--json", *where], ["orphans", *where], ["run", "--help"], ["--version"], ["--help"],
                            ["run", here.batch, "--dry-run", *where],
                            ["run", here.batch, "--dry-run", "--json", *where]):
                code, said = printed_to(stdout, *command, cwd=here.folder)
                assert code == 1 and "output" in said, (stdout, command, code, said)
                equal(printed_to("/dev/null", *command[:1], "--help", cwd=here.folder)[0], 0, command)


def test_watch_whose_output_cannot_be_written_ends():
    with sim("--latency-ms", 200) as server, place(200) as here:
        config = here.config(10_000_000)
        process = here.start("--config", config, "--base-url", server.url)
        wait_until(answered(server, 4), "the first answers")
        try:
            code, said = printed_to("/dev/full", "watch", "--config", config, "--json", cwd=here.folder)
            assert code == 1 and "output" in said, (code, said)
        finally:
            process.kill()
            process.communicate()


def test_a_ledger_that_does_not_add_up_is_told_and_the_run_goes_on():
    with sim("--latency-ms", 4000) as server, place(1) as here:
        config = here.config(10_000_000)
        flags = ["--config", config, "--base-url", server.url]
        here.run(*flags)
        ledger = sqlite3.connect(here.folder / "headgate.db")
        with ledger:
            ledger.execute("UPDATE token_budget SET total_used = total_used + 5")
        ledger.close()
        here.write([chat_line(i) for i in range(2)])
        _, said = here.run(*flags)
        equal(len(here.results()), 2)
        assert "difference is 5" in said and "headgate audit" in said, said


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
