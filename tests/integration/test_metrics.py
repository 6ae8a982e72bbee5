#!/usr/bin/env python3
"""What Prometheus is told, over HTTP and by headgate status --metrics, held against what everybody else is told.

usage: test_metrics.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate, tests/serve_for_tests and bench/llm-sim)
"""
import contextlib
import json
import signal
import socket
import sqlite3
import sys
import threading
from http.client import HTTPConnection, HTTPException
from types import SimpleNamespace

import run_harness
from cli_harness import SOURCE, WAIT_S, equal, headgate, main, place, runtime, serving, status
from exposition import Exposition
from outside_harness import Asker, control, until

BUDGETS = {"evals": {"hardLimitTokens": 5000}, "a.b_c-d": {"hardLimitTokens": 300, "parent": "evals"}}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def exported(limit=100000, **sections):
    """A place whose figures are exported at .port."""
    port = free_port()
    serve = {"metrics": {"listen": f"127.0.0.1:{port}"}, **sections.pop("serve", {})}
    with place(limit=limit, serve=serve, **sections) as here:
        here.port = port
        yield here


def fetch(port, method="GET", path="/metrics", host=None, body=None):
    line = http_line(port)
    line.request(method, path, body, {"Host": host} if host else {})
    answer = line.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    line.close()
    return found


def http_line(port):
    return HTTPConnection("127.0.0.1", port, timeout=WAIT_S)


