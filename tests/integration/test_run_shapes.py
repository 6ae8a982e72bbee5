#!/usr/bin/env python3
"""headgate run against providers of other kinds than OpenAI's: python3 test_run_shapes.py BUILD_DIR [NAME ...]

What each answers is in the line itself, so that a row shows the call, the answer and what comes of it. Standard library only.
"""
import http.server
import json
import sys
import threading

from cli_harness import equal, main
from run_harness import CHAT, place, serving

NDJSON, EVENTS = "application/x-ndjson", "text/event-stream"


class Provider(http.server.ThreadingHTTPServer):
    """Answers a call with the pieces of `answers[custom_id]`, the user of its body, as chunks of their Content-Type; without a last
    chunk where the type is behind a minus."""
    daemon_threads = True

    def __init__(self, answers):
        provider, self.calls, self.lock = self, {}, threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                kind, *pieces = answers[body["user"]]
                with provider.lock:
                    provider.calls.setdefault(body["user"], []).append(body)
                self.send_response(200)
                self.send_header("Content-Type", kind.removeprefix("-"))
                self.close_connection = kind.startswith("-")
                self.send_header(*(("Connection", "close") if self.close_connection else ("Transfer-Encoding", "chunked")))
                self.end_headers()
                for piece in pieces:
                    data = (piece if isinstance(piece, str) else json.dumps(piece)).encode()
                    self.wfile.write(data if self.close_connection else b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.write(b"" if self.close_connection else b"0\r\n\r\n")

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


def event(value):
    return f"data: {json.dumps(value)}\n\n"


def chunk(index, finish=None, **more):
    return event({"choices": [{"index": index, "delta": {"content": "x"}, "finish_reason": finish}], **more})


def usage(prompt, completion):
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def ollama(done, **more):
    return json.dumps({"message": {"content": "x"}, "done": done, **more}) + "\n"


def run(rows):
    """A row: its name, the URL, the body, the answer. Returns result or failure by name, and the server."""
    lines = [{"custom_id": name, "method": "POST", "url": url, "body": {**body, "user": name}} for name, url, body, _ in rows]
    with place(lines) as here, serving(Provider({name: answer for name, _, _, answer in rows})) as server:
        summary, _ = here.run("--limit", "10M", "--base-url", server.url, code=(0, 1))
        return {each["custom_id"]: each for each in here.results() + here.failures()}, server.calls, summary


def check(rows, tokens, calls=1):
    """Each is a result, or fails after several calls; the figures of all add up to so many exact tokens."""
    ends, made, summary = run(rows)
    for name, *_ in rows:
        equal((ends[name]["error"] is None, len(made[name])), (calls == 1, calls), name)
    equal((summary["run"]["tokens"], summary["run"]["estimated"]), (tokens, 0))
    return ends, made


SAID = {"messages": [{"role": "user", "content": "x"}]}


def test_streams_that_nobody_asked_for_are_results():
    done = ollama(True, prompt_eval_count=10, eval_count=5)
    check([("ollama", "/api/chat", SAID, [NDJSON, ollama(False), done]),
           ("ollama null", "/api/generate", {"prompt": "x", "stream": None}, [NDJSON, ollama(False), done]),
           ("ollama plain", "/api/chat", {**SAID, "stream": False}, ["application/json", done]),
           ("chat", CHAT, SAID, [EVENTS, chunk(0), chunk(0, "stop", usage=usage(10, 5)), "data: [DONE]\n\n"])], 4 * 15)


def test_an_answer_begins_where_it_says_something():
    answer = {"choices": [{"index": 0, "message": {}}], "usage": usage(10, 5)}
    check([("plain", CHAT, {**SAID, "stream": True}, ["application/json", "\n", "  ", answer])], 15)


def test_a_stream_of_fewer_choices_than_were_asked_for():
    two = {**SAID, "n": 2, "stream": True, "max_tokens": 9}
    one, apart, done = chunk(0, "stop", usage=usage(10, 5)), event({"choices": [], "usage": usage(10, 5)}), "data: [DONE]\n\n"
    gemini = {"candidates": [{"index": 0, "finishReason": "STOP"}],
              "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}}
    asked = {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"candidateCount": 2, "maxOutputTokens": 9}}
    check([("both", CHAT, two, [EVENTS, chunk(0, "stop"), chunk(1, "stop", usage=usage(10, 10))])], 20)
    check([("one", CHAT, two, [EVENTS, one]),
           ("apart", CHAT, two, [EVENTS, chunk(0, "stop"), apart]),
           ("told", CHAT, two, [EVENTS, one, done]),
           ("apart, told", CHAT, two, [EVENTS, chunk(0, "stop"), apart, done]),
           ("no finish", CHAT, {**two, "n": 1}, [EVENTS, chunk(0), apart, done]),
           ("gemini", "/v1beta/models/g:streamGenerateContent?alt=sse", asked, [EVENTS, event(gemini)])], 6 * 15)
    doubtful = [EVENTS, chunk(0, usage=usage(10, 1)), one]  # with every chunk, and the other may have been to come
    ends, made, summary = run([("each", CHAT, two, doubtful), ("each, told", CHAT, two, [*doubtful, done])])
    for name in made:
        equal((ends[name]["error"], len(made[name])), (None, 1), name)
    equal(summary["run"]["estimated"], 2)
    assert summary["run"]["tokens"] > 1000, summary
    ends, made, _ = run([("cut", CHAT, two, ["-" + EVENTS, chunk(0, "stop"), apart])])
    equal((ends["cut"]["error"]["code"], len(made["cut"])), ("connection_failed", 2))


def test_a_connection_that_closes_ends_no_stream_by_itself():
    asked = {**SAID, "stream": True, "max_tokens": 9}
    ends, made, summary = run([("chat", CHAT, asked, ["-" + EVENTS, chunk(0, "stop", usage=usage(10, 5))]),
                               ("other", "/v1/other", asked, ["-" + EVENTS, event({"text": "half"})])])
    for name in ("chat", "other"):
        equal((ends[name]["error"]["code"], len(made[name])), ("connection_failed", 2), name)
    equal(summary["run"]["estimated"], 4)
    check([("marked", CHAT, asked, ["-" + EVENTS, chunk(0, "stop", usage=usage(10, 5)), "data: [DONE]\n\n"]),
           ("apart", CHAT, asked, ["-" + EVENTS, chunk(0, "stop"), event({"choices": [], "usage": usage(10, 5)})])], 2 * 15)


def test_embeddings_need_no_cap():
    cohere = {"embeddings": {"float": [[0.5]]}, "meta": {"billed_units": {"input_tokens": 15}}}
    _, made = check([("cohere", "/v2/embed", {"texts": ["x"], "model": "e"}, ["application/json", cohere]),
                     ("ollama", "/api/embed", {"input": "x"},
                      ["application/json", {"embeddings": [[0.5]], "prompt_eval_count": 15}]),
                     ("gemini", "/v1beta/models/g:embedContent", {"content": {"parts": [{"text": "x"}]}},
                      ["application/json", {"embedding": {"values": [0.5]}, "usageMetadata": {"promptTokenCount": 15}}])],
                    3 * 15)
    assert not any("max_tokens" in body for bodies in made.values() for body in bodies), made


def test_coheres_chat_gets_a_cap_and_its_failures_are_called_again():
    used = {"billed_units": {"input_tokens": 5, "output_tokens": 2}}
    _, made = check([("good", "/v2/chat", SAID,
                      ["application/json", {"message": {}, "finish_reason": "COMPLETE", "usage": used}])], 7)
    equal(made["good"][0]["max_tokens"], 4096)
    check([("bad", "/v2/chat", SAID, ["application/json", {"message": {}, "finish_reason": "ERROR", "usage": used}])], 14, 2)
    end = {"type": "message-end", "delta": {"finish_reason": "ERROR", "usage": used}}
    check([("bad", "/v2/chat", {**SAID, "stream": True}, [EVENTS, event({"type": "message-start"}), event(end)])], 14, 2)


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
