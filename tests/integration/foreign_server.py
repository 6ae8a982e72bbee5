"""A small provider of its own: the OpenAI and Anthropic endpoints in the standard library, in the many ways in which
real servers differ. It shares nothing with llm-sim, not even how it counts. It remembers each request that it answered
and adds up the tokens that it handed out.

    with foreign("chunked", "pretty", prefix="/gateway/v1") as server: ... server.url, server.tokens, server.seen
"""
import collections
import gzip
import http.server
import json
import threading
import urllib.parse
import zlib

from run_harness import serving

WAYS = {"chunked",        # Transfer-Encoding: chunked, in pieces of odd sizes, with an extension and a trailer
        "close",          # Connection: close, and it does
        "until-close",    # HTTP/1.0: no length, the body ends with the connection
        "hangs-up",       # keeps connections, then closes each after its fifth answer without having said so
        "lower-case",     # header names in lower case, no space after the colon, no reason phrase
        "early-hints",    # an interim answer before the real one
        "gzip",           # compressed where the client accepts it
        "gzip-always",    # compressed whatever the client accepts
        "zebra",          # in a Content-Encoding that nobody knows
        "huge",           # 17 MiB of white space behind the JSON
        "bom",            # a byte-order mark before the JSON
        "pretty",         # indented, with CRLF, white space before and behind
        "ascii",          # everything else than ASCII escaped, as Python's json does
        "details",        # usage with details, and members that nobody documented
        "nulls",          # what is not known is null
        "one-by-one",     # the answer a few bytes a segment
        "plain-text"}     # Content-Type: text/plain


