"""Holds llm-sim to what providers answer and to what its flags promise: python3 test_llm_sim.py PATH_TO_LLM_SIM

Standard library only. Each test starts the simulator with its own flags and ends it with SIGTERM.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
ANTHROPIC = {"anthropic-version": "2023-06-01"}


def chat_body(text="Hello there", **more):
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "max_tokens": 100}
    body.update(more)
    return body


class Sim:
    """A running llm-sim and a way to talk to it."""

    def __init__(self, program, *flags):
        self.process = subprocess.Popen(
            [program, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        prefix = "listening on http://127.0.0.1:"
        if not line.startswith(prefix):
            raise AssertionError(f"first line is {line!r}: {self.process.communicate()[1]}")
        self.port = int(line[len(prefix):])

    def request(self, method, path, body=None, headers=None):
        """Answers (status, headers, body); raises http.client.HTTPException when the answer is cut."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()
        finally:
            connection.close()

    def post(self, path, body, headers=None):
        return self.request("POST", path, body, headers)

    def json(self, path, body, headers=None):
        status, _, answer = self.post(path, body, headers)
        assert status == 200, (status, answer)
        return json.loads(answer)

    def stats(self):
        return json.loads(self.request("GET", "/stats")[2])

    def end(self):
        """Ends it with SIGTERM; answers its last stats."""
        self.process.send_signal(signal.SIGTERM)
        rest, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, (self.process.returncode, errors)
        assert rest == "", f"more than one line on stdout: {rest!r}"
        return json.loads(errors)


@contextlib.contextmanager
def running(*flags):
    sim = Sim(PROGRAM, *flags)
    try:
        yield sim
        if sim.process.returncode is None:
            sim.end()
    except Exception as problem:
        sim.process.kill()
        errors = "" if sim.process.stderr.closed else sim.process.communicate()[1]
        raise AssertionError(f"{problem!r}; the simulator said {errors!r}") from problem


def refused(sim, path, body, headers=None):
    status, _, answer = sim.post(path, body, headers)
    return status, json.loads(answer)