def scrape(here):
    code, headers, body = fetch(here.port)
    equal((code, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
    return Exposition(body.decode())


def printed(*arguments):
    return Exposition(headgate("status", "--metrics", *arguments))


def steady(found):
    """Without what changes by itself."""
    return {key: value for key, value in found.samples.items()
            if not key[0].startswith(("headgate_budget_to", "headgate_budget_task"))
            and key[0] not in ("headgate_commits_total", "headgate_rows_written_total", "headgate_audit_seq",
                               "headgate_journal_seq")}


def agree(found, budget, told):
    """One scrape says of a budget what STATUS says."""
    for name, field in (("limit_tokens", "hardLimit"), ("used_tokens", "totalUsed"), ("reserved_tokens", "reserved"),
                        ("available_tokens", "available"), ("throttled", "throttled"), ("open_permits", "openPermits"),
                        ("task_tokens", "taskTokens")):
        equal(found.get("headgate_budget_" + name, budget=budget), told[field], (budget, name))
    equal(round(found.get("headgate_budget_usage_ratio", budget=budget) * 10000), round(told["usagePercent"] * 100))


# ---------------------------------------------------------------------------------------------------- values

def test_it_says_what_status_says():
    with exported(tokenBudget={"budgets": BUDGETS}, scheduler={"maxConcurrency": 3}) as here, serving(here.config), \
            control(here) as line:
        asker = Asker(line)
        asker.done("RECORD", tokens=1234, budget="evals")
        for _ in range(3):
            asker.done("SETTLE_PERMIT", permit=asker.acquire(60, budget="a.b_c-d"), tokens=50)
        held = [asker.acquire(20, budget="evals") for _ in range(3)]
        asker.done("LIMIT", budget="a.b_c-d", tokens=160)  # 150 are used: it throttles
        asker.send("ACQUIRE_PERMIT", maxTokens=10)
        until(lambda: status("--config", here.config)["waiting"] == 1, "the acquire")
        found = scrape(here)
        for budget in ("default", *BUDGETS):
            agree(found, budget, told := status("--config", here.config, "--budget", budget))
        equal(found.get("headgate_budget_throttled", budget="a.b_c-d"), 1)
        for name, field in (("tasks_running", "running"), ("tasks_waiting", "waiting"), ("journal_seq", "seq"),
                            ("concurrency_max", "maxConcurrency"), ("concurrency_effective", "effectiveConcurrency")):
            if name != "journal_seq":  # the audit after the start may add a row between the two
                equal(found.get("headgate_" + name), told[field], name)
        assert 0 < found.get("headgate_journal_seq") <= told["seq"], told
        equal((found.get("headgate_up"), found.get("headgate_store_degraded")), (1, 0))
        equal(len(held), found.get("headgate_tasks_running"))
        # The program prints the same.
        equal(steady(printed("--config", here.config)), steady(scrape(here)))


def test_the_forecast_and_the_audit_come_with_a_snapshot():
    with exported(limit=10**9) as here, serving(here.config), control(here) as line:
        asker = Asker(line)
        until(lambda: scrape(here).get("headgate_audit_seq") > 0, "the audit after the start")
        equal((scrape(here).get("headgate_audit_differences"), scrape(here).get("headgate_audit_failed")), (0, 0))
        equal(scrape(here).get("headgate_budget_to_limit_seconds", budget="default"), None)

        def used_on():
            asker.done("RECORD", tokens=1000)
            return scrape(here).get("headgate_budget_tokens_per_second", budget="default") > 0
        until(used_on, "a rate")
        found = scrape(here)
        to_threshold, to_limit = (found.get(f"headgate_budget_to_{what}_seconds", budget="default")
                                  for what in ("threshold", "limit"))
        assert 0 < to_threshold < to_limit, (to_threshold, to_limit)
        told = status("--config", here.config)
        assert told["tokensPerMinute"] > 0 and told["limitInMs"] > 0, told


def test_a_ledger_of_dollars_is_told_in_dollars():
    dollar, limit = 10**9, 20 * 10**9
    amounts = ("limit", "used", "reserved", "available", "task")
    with exported() as here:
        said = json.loads(here.config.read_text())
        said["tokenBudget"] = {"hardLimitUsd": 20, "budgets": {"evals": {"hardLimitUsd": 0.5}}}
        here.config.write_text(json.dumps(said))
        with serving(here.config) as server, control(here) as line:
            asker = Asker(line)
            asker.done("RECORD", tokens=1, unit="nanodollars")
            asker.done("SETTLE_PERMIT", permit=asker.acquire(3 * dollar), tokens=2 * dollar + 500, unit="nanodollars")
            held = asker.acquire(dollar // 10, budget="evals")
            asker.done("RECORD", tokens=dollar // 2, unit="nanodollars", budget="evals")
            found = scrape(here)
            for text in ('limit_dollars{budget="default"} 20.000000000', 'limit_dollars{budget="evals"} 0.500000000',
                         'used_dollars{budget="default"} 2.500000501', 'reserved_dollars{budget="default"} 0.100000000',
                         'available_dollars{budget="default"} 17.399999499', 'available_dollars{budget="evals"} -0.100000000',
                         'task_dollars{budget="default"} 2.000000500', 'usage_ratio{budget="default"} 0.1250'):
                assert f"headgate_budget_{text}\n" in found.text, (text, found.text)
            assert found.get("headgate_budget_dollars_per_second", budget="default") is not None
            equal([name for name in found.types if name.startswith("headgate_budget") and "token" in name], [])
            equal(steady(printed("--config", here.config)), steady(scrape(here)))
            asker.done("RELEASE_PERMIT", permit=held)
            equal(server.end(signal.SIGTERM), 0)
        for stored in (printed("--config", here.config), printed("--ledger", here.ledger)):
            equal(stored.named("headgate_budget_limit_dollars"), {"default": limit / dollar, "evals": 0.5})
            equal([name for name in stored.types if "token" in name], [])


def test_counters_count():
    with exported() as here, serving(here.config), control(here) as line:
        before = scrape(here)
        table = [line.split(maxsplit=2) for line in headgate("describe", "--counters").splitlines()]
        for name, unit, doc in table:
            assert before.get(f"headgate_{name}_total") is not None, name
            equal(before.help[f"headgate_{name}_total"], f"{unit}: {doc}")
        asker = Asker(line)
        asker.done("RECORD", tokens=1)
        asker.send_raw(b"\x00no command")
        until(lambda: scrape(here).get("headgate_frames_refused_total") == before.get("headgate_frames_refused_total") + 1,
              "the refused frame")
        after = scrape(here)
        assert after.get("headgate_rows_written_total") > before.get("headgate_rows_written_total")
        equal(after.get("headgate_start_time_seconds"), before.get("headgate_start_time_seconds"))


def test_what_the_ledger_knows_is_told_without_a_runtime():
    with exported(tokenBudget={"budgets": BUDGETS}) as here:
        with serving(here.config) as server, control(here) as line:
            asker = Asker(line)
            asker.done("RECORD", tokens=777, budget="evals")
            asker.done("SETTLE_PERMIT", permit=asker.acquire(60, budget="a.b_c-d"), tokens=50)
            last = scrape(here)
            equal(server.end(signal.SIGTERM), 0)
        assert not (here.folder / "headgate.db.d" / "metrics.ipc").exists()
        for found in (printed("--config", here.config), printed("--ledger", here.ledger)):
            equal(found.get("headgate_up"), 0)
            for name in ("limit_tokens", "used_tokens", "reserved_tokens", "available_tokens", "usage_ratio", "throttled"):
                equal(found.named("headgate_budget_" + name), last.named("headgate_budget_" + name), name)
            for name in ("headgate_tasks_running", "headgate_commits_total", "headgate_budget_tokens_per_second"):
                assert name not in found.types, name
            with contextlib.closing(sqlite3.connect(here.ledger)) as ledger:
                equal(found.named("headgate_budget_used_tokens"),
                      dict(ledger.execute("SELECT name, total_used FROM token_budget")))
                equal(found.get("headgate_journal_seq"), ledger.execute("SELECT max(seq) FROM journal").fetchone()[0])


# ---------------------------------------------------------------------------------------------------- histograms

def test_calls_become_histograms():
    odd = 'a "model" \\ of\ttwo\nlines'
    with exported() as here, serving(here.config), control(here) as line:
        asker = Asker(line)
        answer = json.dumps({"id": "x", "object": "chat.completion", "model": "gpt-x", "choices": [],
                             "usage": {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35}})
        asker.done("SETTLE_PERMIT", permit=asker.acquire(100), answer=answer)
        asker.done("SETTLE_PERMIT", permit=asker.acquire(100), tokens=70, inputTokens=64, outputTokens=6, model=odd)
        asker.done("SETTLE_PERMIT", permit=asker.acquire(100), tokens=70, outcome=1, reason="timeout", model="gpt-x")
        asker.done("RELEASE_PERMIT", permit=asker.acquire(100), outcome=1, reason="refused")
        asker.done("SETTLE_PERMIT", permit=asker.acquire(100), answer="{}", model="gpt-x")  # nobody knows what it used
        asker.done("SETTLE_PERMIT", permit=asker.acquire(100), tokens=9, inputTokens=9, outcome=2, model="gpt-x")  # again
        asker.done("RECORD", tokens=3, inputTokens=1, outputTokens=2, model="gpt-x")
        usage, lasted = "gen_ai_client_token_usage", "gen_ai_client_operation_duration_seconds"

        def tokens(part, kind, model, **more):
            return scrape(here).get(f"{usage}_{part}", gen_ai_token_type=kind, gen_ai_response_model=model, **more)
        until(lambda: tokens("count", "input", "gpt-x") == 3, "the last event")
        equal((tokens("sum", "input", "gpt-x"), tokens("sum", "output", "gpt-x")), (40, 7))
        equal((tokens("sum", "input", odd), tokens("sum", "output", odd)), (64, 6))
        equal([tokens("bucket", "input", "gpt-x", le=end) for end in ("1", "4", "16", "64", "67108864", "+Inf")],
              [1, 1, 2, 3, 3, 3])
        found = scrape(here)
        counts = {labels: value for (name, labels), value in found.samples.items() if name == lasted + "_count"}
        equal({tuple(value for _, value in labels): value for labels, value in counts.items()},
              {("gpt-x",): 1, (odd,): 1, ("_OTHER", "gpt-x"): 1, ("_OTHER",): 1, (): 1}, counts)
        # The same is printed, and read by the same rules.
        equal({key: value for key, value in printed("--config", here.config).samples.items() if "gen_ai" in key[0]},
              {key: value for key, value in found.samples.items() if "gen_ai" in key[0]})


def test_boundaries_are_those_that_the_conventions_advise():
    with exported() as here, serving(here.config), control(here) as line:
        asker = Asker(line)
        asker.done("SETTLE_PERMIT", permit=asker.acquire(100), tokens=2, inputTokens=1, outputTokens=1, model="m")
        until(lambda: "gen_ai_client_operation_duration_seconds" in scrape(here).types, "the duration")
        found = scrape(here)

        def ends(family, **labels):
            return [float(dict(key[1])["le"]) for key in found.samples if key[0] == family + "_bucket"
                    and labels.items() <= dict(key[1]).items()]
        equal(ends("gen_ai_client_token_usage", gen_ai_token_type="input"), [4.0**i for i in range(14)] + [float("inf")])
        equal(ends("gen_ai_client_operation_duration_seconds"),
              [round(0.01 * 2**i, 2) for i in range(14)] + [float("inf")])


# ---------------------------------------------------------------------------------------------------- who tells how much

def test_without_serve_metrics_there_are_no_histograms():
    with place() as here, serving(here.config), control(here) as line:
        asker = Asker(line)
        asker.done("RECORD", tokens=3, inputTokens=1, outputTokens=2, model="m")
        found = printed("--config", here.config)
        equal((found.get("headgate_up"), found.get("headgate_budget_used_tokens", budget="default")), (1, 3))
        assert found.get("headgate_commits_total") > 0 and not [name for name in found.types if "gen_ai" in name]
        equal((here.folder / "headgate.db.d").stat().st_mode & 0o777, 0o700)


def test_an_embedder_tells_what_its_control_socket_does():
    with place() as here, runtime(here.config) as program:
        program.tell("record 55 x")
        found = printed("--config", here.config)
        equal((found.get("headgate_up"), found.get("headgate_budget_used_tokens", budget="default")), (1, 55))
        assert "headgate_commits_total" not in found.types and "headgate_tasks_running" in found.types


def test_a_run_exports_too_unless_it_is_a_guest():
    port = free_port()
    with run_harness.sim("--latency-ms", 300) as server, run_harness.place(40) as here:
        config = here.config(1_000_000, serve={"metrics": {"listen": f"127.0.0.1:{port}"}})
        run = here.start("--json", "--config", config, "--base-url", server.url)

        def tokens():
            with contextlib.suppress(OSError):
                found = Exposition(fetch(port)[2].decode())
                return sum(value for (name, labels), value in found.samples.items()
                           if name == "gen_ai_client_token_usage_count" and dict(labels)["gen_ai_token_type"] == "input")
        until(lambda: (tokens() or 0) >= 8, "the first answers")
        out, err = run.communicate(timeout=WAIT_S)
        equal((run.returncode, json.loads(out)["requests"]["doneNow"]), (0, 40), err)
    with run_harness.sim() as server, run_harness.place(3) as here:
        config = here.config(1_000_000, serve={"metrics": {"listen": f"127.0.0.1:{port}"}})
        with serving(config):
            said = here.run("--config", config, "--base-url", server.url)[1]
            assert "listen" not in said, said
            equal(fetch(port)[0], 200)


def test_a_run_does_without_a_port_that_is_taken():
    with socket.socket() as taken, run_harness.sim() as server, run_harness.place(3) as here:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = here.config(1_000_000, serve={"metrics": {"listen": f"127.0.0.1:{taken.getsockname()[1]}"}})
        summary, said = here.run("--config", config, "--base-url", server.url)
        assert "Address already in use" in said and summary["requests"]["doneNow"] == 3, (said, summary)


def test_a_store_that_fails_is_told():
    with exported() as here, serving(here.config), control(here) as line:
        asker = Asker(line)
        asker.done("RECORD", tokens=5)
        moved = here.folder / "moved.db"
        here.ledger.rename(moved)
        asker.send("RECORD", tokens=5)
        until(lambda: scrape(here).get("headgate_store_degraded") == 1, "the degraded store")
        found = scrape(here)
        equal((found.get("headgate_up"), found.named("headgate_budget_used_tokens")), (0, {}))


# ---------------------------------------------------------------------------------------------------- HTTP

def test_methods_paths_and_hosts():
    with exported() as here, serving(here.config):
        for method, path, host, code in (("GET", "/metrics", None, 200), ("GET", "/metrics?x=1", None, 200),
                                         ("GET", "/metrics", "localhost:1", 200), ("GET", "/metrics", "[::1]:1", 200),
                                         ("GET", "/", None, 404), ("GET", "/metrics/", None, 404),
                                         ("GET", "/../etc/passwd", None, 404), ("POST", "/", None, 404),
                                         ("POST", "/metrics", None, 405), ("DELETE", "/metrics", None, 405),
                                         ("PUT", "/metrics", None, 405), ("OPTIONS", "/metrics", None, 405),
                                         ("GET", "/metrics", "rebound.example", 403),
                                         ("GET", "/metrics", "127.0.0.1.example:80", 403),
                                         ("GET", "/metrics", "[::1]", 200), ("GET", "/metrics", "[evil.example", 403),
                                         ("GET", "/metrics", "[evil.example]:80", 403), ("GET", "/metrics", "[", 403),
                                         ("GET", "/metrics", "[::1].evil.example", 403), ("GET", "/metrics", "[::1", 403),
                                         ("GET", "/metrics", "[localhost]", 403)):
            found = fetch(here.port, method, path, host, b"x" * 5000 if method in ("POST", "PUT") else None)
            equal(found[0], code, (method, path, host))
            if code == 405:
                equal(found[1]["Allow"], "GET, HEAD")
            assert "Access-Control-Allow-Origin" not in found[1]
        code, headers, body = fetch(here.port, "HEAD")
        equal((code, body), (200, b""))
        assert int(headers["Content-Length"]) > 1000, headers


def test_connections_are_bounded_and_kept():
    with exported() as here, serving(here.config):
        line = http_line(here.port)
        for _ in range(3):  # one connection, many scrapes
            line.request("GET", "/metrics")
            equal(line.getresponse().read()[:6], b"# HELP")
        for text in (b"\x00\xff" * 3000, b"GET / HTTP/9.9\r\n\r\n", b"G" * 20000, b"GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", here.port), WAIT_S) as hostile:
                with contextlib.suppress(OSError):
                    hostile.sendall(text)
                    hostile.shutdown(socket.SHUT_WR)
                    while hostile.recv(65536):
                        pass
        idle = [socket.create_connection(("127.0.0.1", here.port), WAIT_S) for _ in range(30)]
        equal(printed("--config", here.config).get("headgate_up"), 1)  # by the other endpoint
        equal(status("--config", here.config)["live"], True)
        for each in idle:
            each.close()
        line.close()
        until(lambda: http_works(here), "an answer once they are gone")


def test_who_sends_byte_by_byte_keeps_nobody_out():
    """Twelve requests that never end and are never silent for long: the oldest makes place, not who asks and is answered."""
    with exported() as here, serving(here.config), contextlib.ExitStack() as held:
        kept, slow = held.enter_context(contextlib.closing(http_line(here.port))), []
        for _ in range(12):
            slow.append(held.enter_context(trickle(here.port)))
            kept.request("GET", "/metrics")
            equal(kept.getresponse().read()[:6], b"# HELP")
        equal(scrape(here).get("headgate_up"), 1)
        equal([each.gone.wait(WAIT_S) for each in slow[:5]], [True] * 5, "13 and one more, of which 8 are kept")


@contextlib.contextmanager
def trickle(port):
    """A request whose head grows by a byte a second, until `gone`."""
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as line:
        line.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ")
        end, slow = threading.Event(), SimpleNamespace(gone=threading.Event())

        def grow():
            with contextlib.suppress(OSError):
                while not end.wait(1):
                    line.sendall(b"x")
            slow.gone.set()
        thread = threading.Thread(target=grow)
        thread.start()
        try:
            yield slow
        finally:
            end.set()
            thread.join()


def http_works(here):
    with contextlib.suppress(OSError, HTTPException):
        return fetch(here.port)[0] == 200


def test_a_port_that_is_taken_is_told():
    with exported() as here, serving(here.config), place(serve={"metrics": {"listen": f"127.0.0.1:{here.port}"}}) as there:
        err = headgate("serve", "--config", there.config, code=1)[1]
        assert f"serve.metrics.listen: cannot listen on 127.0.0.1 port {here.port}: Address already in use" in err, err
        equal(status("--config", there.config)["live"], False)


def test_beyond_loopback_only_who_says_so():
    for listen in ("0.0.0.0:9469", "*:9469", "[::]:9469", "192.0.2.7:9469"):
        with place(serve={"metrics": {"listen": listen}}) as here:
            err = headgate("serve", "--config", here.config, code=2)[1]
            assert "serve.metrics.listen would show" in err and "beyondLoopback" in err, err
    for wrong in ("9469", "127.0.0.1", "127.0.0.1:0", "example.org:9469", ""):
        with place(serve={"metrics": {"listen": wrong}}) as here:
            assert "serve.metrics.listen must be" in headgate("serve", "--config", here.config, code=2)[1], wrong
    with place(serve={"metrics": {"port": 1}}) as here:
        assert "serve.metrics.port" in headgate("serve", "--config", here.config, code=2)[1]
    port = free_port()
    with place(serve={"metrics": {"listen": f"*:{port}", "beyondLoopback": True}}) as here, serving(here.config) as server:
        server.note(f"metrics at http://0.0.0.0:{port}/metrics, open to whoever gets there")
        equal(fetch(port, host="headgate.example:80")[0], 200)


# ---------------------------------------------------------------------------------------------------- its life

def test_sighup_keeps_it_and_sigterm_ends_it():
    with exported() as here, serving(here.config) as server:
        line = http_line(here.port)
        line.request("GET", "/metrics")
        line.getresponse().read()
        said = json.loads(here.config.read_text())
        said["serve"]["metrics"]["listen"] = f"127.0.0.1:{free_port()}"
        here.config.write_text(json.dumps(said))
        server.process.send_signal(signal.SIGHUP)
        server.note("serve.metrics has changed and takes effect at the next start")
        server.note("was read again")
        equal(scrape(here).get("headgate_up"), 1)
        equal(server.end(signal.SIGTERM), 0)  # with a connection that is kept
        line.close()
        try:
            fetch(here.port)
        except ConnectionError:
            pass
        else:
            raise AssertionError("somebody listens still")


def test_a_socket_of_a_life_that_was_killed_is_no_hindrance():
    with exported() as here:
        with serving(here.config) as server:
            server.process.kill()
            server.end()
        assert (here.folder / "headgate.db.d" / "metrics.ipc").exists()
        with serving(here.config):
            equal(printed("--config", here.config).get("headgate_up"), 1)
            equal(scrape(here).get("headgate_up"), 1)


def test_no_secrets():
    with exported(llm={"apiKeyEnv": "HG_TEST_KEY", "headers": {}}) as here, \
            serving(here.config, env={"HG_TEST_KEY": "sk-very-secret", "PATH": "/usr/bin:/bin"}):
        text = fetch(here.port)[2].decode()
        for word in ("sk-very-secret", "HG_TEST_KEY", str(here.folder)):
            assert word not in text, word


# ---------------------------------------------------------------------------------------------------- flags and the page

def test_flags():
    with place() as here:
        assert "--budget" in headgate("status", "--config", here.config, "--metrics", "--budget", "default", code=2)[1]
        equal(headgate("status", "--config", here.config, "--metrics", code=1)[1],
              headgate("status", "--config", here.config, code=1)[1])  # there is no ledger


NO_BASE_UNITS = {"minute", "minutes", "hour", "hours", "days", "ms", "us", "milliseconds", "microseconds", "percent", "nanodollars", "kib", "mib"}


def test_names_are_as_prometheus_names_things():
    for line in headgate("describe", "--metrics").splitlines()[2:]:
        name, kind = line.split("`")[1], line.split("|")[2].strip()
        assert name.startswith(("headgate_", "gen_ai_")), f"{name} may be told by others too, and mean something else"
        equal(name.endswith("_total"), kind == "counter", name)
        equal(NO_BASE_UNITS & set(name.split("_")), set(), f"{name} is in no base unit:")


def test_the_page_names_every_metric():
    table = headgate("describe", "--metrics")
    page = (SOURCE / "docs" / "operations.md").read_text()
    in_dollars = {name for name in (line.split("`")[1] for line in table.splitlines()[2:]) if "_dollars" in name}
    equal(len(in_dollars), 6)
    assert table in page, "docs/operations.md does not have the table of headgate describe --metrics"
    named = {line.split("`")[1]: line.split("|")[2].strip() for line in table.splitlines()[2:]}
    with exported() as here, serving(here.config), control(here) as line:
        asker = Asker(line)
        asker.done("SETTLE_PERMIT", permit=asker.acquire(10), tokens=2, inputTokens=1, outputTokens=1, model="m")
        until(lambda: "gen_ai_client_operation_duration_seconds" in scrape(here).types, "the duration")
        found = scrape(here).types
        equal({name: named.get(name) for name in found}, found)
        missing = named.keys() - found.keys()
        assert missing - in_dollars <= {"headgate_budget_to_threshold_seconds", "headgate_budget_to_limit_seconds"}, missing
        assert in_dollars <= missing, in_dollars - missing


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