def words(value):
    """The words of all strings of a value: what this server calls a token."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, dict):
        value = list(value.values())
    return sum(words(part) for part in value) if isinstance(value, list) else 0


def output_of(body, cap):
    """From 1 to `cap`, the same for the same request."""
    return 1 + zlib.crc32(json.dumps(body).encode()) % cap


def openai_usage(prompt, completion, ways):
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    if "details" in ways:
        usage.update({"prompt_tokens_details": {"cached_tokens": prompt // 2, "audio_tokens": 0, "rows": [1, {"a": 2}]},
                      "completion_tokens_details": {"reasoning_tokens": completion // 2, "audio_tokens": 0},
                      "queue_time": 0.0125, "cost": {"usd": 1.5e-7}, "tokens": "many", "Total_Tokens": 10**12,
                      "usage": {"total_tokens": 10**12}})
    if "nulls" in ways:
        usage.update({"prompt_tokens_details": None, "completion_tokens_details": None, "cost": None})
    return usage


def chat(body, ways):
    """The answer and the tokens that it cost, as of the three functions below."""
    choices = body.get("n", 1)
    prompt = 4 + words(body["messages"])
    completion = choices * output_of(body, body.get("max_completion_tokens") or body["max_tokens"])
    message = {"role": "assistant", "content": "Grüße, \"Welt\" \\ 你好 \u2028 \N{ROCKET}", "refusal": None}
    answer = {"id": "chatcmpl-foreign", "object": "chat.completion", "created": 1, "model": body["model"],
              "choices": [{"index": i, "message": message, "finish_reason": "stop", "logprobs": None}
                          for i in range(choices)], "usage": openai_usage(prompt, completion, ways)}
    return answer, prompt + completion


def completion(body, ways):
    prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
    prompt, output = words(prompts), len(prompts) * output_of(body, body["max_tokens"])
    answer = {"id": "cmpl-foreign", "object": "text_completion", "model": body["model"],
              "choices": [{"index": i, "text": "so it is", "finish_reason": "length"} for i in range(len(prompts))],
              "usage": openai_usage(prompt, output, ways)}
    return answer, prompt + output


def embeddings(body, ways):
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    usage = openai_usage(words(inputs), 0, ways)
    usage["completion_tokens"] = None
    if "nulls" not in ways:
        del usage["completion_tokens"]
    answer = {"object": "list", "model": body["model"], "usage": usage,
              "data": [{"object": "embedding", "index": i, "embedding": [0.5, -1e-7, 0]} for i in range(len(inputs))]}
    return answer, words(inputs)


def responses(body, ways):
    prompt = 4 + words(body["input"]) + words(body.get("instructions", ""))
    output = output_of(body, body["max_output_tokens"])
    usage = {"input_tokens": prompt, "output_tokens": output, "total_tokens": prompt + output}
    if "details" in ways:
        usage.update({"input_tokens_details": {"cached_tokens": 1}, "output_tokens_details": {"reasoning_tokens": 1}})
    answer = {"id": "resp_foreign", "object": "response", "status": "completed", "error": None, "model": body["model"],
              "output": [{"type": "message", "content": [{"type": "output_text", "text": "ok"}]}], "usage": usage}
    return answer, prompt + output


def messages(body, ways):
    """Anthropic's: the input is what was neither written to nor read from the cache."""
    prompt, output = 4 + words(body["messages"]) + words(body.get("system", "")), output_of(body, body["max_tokens"])
    usage = {"input_tokens": prompt, "output_tokens": output, "service_tier": "standard"}
    if "details" in ways:
        usage.update({"input_tokens": prompt - 3, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 2,
                      "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 0}})
    if "nulls" in ways:
        usage.update({"cache_creation_input_tokens": None, "cache_read_input_tokens": None, "server_tool_use": None})
    answer = {"id": "msg_foreign", "type": "message", "role": "assistant", "model": body["model"],
              "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn", "usage": usage}
    return answer, prompt + output


ENDPOINTS = {"/chat/completions": chat, "/completions": completion, "/embeddings": embeddings, "/responses": responses,
             "/messages": messages}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answered = 0  # on this connection

    def log_message(self, *_):
        pass

    def do_POST(self):
        ways, raw = self.server.ways, self.rfile.read(int(self.headers["Content-Length"]))
        path, _, query = self.path.partition("?")
        endpoint = ENDPOINTS.get(path.removeprefix(self.server.prefix)) if path.startswith(self.server.prefix) else None
        if not endpoint or dict(urllib.parse.parse_qsl(query)) != self.server.query:
            return self.answer(404, {"error": {"message": f"no route {self.path}", "type": "not_found"}}, ways)
        answer, tokens = endpoint(json.loads(raw), ways)
        self.server.count(path, raw, tokens)
        self.answer(200, answer, ways)

    def answer(self, status, value, ways):
        body, headers = self.encode(value, ways)
        if "early-hints" in ways:
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        if "chunked" in ways:
            headers["Transfer-Encoding"] = "chunked"
            body = self.chunks(body)
        elif "until-close" not in ways:
            headers["Content-Length"] = len(body)
        if ways & {"close", "until-close"}:
            headers["Connection"] = "close"
        self.send(self.head(status, headers, ways) + body, 7 if "one-by-one" in ways else 1 << 20)
        self.answered += 1
        self.close_connection = bool(ways & {"close", "until-close"}) or ("hangs-up" in ways and self.answered == 5)

    def encode(self, value, ways):
        headers = {"Content-Type": "text/plain" if "plain-text" in ways else "application/json; charset=utf-8",
                   "Server": "foreign", "X-Request-Id": "req_1", "Date": "Thu, 01 Jan 1970 00:00:00 GMT"}
        text = json.dumps(value, ensure_ascii="ascii" in ways, indent=4 if "pretty" in ways else None)
        if "pretty" in ways:
            text = "\r\n\t " + text.replace("\n", "\r\n") + "\r\n\r\n"
        text += " " * (17 << 20) if "huge" in ways else ""
        body = (b"\xef\xbb\xbf" if "bom" in ways else b"") + text.encode()
        accepts = "gzip" in self.headers.get("Accept-Encoding", "")
        if "gzip-always" in ways or ("gzip" in ways and accepts):
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body)
            self.server.compressed += 1
        if "zebra" in ways:
            headers["Content-Encoding"] = "zebra"
        return body, headers

    @staticmethod
    def chunks(body):
        pieces, size = [], 1
        while body:
            pieces.append(b"%X;part=\"of it\"\r\n%s\r\n" % (len(body[:size]), body[:size]))
            body, size = body[size:], size * 3
        return b"".join(pieces) + b"0\r\nX-Checksum: none\r\n\r\n"

    @staticmethod
    def head(status, headers, ways):
        version = b"HTTP/1.0" if "until-close" in ways else b"HTTP/1.1"
        if "lower-case" in ways:
            lines, reason = [f"{name.lower()}:{value}" for name, value in headers.items()], ""
        else:
            lines, reason = [f"{name}: {value}" for name, value in headers.items()], "Fine"
        return version + "\r\n".join([f" {status} {reason}", *lines, "", ""]).encode()

    def send(self, data, at_once):
        for at in range(0, len(data), at_once):
            self.wfile.write(data[at:at + at_once])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, ways, prefix, query):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ways, self.prefix, self.query = ways, prefix, dict(urllib.parse.parse_qsl(query))
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.tokens, self.seen, self.compressed, self.lock = 0, collections.Counter(), 0, threading.Lock()

    def count(self, path, raw, tokens):
        with self.lock:
            self.tokens += tokens
            self.seen[path, raw] += 1

    def handle_error(self, *_):
        """A client that is gone is none of ours."""


def foreign(*ways, prefix="/v1", query=""):
    assert WAYS.issuperset(ways), ways
    return serving(Server(set(ways), prefix, query))