def until(condition, seconds=10):
    """Waits for what another process does in its own time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


# ------------------------------------------------------------------------------------------------ shapes


def events_of(answer):
    return [line[len("data: "):] for line in answer.decode().split("\n") if line.startswith("data: ")]


def test_streams():
    usage = {"include_usage": True}
    with running() as sim:
        for asked in (False, True):
            body = chat_body(stream=True, n=2, **({"stream_options": usage} if asked else {}))
            status, headers, answer = sim.post(CHAT, body)
            assert status == 200 and headers["content-type"] == "text/event-stream", headers
            events = events_of(answer)
            assert events[-1] == "[DONE]"
            chunks = [json.loads(event) for event in events[:-1]]
            assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
            finished = [choice["index"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
            assert finished == [0, 1], finished
            assert [chunk["choices"] for chunk in chunks if "usage" in chunk] == ([[]] if asked else []), chunks
        events = [json.loads(event) for event in events_of(sim.post(MESSAGES, chat_body(stream=True), ANTHROPIC)[2])]
        assert events[0]["type"] == "message_start" and events[-1]["type"] == "message_stop", events
        assert events[-2]["usage"]["output_tokens"] > 0, events
        body = {"model": "m", "input": "hello", "stream": True}
        events = [json.loads(event) for event in events_of(sim.post("/v1/responses", body)[2])]
        whole = sim.json("/v1/responses", {**body, "stream": False})
        assert events[-1]["type"] == "response.completed", events
        assert events[-1]["response"].keys() == whole.keys(), events
        said = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
        assert said and said == events[-1]["response"]["output"][0]["content"][0]["text"], events
        assert refused(sim, "/v1/embeddings", {"model": "m", "input": "x", "stream": True})[0] == 400


def test_chat_shape():
    with running() as sim:
        answer = sim.json(CHAT, chat_body("x" * 400, n=3))
        assert answer["object"] == "chat.completion" and answer["id"].startswith("chatcmpl-")
        assert answer["model"] == "gpt-4o-mini" and isinstance(answer["created"], int)
        assert [c["index"] for c in answer["choices"]] == [0, 1, 2]
        first = answer["choices"][0]
        assert first["message"]["role"] == "assistant" and first["message"]["content"]
        assert first["finish_reason"] in ("stop", "length") and first["logprobs"] is None
        usage = answer["usage"]
        assert usage["prompt_tokens"] == 100 + 3 + 3
        assert usage["completion_tokens"] % 3 == 0 and 3 <= usage["completion_tokens"] <= 300
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        assert set(usage["prompt_tokens_details"]) == {"cached_tokens", "audio_tokens"}
        assert set(usage["completion_tokens_details"]) == {
            "reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens"}


def test_responses_shape():
    with running("--output-fill", "50") as sim:
        answer = sim.json("/v1/responses", {"model": "gpt-4o", "input": "hello wo", "max_output_tokens": 80})
        assert answer["object"] == "response" and answer["id"].startswith("resp_")
        assert answer["status"] == "completed" and answer["incomplete_details"] is None
        assert answer["max_output_tokens"] == 80
        item = answer["output"][0]
        assert item["type"] == "message" and item["role"] == "assistant"
        assert item["content"][0]["type"] == "output_text" and item["content"][0]["text"]
        assert answer["usage"] == {
            "input_tokens": 8, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 40,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 48}


def test_responses_incomplete_at_the_cap():
    with running("--output-fill", "100") as sim:
        answer = sim.json("/v1/responses", {
            "model": "o3", "instructions": "brief", "max_output_tokens": 64,
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]})
        assert answer["status"] == "incomplete"
        assert answer["incomplete_details"] == {"reason": "max_output_tokens"}
        assert answer["usage"]["output_tokens_details"]["reasoning_tokens"] == 32
        assert answer["usage"]["input_tokens"] == 3 + 3 + 3


def test_completions_shape():
    with running("--output-fill", "10") as sim:
        answer = sim.json("/v1/completions", {"model": "m", "prompt": ["one", "two"], "n": 2, "max_tokens": 100})
        assert answer["object"] == "text_completion" and len(answer["choices"]) == 4
        assert answer["choices"][3]["index"] == 3 and answer["choices"][3]["text"]
        assert answer["usage"]["completion_tokens"] == 40
        best = sim.json("/v1/completions", {"model": "m", "prompt": "one", "best_of": 5, "max_tokens": 100})
        assert len(best["choices"]) == 1 and best["usage"]["completion_tokens"] == 50


def test_embeddings_shape():
    with running() as sim:
        answer = sim.json("/v1/embeddings", {"model": "text-embedding-3-small", "input": ["four", "eight by"]})
        assert answer["object"] == "list" and answer["model"] == "text-embedding-3-small"
        assert [item["index"] for item in answer["data"]] == [0, 1]
        assert all(item["object"] == "embedding" and len(item["embedding"]) == 8 for item in answer["data"])
        assert answer["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
        ids = sim.json("/v1/embeddings", {"model": "m", "input": [[1, 2, 3], [4]]})
        assert len(ids["data"]) == 2 and ids["usage"]["prompt_tokens"] == 4
        flat = sim.json("/v1/embeddings", {"model": "m", "input": [1, 2, 3]})
        assert len(flat["data"]) == 1 and flat["usage"]["prompt_tokens"] == 3


def test_messages_shape():
    with running() as sim:
        body = {"model": "claude-x", "max_tokens": 50, "system": "be kind",
                "messages": [{"role": "user", "content": "hello"}]}
        answer = sim.json(MESSAGES, body, ANTHROPIC)
        assert answer["type"] == "message" and answer["id"].startswith("msg_") and answer["role"] == "assistant"
        assert answer["content"][0]["type"] == "text" and answer["stop_reason"] in ("end_turn", "max_tokens")
        usage = answer["usage"]
        assert usage["input_tokens"] == 3 + 3 + 3 and 1 <= usage["output_tokens"] <= 50
        assert usage["cache_creation_input_tokens"] == 0 and usage["cache_read_input_tokens"] == 0
        assert set(usage["cache_creation"]) == {"ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"}


def test_cached_tokens_are_part_of_the_input():
    with running() as sim:
        cached = 0
        for i in range(16):
            text = f"{i:04}" + "y" * 7996
            usage = sim.json(CHAT, chat_body(text))["usage"]
            assert usage["prompt_tokens"] == 2006
            cached += usage["prompt_tokens_details"]["cached_tokens"] > 0
            body = {"model": "c", "max_tokens": 5, "messages": [{"role": "user", "content": text}]}
            usage = sim.json(MESSAGES, body, ANTHROPIC)["usage"]
            assert sum(usage[k] for k in (
                "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")) == 2006
            assert usage["cache_creation"]["ephemeral_5m_input_tokens"] == usage["cache_creation_input_tokens"]
        assert 0 < cached < 16


def test_tokens_are_bounded_by_the_bytes_of_the_text():
    with running() as sim:
        for text in ("", "a", "\u00e9" * 7, "\U0001f600" * 9, 'q"\\\n' * 5):
            tokens = sim.json(CHAT, chat_body(text))["usage"]["prompt_tokens"]
            assert tokens == -(-len(text.encode()) // 4) + 6, (text, tokens)


# -------------------------------------------------------------------------------------------------- caps


def test_only_the_field_that_the_endpoint_obeys_is_a_cap():
    with running("--output-fill", "100") as sim:
        def output(path, **fields):
            usage = sim.json(path, {"model": "m", "messages": [], "input": "a", "prompt": "a", **fields},
                             ANTHROPIC)["usage"]
            return usage.get("completion_tokens", usage.get("output_tokens"))

        message = [{"role": "user", "content": "a"}]
        assert output(CHAT, messages=message, max_tokens=10) == 10
        assert output(CHAT, messages=message, max_completion_tokens=11) == 11
        assert output(CHAT, messages=message, max_output_tokens=12) == 4096
        assert output(CHAT, messages=message, max_tokens=None) == 4096
        assert output("/v1/responses", max_output_tokens=13) == 13
        assert output("/v1/responses", max_tokens=14) == 4096
        assert output("/v1/completions", max_tokens=15) == 15
        assert output(MESSAGES, messages=message, max_tokens=16) == 16


def test_output_flags():
    with running("--output-mean", "40") as sim:
        outputs = [sim.json(CHAT, chat_body(str(i)))["usage"]["completion_tokens"] for i in range(30)]
        assert all(20 <= n <= 60 for n in outputs) and len(set(outputs)) > 5
        assert sim.json(CHAT, chat_body(max_tokens=7))["usage"]["completion_tokens"] == 7
    with running("--ignore-cap") as sim:
        assert sim.json(CHAT, chat_body())["usage"]["completion_tokens"] == 150
    with running("--text-bytes", "1000", "--output-fill", "100") as sim:
        assert len(sim.json(CHAT, chat_body(max_tokens=900))["choices"][0]["message"]["content"]) == 1000


# ------------------------------------------------------------------------------------------------ errors


def test_bad_requests():
    with running() as sim:
        for body in ("", "{", "[]", '{"model":"m",}', '{"model":"m"} x', "[" * 100, '{"a":01}', '"\\x"', "\0",
                     chat_body(max_tokens=0), chat_body(max_tokens="9"), chat_body(max_tokens=-1), chat_body(n=1000),
                     chat_body(model=7), {"messages": []}, {"model": "m"}, chat_body(messages=[])):
            status, answer = refused(sim, CHAT, body)
            assert status == 400 and answer["error"]["type"] == "invalid_request_error", (body, answer)
            assert set(answer["error"]) == {"message", "type", "param", "code"}
        assert sim.post(CHAT, chat_body(stream=False))[0] == 200
        assert refused(sim, "/v1/nothing", {})[0] == 404
        assert sim.request("GET", CHAT)[0] == 405
        stats = sim.stats()
        assert stats["bad_requests"] == stats["requests"] - 1 and stats["answered"] == 1


def test_messages_errors():
    with running() as sim:
        body = {"model": "c", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
        status, answer = refused(sim, MESSAGES, body)
        assert status == 400 and answer["type"] == "error"
        assert answer["error"]["type"] == "invalid_request_error" and "anthropic-version" in answer["error"]["message"]
        del body["max_tokens"]
        assert refused(sim, MESSAGES, body, ANTHROPIC)[0] == 400


def test_keys():
    with running("--require-key", "sk-test") as sim:
        status, answer = refused(sim, CHAT, chat_body())
        assert status == 401 and answer["error"]["code"] == "invalid_api_key"
        assert refused(sim, CHAT, chat_body(), {"Authorization": "Bearer sk-tes"})[0] == 401
        assert refused(sim, CHAT, chat_body(), {"x-api-key": "sk-test"})[0] == 401
        assert sim.post(CHAT, chat_body(), {"Authorization": "Bearer sk-test"})[0] == 200
        body = {"model": "c", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
        assert sim.post(MESSAGES, body, {"x-api-key": "sk-test", **ANTHROPIC})[0] == 200
        status, answer = refused(sim, MESSAGES, body, ANTHROPIC)
        assert status == 401 and answer["error"]["type"] == "authentication_error"
        stats = sim.stats()
        assert stats["unauthorized"] == 4 and stats["answered"] == 2


def test_always_status():
    for code in (401, 403, 404, 429, 503):
        with running("--always-status", str(code)) as sim:
            assert refused(sim, CHAT, chat_body())[0] == code
    with running("--always-status", "429", "--quota") as sim:
        status, headers, answer = sim.post(CHAT, chat_body())
        assert status == 429 and json.loads(answer)["error"]["type"] == "insufficient_quota"
        assert "retry-after" not in headers


def test_too_large():
    with running() as sim:
        assert sim.post(CHAT, chat_body("x" * (16 * 1024 * 1024)))[0] == 413
        assert sim.post(CHAT, chat_body("x" * (4 * 1024 * 1024)))[0] == 200


# ------------------------------------------------------------------------------------------------ faults


def fate(sim, body):
    """What becomes of one request, in a word."""
    try:
        status, _, answer = sim.post(CHAT, body)
    except http.client.HTTPException:
        return "cut"
    if status != 200:
        return str(status)
    try:
        return "ok" if "usage" in json.loads(answer) else "no_usage"
    except ValueError:
        return "malformed"


MIXED = ("--rate-429", "15", "--rate-500", "15", "--rate-cut", "15", "--rate-malformed", "15", "--rate-no-usage", "15")


def test_same_request_same_answer():
    answers = set()
    for _ in range(2):
        with running() as sim:
            answers.update(sim.post(CHAT, chat_body())[2] for _ in range(3))
    assert len(answers) == 1


def test_faults_follow_the_seed():
    runs = []
    for seed in ("1", "1", "2"):
        with running(*MIXED, "--seed", seed) as sim:
            runs.append([fate(sim, chat_body(f"task {i // 3}")) for i in range(90)])
            tallies = {word: runs[-1].count(word) for word in runs[-1]}
            stats = sim.stats()
            assert stats["rejected_429"] == tallies["429"] and stats["failed_500"] == tallies["500"]
            assert stats["cut_off"] == tallies["cut"] and stats["malformed"] == tallies["malformed"]
            assert stats["no_usage"] == tallies["no_usage"]
            assert stats["answered"] == tallies["ok"] + tallies["no_usage"]
    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {"ok", "429", "500", "cut", "malformed", "no_usage"}
    assert any(runs[0][i] != runs[0][i + 1] for i in range(0, 90, 3)), "a retry never fared differently"


def test_retry_after():
    for seconds in ("0", "7"):
        with running("--rate-429", "100", "--retry-after", seconds) as sim:
            status, headers, answer = sim.post(CHAT, chat_body())
            assert status == 429 and headers["retry-after"] == seconds
            assert json.loads(answer)["error"]["code"] == "rate_limit_exceeded"
            assert sim.stats()["tokens"] == 0


def test_cut_off():
    with running("--rate-cut", "100", "--output-fill", "100") as sim:
        try:
            sim.post(CHAT, chat_body("abcd"))
            raise AssertionError("the answer came whole")
        except http.client.IncompleteRead as cut:
            assert cut.partial.startswith(b'{"id"') and cut.expected > 0
        until(lambda: sim.stats()["in_flight"] == 0)
        stats = sim.stats()
        assert stats["cut_off"] == 1 and stats["tokens"] == 107 and stats["tokens_delivered"] == 0


def test_malformed_has_the_right_length():
    with running("--rate-malformed", "100") as sim:
        assert [fate(sim, chat_body(str(i))) for i in range(20)] == ["malformed"] * 20


def test_stream_errors():
    """Half of the answer, then an error in one of the ways of the endpoint; what is no stream is answered."""
    ways = set()
    with running("--rate-stream-error", "100", "--output-fill", "100", "--text-bytes", "0") as sim:
        for i in range(12):
            for path, body, headers in ((CHAT, chat_body(str(i), stream=True), {}),
                                        ("/v1/responses", {"model": "m", "input": str(i), "stream": True}, {}),
                                        ("/v1/completions", {"model": "m", "prompt": str(i), "stream": True}, {}),
                                        (MESSAGES, chat_body(str(i), stream=True), ANTHROPIC)):
                status, _, answer = sim.post(path, body, headers)
                said, error = events_of(answer)[:-1], json.loads(events_of(answer)[-1])
                assert status == 200 and len(said) > 0, answer
                assert "The upstream died." in json.dumps(error), error
                ways.add((path, answer[:answer.rindex(b"data: ")].endswith(b"event: error\n"), error.get("type", "-")))
        assert len(ways) == 7, ways  # Anthropic's has one
        assert sim.stats()["stream_errors"] == 48 and sim.stats()["answered"] == 0
        assert sim.post(CHAT, chat_body("abcd"))[0] == 200 and sim.stats()["answered"] == 1
        before = sim.stats()["tokens"]
        sim.post(CHAT, chat_body("abcd", stream=True))
        assert sim.stats()["tokens"] - before == 57 and sim.stats()["tokens_delivered"] == 107


# ------------------------------------------------------------------------------------------ counters, log


def count_lines(path):
    with open(path, encoding="utf-8") as lines:
        return sum(1 for _ in lines)


def test_stats_and_reset():
    with running("--output-fill", "100") as sim:
        for text in ("abcd", "abcd", "efgh"):
            sim.json(CHAT, chat_body(text))
        stats = sim.stats()
        assert stats["requests"] == 3 and stats["answered"] == 3 and stats["duplicates"] == 1
        assert stats["tokens"] == stats["tokens_delivered"] == 3 * 107
        assert stats["in_flight"] == 0 and stats["max_in_flight"] == 1
        assert sim.request("POST", "/reset?only=stats")[0] == 200
        sim.json(CHAT, chat_body("abcd"))
        assert sim.stats()["duplicates"] == 1 and sim.stats()["requests"] == 1
        assert sim.request("POST", "/reset")[0] == 200
        sim.json(CHAT, chat_body("abcd"))
        assert sim.stats()["duplicates"] == 0
        assert sim.request("GET", "/healthz")[0] == 200 and sim.request("GET", "/reset")[0] == 405
        last = sim.stats()
        assert sim.end() == last


def test_counts_are_what_a_call_is_billed():
    text = "How many tokens is this, and what will it cost? " * 20
    chat = {"model": "m", "messages": [{"role": "user", "content": text}]}
    cases = [("/tokenize", CHAT, chat, "count"),
             ("/tokenize", "/v1/completions", {"model": "m", "prompt": text}, "count"),
             ("/v1/responses/input_tokens", "/v1/responses", {"model": "m", "input": text}, "input_tokens"),
             (MESSAGES + "/count_tokens", MESSAGES, chat, "input_tokens")]
    with running() as sim:
        for path, url, body, member in cases:
            counted = sim.json(path, body, ANTHROPIC)[member]
            usage = sim.json(url, dict(body, max_tokens=9), ANTHROPIC)["usage"]
            assert counted == usage.get("prompt_tokens", usage.get("input_tokens")) > 200, (path, counted, usage)
            if path == "/tokenize":
                assert len(sim.json(path, body)["tokens"]) == counted
        stats = sim.stats()
        assert (stats["counted"], stats["answered"], stats["bad_requests"]) == (6, 4, 0), stats
        # What generates nothing knows no cap.
        assert sim.post(MESSAGES + "/count_tokens", dict(chat, max_tokens=9), ANTHROPIC)[0] == 400
        assert sim.stats()["tokens"] == stats["tokens"]
    with running("--no-counts") as sim:
        assert sim.post("/tokenize", chat)[0] == 404
    with running("--rate-count-500", "100", "--count-percent", "50") as sim:
        assert sim.post("/tokenize", chat)[0] == 500 and sim.post(CHAT, dict(chat, max_tokens=9))[0] == 200
    with running("--count-percent", "50") as sim:
        half, whole = sim.json("/tokenize", chat)["count"], sim.json(CHAT, dict(chat, max_tokens=9))["usage"]
        assert half == (whole["prompt_tokens"] + 1) // 2


def test_log():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log.jsonl")
        with running(*MIXED, "--log", path, "--seed", "3") as sim:
            fates = [fate(sim, chat_body(f"task {i // 2}")) for i in range(20)]
            refused(sim, '/v1/"odd\\', {})
            sim.stats()
            with open(path, encoding="utf-8") as log:
                lines = [json.loads(line) for line in log]
            assert [line["outcome"] for line in lines] == fates + ["4xx"]
            assert [line["attempt"] for line in lines[:4]] == [1, 2, 1, 2]
            assert lines[0]["body"] == lines[1]["body"] != lines[2]["body"] and len(lines[0]["body"]) == 16
            assert lines[0]["url"] == CHAT and lines[-1]["status"] == 404 and lines[0]["time_us"] > 10 ** 15
            equal_tokens = [line["tokens"] == (line["input"] + line["output"]) for line in lines]
            assert all(equal_tokens) and sum(line["tokens"] for line in lines) == sim.stats()["tokens"]
            sim.post(CHAT, {**chat_body(), "user": "r-1"})
            sim.post("/v1/messages", {**chat_body(), "metadata": {"x": {}, "user_id": "r-2"}},
                     {"anthropic-version": "2023-06-01"})
            for user in (5, "x" * 65, "\u00e9", {}):
                sim.post(CHAT, {**chat_body(), "user": user})
            sim.stats()
            with open(path, encoding="utf-8") as log:
                users = [json.loads(line)["user"] for line in log]
            assert users == [""] * 21 + ["r-1", "r-2", "", "", "é", ""], users
            sim.post(CHAT, chat_body())
            sim.process.send_signal(signal.SIGUSR1)
            until(lambda: count_lines(path) == 28)


def test_base_path():
    with running("--base-path", "/openai") as sim:
        assert sim.post("/openai" + CHAT, chat_body())[0] == 200
        assert sim.post("/openai/chat/completions", chat_body())[0] == 404
        assert sim.post(CHAT, chat_body())[0] == 404
    with running("--base-path", "/v1beta/openai") as sim:
        assert sim.post("/v1beta/openai/chat/completions?key=1", chat_body())[0] == 200
        assert sim.post("/v1beta/openai/v1/chat/completions", chat_body())[0] == 404


# ------------------------------------------------------------------------------------------------- time


def raw_request(body):
    body = json.dumps(body).encode()
    return (f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


def test_many_wait_at_once():
    with running("--latency-ms", "1500") as sim:
        sockets = []
        for i in range(500):
            sockets.append(socket.create_connection(("127.0.0.1", sim.port), timeout=60))
            sockets[-1].sendall(raw_request(chat_body(f"task {i}")))
        whole = sum(one.recv(65536).startswith(b"HTTP/1.1 200") for one in sockets)
        stats = sim.stats()
        for one in sockets:
            one.close()
        assert whole == 500 and stats["answered"] == 500
        assert stats["max_in_flight"] == 500, stats["max_in_flight"]
        assert len(os.listdir(f"/proc/{sim.process.pid}/task")) == 1


def test_latency_kinds():
    for flags in (("--latency-ms", "5", "--latency-jitter-ms", "10"), ("--latency", "lognormal:5,0.8")):
        with running(*flags) as sim:
            threads = [threading.Thread(target=sim.json, args=(CHAT, chat_body(str(i)))) for i in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sim.stats()["answered"] == 20


def test_a_client_that_left_had_no_answer():
    with running("--latency-ms", "200") as sim:
        gone = socket.create_connection(("127.0.0.1", sim.port))
        gone.sendall(raw_request(chat_body()))
        until(lambda: sim.stats()["in_flight"] == 1)
        gone.close()
        until(lambda: sim.stats()["in_flight"] == 0)
        stats = sim.stats()
        assert stats["abandoned"] == 1 and stats["answered"] == 0 and stats["tokens"] > 0
        sim.post(CHAT, json.dumps(chat_body()))
        assert sim.stats()["duplicates"] == 0


def test_ends_while_requests_wait():
    with running("--latency-ms", "60000") as sim:
        waiting = [socket.create_connection(("127.0.0.1", sim.port)) for _ in range(10)]
        for one in waiting:
            one.sendall(raw_request(chat_body()))
        until(lambda: sim.stats()["in_flight"] == 10)
        stats = sim.end()
        for one in waiting:
            one.close()
        assert stats["abandoned"] == 10 and stats["in_flight"] == 0 and stats["tokens"] == 0


def test_keep_alive_and_pieces():
    with running() as sim:
        with socket.create_connection(("127.0.0.1", sim.port), timeout=30) as one:
            request = raw_request(chat_body())
            for _ in range(3):
                for byte in range(0, len(request), 40):
                    one.sendall(request[byte:byte + 40])
                    time.sleep(0.001)
                assert one.recv(65536).startswith(b"HTTP/1.1 200")


# ------------------------------------------------------------------------------------------------- flags


def test_flags():
    def run(*flags):
        return subprocess.run([PROGRAM, *flags], capture_output=True, text=True, timeout=30, check=False)

    help_text = run("--help")
    assert help_text.returncode == 0 and "--rate-malformed PERCENT" in help_text.stdout
    for flags in (["--no-such"], ["port"], ["--port"], ["--port", "65536"], ["--rate-429", "101"], ["--rate-cut", "x"],
                  ["--rate-429", "60", "--rate-500", "60"], ["--latency", "normal:1,2"], ["--base-path", "x"],
                  ["--latency", "lognormal:5,1", "--latency-ms", "5"], ["--quota"], ["--ignore-cap=1"],
                  ["--always-status", "200"], ["--output-fill", "50", "--output-mean", "5"]):
        result = run(*flags)
        assert result.returncode == 2 and result.stderr.startswith("llm-sim: ") and not result.stdout, (flags, result)
    with running("--port=0", "--seed=5") as sim:
        busy = run("--port", str(sim.port))
        assert busy.returncode == 1 and "can't listen" in busy.stderr


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    failed = 0
    for name, test in tests:
        try:
            test()
        except Exception as problem:  # a failed test must not hide the others
            failed += 1
            line = (problem.__cause__ or problem).__traceback__
            while line.tb_next:
                line = line.tb_next
            print(f"FAILED {name}, line {line.tb_lineno}: {type(problem).__name__}: {problem}")
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: test_llm_sim.py PATH_TO_LLM_SIM")
    PROGRAM = sys.argv[1]
    sys.exit(main())
